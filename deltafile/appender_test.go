package deltafile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// outbox is the changes table of a database: the truth that delta files are a queue of.
type outbox struct {
	mu   sync.Mutex
	base State
	css  []*Changeset
	kept int // changesets before this index are pruned
}

func newOutbox(base State) *outbox { return &outbox{base: base} }

func (o *outbox) state() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at(len(o.css))
}

// at is the state after n changesets.
func (o *outbox) at(n int) State {
	if n == 0 {
		return o.base
	}
	return o.base.After(o.css[n-1])
}

// commit adds n changesets.
func (o *outbox) commit(t testing.TB, n int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.css = append(o.css, testChain(t, o.at(len(o.css)), n)...)
}

var errStale = errors.New("not my present epoch")

func (o *outbox) fetch(after State) ([]*Changeset, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if after.Epoch != o.base.Epoch {
		return nil, errStale
	}
	n := int(after.Serial - o.base.Serial)
	if n < o.kept || n > len(o.css) || !o.at(n).Same(after) {
		return nil, ErrRebase
	}
	return o.css[n:], nil
}

func openMem(t testing.TB, m *memFS) *Appender {
	t.Helper()
	a, err := OpenAppender("/d/delta", AppenderOptions{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func mustAppend(t testing.TB, a *Appender, o *outbox, want State) {
	t.Helper()
	got, err := a.Append(t.Context(), want, o.fetch)
	if err != nil || !got.Same(o.state()) {
		t.Fatalf("append: %v, %v; want %v", got, err, o.state())
	}
}

// wantFile checks that a file holds exactly base and what the outbox has behind it.
func wantFile(t testing.TB, m *memFS, base State, o *outbox) {
	t.Helper()
	want := appendHead(nil, base)
	for _, cs := range o.css[base.Serial-o.base.Serial:] {
		want = append(want, cs.Raw...)
	}
	if got := m.get("/d/delta"); !bytes.Equal(got, want) {
		t.Fatalf("file holds\n%s\nwant\n%s", got, want)
	}
}

func TestAppendCreatesAndContinues(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a := openMem(t, m)
	o.commit(t, 3)
	mustAppend(t, a, o, o.base)
	wantFile(t, m, o.base, o)
	mustAppend(t, a, o, o.base) // nothing new
	o.commit(t, 1)
	b := openMem(t, m) // another process
	mustAppend(t, b, o, o.state())
	o.commit(t, 2)
	mustAppend(t, a, o, o.base) // sees what b appended
	wantFile(t, m, o.base, o)
	if got := m.list(); !slices.Equal(got, []string{"/d/delta"}) {
		t.Errorf("files left: %q", got)
	}
}

// TestLeftoversAreSwept: a crash between a file's creation and its naming leaves a file, which
// the next creation or truncation removes; one that has lost its file that way begins again.
func TestLeftoversAreSwept(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	m.put("/d/.delta.new-0123", []byte("x"))
	m.put("/d/.delta.new-4567", []byte("x"))
	m.put("/d/.delta2.new-0123", nil)
	a := openMem(t, m)
	o.commit(t, 2)
	mustAppend(t, a, o, o.base)
	if _, err := a.Truncate(t.Context(), testEpoch, 1); err != nil {
		t.Fatal(err)
	}
	if got := m.list(); !slices.Equal(got, []string{"/d/.delta2.new-0123", "/d/delta"}) {
		t.Errorf("files left: %q", got)
	}
	m, o = newMemFS(), newOutbox(testBase())
	a, b := openMem(t, m), openMem(t, m)
	o.commit(t, 3)
	m.before = func(op, _ string) error {
		if op == "sync" { // a's new file is written, and has no name yet: b is faster
			m.before = nil
			mustAppend(t, b, o, o.base)
		}
		return nil
	}
	mustAppend(t, a, o, o.base)
	wantFile(t, m, o.base, o)
}

func TestAppendEmptyOrTornHead(t *testing.T) {
	head := appendHead(nil, testBase())
	for n := range head {
		m, o := newMemFS(), newOutbox(testBase())
		m.put("/d/delta", head[:n])
		o.commit(t, 2)
		mustAppend(t, openMem(t, m), o, o.base)
		wantFile(t, m, o.base, o)
	}
}

func TestAppendCutsTornTail(t *testing.T) {
	o := newOutbox(testBase())
	o.commit(t, 3)
	whole := appendHead(nil, o.base)
	for _, cs := range o.css {
		whole = append(whole, cs.Raw...)
	}
	for n := len(appendHead(nil, o.base)); n < len(whole); n++ {
		m := newMemFS()
		m.put("/d/delta", whole[:n])
		mustAppend(t, openMem(t, m), o, o.base)
		wantFile(t, m, o.base, o)
	}
}

func TestAppendSetsOtherEpochAside(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a := openMem(t, m)
	o.commit(t, 3)
	mustAppend(t, a, o, o.base)
	old := m.get("/d/delta")

	o2 := newOutbox(Initial("EXAMPLE.COM", 7, time.Unix(9, 0)))
	o2.commit(t, 2)
	b := openMem(t, m)
	mustAppend(t, b, o2, o2.base)
	wantFile(t, m, o2.base, o2)
	if got := m.get("/d/delta." + testEpoch.String()); !bytes.Equal(got, old) {
		t.Error("the old file is not kept whole")
	}
	// A process that has not seen the new epoch must not swap it away.
	o.commit(t, 1)
	stale := func(after State) ([]*Changeset, error) { return o2.fetch(after) } // the database as it is
	if _, err := a.Append(t.Context(), o.base, stale); !errors.Is(err, errStale) {
		t.Errorf("stale append: %v", err)
	}
	wantFile(t, m, o2.base, o2)
}

// TestEmptyFileIsNotKept: a new epoch leaves no clutter when all was acknowledged.
func TestEmptyFileIsNotKept(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a := openMem(t, m)
	o.commit(t, 2)
	mustAppend(t, a, o, o.base)
	if _, err := a.Truncate(t.Context(), testEpoch, 2); err != nil {
		t.Fatal(err)
	}
	o2 := newOutbox(Initial("EXAMPLE.COM", 7, time.Unix(9, 0)))
	mustAppend(t, a, o2, o2.base)
	wantFile(t, m, o2.base, o2)
	if got := m.list(); len(got) != 1 {
		t.Errorf("files left: %q", got)
	}
}

func TestAppendRebases(t *testing.T) {
	for _, c := range []struct {
		name string
		prep func(o *outbox) // what happens to the database
	}{
		{"pruned", func(o *outbox) { o.kept = len(o.css) }},
		{"restored from an older copy", func(o *outbox) { o.css = o.css[:2] }},
		{"other hash", func(o *outbox) {
			o.css = o.css[:2]
			cs, _ := Encode(o.at(2), time.Unix(5, 0), testLine(99))
			o.css = append(o.css, cs)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, o := newMemFS(), newOutbox(testBase())
			a := openMem(t, m)
			o.commit(t, 3)
			mustAppend(t, a, o, o.base)
			o.commit(t, 2)
			c.prep(o)
			old := m.get("/d/delta")
			mustAppend(t, a, o, o.state())
			wantFile(t, m, o.state(), o)
			if got := m.get("/d/delta." + testEpoch.String()); !bytes.Equal(got, old) {
				t.Error("the old file is not kept whole")
			}
			o.commit(t, 1)
			mustAppend(t, a, o, o.base)
		})
	}
}

// TestAppendHealsDamage: what a power cut made of bytes never synced is replaced from the
// outbox, and the damaged file kept.
func TestAppendHealsDamage(t *testing.T) {
	o := newOutbox(testBase())
	o.commit(t, 5)
	whole := appendHead(nil, o.base)
	head := len(whole)
	for _, cs := range o.css {
		whole = append(whole, cs.Raw...)
	}
	for n := head; n < len(whole); n++ {
		m := newMemFS()
		bad := bytes.Clone(whole)
		clear(bad[n:])
		m.put("/d/delta", bad)
		var told error
		a, err := OpenAppender("/d/delta", AppenderOptions{FS: m, OnDamage: func(err error) { told = err }})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, a, o, o.base)
		wantFile(t, m, o.base, o)
		if _, _, _, err := readBytes(bad); errors.Is(err, ErrIncomplete) {
			if told != nil {
				t.Errorf("zeros from %d: a torn end is told as damage: %v", n, told)
			}
			continue // the last line without its end passes for a torn one
		}
		if got := m.get("/d/delta.damaged"); !bytes.Equal(got, bad) {
			t.Fatalf("zeros from %d: the damaged file is not kept", n)
		}
		if fe := (*FormatError)(nil); !errors.As(told, &fe) || fe.File != "/d/delta" {
			t.Fatalf("zeros from %d: told %v", n, told)
		}
	}
}

func TestAppendRefusesStrangeFiles(t *testing.T) {
	o := newOutbox(testBase())
	o.commit(t, 1)
	other := appendHead(nil, Initial("OTHER.REALM", testEpoch, time.Unix(1, 0)))
	for _, c := range []struct {
		name   string
		image  []byte
		reason error
	}{
		{"not a delta file", []byte("root:x:0:0:root:/root:/bin/sh\n"), ErrHeader},
		{"a later version", []byte("krep load_delta version 2\n"), ErrHeader},
		{"a damaged base", append([]byte(Header), "bass\t\n"...), nil},
		{"another realm", other, ErrRealm},
	} {
		m := newMemFS()
		m.put("/d/delta", c.image)
		a := openMem(t, m)
		_, err := a.Append(t.Context(), o.base, o.fetch)
		var fe *FormatError
		if !errors.As(err, &fe) || fe.File != "/d/delta" || c.reason != nil && !errors.Is(err, c.reason) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.name != "another realm" {
			if err := a.Reset(t.Context(), o.base); !errors.As(err, &fe) {
				t.Errorf("%s: reset: %v", c.name, err)
			}
		}
		if !bytes.Equal(m.get("/d/delta"), c.image) || len(m.list()) != 1 {
			t.Errorf("%s: touched: %q", c.name, m.list())
		}
	}
}

func TestAppendRefusesWrongChangesets(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a := openMem(t, m)
	o.commit(t, 4)
	mustAppend(t, a, o, o.base)
	next := testChain(t, o.state(), 2)
	foreign := testChain(t, Initial("EXAMPLE.COM", 9, time.Unix(0, 0)), 5)
	forged := *next[0]
	forged.Raw = bytes.Replace(forged.Raw, []byte("u0000005"), []byte("u0000006"), 1)
	long := *next[0]
	long.Raw = append(bytes.Clone(long.Raw), "rest"...)
	for _, c := range []struct {
		name string
		css  []*Changeset
	}{
		{"gap", next[1:]}, {"again", o.css[3:]}, {"other chain", foreign[4:]},
		{"forged", []*Changeset{&forged}}, {"bytes behind", []*Changeset{&long}},
		{"second wrong", []*Changeset{next[0], next[0]}}, {"empty", []*Changeset{{Serial: 5}}},
	} {
		if _, err := a.AppendRaw(t.Context(), c.css); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
		_, err := a.Append(t.Context(), o.base, func(State) ([]*Changeset, error) { return c.css, nil })
		if err == nil {
			t.Errorf("%s: accepted from a fetch", c.name)
		}
	}
	wantFile(t, m, o.base, o)
	if s, err := a.AppendRaw(t.Context(), next); err != nil || s.Serial != 6 {
		t.Error(s, err)
	}
}

func TestSpool(t *testing.T) {
	m, base := newMemFS(), testBase()
	a := openMem(t, m)
	ctx := t.Context()
	css := testChain(t, base, 10)
	if _, err := a.Last(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Error("last of nothing:", err)
	}
	if _, err := a.AppendRaw(ctx, css); !errors.Is(err, fs.ErrNotExist) {
		t.Error("append to nothing:", err)
	}
	if err := a.Reset(ctx, base); err != nil {
		t.Fatal(err)
	}
	if s, err := a.AppendRaw(ctx, css[:5]); err != nil || s.Serial != 5 {
		t.Fatal(s, err)
	}
	if s, err := a.Truncate(ctx, base.Epoch, 3); err != nil || s.Serial != 3 {
		t.Fatal(s, err)
	}
	if s, err := a.AppendRaw(ctx, css[5:]); err != nil || s.Serial != 10 {
		t.Fatal(s, err)
	}
	if got, more, err := m.report(t, "/d/delta"); err != nil || got.Serial != 3 || len(more) != 7 {
		t.Fatal(got, len(more), err)
	}
	next := Initial("EXAMPLE.COM", 77, time.Unix(1, 0))
	if err := a.Reset(ctx, next); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Last(ctx); err != nil || s != next {
		t.Fatal(s, err)
	}
	if got := m.list(); len(got) != 1 {
		t.Errorf("files left: %q", got)
	}
	bad := m.get("/d/delta")
	m.put("/d/delta", append(bad, "damage\n"...))
	b := openMem(t, m)
	var fe *FormatError
	if _, err := b.AppendRaw(ctx, testChain(t, next, 1)); !errors.As(err, &fe) || fe.Offset != int64(len(bad)) {
		t.Error("append behind damage:", err)
	}
	if _, err := b.Last(ctx); !errors.As(err, &fe) {
		t.Error("last of a damaged file:", err)
	}
	if err := b.Reset(ctx, base); err != nil || m.get("/d/delta.damaged") == nil {
		t.Errorf("reset of a damaged file: %v, files %q", err, m.list())
	}
}

// TestVerifyWindow: what lies before the verified window is trusted, what
// lies in it is not.
func TestVerifyWindow(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	o.commit(t, 2000)
	mustAppend(t, openMem(t, m), o, o.base)
	image := m.get("/d/delta")
	early, late := bytes.Clone(image), bytes.Clone(image)
	early[bytes.Index(image, []byte("u0000100"))] ^= 1
	late[bytes.Index(image, []byte("u0001990"))] ^= 1
	for _, c := range []struct {
		name   string
		image  []byte
		verify int64
		ok     bool
	}{
		{"sound, all", image, -1, true}, {"sound, little", image, 1, true}, {"sound, some", image, 10000, true},
		{"early, little", early, 10000, true}, {"early, all", early, -1, false}, {"early, default", early, 0, false},
		{"late, some", late, 10000, false}, {"late, all", late, -1, false},
	} {
		m := newMemFS()
		m.put("/d/delta", c.image)
		a, err := OpenAppender("/d/delta", AppenderOptions{FS: m, Verify: c.verify})
		if err != nil {
			t.Fatal(err)
		}
		s, err := a.Last(t.Context())
		if c.ok && (err != nil || s != o.state()) || !c.ok && !errors.Is(err, ErrHash) {
			t.Errorf("%s: %v, %v", c.name, s, err)
		}
	}
}

func TestTruncate(t *testing.T) {
	ctx := t.Context()
	for upto := range uint64(9) {
		m, o := newMemFS(), newOutbox(testBase())
		a := openMem(t, m)
		o.commit(t, 6)
		mustAppend(t, a, o, o.base)
		if upto%2 == 0 {
			m.put("/d/delta", append(m.get("/d/delta"), "begin\t7\t"...)) // torn
		}
		want := o.at(int(min(upto, 6)))
		got, err := TruncateFS(ctx, m, "/d/delta", testEpoch, upto)
		if err != nil || got != want {
			t.Fatalf("upto %d: %+v, %v; want %+v", upto, got, err, want)
		}
		wantFile(t, m, want, o)
		o.commit(t, 2)
		mustAppend(t, a, o, o.base)
		if got, err = TruncateFS(ctx, m, "/d/delta", testEpoch, 3); err != nil || got.Serial != max(3, want.Serial) {
			t.Fatalf("upto %d, then 3: %v, %v", upto, got, err)
		}
		wantFile(t, m, o.at(int(got.Serial)), o)
		if files := m.list(); len(files) != 1 {
			t.Errorf("files left: %q", files)
		}
	}
}

// TestTruncateWhileOthersWrite lets something happen after the remaining part was copied and
// before the lock is taken again.
func TestTruncateWhileOthersWrite(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *Appender, o *outbox)
		base uint64
	}{
		{"append", func(b *Appender, o *outbox) {
			o.commit(t, 3)
			mustAppend(t, b, o, o.base)
		}, 2},
		{"truncation of less", func(b *Appender, _ *outbox) {
			if _, err := b.Truncate(t.Context(), testEpoch, 1); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"truncation of more", func(b *Appender, o *outbox) {
			if _, err := b.Truncate(t.Context(), testEpoch, 6); err != nil {
				t.Fatal(err)
			}
			o.commit(t, 1)
			mustAppend(t, b, o, o.base)
		}, 6},
	} {
		m, o := newMemFS(), newOutbox(testBase())
		a, b := openMem(t, m), openMem(t, m)
		o.commit(t, 6)
		mustAppend(t, a, o, o.base)
		m.before = func(op, _ string) error {
			if op == "sync" {
				m.before = nil
				c.do(b, o)
			}
			return nil
		}
		if s, err := a.Truncate(t.Context(), testEpoch, 2); err != nil || s != o.at(int(c.base)) {
			t.Fatalf("%s: %v, %v", c.name, s, err)
		}
		wantFile(t, m, o.at(int(c.base)), o)
		o.commit(t, 1)
		mustAppend(t, a, o, o.base)
		mustAppend(t, b, o, o.base)
		wantFile(t, m, o.at(int(c.base)), o)
		if got := m.list(); len(got) != 1 {
			t.Errorf("%s: files left: %q", c.name, got)
		}
	}
}

func TestTruncateRefuses(t *testing.T) {
	ctx := t.Context()
	m, o := newMemFS(), newOutbox(testBase())
	if _, err := TruncateFS(ctx, m, "/d/delta", testEpoch, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error("no file:", err)
	}
	a := openMem(t, m)
	o.commit(t, 6)
	mustAppend(t, a, o, o.base)
	image := m.get("/d/delta")
	var ee *EpochError
	if _, err := TruncateFS(ctx, m, "/d/delta", 5, 6); !errors.As(err, &ee) || ee.State != o.base {
		t.Error("other epoch:", err)
	}
	bad := bytes.Clone(image)
	bad[bytes.Index(bad, []byte("u0000005"))] ^= 1
	m.put("/d/delta", bad)
	for _, upto := range []uint64{2, 6} {
		if _, err := TruncateFS(ctx, m, "/d/delta", testEpoch, upto); !errors.Is(err, ErrHash) {
			t.Error("damage:", err)
		}
	}
	if !bytes.Equal(m.get("/d/delta"), bad) || len(m.list()) != 1 {
		t.Error("a refused file was touched")
	}
}

// TestOnDisk runs the same steps in a real directory and looks at names, modes and content.
func TestOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	a, err := OpenAppender(path, AppenderOptions{Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	o := newOutbox(testBase())
	o.commit(t, 5)
	mustAppend(t, a, o, o.base)
	if s, err := Truncate(t.Context(), path, testEpoch, 2); err != nil || s.Serial != 2 {
		t.Fatal(s, err)
	}
	o.commit(t, 5)
	mustAppend(t, a, o, o.base)
	r, err := Check(path)
	if err != nil || r.Base != o.at(2) || r.Last != o.state() || r.Changesets != 8 || r.Lines != 8 || r.Torn() != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	base, css, err := ReadAll(path)
	if err != nil || base != r.Base || len(css) != 8 || !bytes.Equal(css[7].Raw, o.css[9].Raw) {
		t.Error(base, len(css), err)
	}
	o2 := newOutbox(Initial("EXAMPLE.COM", 3, time.Unix(1, 0)))
	mustAppend(t, a, o2, o2.base)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Append(t.Context(), o.base, o.fetch); !errors.Is(err, ErrClosed) {
		t.Error("closed:", err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 || files[1].Name() != "delta."+testEpoch.String() {
		t.Errorf("files %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestOnDiskStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	link, sub := filepath.Join(dir, "link"), filepath.Join(dir, "sub")
	if err := errors.Join(os.Symlink("elsewhere", link), os.Mkdir(sub, 0o700)); err != nil {
		t.Fatal(err)
	}
	o := newOutbox(testBase())
	for _, path := range []string{link, sub, filepath.Join(dir, "missing", "delta")} {
		a, err := OpenAppender(path, AppenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Append(t.Context(), o.base, o.fetch); err == nil {
			t.Errorf("%s: appended to", path)
		}
		if _, err := Check(path); err == nil {
			t.Errorf("%s: checked", path)
		}
	}
	if _, err := OpenAppender("", AppenderOptions{}); err == nil {
		t.Error("no name accepted")
	}
	if _, err := os.Stat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("the link was followed")
	}
}

// TestLockIsWaitedForAndGivenUp holds the file's lock as a foreign writer would.
func TestLockIsWaitedForAndGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := newOutbox(testBase())
	o.commit(t, 1)
	mustAppend(t, a, o, o.base)
	f, err := OSFS.OpenAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	o.commit(t, 1)
	if _, err := a.Append(ctx, o.base, o.fetch); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("locked file:", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := a.Append(t.Context(), o.base, o.fetch)
		done <- err
	}()
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error("after the lock was given back:", err)
	}
	if r, err := Check(path); err != nil || r.Last != o.state() {
		t.Error(r, err)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	image := fixture(t, "gap.delta")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path)
	if err == nil || !strings.Contains(err.Error(), path+": offset 832: changeset 4 after 2") {
		t.Error(err)
	}
	if r.Last.Serial != 2 || r.Good != 832 {
		t.Errorf("report %+v", r)
	}
}
