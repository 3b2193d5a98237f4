package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
)

// copyOf is a full copy of a master's database that has made n changes.
func copyOf(t *testing.T, dir string, n int) ([]byte, deltafile.State) {
	t.Helper()
	db, err := kdb.Create(t.Context(), dir+"/master.sqlite", "EXAMPLE.ORG", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for i := range n {
		if _, err := db.Update(t.Context(), func(tx *kdb.Tx) error {
			return tx.PutPrincipal(&dumpfmt.Principal{Name: fmt.Sprintf("u%d@EXAMPLE.ORG", i)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := db.Snapshot(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	raw := make([]byte, s.Size())
	if _, err := s.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	return raw, s.State()
}

// What a relay could not append to its delta file is appended when it can be, without a next change.
func TestRelayDrainsLater(t *testing.T) {
	dir := host(t, section+"  delta_file = DIR/delta\n")
	if err := os.Mkdir(dir+"/delta", 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	raw, want := copyOf(t, dir, 2)
	db, err := kdb.InitSlave(t.Context(), dir+"/principal.sqlite", "EXAMPLE.ORG", kdb.Options{DeltaFile: dir + "/delta"})
	if err != nil {
		t.Fatal(err)
	}
	d := &krepd{db: db}
	defer func() { _ = db.Close() }()
	if _, err := db.LoadSnapshot(t.Context(), bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.tend(ctx, time.Millisecond) }()
	if err := os.Remove(dir + "/delta"); err != nil {
		t.Fatal(err)
	}
	tail, err := deltafile.OpenTail(dir+"/delta", deltafile.State{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tail.Close() }()
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if base, err := tail.Ready(soon); err != nil || !base.Same(want) {
		t.Errorf("%v, %v, want %v", base, err, want)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A relay whose delta file cannot be written for a day says so again and again, but not with each change and each
// second, and says when that is over.
func TestRelayTroubleIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, r := zerolog.New(&out), new(relay)
		r.note(log, nil)
		for range 24 * 3600 {
			<-time.After(time.Second)
			r.note(log, errors.New("no space left on device"))
		}
		if n := strings.Count(out.String(), "could not be written"); n < 30 || n > 40 {
			t.Errorf("told %d times in a day", n)
		}
		out.Reset()
		for range 10 {
			r.note(log, nil)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "is written again") {
			t.Errorf("its end:\n%s", &out)
		}
	})
}

// endOf starts the daemon of a host and returns what it ends with.
func endOf(t *testing.T) <-chan error {
	t.Helper()
	f := newFlags("krepd", io.Discard, true)
	s, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := newKrepd(t.Context(), s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- d.run(ctx, nil, io.Discard)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ended
}

// krepd does not go on with a database that has lost its name.
func TestDatabaseTakenAway(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := host(t, section)
			ended := endOf(t)
			if err := harm(dir + "/principal.sqlite"); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, kdb.ErrReplaced) {
					t.Errorf("%v", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("krepd goes on with a database that is nowhere")
			}
		})
	}
}
