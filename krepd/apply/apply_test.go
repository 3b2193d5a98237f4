package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/kdc/kdb"
	"krealm/krepd/spool"
)

// fakeDB is a database that can be told to fail.
type fakeDB struct {
	mu      sync.Mutex
	at      deltafile.State
	batches [][2]uint64 // first and last serial of each transaction
	bad     uint64      // record that cannot be applied
	trouble int         // so many calls fail in a way that passes
	unsure  bool        // the next call does its work and then fails
	loadErr error
	digest  kdb.Digest
}

func (f *fakeDB) State(context.Context) (deltafile.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, nil
}

func (f *fakeDB) Digest(context.Context) (deltafile.State, kdb.Digest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.digest, nil
}

func (f *fakeDB) Apply(_ context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble > 0 {
		f.trouble--
		return deltafile.State{}, kdb.ErrFull
	}
	for _, cs := range css {
		if cs.Serial == f.bad {
			return deltafile.State{}, &kdb.RecordError{Serial: cs.Serial, Err: errors.New("unknown policy")}
		}
		if cs.Serial != f.at.Serial+1 && cs == css[0] {
			return deltafile.State{}, &kdb.RecordError{Serial: cs.Serial, Err: kdb.ErrGap}
		}
	}
	for _, cs := range css {
		f.at = f.at.After(cs)
	}
	f.batches = append(f.batches, [2]uint64{css[0].Serial, css[len(css)-1].Serial})
	if f.unsure {
		f.unsure = false
		return deltafile.State{}, kdb.ErrFull
	}
	return f.at, nil
}

func (f *fakeDB) LoadSnapshot(_ context.Context, r io.Reader) (deltafile.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loadErr != nil {
		return deltafile.State{}, f.loadErr
	}
	full, err := deltafile.ReadFull(r)
	if err != nil {
		return deltafile.State{}, err
	}
	f.at, f.bad = full.Base, 0
	return full.Base, nil
}

func (f *fakeDB) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

type bench struct {
	t     *testing.T
	db    *fakeDB
	spool *spool.Spool
	a     *Applier
	base  deltafile.State
	last  deltafile.State
	stop  func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	s, err := spool.Open(filepath.Join(private(t), "spool"), nil)
	if err != nil {
		t.Fatal(err)
	}
	base := deltafile.Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0))
	b := &bench{t: t, db: &fakeDB{at: base}, spool: s, base: base, last: base}
	if err := s.Reset(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	b.a = New(b.db, s, zerolog.Nop())
	t.Cleanup(func() { _ = s.Close() })
	return b
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.a.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	b.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(b.stop)
}

func (b *bench) add(n int) {
	b.t.Helper()
	var css []*deltafile.Changeset
	for range n {
		cs, err := deltafile.Encode(b.last, time.Unix(1700000000, 0), fmt.Appendf(nil, "delprinc\t%d\t;\n", b.last.Serial))
		if err != nil {
			b.t.Fatal(err)
		}
		css, b.last = append(css, cs), b.last.After(cs)
	}
	if err := b.spool.Append(b.t.Context(), css); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for something that Changed announces.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for {
		changed := b.a.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			b.t.Fatalf("never came: %s; applied %v, broken %+v", what, b.a.Applied(), b.a.Broken())
		}
	}
}

func (b *bench) reaches(serial uint64) {
	b.t.Helper()
	b.until(fmt.Sprintf("serial %d", serial), func() bool { return b.a.Applied().Serial == serial })
}

// frame is a full copy of a state, with next to no content.
func frame(t *testing.T, base deltafile.State) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w, err := deltafile.NewFullWriter(&buf, base, 1, 2)
	if err == nil {
		_, err = w.Write([]byte("x\n"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &buf
}

func TestAppliesWhatIsThereAndWhatComes(t *testing.T) {
	b := newBench(t)
	b.add(5)
	if at := b.a.AppliedAt(); !at.IsZero() {
		t.Errorf("applied at %v, before it was", at)
	}
	start := time.Now()
	b.run()
	b.reaches(5)
	b.add(3)
	b.reaches(8)
	b.stop()
	if at := b.a.AppliedAt(); at.Before(start) || at.After(time.Now()) {
		t.Errorf("applied at %v, not after %v", at, start)
	}
	// Nothing twice and nothing left out, after a restart too.
	b.a = New(b.db, b.spool, zerolog.Nop())
	b.run()
	b.add(2)
	b.reaches(10)
	next := uint64(1)
	for _, batch := range b.db.batches {
		if batch[0] != next {
			t.Errorf("batches %v", b.db.batches)
		}
		next = batch[1] + 1
	}
}

func TestSpoolIsCutWhenQuiet(t *testing.T) {
	b := newBench(t)
	b.run()
	b.add(5)
	b.reaches(5)
	late := time.NewTimer(5 * time.Second)
	defer late.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if r, err := deltafile.Check(b.spool.Path()); err == nil && r.Base.Serial == 5 {
			break
		}
		select {
		case <-again.C:
		case <-late.C:
			t.Fatal("never cut")
		}
	}
	b.add(1)
	b.reaches(6)
}

func TestTroubleIsWaitedOut(t *testing.T) {
	b := newBench(t)
	b.db.trouble = 3
	b.run()
	b.add(4)
	b.until("trouble is told", func() bool { return b.a.Trouble() != "" || b.a.Applied().Serial == 4 })
	b.reaches(4)
	if b.a.Broken() != nil || b.a.Trouble() != "" {
		t.Errorf("broken %+v, trouble %q", b.a.Broken(), b.a.Trouble())
	}
}

// A transaction that is there though its commit failed was applied when that is found.
func TestAppliedAfterAll(t *testing.T) {
	b := newBench(t)
	b.db.unsure = true
	start := time.Now()
	b.run()
	b.add(1)
	b.reaches(1)
	if at := b.a.AppliedAt(); at.Before(start) {
		t.Errorf("applied at %v, not after %v", at, start)
	}
}

func TestBadRecordStopsBehindTheGood(t *testing.T) {
	b := newBench(t)
	b.db.bad = 4
	b.add(6)
	b.run()
	b.until("broken", func() bool { return b.a.Broken() != nil })
	if br := b.a.Broken(); br.Serial != 4 || br.Reason != "unknown policy" || b.a.Applied().Serial != 3 {
		t.Errorf("%+v, applied %v", br, b.a.Applied())
	}
	names, err := filepath.Glob(b.spool.Path() + ".*.4.bad")
	if err != nil || len(names) != 1 {
		t.Errorf("copies of the record: %v, %v", names, err)
	}
	b.add(5) // comes in, and is not applied
	base := b.last
	if err := b.a.Load(frame(t, base)); err != nil {
		t.Fatal(err)
	}
	if b.a.Broken() != nil || !b.a.Applied().Same(base) || !b.spool.Last().Same(base) {
		t.Errorf("after the full copy: %+v, %v, spool at %v", b.a.Broken(), b.a.Applied(), b.spool.Last())
	}
	b.add(1)
	b.reaches(base.Serial + 1)
}

func TestFailedLoadChangesNothing(t *testing.T) {
	b := newBench(t)
	b.run()
	b.add(2)
	b.reaches(2)
	b.db.change(func() { b.db.loadErr = errors.New("line 7 does not parse") })
	if err := b.a.Load(frame(t, b.last)); err == nil {
		t.Error("no error")
	}
	if err := b.a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.add(1)
	b.reaches(3)
}

// stuckSpool does not start anew so many times.
type stuckSpool struct {
	Spool
	times int
}

func (s *stuckSpool) Reset(ctx context.Context, base deltafile.State) error {
	if s.times > 0 {
		s.times--
		return errors.New("input/output error")
	}
	return s.Spool.Reset(ctx, base)
}

// A copy that is in the database is loaded, whatever becomes of the spool: that is mended before
// anything more is taken.
func TestLoadedThoughTheSpoolIsStuck(t *testing.T) {
	b := newBench(t)
	b.a = New(b.db, &stuckSpool{b.spool, 1}, zerolog.Nop())
	b.run()
	b.add(2)
	b.reaches(2)
	base := deltafile.Initial("EXAMPLE.ORG", 9, time.Unix(1700000000, 0))
	if err := b.a.Load(frame(t, base)); err != nil {
		t.Fatal(err)
	}
	if at := b.a.Applied(); !at.Same(base) {
		t.Errorf("applied %v", at)
	}
	if err := b.a.Ready(t.Context()); err != nil || !b.spool.Last().Same(base) || b.a.Trouble() != "" {
		t.Errorf("%v, spool at %v, trouble %q", err, b.spool.Last(), b.a.Trouble())
	}
	b.last = base
	b.add(1)
	b.reaches(1)
}

func TestEmptyDatabaseWaitsForACopy(t *testing.T) {
	b := newBench(t)
	b.db.at = deltafile.State{}
	b.run()
	if err := b.a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !b.spool.Last().IsZero() {
		t.Errorf("spool at %v", b.spool.Last())
	}
	if err := b.a.Load(frame(t, b.base)); err != nil {
		t.Fatal(err)
	}
	b.add(1)
	b.reaches(1)
}

func TestDigestIsCompared(t *testing.T) {
	good, bad := [32]byte{1}, [32]byte{2}
	t.Run("now", func(t *testing.T) {
		b := newBench(t)
		b.db.digest = good
		b.run()
		b.add(3)
		b.reaches(3)
		b.a.Expect(7, 3, good)
		b.a.Expect(7, 2, bad) // past: dropped
		b.add(1)
		b.reaches(4)
		b.a.Expect(7, 4, bad)
		b.until("diverged", func() bool { return b.a.Broken() != nil })
		if br := b.a.Broken(); !br.Diverged || br.Serial != 4 {
			t.Errorf("%+v", br)
		}
	})
	t.Run("on the way", func(t *testing.T) {
		b := newBench(t)
		b.db.digest = good
		b.run()
		b.add(1)
		b.reaches(1)
		b.a.Expect(7, 3, bad)
		b.a.Expect(7, 5, good) // one question at a time
		b.add(6)
		b.until("diverged", func() bool { return b.a.Broken() != nil })
		if br := b.a.Broken(); br.Serial != 3 || b.a.Applied().Serial != 3 {
			t.Errorf("%+v, applied %v", br, b.a.Applied())
		}
	})
}

// A spool whose middle does not continue the database: found by reading it.
func TestSpoolBehindTheDatabase(t *testing.T) {
	b := newBench(t)
	b.add(4)
	b.db.at = b.base
	b.db.at.Hash[0] ^= 1 // serial 0 of another history; the spool's end does not show it
	b.run()
	b.until("broken", func() bool { return b.a.Broken() != nil })
	if b.a.Applied().Serial != 0 {
		t.Errorf("applied %v", b.a.Applied())
	}
}

func TestLoadAfterRunHasEnded(t *testing.T) {
	b := newBench(t)
	b.run()
	b.stop()
	if err := b.a.Load(frame(t, b.base)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// private is a directory closed to others.
func private(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
