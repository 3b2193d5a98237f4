package testrealm

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"krealm/kdc/kdb"
)

// TestFixtureThroughDatabase: the fixture goes into a database and comes out unchanged, and a Watch
// sees it.
func TestFixtureThroughDatabase(t *testing.T) {
	f, err := ReadFixture("../testdata/realm")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &Host{Name: "here", Dir: dir, Database: filepath.Join(dir, "principal")}
	watch := h.WatchDatabase(t.Context())
	defer watch.Close()
	db, err := kdb.Create(t.Context(), h.SQLite(), RealmName, kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	in, err := os.ReadFile(f.Dump)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := db.Load(t.Context(), bytes.NewReader(in), kdb.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := db.Dump(t.Context(), &out, kdb.DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in, out.Bytes()) {
		t.Error("the dump is not what was loaded")
	}
	if at, err := watch.Reached(t.Context(), loaded.State); err != nil || time.Since(at) < 0 {
		t.Errorf("watch: %v, %v", at, err)
	}
}
