package spool

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"krealm/deltafile"
)

var errDisk = errors.New("disk trouble")

// sickFS is a real file system whose fsync fails, or stops to think, when the test says so.
type sickFS struct {
	deltafile.FS
	sick   bool
	stuck  bool   // nothing can be cut off
	stats  int    // how often a file was asked for
	blind  int    // the which of these fails; 0: none
	linger func() // called before an fsync, and before a file is put in another's place; nil: not
}

func (f *sickFS) OpenAppend(name string) (deltafile.File, error) {
	file, err := f.FS.OpenAppend(name)
	return &sickFile{file, f}, err
}

func (f *sickFS) Create(name string) (deltafile.File, error) {
	file, err := f.FS.Create(name)
	return &sickFile{file, f}, err
}

func (f *sickFS) Stat(name string) (deltafile.Info, error) {
	if f.stats++; f.stats == f.blind {
		return deltafile.Info{}, errDisk
	}
	return f.FS.Stat(name)
}

func (f *sickFS) SyncDir(dir string) error {
	if f.sick {
		return errDisk
	}
	return f.FS.SyncDir(dir)
}

func (f *sickFS) Rename(oldname, newname string) error {
	if f.linger != nil {
		f.linger()
	}
	return f.FS.Rename(oldname, newname)
}

type sickFile struct {
	deltafile.File
	fs *sickFS
}

func (f *sickFile) Truncate(size int64) error {
	if f.fs.stuck {
		return errDisk
	}
	return f.File.Truncate(size)
}

func (f *sickFile) Sync() error {
	if f.fs.sick {
		return errDisk
	}
	if f.fs.linger != nil {
		f.fs.linger()
	}
	return f.File.Sync()
}

func sickSpool(t *testing.T, base deltafile.State) (*Spool, *sickFS) {
	t.Helper()
	fsys := &sickFS{FS: deltafile.OSFS}
	s, err := Open(filepath.Join(t.TempDir(), "spool"), fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Reset(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	return s, fsys
}

// A disk that has failed to sync and works again is used again: by whoever settles, and by whoever
// starts anew.
func TestSpoolRevives(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	for _, how := range []string{"settle", "reset"} {
		s, fsys := sickSpool(t, base)
		css, last := some(t, base, 3)
		if err := s.Append(ctx, css); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		fsys.sick = true
		lost, _ := some(t, last, 1)
		if err := s.Append(ctx, lost); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sync(); !errors.Is(err, errDisk) {
			t.Errorf("sync on a sick disk: %v", err)
		}
		if _, _, err := s.Settle(ctx, base); !errors.Is(err, errDisk) {
			t.Errorf("settle on a sick disk: %v", err)
		}
		if err := s.Reset(ctx, last); !errors.Is(err, errDisk) {
			t.Errorf("reset on a sick disk: %v", err)
		}
		fsys.sick = false
		if how == "reset" {
			if err := s.Reset(ctx, last); err != nil || !s.Durable().Same(last) {
				t.Errorf("reset: %v, durable %v", err, s.Durable())
			}
		} else if got, _, err := s.Settle(ctx, base); err != nil || !got.Same(last) || !s.Durable().Same(last) {
			t.Errorf("settle: %v, %v, durable %v", got, err, s.Durable())
		}
		css, last = some(t, last, 1)
		if err := s.Append(ctx, css); err != nil {
			t.Error(err)
		}
		if st, err := s.Sync(); err != nil || !st.Same(last) {
			t.Errorf("%v, %v", st, err)
		}
	}
}

// Changes that come while the spool is cut or settled are neither forgotten nor left lying.
func TestTurns(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	for name, change := range map[string]func(s *Spool, at deltafile.State) error{
		"cut":    func(s *Spool, at deltafile.State) error { return s.Cut(ctx, at, true) },
		"settle": func(s *Spool, at deltafile.State) error { _, _, err := s.Settle(ctx, at); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s, fsys := sickSpool(t, base)
			css, at := some(t, base, 2)
			if err := s.Append(ctx, css); err != nil {
				t.Fatal(err)
			}
			more, last := some(t, at, 2)
			appended := make(chan error, 1)
			fsys.linger = func() {
				fsys.linger = nil
				go func() { appended <- s.Append(context.Background(), more) }()
			}
			if err := change(s, at); err != nil {
				t.Fatal(err)
			}
			if err := <-appended; err != nil {
				t.Fatal(err)
			}
			if st, err := s.Sync(); err != nil || !st.Same(last) {
				t.Errorf("synced %v, %v, want %v", st, err, last)
			}
			if err := s.Cut(ctx, last, true); err != nil {
				t.Fatal(err)
			}
			if _, css, err := deltafile.ReadAll(s.Path()); err != nil || len(css) != 0 {
				t.Errorf("%d changesets are left, %v", len(css), err)
			}
		})
	}
}

// A sync that is overtaken by a new beginning does not call durable what is in the spool no more.
func TestSyncOvertaken(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	s, fsys := sickSpool(t, base)
	css, _ := some(t, base, 5)
	if err := s.Append(ctx, css); err != nil {
		t.Fatal(err)
	}
	anew := base.After(css[0]).After(css[1])
	fsys.linger = func() {
		fsys.linger = nil
		if err := s.Reset(ctx, anew); err != nil {
			t.Error(err)
		}
	}
	if st, err := s.Sync(); err != nil || st.Serial > anew.Serial || !s.Durable().Same(anew) || !s.Last().Same(anew) {
		t.Errorf("%v, %v, durable %v, last %v, want %v", st, err, s.Durable(), s.Last(), anew)
	}
}

// A new beginning that fails after a failed fsync leaves a file of which nothing is known: nothing is
// appended to it, and no sync of it counts, until Settle or Reset has come to its end.
func TestNothingBehindAFailedReset(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	s, fsys := sickSpool(t, base)
	lost, at := some(t, base, 1)
	if err := s.Append(ctx, lost); err != nil {
		t.Fatal(err)
	}
	fsys.sick, fsys.stuck = true, true
	if _, err := s.Sync(); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	if err := s.Reset(ctx, at); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	fsys.sick, fsys.stuck = false, false
	more, last := some(t, at, 1)
	if err := s.Append(ctx, more); err == nil {
		t.Error("appended behind what an fsync has lost")
	}
	if st, err := s.Sync(); err == nil && st.Serial != 0 {
		t.Errorf("sync calls %v durable", st)
	}
	if err := s.Reset(ctx, at); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, more); err != nil {
		t.Error(err)
	}
	if st, err := s.Sync(); err != nil || !st.Same(last) {
		t.Errorf("%v, %v", st, err)
	}
}
