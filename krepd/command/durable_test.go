package command

import (
	"os"
	"path/filepath"
	"testing"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
)

// The state that the applier begins with, and that the slave vouches for, is in the database file
// itself: not only in a -wal that a killed krepd may have left unsynced.
func TestStateIsDurable(t *testing.T) {
	ctx := t.Context()
	db, err := kdb.Create(ctx, filepath.Join(t.TempDir(), "principal.sqlite"), "EXAMPLE.ORG", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	want, err := db.Update(ctx, func(tx *kdb.Tx) error {
		return tx.PutPrincipal(&dumpfmt.Principal{Name: "a@EXAMPLE.ORG"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := (wide{DB: db}).State(ctx); err != nil || !st.Same(want) {
		t.Fatalf("%v, %v", st, err)
	}
	b, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "principal.sqlite")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	alone, err := kdb.Open(ctx, file, kdb.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alone.Close() }()
	if st, err := alone.State(ctx); err != nil || !st.Same(want) {
		t.Errorf("the file without its -wal is at %v, %v", st, err)
	}
}
