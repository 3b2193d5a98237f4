package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/kdc/kdb"
)

// loaded makes a slave's database with content, as an earlier krepd has left it.
func loaded(t *testing.T, dir string) deltafile.State {
	t.Helper()
	raw, want := copyOf(t, t.TempDir(), 60)
	db, err := kdb.InitSlave(t.Context(), dir+"/principal.sqlite", "EXAMPLE.ORG", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.LoadSnapshot(t.Context(), bytes.NewReader(raw))
	if err := errors.Join(err, db.Vouch(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	return want
}

// spoil writes over a part of the database, in place.
func spoil(t *testing.T, dir string, from, n int64) {
	t.Helper()
	f, err := os.OpenFile(dir+"/principal.sqlite", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), from)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// begin makes the daemon of a host.
func begin(t *testing.T, log io.Writer) (*krepd, *settings, error) {
	t.Helper()
	s, err := newFlags("krepd", io.Discard, true).load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := newKrepd(t.Context(), s, zerolog.New(log))
	return d, s, err
}

// kept lists the damaged databases of a host.
func kept(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(dir + "/principal.sqlite.damaged*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A database that is damaged when krepd starts is set aside, and an empty one waits for a full copy.
func TestDamagedAtTheStart(t *testing.T) {
	dir := host(t, section)
	loaded(t, dir)
	spoil(t, dir, 0, 100)
	if code, _, errs := run("-check"); code != 1 || !strings.Contains(errs, "sets it aside") || len(kept(t, dir)) != 0 {
		t.Errorf("-check: %d, %s", code, errs)
	}
	var log bytes.Buffer
	d, _, err := begin(t, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if st, err := d.db.State(t.Context()); err != nil || !st.IsZero() {
		t.Errorf("%v, %v", st, err)
	}
	if len(kept(t, dir)) != 1 || !strings.Contains(log.String(), dir+"/principal.sqlite.damaged") {
		t.Errorf("%v, %s", kept(t, dir), &log)
	}
}

// One that nobody vouches for, a master's, say, is left alone, and what to do is said.
func TestDamagedAndUnknown(t *testing.T) {
	dir := host(t, section)
	loaded(t, dir)
	if err := os.Remove(dir + "/principal.sqlite-replica"); err != nil {
		t.Fatal(err)
	}
	spoil(t, dir, 0, 100)
	if code, _, errs := run(); code != 1 || !strings.Contains(errs, "not known for a replica") || !strings.Contains(errs, "hint: if it is this slave's, move it away") {
		t.Errorf("%d, %s", code, errs)
	}
	if len(kept(t, dir)) != 0 {
		t.Errorf("%v", kept(t, dir))
	}
}

// inBackground runs a daemon until it ends.
func (d *krepd) inBackground(t *testing.T) <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		ended <- d.run(ctx, nil, io.Discard)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ended
}

// Damage that a running krepd meets ends it, with the next one in its place.
func TestDamagedWhileRunning(t *testing.T) {
	dir := host(t, section)
	loaded(t, dir)
	d, s, err := begin(t, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := d.inBackground(t)
	spoil(t, dir, 0, 100)
	w := d.wide()
	_, err = w.Content(t.Context(), nil, nil)
	if err := errors.Join(err, w.VerifyDigest(t.Context())); !errors.Is(err, kdb.ErrDamaged) {
		t.Fatalf("damage was not met: %v", err)
	}
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("krepd goes on with a damaged database")
	}
	if !errors.Is(err, errSpoiled) || !errors.Is(err, kdb.ErrDamaged) {
		t.Fatal(err)
	}
	if err := s.setAside(t.Context(), zerolog.Nop(), err); err != nil {
		t.Fatal(err)
	}
	if d, _, err = begin(t, io.Discard); err != nil || len(kept(t, dir)) == 0 {
		t.Fatalf("%v, %v", err, kept(t, dir))
	}
	d.close()
}

// Where it may not be set aside, the slave is broken and says why, and krepd goes on.
func TestDamagedAndBroken(t *testing.T) {
	dir := host(t, section)
	want := loaded(t, dir)
	d, _, err := begin(t, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := d.inBackground(t)
	if err := os.Remove(dir + "/principal.sqlite-replica"); err != nil {
		t.Fatal(err)
	}
	spoil(t, dir, 0, 100)
	if err := d.wide().VerifyDigest(t.Context()); !errors.Is(err, kdb.ErrDamaged) {
		t.Fatalf("damage was not met: %v", err)
	}
	left := func() bool { // what Verify says of the same damage may come first
		b := d.applier.Broken()
		return b != nil && strings.Contains(b.Reason, "left alone")
	}
	for start := time.Now(); !left(); {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-d.applier.Changed():
		case <-time.After(time.Second):
			if time.Since(start) > 30*time.Second {
				t.Fatal("nobody says so")
			}
		}
	}
	code, out, _ := run("status")
	if code != exitBroken || !strings.Contains(out, "not known for a replica") || !strings.Contains(out, "move it away") {
		t.Errorf("%d\n%s", code, out)
	}
	if err := d.applier.Ready(t.Context()); err != nil { // a feeder is told
		t.Error(err)
	}
	if len(kept(t, dir)) != 0 || want.IsZero() {
		t.Errorf("%v", kept(t, dir))
	}
}
