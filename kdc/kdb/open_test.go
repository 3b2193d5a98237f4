package kdb

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(dir, "other.sqlite")
	other, err := sql.Open("sqlite", foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Close(), os.Chmod(foreign, 0o600)); err != nil {
		t.Fatal(err)
	}
	loose := newMaster(t, Options{})
	closeDB(t, loose)
	if err := os.Chmod(loose.path, 0o640); err != nil {
		t.Fatal(err)
	}
	newer := newMaster(t, Options{})
	if _, err := newer.write(t.Context(), func(c *conn, _ *state) error { return c.script("PRAGMA user_version = 99") }); err != nil {
		t.Fatal(err)
	}
	closeDB(t, newer)
	for path, want := range map[string]error{
		filepath.Join(dir, "nothing"):           ErrNoDatabase,
		file("empty", nil, 0o600):               ErrForeign,
		file("text", []byte("a text\n"), 0o600): ErrForeign,
		file("db2", make([]byte, 16384), 0o600): ErrForeign,
		foreign:                                 ErrForeign,
		dir:                                     ErrForeign,
		loose.path:                              ErrLoose,
		newer.path:                              ErrVersion,
		filepath.Join(dir, "no", "such", "dir", "x.d"): ErrNoDatabase,
	} {
		db, err := Open(t.Context(), path, Options{})
		if !errors.Is(err, want) || db != nil {
			t.Errorf("%s: %v, want %v", path, err, want)
			continue
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "nothing")); err == nil {
		t.Error("Open has created a file")
	}
}

func TestCreate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "a realm?x=1#%41.sqlite") // nothing in a name means anything to us
	delta := filepath.Join(dir, "delta")
	db, err := Create(t.Context(), path, testRealm, Options{DeltaFile: delta})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	put(t, db, princ("alice", 1))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		fi, err := os.Stat(path + suffix)
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Error(suffix, fi, err)
		}
	}
	if fi, err := os.Stat(delta); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi, err)
	}
	if _, err := Create(t.Context(), path, testRealm, Options{}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if _, err := InitSlave(t.Context(), path, testRealm, Options{}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 5 { // with -queue, -shm, -wal, delta
		t.Error(names, err)
	}
	if _, err := Create(t.Context(), filepath.Join(dir, "x"), "", Options{}); err == nil {
		t.Error("empty realm accepted")
	}
	if db.Realm() != testRealm || db.Path() != path {
		t.Error(db.Realm(), db.Path())
	}
}

// A realm with an umask that takes everything away gets its file all the same.
func TestCreateUnderUmask(t *testing.T) {
	old := syscall.Umask(0o777)
	db, err := Create(t.Context(), filepath.Join(t.TempDir(), "x.sqlite"), testRealm, Options{})
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	if fi, err := os.Stat(db.path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi, err)
	}
}

func TestRemove(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1)) // there is a -wal now
	if err := Remove(db.path); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(filepath.Dir(db.path)); len(names) != 0 || err != nil {
		t.Error(names, err)
	}
	if err := Remove(db.path); !errors.Is(err, ErrNoDatabase) {
		t.Error(err)
	}
}

// The -wal of a database whose file was removed by other means has no part in the next one.
func TestCreateBesideOldWAL(t *testing.T) {
	old := newMaster(t, Options{})
	put(t, old, princ("alice", 1))
	if err := os.Remove(old.path); err != nil {
		t.Fatal(err)
	}
	db, err := Create(t.Context(), old.path, testRealm, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	if n, _, err := db.Count(t.Context()); n != 0 || err != nil || stateOf(t, db).Serial != 0 {
		t.Error(n, err, stateOf(t, db))
	}
}

func TestReadOnly(t *testing.T) {
	delta := filepath.Join(t.TempDir(), "delta")
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	ro, err := Open(t.Context(), db.path, Options{ReadOnly: true, DeltaFile: delta})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, ro)
	_, err = ro.Update(t.Context(), func(tx *Tx) error { return tx.PutPrincipal(princ("bob", 1)) })
	if !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	if err := ro.SetLockout(t.Context(), "alice@"+testRealm, dumpfmt.Lockout{}); !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	if err := ro.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(delta); err == nil {
		t.Error("a read-only database has made a delta file")
	}
	put(t, db, princ("carol", 2)) // seen without opening anew
	if _, err := ro.Principal(t.Context(), "carol@"+testRealm); err != nil {
		t.Error(err)
	}
	s, err := ro.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.State().Serial != 2 {
		t.Error(s.State())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestReads(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, readFile(t, "names", "names-1.20.1.dump"), LoadOptions{})
	n, last := 0, ""
	for p, err := range db.Principals(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Name <= last {
			t.Errorf("%q after %q", p.Name, last)
		}
		last = p.Name
		n++
		again, err := db.Principal(t.Context(), p.Name) // inside the loop
		if err != nil || again.Name != p.Name {
			t.Error(again, err)
		}
	}
	if want, _, err := db.Count(t.Context()); n != want || n < 40 || err != nil {
		t.Error(n, want, err)
	}
	for name, err := range db.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if name > "a" {
			break
		}
	}
	if _, err := db.Principal(t.Context(), "nobody@"+testRealm); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := db.Policy(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range db.Principals(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if _, err := db.State(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := db.Update(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	db := newMaster(t, Options{})
	closeDB(t, db)
	if _, err := db.State(t.Context()); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if _, err := db.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if err := db.SetLockout(t.Context(), "x", dumpfmt.Lockout{}); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}

// The mark of a database that waits for its first snapshot.
func TestInitSlave(t *testing.T) {
	db := newSlave(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	if st := stateOf(t, db); !st.IsZero() || st.Realm != testRealm {
		t.Error(st)
	}
	if yes, err := db.Replica(t.Context()); !yes || err != nil {
		t.Error(yes, err)
	}
	if _, err := os.Stat(db.o.DeltaFile); err == nil {
		t.Error("delta file of a database without a state")
	}
	if _, err := db.Snapshot(t.Context(), t.TempDir()); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := db.Apply(t.Context(), []*deltafile.Changeset{{Serial: 1}}); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if _, err := db.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrReplica) {
		t.Error(err)
	}
	for _, update := range []bool{false, true} {
		if _, err := db.Load(t.Context(), strings.NewReader("kdb5_util load_dump version 7\n"), LoadOptions{Update: update}); !errors.Is(err, ErrReplica) {
			t.Error(err)
		}
	}
	db = reopen(t, db)
	verify(t, db)
}

// One DB serves many goroutines.
func TestConcurrentUse(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				name := string(rune('a'+w)) + string(rune('a'+i))
				put(t, db, princ(name, uint32(i+1)))
				if _, err := db.Principal(t.Context(), name+"@"+testRealm); err != nil {
					t.Error(err)
				}
				if err := db.SetLockout(t.Context(), name+"@"+testRealm, dumpfmt.Lockout{FailCount: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if st := stateOf(t, db); st.Serial != 100 {
		t.Error(st)
	}
	verify(t, db)
	checkDelta(t, db)
}

// checkDelta reads the delta file and compares its end with the database.
func checkDelta(t testing.TB, db *DB) deltafile.Report {
	t.Helper()
	rep, err := deltafile.Check(db.o.DeltaFile)
	if err != nil {
		t.Fatal(err)
	}
	if st := stateOf(t, db); rep.Last != st || rep.Good != rep.Size {
		t.Fatalf("delta file ends at %v (%d of %d bytes good), database at %v", rep.Last, rep.Good, rep.Size, st)
	}
	return rep
}
