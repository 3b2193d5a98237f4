package kdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"krealm/deltafile"
)

// copyFile is a backup of a closed database, or its return.
func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The delta file exists from the start, so that krep learns the epoch from it.
func TestDeltaFileFromTheStart(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	if rep := checkDelta(t, db); rep.Base != stateOf(t, db) || rep.Changesets != 0 {
		t.Error(rep)
	}
	old := stateOf(t, db)
	put(t, db, princ("a", 1))
	load(t, db, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	if rep := checkDelta(t, db); rep.Base != stateOf(t, db) || rep.Changesets != 0 {
		t.Error(rep)
	}
	aside, err := deltafile.Check(db.o.DeltaFile + "." + old.Epoch.String())
	if err != nil || aside.Changesets != 1 {
		t.Error(aside, err)
	}
}

// A delta file that is lost comes back with everything that is kept; a tail that is lost comes
// back alone.
func TestDrainRecovers(t *testing.T) {
	o := Options{DeltaFile: filepath.Join(t.TempDir(), "delta")}
	db := newMaster(t, o)
	for i := range uint32(10) {
		put(t, db, princ("a", i+1))
	}
	whole, err := os.ReadFile(o.DeltaFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"gone":       func() error { return os.Remove(o.DeltaFile) },
		"torn":       func() error { return os.Truncate(o.DeltaFile, int64(len(whole))-50) },
		"no changes": func() error { return os.Truncate(o.DeltaFile, 170) },
		"empty":      func() error { return os.Truncate(o.DeltaFile, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			db = reopen(t, db)
			checkDelta(t, db)
			got, err := os.ReadFile(o.DeltaFile)
			if err != nil || string(got) != string(whole) {
				t.Errorf("%d bytes, want the %d of before: %v", len(got), len(whole), err)
			}
		})
	}
}

// While the delta file cannot be written, changes succeed and wait; the next drain brings them.
func TestDrainFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	var failures []error
	o := Options{DeltaFile: filepath.Join(dir, "delta"), OnDrainError: func(err error) { failures = append(failures, err) }}
	db := newMaster(t, o)
	for i := range uint32(3) {
		put(t, db, princ("a", i+1))
	}
	if len(failures) != 4 || !errors.Is(failures[0], os.ErrNotExist) { // Create, three changes
		t.Fatal(failures)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := db.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := checkDelta(t, db); rep.Changesets != 3 {
		t.Error(rep)
	}
}

// Changes are pruned to what is to be kept, but not while the delta file lacks them.
func TestPrune(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	db := newMaster(t, Options{DeltaFile: filepath.Join(dir, "delta"), KeepChanges: 10, OnDrainError: func(error) {}})
	for i := range uint32(100) {
		put(t, db, princ("a", i+1))
	}
	if css, err := db.Changes(t.Context(), 0, 1000); err != nil || len(css) != 100 {
		t.Fatal(len(css), err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(100) {
		put(t, db, princ("a", i+1001))
		kept := 0
		for after := range stateOf(t, db).Serial {
			css, err := db.Changes(t.Context(), after, 1000)
			if err == nil {
				kept = len(css)
				break
			}
			if !errors.Is(err, ErrPruned) {
				t.Fatal(err)
			}
		}
		if kept < 10 || i > 2 && kept > 20 {
			t.Fatalf("%d changes kept", kept)
		}
	}
	if rep := checkDelta(t, db); rep.Changesets != 200 {
		t.Error(rep)
	}
	if _, err := db.Changes(t.Context(), 201, 1); !errors.Is(err, ErrPruned) {
		t.Error(err)
	}
	verifyChanges(t, db)
}

// verifyChanges checks invariant K2.
func verifyChanges(t *testing.T, db *DB) {
	t.Helper()
	err := db.readTx(context.WithoutCancel(t.Context()), func(c *conn, st *state) error {
		at := st.base
		for at.Serial < st.Serial {
			css, err := changesAfter(c, at.Serial, 100)
			if err != nil {
				return err
			}
			if len(css) == 0 {
				return fmt.Errorf("nothing after %v", at)
			}
			for _, cs := range css {
				if _, _, err := deltafile.Decode(at, cs.Raw); err != nil {
					return err
				}
				at = at.After(cs)
			}
		}
		if at != st.State {
			return fmt.Errorf("changes lead to %v, state is %v", at, st.State)
		}
		r, err := c.first("SELECT count(*) FROM changes")
		if err == nil && uint64(r.int(0)) != st.Serial-st.base.Serial {
			return fmt.Errorf("%d changes kept from %d to %d", r.int(0), st.base.Serial, st.Serial)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A database that has pruned what the delta file lacks begins a new file behind the hole.
func TestDrainOverGap(t *testing.T) {
	dir := t.TempDir()
	db := newMaster(t, Options{KeepChanges: 5})
	for i := range uint32(7) {
		put(t, db, princ("a", i+1))
	}
	closeDB(t, db)
	db.o.DeltaFile = filepath.Join(dir, "delta")
	db = reopen(t, db) // file of 1 to 7
	checkDelta(t, db)
	closeDB(t, db)
	delta := db.o.DeltaFile
	db.o.DeltaFile = ""
	db = reopen(t, db)
	for i := range uint32(30) {
		put(t, db, princ("a", i+100))
	}
	closeDB(t, db)
	db.o.DeltaFile = delta
	db = reopen(t, db)
	rep := checkDelta(t, db)
	if rep.Base.Serial < 30 || rep.Base.Epoch != rep.Last.Epoch {
		t.Error(rep)
	}
}

// A master's database that was put back to an earlier copy must not continue a history that its
// slaves may have seen otherwise.
func TestBackupPutBack(t *testing.T) {
	dir := t.TempDir()
	db := newMaster(t, Options{DeltaFile: filepath.Join(dir, "delta")})
	put(t, db, princ("a", 1))
	closeDB(t, db)
	copyFile(t, filepath.Join(dir, "backup"), db.path)
	db = reopen(t, db)
	put(t, db, princ("a", 2))
	put(t, db, princ("a", 3))
	lost := stateOf(t, db)
	closeDB(t, db)

	for name, between := range map[string]func(){
		"at once": func() {},
		"after as many changes as were lost": func() {
			db.o.DeltaFile = ""
			db = reopen(t, db)
			put(t, db, princ("b", 2))
			put(t, db, princ("b", 3))
			closeDB(t, db)
			db.o.DeltaFile = filepath.Join(dir, "delta")
		},
	} {
		t.Run(name, func(t *testing.T) {
			copyFile(t, db.path, filepath.Join(dir, "backup"))
			between()
			db = reopen(t, db)
			if st := stateOf(t, db); st.Epoch == lost.Epoch || st.Serial != 0 {
				t.Errorf("state %v after %v was lost", st, lost)
			}
			checkDelta(t, db)
			put(t, db, princ("c", 2))
			checkDelta(t, db)
			closeDB(t, db)
			if err := os.Rename(db.o.DeltaFile+"."+lost.Epoch.String(), db.o.DeltaFile); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A relay's delta file follows the epoch and serial of its master, also over snapshots.
func TestRelay(t *testing.T) {
	master := newMaster(t, Options{})
	relay := newSlave(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	for i := range uint32(3) {
		put(t, master, princ("a", i+1))
	}
	copyTo(t, master, relay)
	if rep := checkDelta(t, relay); rep.Base != stateOf(t, master) {
		t.Error(rep)
	}
	follow(t, master, relay, func() {
		put(t, master, princ("b", 1))
		put(t, master, princ("c", 1))
	})
	if rep := checkDelta(t, relay); rep.Changesets != 2 || rep.Last != stateOf(t, master) {
		t.Error(rep)
	}
	put(t, master, princ("d", 1))
	put(t, master, princ("e", 1))
	copyTo(t, master, relay) // the same epoch, further on: the file begins anew there
	if rep := checkDelta(t, relay); rep.Base != stateOf(t, master) {
		t.Error(rep)
	}
	follow(t, master, relay, func() { put(t, master, princ("f", 1)) })
	load(t, master, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	copyTo(t, master, relay)
	if rep := checkDelta(t, relay); rep.Base != stateOf(t, master) {
		t.Error(rep)
	}
	same(t, master, relay)
	verifyChanges(t, relay)
}

// follow makes changes on the master and applies them on the slave.
func follow(t testing.TB, master, slave *DB, change func()) {
	t.Helper()
	from := stateOf(t, slave).Serial
	change()
	for from < stateOf(t, master).Serial {
		css, err := master.Changes(t.Context(), from, 100)
		if err != nil {
			t.Fatal(err)
		}
		st, err := slave.Apply(t.Context(), css)
		if err != nil || st.Serial != css[len(css)-1].Serial {
			t.Fatal(st, err)
		}
		from = st.Serial
	}
}

// same says that two databases agree in state, digest and dump. It closes neither.
func same(t testing.TB, a, b *DB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	sa, da, err := a.Digest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sb, db, err := b.Digest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if sa != sb || da != db {
		t.Fatalf("states %v and %v, digests %v and %v", sa, sb, da, db)
	}
	diff(t, dump(t, b, DumpOptions{}), dump(t, a, DumpOptions{}))
	verify(t, a)
	verify(t, b)
}

// What one process makes the delta file hold, another need not repeat: both drain all the time.
func TestTwoHandles(t *testing.T) {
	o := Options{DeltaFile: filepath.Join(t.TempDir(), "delta")}
	a := newMaster(t, o)
	b, err := Open(t.Context(), a.path, a.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, b)
	for i := range uint32(20) {
		put(t, a, princ("a", i+1))
		put(t, b, princ("b", i+1))
	}
	if rep := checkDelta(t, a); rep.Changesets != 40 {
		t.Error(rep)
	}
	// A load by one is known to the other.
	load(t, a, readFile(t, "basic", "created-1.20.1.dump"), LoadOptions{})
	put(t, b, princ("b", 99))
	if rep := checkDelta(t, a); rep.Changesets != 1 || rep.Base.Epoch != stateOf(t, b).Epoch {
		t.Error(rep)
	}
	if _, err := b.Dump(t.Context(), io.Discard, DumpOptions{}); err != nil {
		t.Error(err)
	}
}

// sickFS is a file system whose files cannot be made durable while sick.
type sickFS struct {
	deltafile.FS
	sick *atomic.Bool
}

type sickFile struct {
	deltafile.File
	sick *atomic.Bool
}

func (s sickFS) OpenAppend(name string) (deltafile.File, error) {
	f, err := s.FS.OpenAppend(name)
	return sickFile{f, s.sick}, err
}

func (s sickFS) SyncDir(dir string) error {
	if s.sick.Load() {
		return syscall.EIO
	}
	return s.FS.SyncDir(dir)
}

func (f sickFile) Sync() error {
	if f.sick.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

// A delta file that cannot be synced keeps its changes in the outbox, is told of, and goes on when
// the disk does.
func TestDeltaSyncFails(t *testing.T) {
	var failures []error
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), KeepChanges: 8, OnDrainError: func(err error) {
		failures = append(failures, err)
	}})
	sick := new(atomic.Bool)
	sick.Store(true)
	d, err := deltafile.OpenAppender(db.o.DeltaFile, deltafile.AppenderOptions{FS: sickFS{deltafile.OSFS, sick}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.delta.Swap(d).Close(); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(9) {
		put(t, db, princ("a", i+1))
	}
	if len(failures) != 0 {
		t.Fatal(failures) // there was nothing to prune, so nothing to sync
	}
	put(t, db, princ("a", 100))
	if len(failures) != 1 || !errors.Is(failures[0], syscall.EIO) {
		t.Fatal(failures)
	}
	if css, err := db.Changes(t.Context(), 0, 100); err != nil || len(css) != 10 {
		t.Error(len(css), err)
	}
	sick.Store(false)
	for i := range uint32(10) {
		put(t, db, princ("a", i+200))
	}
	if len(failures) != 1 {
		t.Error(failures)
	}
	if rep := checkDelta(t, db); rep.Changesets != 20 {
		t.Error(rep)
	}
	if _, err := db.Changes(t.Context(), 0, 100); !errors.Is(err, ErrPruned) {
		t.Error(err)
	}
	verifyChanges(t, db)
}

// A delta file that is made anew while the disk is sick gets its changes when it is well again, from the
// process that has failed before.
func TestDeltaCreationFails(t *testing.T) {
	var failures []error
	sick := new(atomic.Bool)
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), DeltaFS: sickFS{deltafile.OSFS, sick},
		OnDrainError: func(err error) { failures = append(failures, err) }})
	put(t, db, princ("a", 1))
	if err := os.Remove(db.o.DeltaFile); err != nil {
		t.Fatal(err)
	}
	sick.Store(true)
	put(t, db, princ("a", 2))
	if len(failures) != 1 || !errors.Is(failures[0], syscall.EIO) {
		t.Fatal(failures)
	}
	sick.Store(false)
	if err := db.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("a", 3))
	if rep := checkDelta(t, db); rep.Last.Serial != 3 || len(failures) != 1 {
		t.Error(rep, failures)
	}
}

// A power cut may leave a hole far from the end of the delta file. Who runs for long finds it and
// writes the file anew; who makes one change looks at the end alone.
func TestVerifyDelta(t *testing.T) {
	var found []error
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), OnDeltaDamage: func(err error) { found = append(found, err) }})
	put(t, db, princ("first", 1))
	_, err := db.Update(t.Context(), func(tx *Tx) error {
		for i := range uint32(30_000) {
			if err := tx.PutPrincipal(princ(fmt.Sprintf("u%07d", i), i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("last", 1))
	whole := checkDelta(t, db)
	if whole.Size < 6<<20 {
		t.Fatalf("%d bytes are too few for what this is about", whole.Size)
	}
	f, err := os.OpenFile(db.o.DeltaFile, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 4096), 1024)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}

	db = reopen(t, db)
	put(t, db, princ("last", 2))
	if _, err := deltafile.Check(db.o.DeltaFile); err == nil || len(found) > 0 {
		t.Fatalf("%v, told %v", err, found)
	}
	db.o.VerifyDelta = true
	db = reopen(t, db)
	if rep := checkDelta(t, db); rep.Changesets != whole.Changesets+1 || len(found) != 1 {
		t.Errorf("%+v, told %v", rep, found)
	}
	if _, err := os.Stat(db.o.DeltaFile + ".damaged"); err != nil {
		t.Error(err)
	}
}
