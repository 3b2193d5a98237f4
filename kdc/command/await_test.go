package command

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/serve"
)

// A replica's empty database that waits for its first snapshot may be replaced by another, as krepd does with a
// damaged one: whoever waits for the content of the first would wait for ever, and answer from what it had before.
func TestAwaitContentOfAReplacedFile(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	path := filepath.Join(t.TempDir(), "principal.sqlite")
	empty := func() *kdb.DB {
		db, err := kdb.InitSlave(ctx, path, "EXAMPLE.ORG", kdb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	view, err := kdb.OpenView(ctx, empty())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = view.Close() }()
	r := &servedRealm{conf: &realmconf.Realm{Name: "EXAMPLE.ORG", MasterPrincipal: "K/M@EXAMPLE.ORG"},
		server: &server{log: &serveLog{Log: &serve.MITLog{Files: []io.Writer{io.Discard}, Clock: time.Now}}}}
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if err := r.awaitContent(short, view); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing is there yet: %v", err)
	}
	empty()
	if err := r.awaitContent(ctx, view); !errors.Is(err, kdb.ErrReplaced) {
		t.Error(err)
	}
}
