package kdb

import (
	"os"
	"path/filepath"
	"testing"

	"krealm/dumpfmt"
)

// alone is the state of a database of which only the file itself is left.
func alone(t *testing.T, path string) uint64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "principal.sqlite")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), copied, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	st, err := db.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Serial
}

// What a commit has left in the -wal, synced or not, stands in the database file after Harden.
func TestHarden(t *testing.T) {
	db := newMaster(t, Options{})
	put := func(name string) {
		t.Helper()
		if _, err := db.Update(t.Context(), func(tx *Tx) error {
			return tx.PutPrincipal(&dumpfmt.Principal{Name: name})
		}); err != nil {
			t.Fatal(err)
		}
	}
	put("a@EXAMPLE.COM")
	if n := alone(t, db.Path()); n != 0 {
		t.Fatalf("without a -wal at %d: this test shows nothing", n)
	}
	if err := db.Harden(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := alone(t, db.Path()); n != 1 {
		t.Errorf("the database file is at %d", n)
	}
	if info, err := os.Stat(db.Path() + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the -wal goes on: %v, %v", info, err)
	}
	verifyChanges(t, db)

	frozen, err := db.Freeze(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put("b@EXAMPLE.COM")
	before, err := os.Stat(db.Path() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Harden(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(db.Path() + "-wal"); err != nil || after.Size() <= before.Size() {
		t.Errorf("a reader was in the way, and nothing was committed: %v, %v", after, err)
	}
	if err := frozen.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := db.State(t.Context()); err != nil || st.Serial != 2 {
		t.Errorf("%v, %v", st, err)
	}
	verifyChanges(t, db)
}

// A database whose file is gone, or another, is told from one that is there.
func TestReplaced(t *testing.T) {
	db := newMaster(t, Options{})
	if db.Replaced() {
		t.Error("there it is")
	}
	aside := db.Path() + ".aside"
	if err := os.Rename(db.Path(), aside); err != nil {
		t.Fatal(err)
	}
	if !db.Replaced() {
		t.Error("gone, and nobody notices")
	}
	if err := os.WriteFile(db.Path(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !db.Replaced() {
		t.Error("another, and nobody notices")
	}
	if err := os.Rename(aside, db.Path()); err != nil {
		t.Fatal(err)
	}
	if db.Replaced() {
		t.Error("it is back")
	}
}
