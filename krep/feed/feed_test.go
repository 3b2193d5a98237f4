package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
)

const realmName = "EXAMPLE.ORG"

// bench is a delta file, a writer of it and a Feed that follows it.
type bench struct {
	t    *testing.T
	path string
	app  *deltafile.Appender
	last deltafile.State
	feed *Feed
	err  chan error
	stop func()

	safe     atomic.Uint64 // what Options.Safe answers; holdAll: not
	released atomic.Pointer[string]
}

const holdAll = ^uint64(0) - 1

func newBench(t *testing.T, edit func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "delta"), err: make(chan error, 1)}
	b.safe.Store(holdAll)
	app, err := deltafile.OpenAppender(b.path, deltafile.AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.app = app
	t.Cleanup(func() { _ = app.Close() })
	o := Options{Path: b.path, Realm: realmName, Quiet: 5 * time.Millisecond, Log: zerolog.Nop(),
		Safe: func(deltafile.Epoch) (uint64, bool) { n := b.safe.Load(); return n, n != holdAll },
		Release: func(_ deltafile.Epoch, serial uint64, why string) {
			s := fmt.Sprintf("up to %d: %s", serial, why)
			b.released.Store(&s)
		}}
	if edit != nil {
		edit(&o)
	}
	b.feed = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.err <- b.feed.Run(ctx) })
	b.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(b.stop)
	return b
}

func (b *bench) begin(e deltafile.Epoch) {
	b.t.Helper()
	b.last = deltafile.Initial(realmName, e, time.Now())
	if err := b.app.Reset(b.t.Context(), b.last); err != nil {
		b.t.Fatal(err)
	}
}

// add appends n changesets of about size octets.
func (b *bench) add(n, size int) {
	b.t.Helper()
	var css []*deltafile.Changeset
	st := b.last
	for range n {
		cs, err := deltafile.Encode(st, time.Now(), fmt.Appendf(nil, "princ\t%s;\n", bytes.Repeat([]byte("x"), size)))
		if err != nil {
			b.t.Fatal(err)
		}
		css, st = append(css, cs), st.After(cs)
	}
	last, err := b.app.AppendRaw(b.t.Context(), css)
	if err != nil {
		b.t.Fatal(err)
	}
	b.last = last
}

// patience is how long something may take that takes milliseconds: each cut syncs a file and a directory,
// which on a disk that others write to as well was seen to take seconds.
const patience = 2 * time.Minute

// until waits for the view to be as wanted.
func (b *bench) until(what string, ok func(base, last deltafile.State) bool) {
	b.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		base, last, _ := b.feed.View()
		if ok(base, last) {
			return
		}
		select {
		case <-again.C:
		case <-late.C:
			b.t.Fatalf("never came: %s; the view is %v to %v", what, base, last)
		}
	}
}

func (b *bench) caughtUp() {
	b.t.Helper()
	b.until("all is read", func(_, last deltafile.State) bool { return last.Same(b.last) })
}

// drain reads all that a cursor has.
func (b *bench) drain(c *Cursor) (n int) {
	b.t.Helper()
	for {
		css, err := c.Next(b.t.Context(), 1000)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(css) == 0 {
			return n
		}
		n += len(css)
	}
}

func TestCursorFromFileAndMemory(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Window = 3000 })
	b.begin(7)
	first := b.last
	b.add(10, 100)
	middle := b.last
	b.add(200, 100)
	b.caughtUp()
	for _, from := range []deltafile.State{first, middle, b.last} {
		c := b.feed.Cursor(from)
		if n := b.drain(c); uint64(n) != b.last.Serial-from.Serial || !c.at.Same(b.last) {
			t.Errorf("from %v: %d changesets to %v", from, n, c.at)
		}
		b.add(1, 10)
		b.caughtUp()
		if n := b.drain(c); n != 1 {
			t.Errorf("%d more, want 1", n)
		}
		c.Close()
	}
}

func TestCursorLimit(t *testing.T) {
	b := newBench(t, nil)
	b.begin(7)
	c := b.feed.Cursor(b.last)
	b.add(5, 100)
	b.add(1, 5000)
	b.caughtUp()
	var got []int
	for {
		css, err := c.Next(t.Context(), 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(css) == 0 {
			break
		}
		got = append(got, len(css))
	}
	if fmt.Sprint(got) != "[2 2 1 1]" {
		t.Errorf("batches of %v", got)
	}
}

func TestCursorRefuses(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Window = 1 })
	b.begin(7)
	before := b.last
	b.add(50, 100)
	at := b.last
	b.add(50, 100)
	b.caughtUp()
	foreign := at
	foreign.Hash[0] ^= 1
	end := b.last
	end.Hash[0] ^= 1
	other := at
	other.Epoch = 9
	for name, st := range map[string]deltafile.State{"in the file": foreign, "at the end": end} {
		if _, err := b.feed.Cursor(st).Next(t.Context(), 100); !errors.Is(err, deltafile.ErrForeign) {
			t.Errorf("another hash %s: %v", name, err)
		}
	}
	var epoch *deltafile.EpochError
	if _, err := b.feed.Cursor(other).Next(t.Context(), 100); !errors.As(err, &epoch) {
		t.Errorf("another epoch: %v", err)
	}
	b.safe.Store(at.Serial)
	b.add(1, 2<<20) // large enough to be worth cutting
	b.caughtUp()
	b.safe.Store(b.last.Serial)
	b.feed.Acked()
	b.until("the file is cut", func(base, _ deltafile.State) bool { return base.Same(b.last) })
	if _, err := b.feed.Cursor(before).Next(t.Context(), 100); !errors.Is(err, deltafile.ErrBehind) {
		t.Errorf("behind the file: %v", err)
	}
}

func TestNothingIsCutThatSomebodyHolds(t *testing.T) {
	b := newBench(t, nil)
	b.begin(7)
	b.add(10, 100)
	b.caughtUp()
	b.safe.Store(5)
	b.feed.Acked()
	b.add(1, 10)
	b.caughtUp()
	quiet := time.NewTimer(50 * time.Millisecond) // ten times Quiet
	<-quiet.C
	if base, _, _ := b.feed.View(); base.Serial != 0 {
		t.Errorf("cut to %d with little to gain", base.Serial)
	}
	b.safe.Store(11)
	b.feed.Acked()
	b.until("the file is empty", func(base, _ deltafile.State) bool { return base.Serial == 11 })
	if size, oldest := b.feed.Size(); size != 0 || !oldest.IsZero() {
		t.Errorf("%d octets since %v in an empty file", size, oldest)
	}
	st, err := os.Stat(b.path)
	if err != nil || st.Size() > 300 {
		t.Errorf("the file has %d octets, %v", st.Size(), err)
	}
}

// A master that is never quiet: the acknowledged part is dropped all the same.
func TestBusyFileStaysSmall(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Quiet = time.Hour })
	b.begin(7)
	for range 60 {
		b.add(10, 10_000)
		if n := b.last.Serial; n > 20 {
			b.safe.Store(n - 20)
		}
		b.feed.Acked()
	}
	b.until("the file is cut", func(base, last deltafile.State) bool { return base.Serial > 300 })
	b.caughtUp()
	base, _, _ := b.feed.View()
	if n := b.drain(b.feed.Cursor(base)); uint64(n) != b.last.Serial-base.Serial {
		t.Errorf("%d changesets left behind %v", n, base)
	}
	if size, _ := b.feed.Size(); size > 4<<20 {
		t.Errorf("%d octets left", size)
	}
}

// fullFS cannot rename so many times.
type fullFS struct {
	deltafile.FS
	times atomic.Int32
}

func (f *fullFS) Rename(oldname, newname string) error {
	if f.times.Add(-1) >= 0 {
		return errors.New("no space left on device")
	}
	return f.FS.Rename(oldname, newname)
}

// A cut that fails is tried again though nothing else happens.
func TestCutIsTriedAgain(t *testing.T) {
	disk := &fullFS{FS: deltafile.OSFS}
	disk.times.Store(2)
	b := newBench(t, func(o *Options) { o.Tail.FS = disk })
	b.begin(7)
	b.add(3, 100)
	b.caughtUp()
	b.safe.Store(3)
	b.feed.Acked()
	b.until("the file is cut", func(base, _ deltafile.State) bool { return base.Serial == 3 })
	if n := disk.times.Load(); n != -1 {
		t.Errorf("%d renames are left", n)
	}
}

// TestTrouble: that the file cannot be cut is told for as long as it is so.
func TestTrouble(t *testing.T) {
	disk := &fullFS{FS: deltafile.OSFS}
	disk.times.Store(1 << 30)
	b := newBench(t, func(o *Options) { o.Tail.FS = disk })
	b.begin(7)
	b.add(3, 100)
	b.caughtUp()
	b.safe.Store(3)
	b.feed.Acked()
	wait := func(says string) {
		t.Helper()
		// Nobody pokes it: with an acknowledgement each millisecond it would not be quiet.
		for end := time.Now().Add(patience); ; {
			if got := b.feed.Trouble(); (got == "") == (says == "") && strings.Contains(got, says) {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%q, want %q", got, says)
			}
			<-time.After(time.Millisecond)
		}
	}
	wait("no space left")
	disk.times.Store(0)
	wait("")
}

// halfFS cannot sync a directory, so that a cut happens and fails.
type halfFS struct{ deltafile.FS }

func (h halfFS) SyncDir(string) error { return errors.New("input/output error") }

// The file begins where it begins, though the cut was said to have failed: a slave that is behind
// must be known to be behind, or it would be told to go on from where it is for ever.
func TestFailedCutIsSeen(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Tail.FS, o.Window, o.Quiet = halfFS{deltafile.OSFS}, 1, time.Hour })
	b.begin(7)
	base := b.last
	b.add(5, 100)
	b.caughtUp()
	if _, err := deltafile.TruncateFS(t.Context(), halfFS{deltafile.OSFS}, b.path, 7, 3); err == nil {
		t.Fatal("the cut has not failed")
	}
	c := b.feed.Cursor(base)
	defer c.Close()
	if _, err := c.Next(t.Context(), 1000); !errors.Is(err, deltafile.ErrBehind) {
		t.Error(err)
	}
	if base, last, _ := b.feed.View(); base.Serial != 3 || last.Serial != 5 {
		t.Errorf("the view is %v to %v", base, last)
	}
}

func TestLimitLetsGo(t *testing.T) {
	b := newBench(t, func(o *Options) { o.MaxSize = 500_000 })
	b.begin(7)
	b.add(100, 10_000)
	b.until("somebody is told to let go", func(_, _ deltafile.State) bool { return b.released.Load() != nil })
}

// TestSmallLimit: whoever is a change or two behind is not told to let go for one who is far behind,
// however small the limit.
func TestSmallLimit(t *testing.T) {
	b := newBench(t, func(o *Options) { o.MaxSize = 8 << 10 })
	b.begin(7)
	b.add(40, 400)
	b.caughtUp()
	b.feed.limit()
	why := b.released.Load()
	if why == nil {
		t.Fatal("nobody is told to let go")
	}
	var upto uint64
	if _, err := fmt.Sscanf(*why, "up to %d:", &upto); err != nil || upto < 20 || upto > 34 {
		t.Errorf("%v: %s", err, *why)
	}
}

func TestAgeLimit(t *testing.T) {
	b := newBench(t, func(o *Options) { o.MaxAge = time.Minute })
	b.begin(7)
	b.add(3, 10)
	b.caughtUp()
	b.feed.limit()
	if why := b.released.Load(); why != nil {
		t.Errorf("young changes are let go: %s", *why)
	}
	b.feed.mu.Lock() // an hour passes
	b.feed.oldest = b.feed.oldest.Add(-time.Hour)
	for i, cs := range b.feed.window[:2] {
		old := *cs
		old.Sec -= 3600
		b.feed.window[i] = &old
	}
	b.feed.mu.Unlock()
	b.feed.limit()
	if why := b.released.Load(); why == nil || *why != "up to 2: delta file holds changes older than 1m0s" {
		t.Errorf("%v", why)
	}
}

func TestNewEpochAndForeignCut(t *testing.T) {
	b := newBench(t, nil)
	b.begin(7)
	b.add(5, 10)
	b.caughtUp()
	b.begin(8)
	b.add(2, 10)
	b.caughtUp()
	if base, _, _ := b.feed.View(); base.Epoch != 8 || base.Serial != 0 {
		t.Errorf("base %v", base)
	}
	b.add(3, 10)
	if _, err := b.app.Truncate(t.Context(), 8, 4); err != nil {
		t.Fatal(err)
	}
	b.caughtUp()
	b.until("the cut is seen", func(base, _ deltafile.State) bool { b.add(1, 10); return base.Serial == 4 })
	if got, err := b.feed.HashAt(4); err != nil || got.Serial != 4 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDamageAndWrongRealm(t *testing.T) {
	b := newBench(t, nil)
	b.begin(7)
	b.add(1, 10)
	b.caughtUp()
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("what is this\n"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	var fe *deltafile.FormatError
	if err := <-b.err; !errors.As(err, &fe) || fe.File != b.path || fe.Offset == 0 {
		t.Errorf("%v", err)
	}

	b = newBench(t, func(o *Options) { o.Realm = "OTHER.ORG" })
	b.begin(7)
	if err := <-b.err; !errors.Is(err, deltafile.ErrRealm) {
		t.Errorf("%v", err)
	}
}

func TestSince(t *testing.T) {
	b := newBench(t, nil)
	b.begin(7)
	start := time.Now().Add(-time.Second)
	b.add(3, 10)
	b.caughtUp()
	if _, ok := b.feed.Since(3); ok {
		t.Error("behind although up to date")
	}
	if at, ok := b.feed.Since(1); !ok || at.Before(start) || time.Since(at) > time.Minute {
		t.Errorf("%v, %v", at, ok)
	}
}

// A poke never waits for the cutter, whoever was woken and has not come round to it.
func TestPokeNeverBlocks(t *testing.T) {
	f := New(Options{Quiet: time.Nanosecond})
	for range 3 {
		for !f.rest() { // it is quiet at once
		}
		f.Acked()
		if f.resting.Load() || len(f.acked) != 1 {
			t.Errorf("resting %v, %d wakes", f.resting.Load(), len(f.acked))
		}
	}
	f = New(Options{Quiet: time.Hour})
	f.Acked()
	if f.rest() || f.resting.Load() {
		t.Error("quiet just after a poke")
	}
}
