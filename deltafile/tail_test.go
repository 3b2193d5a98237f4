package deltafile

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeWatch is a Watcher that a test wakes.
type fakeWatch struct {
	c      chan struct{}
	closed atomic.Bool
}

func newFakeWatch() *fakeWatch                    { return &fakeWatch{c: make(chan struct{}, 1)} }
func (w *fakeWatch) C() <-chan struct{}           { return w.c }
func (w *fakeWatch) Close() error                 { w.closed.Store(true); return nil }
func (w *fakeWatch) watch() TailOptions           { return TailOptions{Watch: w.open} }
func (w *fakeWatch) open(string) (Watcher, error) { return w, nil }
func (w *fakeWatch) wake() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// openTail follows /d/delta in m and is woken by its changes.
func openTail(t testing.TB, m *memFS, after State) *Tail {
	t.Helper()
	w := newFakeWatch()
	m.mu.Lock()
	m.wake = w.wake
	m.mu.Unlock()
	o := w.watch()
	o.FS = m
	tail, err := o.Open("/d/delta", after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tail.Close(); err != nil || !w.closed.Load() {
			t.Error("close:", err)
		}
	})
	return tail
}

// take reads n changesets and checks that they are those of the outbox from serial on.
func take(t testing.TB, tail *Tail, o *outbox, from uint64, n int) {
	t.Helper()
	for n > 0 {
		css, err := tail.Next(t.Context())
		if err != nil {
			t.Fatalf("next, waiting for %d: %v", from, err)
		}
		for _, cs := range css {
			if want := o.css[from-1-o.base.Serial]; cs.Serial != from || !bytes.Equal(cs.Raw, want.Raw) {
				t.Fatalf("got changeset %d, want %d", cs.Serial, from)
			}
			from++
			n--
		}
	}
	if n < 0 {
		t.Fatalf("%d changesets too many", -n)
	}
	if got := tail.Last(); got != o.at(int(from-1-o.base.Serial)) {
		t.Fatalf("last %v, want serial %d", got, from-1)
	}
}

// nothing checks that a tail has nothing more to say for now.
func nothing(t testing.TB, tail *Tail) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of fake time
	defer cancel()
	if css, err := tail.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("next: %d changesets, %v; want none", len(css), err)
	}
}

func TestTailFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		tail := openTail(t, m, State{})
		nothing(t, tail) // no file yet
		if !tail.Base().IsZero() || !tail.Last().IsZero() {
			t.Error("a base without a file")
		}
		a := openMem(t, m)
		mustAppend(t, a, o, o.base)
		if s, err := tail.Ready(t.Context()); err != nil || s != o.base || tail.Last() != o.base {
			t.Error("ready:", s, err)
		}
		nothing(t, tail)
		o.commit(t, 3)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 1, 3)
		if _, err := a.Truncate(t.Context(), testEpoch, 3); err != nil {
			t.Fatal(err)
		}
		o.commit(t, 2)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 4, 2)
		if tail.Base() != o.at(3) {
			t.Error("base after truncation:", tail.Base())
		}
		o.commit(t, 2)
		mustAppend(t, a, o, o.base)
		if _, err := a.Truncate(t.Context(), testEpoch, 6); err != nil { // less than what is there
			t.Fatal(err)
		}
		take(t, tail, o, 6, 2)
		nothing(t, tail)
	})
}

// TestTailReadsOldFileToItsEnd: records appended just before a truncation by rename are still
// read, from the old file.
func TestTailReadsOldFileToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		tail := openTail(t, m, State{})
		take(t, tail, o, 1, 1)
		o.commit(t, 5)
		mustAppend(t, a, o, o.base)
		if _, err := a.Truncate(t.Context(), testEpoch, 6); err != nil {
			t.Fatal(err)
		}
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 2, 6)
	})
}

// TestTailTime: a change is seen at once when the watch tells of it, and after the poll when
// nothing does.
func TestTailTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		mustAppend(t, a, o, o.base)
		tail := openTail(t, m, State{})
		for _, c := range []struct {
			woken bool
			want  time.Duration
		}{{true, 0}, {false, defaultPoll}, {true, 0}} {
			got := make(chan time.Duration)
			m.mu.Lock()
			wake := m.wake
			if !c.woken {
				m.wake = nil
			}
			m.mu.Unlock()
			start := time.Now()
			o.commit(t, 1)
			serial := o.state().Serial
			go func() {
				take(t, tail, o, serial, 1)
				got <- time.Since(start)
			}()
			synctest.Wait()
			start = time.Now()
			mustAppend(t, a, o, o.base)
			if d := <-got; d != c.want {
				t.Errorf("woken %v: seen after %v, want %v", c.woken, d, c.want)
			}
			m.mu.Lock()
			m.wake = wake
			m.mu.Unlock()
		}
	})
}

// TestTailWaitsForTheWholeChangeset lets the file grow byte by byte.
func TestTailWaitsForTheWholeChangeset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(testBase())
		o.commit(t, 3)
		image := appendHead(nil, o.base)
		for _, cs := range o.css {
			image = append(image, cs.Raw...)
		}
		m := newMemFS()
		tail := openTail(t, m, State{})
		seen := make(chan uint64, 10)
		go func() {
			for {
				css, err := tail.Next(t.Context())
				if err != nil {
					close(seen)
					return
				}
				for _, cs := range css {
					seen <- cs.Serial
				}
			}
		}()
		for n := range len(image) + 1 {
			m.put("/d/delta", image[:n])
			synctest.Wait()
			good := 0
			if _, css, _, err := readBytes(image[:n]); err == nil || errors.Is(err, ErrIncomplete) {
				good = len(css)
			}
			if len(seen) != good {
				t.Fatalf("%d bytes there: %d changesets seen, want %d", n, len(seen), good)
			}
		}
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
		for range seen {
		}
	})
}

func TestTailStartsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 9)
		mustAppend(t, a, o, o.base)
		if _, err := a.Truncate(t.Context(), testEpoch, 3); err != nil {
			t.Fatal(err)
		}
		for n := 3; n < 9; n++ {
			take(t, openTail(t, m, o.at(n)), o, uint64(n)+1, 9-n)
		}
		tail := openTail(t, m, o.at(9))
		nothing(t, tail)
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 10, 1)
	})
}

// TestTailAhead: the file lost what a power cut took; the follower has it, waits for the same
// to come again, and goes on behind it. Something else under the same serial is refused.
func TestTailAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 3)
		mustAppend(t, a, o, o.base)
		image := m.get("/d/delta")
		o.commit(t, 2)
		mustAppend(t, a, o, o.base)
		tail := openTail(t, m, State{})
		take(t, tail, o, 1, 5)
		ahead := o.state()
		m.put("/d/delta", image)
		nothing(t, tail)
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 6, 1)

		m.put("/d/delta", image)
		late := openTail(t, m, ahead)
		nothing(t, late)
		o.css = o.css[:3]
		cs, err := Encode(o.at(3), time.Unix(5, 0), testLine(77))
		if err != nil {
			t.Fatal(err)
		}
		o.css = append(o.css, cs)
		o.commit(t, 3)
		mustAppend(t, a, o, o.base)
		_, err = late.Next(t.Context())
		var fe *ForeignError
		if !errors.As(err, &fe) || !errors.Is(err, ErrForeign) || fe.Have != ahead || fe.File.Serial != 5 {
			t.Fatalf("another history: %v", err)
		}
		take(t, late, o, 1, 7) // it goes on from the base
	})
}

func TestTailErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 5)
		mustAppend(t, a, o, o.base)
		if _, err := a.Truncate(t.Context(), testEpoch, 3); err != nil {
			t.Fatal(err)
		}
		wrong := o.at(3)
		wrong.Hash[0] ^= 1
		other := Initial("EXAMPLE.COM", 42, time.Unix(0, 0))
		realm := Initial("OTHER.REALM", testEpoch, time.Unix(0, 0))
		for _, c := range []struct {
			name  string
			after State
			check func(error) bool
		}{
			{"behind", o.at(2), func(err error) bool {
				var e *GapError
				return errors.As(err, &e) && errors.Is(err, ErrBehind) && e.After == o.at(2) && e.Base == o.at(3)
			}},
			{"other hash", wrong, func(err error) bool {
				var e *ForeignError
				return errors.As(err, &e) && e.Have == wrong && e.File == o.at(3)
			}},
			{"other epoch", other, func(err error) bool {
				var e *EpochError
				return errors.As(err, &e) && e.State == o.at(3)
			}},
		} {
			tail := openTail(t, m, c.after)
			if _, err := tail.Ready(t.Context()); !c.check(err) || err.Error() == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			take(t, tail, o, 4, 2)
		}
		tail := openTail(t, m, realm)
		for range 2 {
			if _, err := tail.Next(t.Context()); !errors.Is(err, ErrRealm) {
				t.Error("other realm:", err)
			}
		}
	})
}

// TestTailNewEpoch: whoever follows the old epoch is told, then follows the new.
func TestTailNewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 2)
		mustAppend(t, a, o, o.base)
		tail := openTail(t, m, State{})
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 1, 3)
		o2 := newOutbox(Initial("EXAMPLE.COM", 42, time.Unix(3, 0)))
		o2.commit(t, 2)
		mustAppend(t, a, o2, o2.base)
		var ee *EpochError
		if _, err := tail.Next(t.Context()); !errors.As(err, &ee) || ee.State != o2.base {
			t.Fatal("new epoch:", err)
		}
		take(t, tail, o2, 1, 2)
	})
}

func TestTailRefusesDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"bad-hash.delta", "gap.delta", "unknown-kind.delta"} {
			image := fixture(t, name)
			_, good, _, want := readBytes(image)
			m := newMemFS()
			m.put("/d/delta", image)
			tail := openTail(t, m, State{})
			for n := 0; n < len(good); {
				css, err := tail.Next(t.Context())
				if err != nil {
					t.Fatal(name, err)
				}
				n += len(css)
			}
			for range 2 {
				_, err := tail.Next(t.Context())
				var fe, we *FormatError
				if !errors.As(err, &fe) || !errors.As(want, &we) || fe.Offset != we.Offset || fe.File != "/d/delta" {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
			m.put("/d/delta", fixture(t, "changes.delta")) // somebody has mended it
			css, err := tail.Next(t.Context())
			if err != nil || css[0].Serial != uint64(len(good)+1) {
				t.Errorf("%s mended: %v", name, err)
			}
		}
		m := newMemFS()
		m.put("/d/delta", []byte("krep load_delta version 2\n"))
		if _, err := openTail(t, m, State{}).Next(t.Context()); !errors.Is(err, ErrHeader) {
			t.Error("other version:", err)
		}
	})
}

// TestTailTornIsReplaced: the torn changeset a tail waits for is cut off, and a shorter one
// comes in its place.
func TestTailTornIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		mustAppend(t, a, o, o.base)
		big, err := Encode(o.base, time.Unix(1, 0), bytes.Repeat(testLine(1), 1000))
		if err != nil {
			t.Fatal(err)
		}
		m.put("/d/delta", append(m.get("/d/delta"), big.Raw[:2000]...))
		tail := openTail(t, m, State{})
		nothing(t, tail)
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, 1, 1)
	})
}

// TestTailLooksTwiceAtDamage: a torn tail is cut off and written over between two reads of the
// tail. What it then holds is half of the one and half of the other: no damage.
func TestTailLooksTwiceAtDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemFS(), newOutbox(testBase())
		long := func(word string) []byte {
			cs, err := Encode(o.state(), time.Unix(1, 0), bytes.Repeat([]byte(word+"\tx\n"), scanChunk/3))
			if err != nil {
				t.Fatal(err)
			}
			return cs.Raw
		}
		head := appendHead(nil, o.base)
		torn, whole := long("princ"), long("policy")
		m.put("/d/delta", append(bytes.Clone(head), torn[:len(torn)-5]...))
		tail := openTail(t, m, State{})
		reads := 0
		m.before = func(op, _ string) error {
			if op == "read" {
				reads++
			}
			switch reads { // 1 is the head, 2 the first chunk, 3 the changeset
			case 3:
				mixed := append(bytes.Clone(head), torn[:scanChunk]...)
				m.put("/d/delta", append(mixed, whole[scanChunk:]...))
			case 4:
				m.put("/d/delta", append(bytes.Clone(head), whole...))
			}
			return nil
		}
		css, err := tail.Next(t.Context())
		if err != nil || !bytes.Equal(css[0].Raw, whole) || reads < 5 {
			t.Fatalf("after %d reads: %v", reads, err)
		}
	})
}

func TestTailFileSystemErrors(t *testing.T) {
	m := newMemFS()
	tail := openTail(t, m, State{})
	m.before = func(string, string) error { return errInjected }
	if _, err := tail.Next(t.Context()); !errors.Is(err, errInjected) {
		t.Error(err)
	}
	if _, err := tail.Ready(t.Context()); !errors.Is(err, errInjected) {
		t.Error(err)
	}
	o := TailOptions{FS: m, Watch: func(string) (Watcher, error) { return nil, errInjected }}
	if _, err := o.Open("/d/delta", State{}); !errors.Is(err, errInjected) {
		t.Error(err)
	}
}

func TestTailClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemFS()
		tail := openTail(t, m, State{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := tail.Next(t.Context()); !errors.Is(err, ErrClosed) {
				t.Error("next:", err)
			}
		})
		synctest.Wait()
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if _, err := tail.Ready(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error("ready:", err)
		}
	})
}

// TestTailOnDisk follows a real file with a real watch, through replacement by rename.
func TestTailOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	tail, err := TailOptions{Poll: time.Hour}.Open(path, State{}) // only the watch can wake it
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := newOutbox(testBase())
	for n := range uint64(20) {
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		take(t, tail, o, n+1, 1)
		if n%3 == 0 {
			if _, err := Truncate(t.Context(), path, testEpoch, n+1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tail.Close(), tail.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	poller, err := TailOptions{
		Poll:  time.Millisecond,
		Watch: func(string) (Watcher, error) { return nil, nil },
	}.Open(path, o.at(19))
	if err != nil {
		t.Fatal(err)
	}
	take(t, poller, o, 20, 1)
	if err := poller.Close(); err != nil {
		t.Error(err)
	}
}

func TestWatchDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if _, err := WatchDir(dir); err == nil {
		t.Error("a missing directory is watched")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := WatchDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	change := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("a")
	<-w.C()
	for range 1000 {
		change("b") // nobody reads: they become one
	}
	<-w.C()
	// The directory goes away and another comes in its place: the watch finds it.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	<-w.C()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		change("c")
		select {
		case <-w.C():
			done = len(w.w.WatchList()) == 1
		case <-time.After(defaultPoll / 8):
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-w.done:
	default:
		t.Error("the goroutine is still there")
	}
}
