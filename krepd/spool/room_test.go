package spool

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
)

// tightFS is a real file system on which only so many octets may be written. What is cut off or
// removed gives room; for simplicity, nothing else does.
type tightFS struct {
	deltafile.FS
	room atomic.Int64
}

func (f *tightFS) OpenAppend(name string) (deltafile.File, error) {
	file, err := f.FS.OpenAppend(name)
	return &tightFile{file, f}, err
}

func (f *tightFS) Create(name string) (deltafile.File, error) {
	file, err := f.FS.Create(name)
	return &tightFile{file, f}, err
}

func (f *tightFS) Remove(name string) error {
	info, err := f.Stat(name)
	if err == nil {
		f.room.Add(info.Size)
	}
	return errors.Join(err, f.FS.Remove(name))
}

type tightFile struct {
	deltafile.File
	fs *tightFS
}

func (f *tightFile) Write(b []byte) (int, error) {
	n := min(int64(len(b)), max(0, f.fs.room.Load()))
	f.fs.room.Add(-n)
	if k, err := f.File.Write(b[:n]); err != nil {
		return k, err
	}
	if n < int64(len(b)) {
		return int(n), syscall.ENOSPC
	}
	return int(n), nil
}

func (f *tightFile) Truncate(size int64) error {
	if info, err := f.Stat(); err == nil {
		f.fs.room.Add(info.Size - size)
	}
	return f.File.Truncate(size)
}

// fill makes a spool that has filled its disk, and the state of its end.
func fill(t *testing.T) (s *Spool, fsys *tightFS, base, last deltafile.State) {
	t.Helper()
	fsys = &tightFS{FS: deltafile.OSFS}
	fsys.room.Store(20 << 10)
	s, err := Open(filepath.Join(t.TempDir(), "spool"), fsys)
	if err != nil {
		t.Fatal(err)
	}
	base = initial(7)
	if err := s.Reset(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	for last = base; ; {
		css, next := some(t, last, 1)
		if err := s.Append(t.Context(), css); deltafile.IsFull(err) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		last = next
	}
	if _, err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	fsys.room.Store(0)
	return s, fsys, base, last
}

// goesOn fails the test if the spool cannot be used.
func goesOn(t *testing.T, s *Spool, at deltafile.State) {
	t.Helper()
	css, last := some(t, at, 2)
	if err := s.Append(t.Context(), css); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Sync(); err != nil || !st.Same(last) {
		t.Errorf("synced %v, %v", st, err)
	}
}

// A spool that has filled its disk and is applied then makes room by itself.
func TestCutOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	s, _, base, last := fill(t)
	defer func() { _ = s.Close() }()
	if st, anew, err := s.Settle(ctx, base); err != nil || anew != "" || !st.Same(last) {
		t.Errorf("settled at %v, %q, %v: it needs no room", st, anew, err)
	}
	if err := s.Cut(ctx, last, false); err != nil { // little, and not quiet
		t.Error(err)
	}
	if err := s.Cut(ctx, last, true); err != nil {
		t.Fatal(err)
	}
	goesOn(t, s, last)
}

// A full disk at the start: what is in the spool is applied first, and counts as durable when the
// database has it and not before.
func TestSettleOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	s, fsys, base, last := fill(t)
	_ = s.Close()
	s, err := Open(s.Path(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 2 {
		var room *RoomError
		if st, _, err := s.Settle(ctx, base); !errors.As(err, &room) || !st.Same(last) || !deltafile.IsFull(err) {
			t.Fatalf("settled at %v, %v", st, err)
		}
		if !s.Durable().Same(base) || !s.Last().Same(last) {
			t.Errorf("durable %v, last %v", s.Durable(), s.Last())
		}
	}
	tail, err := s.Tail(base)
	if err != nil {
		t.Fatal(err)
	}
	if css, err := tail.Next(ctx); err != nil || uint64(len(css)) != last.Serial {
		t.Errorf("%d changesets, %v", len(css), err)
	}
	_ = tail.Close()
	if err := s.Cut(ctx, last, true); err != nil {
		t.Fatal(err)
	}
	if st, anew, err := s.Settle(ctx, last); err != nil || anew != "" || !st.Same(last) {
		t.Fatalf("%v, %q, %v", st, anew, err)
	}
	goesOn(t, s, last)
}

// Nor is it called durable for a moment, in which a receiver may look and acknowledge.
func TestSettleOnAFullDiskIsWatched(t *testing.T) {
	s, fsys, base, _ := fill(t)
	_ = s.Close()
	s, err := Open(s.Path(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var wg sync.WaitGroup
	defer wg.Wait()
	var over atomic.Bool
	defer over.Store(true)
	wg.Go(func() {
		for !over.Load() {
			if at := s.Durable(); at.Serial > base.Serial {
				t.Errorf("durable for a moment: %v", at)
				return
			}
		}
	})
	for range 1000 {
		var room *RoomError
		if _, _, err := s.Settle(t.Context(), base); !errors.As(err, &room) {
			t.Fatal(err)
		}
	}
}

// So does one of which nothing is needed any more.
func TestSettleAppliedOnAFullDisk(t *testing.T) {
	s, fsys, _, last := fill(t)
	_ = s.Close()
	s, err := Open(s.Path(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if st, _, err := s.Settle(t.Context(), last); err != nil || !st.Same(last) || !s.Durable().Same(last) {
		t.Fatalf("%v, %v", st, err)
	}
	goesOn(t, s, last)
}

// TestNothingBehindAFailedFsync: as long as what an fsync has failed for cannot be written anew, nothing is
// appended to it, and no sync of it counts.
func TestNothingBehindAFailedFsync(t *testing.T) {
	base := deltafile.Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0))
	s, fsys := sickSpool(t, base)
	cs, err := deltafile.Encode(base, time.Unix(1700000001, 0), []byte("princ\tx;\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), []*deltafile.Changeset{cs}); err != nil {
		t.Fatal(err)
	}
	fsys.sick = true
	if _, err := s.Sync(); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	if _, _, err := s.Settle(t.Context(), base); !errors.Is(err, errDisk) {
		t.Fatalf("settled: %v", err)
	}
	fsys.sick = false
	if err := s.Append(t.Context(), []*deltafile.Changeset{cs}); !errors.Is(err, errUnsettled) {
		t.Errorf("append: %v", err)
	}
	if at, err := s.Sync(); err == nil && at.Serial != 0 {
		t.Errorf("sync calls %v durable", at)
	}
	if _, _, err := s.Settle(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), []*deltafile.Changeset{cs}); err != nil {
		t.Error(err)
	}
	if at, err := s.Sync(); err != nil || at.Serial != 1 {
		t.Errorf("%v, %v", at, err)
	}
}
