package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"
)

// story is a run of an outbox writer and a truncator over one file. Every step of it that
// touches the disk is made to fail, or to be the last before the machine stops.
type story struct {
	o     *outbox // in the first epoch, then in the second
	acked uint64  // what followers have acknowledged in this epoch: may be dropped
}

// run stops at the first error.
func (s *story) run(t *testing.T, m *memFS) error {
	ctx := t.Context()
	a, err := OpenAppender("/d/delta", AppenderOptions{FS: m})
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	add := func(n int) error {
		s.o.commit(t, n)
		_, err := a.Append(ctx, s.o.base, s.o.fetch)
		return err
	}
	cut := func(upto uint64) error {
		s.acked = upto
		_, err := TruncateFS(ctx, m, "/d/delta", s.o.base.Epoch, upto)
		return err
	}
	for _, do := range []func() error{
		func() error { return add(3) },
		func() error { return add(1) },
		a.Sync,
		func() error { return cut(2) }, // some
		func() error { return add(2) },
		func() error { return cut(6) }, // all
		func() error { return add(1) },
		func() error { // a new epoch: the database was replaced
			s.o, s.acked = newOutbox(Initial("EXAMPLE.COM", 99, time.Unix(5, 0))), 0
			return add(2)
		},
		func() error { _, err := a.Truncate(ctx, 99, 1); return err },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	s.acked = 1
	return nil
}

// recover is what the next process does: it brings the file up to date. Then the file must
// continue the outbox with nothing missing that was not acknowledged.
func (s *story) recover(t *testing.T, m *memFS) {
	t.Helper()
	a := openMem(t, m)
	if _, err := a.Append(t.Context(), s.o.base, s.o.fetch); err != nil {
		t.Fatalf("recovery: %v", err)
	}
	base, css, err := m.report(t, "/d/delta")
	if err != nil {
		t.Fatalf("after recovery: %v", err)
	}
	last := base
	if len(css) > 0 {
		last = base.After(css[len(css)-1])
	}
	if !last.Same(s.o.state()) {
		t.Fatalf("file ends at %v, outbox at %v", last, s.o.state())
	}
	if base.Serial > max(s.acked, 1) {
		t.Fatalf("file begins at %v, acknowledged is %d", base, s.acked)
	}
}

// steps tells what the story does to the disk.
func steps(t *testing.T) []string {
	m := newMemFS()
	s := &story{o: newOutbox(testBase())}
	if err := s.run(t, m); err != nil {
		t.Fatal(err)
	}
	s.recover(t, m)
	return m.log
}

// TestFaultAtEveryStep lets each step of the story fail once. The error must come out, and
// whoever goes on - the same process or the next - finds nothing lost.
func TestFaultAtEveryStep(t *testing.T) {
	for i, name := range steps(t) {
		for _, kind := range []faultKind{failIt, halfDone} {
			t.Run(fmt.Sprintf("%02d %s %d", i+1, name, kind), func(t *testing.T) {
				m := newMemFS()
				m.fault = func(step int) faultKind {
					if step == i+1 {
						return kind
					}
					return noFault
				}
				s := &story{o: newOutbox(testBase())}
				if err := s.run(t, m); !errors.Is(err, errInjected) {
					t.Fatalf("error %v", err)
				}
				s.recover(t, m)
			})
		}
	}
}

// TestStopAtEveryStep stops the machine before or within each step, lets unsynced bytes and
// names survive or not, and recovers.
func TestStopAtEveryStep(t *testing.T) {
	for i, name := range steps(t) {
		for _, kind := range []faultKind{stopHere, stopHalf} {
			for _, data := range []string{"lost", "kept", "half", "zeros"} {
				for _, names := range []string{"lost", "kept"} {
					t.Run(fmt.Sprintf("%02d %s %d %s %s", i+1, name, kind, data, names), func(t *testing.T) {
						m := newMemFS()
						m.fault = func(step int) faultKind {
							if step == i+1 {
								return kind
							}
							return noFault
						}
						s := &story{o: newOutbox(testBase())}
						if err := s.run(t, m); !errors.Is(err, errDead) {
							t.Fatalf("error %v", err)
						}
						s.recover(t, m.after(data, names))
					})
				}
			}
		}
	}
}

// spoolStory is a spool's life: whatever Sync has confirmed may be acknowledged, and is then
// this file's alone to keep.
func spoolStory(ctx context.Context, m *memFS, css []*Changeset, synced *uint64, applied uint64) error {
	a, err := OpenAppender("/d/delta", AppenderOptions{FS: m})
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	last, _, err := a.Recover(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		last, err = testBase(), a.Reset(ctx, testBase())
	}
	if err == nil {
		err = a.Sync() // what an earlier process left is acknowledged at hello
	}
	if err != nil {
		return err
	}
	*synced = last.Serial
	for n := last.Serial; n < uint64(len(css)); n += 2 {
		next := css[n:min(n+2, uint64(len(css)))]
		if last, err = a.AppendRaw(ctx, next); err != nil {
			return err
		}
		if err = a.Sync(); err != nil {
			return err
		}
		*synced = last.Serial
		if last.Serial == applied {
			if _, err := a.Truncate(ctx, last.Epoch, applied-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestSpoolKeepsWhatItAcknowledged stops the machine at every step of a spool's life, then
// again at every step of the life after that.
func TestSpoolKeepsWhatItAcknowledged(t *testing.T) {
	css := testChain(t, testBase(), 8)
	stopAt := func(m *memFS, n int) {
		m.fault = func(step int) faultKind {
			if step == n {
				return stopHalf
			}
			return noFault
		}
	}
	for _, data := range []string{"lost", "kept", "half", "zeros"} {
		for _, names := range []string{"lost", "kept"} {
			for first := 1; ; first++ {
				m := newMemFS()
				stopAt(m, first)
				var acked, again uint64
				if spoolStory(t.Context(), m, css, &acked, 4) == nil {
					break
				}
				for second := 1; ; second++ {
					m2 := m.after(data, names)
					stopAt(m2, second)
					err := spoolStory(t.Context(), m2, css, &again, 6)
					if err == nil && m2.dead {
						t.Fatal("the machine stopped unseen")
					}
					done := err == nil
					if done && again < acked {
						t.Fatalf("%s %s, stopped at %d: %d acknowledged, %d there", data, names, first, acked, again)
					}
					m3 := m2.after(data, names)
					var last uint64
					if err := spoolStory(t.Context(), m3, css, &last, 0); err != nil {
						t.Fatalf("%s %s, stopped at %d and %d: %v", data, names, first, second, err)
					}
					if done {
						break
					}
				}
				want := acked
				m2 := m.after(data, names)
				a := openMem(t, m2)
				got, _, err := a.Recover(t.Context())
				if errors.Is(err, fs.ErrNotExist) {
					got, err = State{}, nil
				}
				if err != nil || got.Serial < want {
					t.Fatalf("%s %s, stopped at %d: %d acknowledged, file has %v, %v", data, names, first, want, got, err)
				}
			}
		}
	}
}

// TestFailedSync: after a failed fsync the kernel may forget the bytes and call them clean, so
// no later Sync of this Appender succeeds, and what was not synced is off the file.
func TestFailedSync(t *testing.T) {
	ctx := t.Context()
	m := newMemFS()
	a := openMem(t, m)
	css := testChain(t, testBase(), 6)
	if err := a.Reset(ctx, testBase()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendRaw(ctx, css[:2]); err != nil {
		t.Fatal(err)
	}
	if err := a.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendRaw(ctx, css[2:3]); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendRaw(ctx, css[3:5]); err != nil {
		t.Fatal(err)
	}
	m.fault = func(int) faultKind {
		if m.log[len(m.log)-1] == "fsync" {
			return failIt
		}
		return noFault
	}
	for range 2 {
		if err := a.Sync(); !errors.Is(err, errInjected) {
			t.Fatal("sync:", err)
		}
	}
	m.fault = nil
	if err := a.Sync(); !errors.Is(err, errInjected) {
		t.Error("the error does not stick:", err)
	}
	if _, err := a.AppendRaw(ctx, css[5:]); !errors.Is(err, errInjected) {
		t.Error("append after a failed sync:", err)
	}
	if _, got, err := m.report(t, "/d/delta"); err != nil || len(got) != 2 {
		t.Errorf("the file holds %d changesets, %v; want the 2 synced", len(got), err)
	}
	b := openMem(t, m)
	if s, err := b.Last(ctx); err != nil || s.Serial != 2 {
		t.Error("next process:", s, err)
	}
}

// TestFailedSyncSparesOthers: bytes of another writer are not cut off.
func TestFailedSyncSparesOthers(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a, b := openMem(t, m), openMem(t, m)
	for _, w := range []*Appender{a, b, a} {
		o.commit(t, 1)
		mustAppend(t, w, o, o.base)
	}
	m.fault = func(int) faultKind { return failIt }
	if err := a.Sync(); !errors.Is(err, errInjected) {
		t.Fatal("sync:", err)
	}
	m.fault = nil
	wantFile(t, m, o.base, o)
	o.commit(t, 1)
	mustAppend(t, b, o, o.base)
	if err := b.Sync(); err != nil {
		t.Error(err)
	}
}

// TestWriteThatCannotBeUndone: a short write whose remains cannot be cut off is a torn tail for
// the next.
func TestWriteThatCannotBeUndone(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a := openMem(t, m)
	o.commit(t, 1)
	mustAppend(t, a, o, o.base)
	m.fault = func(int) faultKind { return halfDone }
	o.commit(t, 1)
	if _, err := a.Append(t.Context(), o.base, o.fetch); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if _, css, err := m.report(t, "/d/delta"); len(css) != 1 || !errors.Is(err, ErrIncomplete) {
		t.Fatalf("%d changesets, %v", len(css), err)
	}
	m.fault = nil
	mustAppend(t, a, o, o.base)
	wantFile(t, m, o.base, o)
}
