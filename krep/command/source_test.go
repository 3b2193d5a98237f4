package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
)

// TestStatusOfCommandSource: nobody is left to believe that the slaves' content is compared.
func TestStatusOfCommandSource(t *testing.T) {
	for _, c := range []struct {
		settings settings
		says     bool
	}{{settings{snapshotCmd: "kdb5_util dump"}, true}, {settings{}, false}} {
		var out bytes.Buffer
		if err := printStatus(&out, status{Source: c.settings.sourceName()}); err != nil {
			t.Fatal(err)
		}
		if says := strings.Contains(out.String(), "is not compared"); says != c.says {
			t.Errorf("%q: %s", c.settings.snapshotCmd, &out)
		}
	}
}

// TestDamagedMaster: damage that only a full copy or krep verify meets is told by status from then on, with what to do, until
// another file is there.
func TestDamagedMaster(t *testing.T) {
	dir := host(t, section)
	path := filepath.Join(dir, "principal.sqlite")
	fill := func() *kdb.DB {
		db, err := kdb.Create(t.Context(), path, "EXAMPLE.ORG", kdb.Options{})
		check(t, err)
		_, err = db.Update(t.Context(), func(tx *kdb.Tx) error {
			for i := range 200 {
				if err := tx.PutPrincipal(&dumpfmt.Principal{Name: fmt.Sprintf("user%03d@EXAMPLE.ORG", i)}); err != nil {
					return err
				}
			}
			return nil
		})
		check(t, errors.Join(err, db.Harden(t.Context())))
		return db
	}
	check(t, fill().Close())
	k, _ := daemonOf(t, make(chan os.Signal))
	tells := func(when string, want bool) {
		t.Helper()
		_, out, _ := run("status", "-json")
		var st status
		check(t, json.Unmarshal([]byte(out), &st))
		code, table, _ := run("status")
		for _, text := range []string{st.Unread, table} {
			if got := strings.Contains(text, "database file is damaged") && strings.Contains(text, "move it away with the -wal and -shm beside it"); got != want {
				t.Errorf("%s: %s", when, text)
			}
		}
		if st.Slaves = nil; code != exitLagging || exitStatus(st, time.Minute) == exitLagging != want {
			t.Errorf("%s: exit status %d, without the slaves %d", when, code, exitStatus(st, time.Minute))
		}
	}
	meet := map[string]func() error{
		"verify": func() error {
			code, _, errs := run("verify")
			if code != exitUnknown {
				return fmt.Errorf("verify: %d, %s", code, errs)
			}
			return errors.New(errs)
		},
		"copy": func() error {
			c, err := k.source.Copy(t.Context())
			if err == nil {
				err = errors.Join(err, c.Close())
			}
			return err
		},
	}
	for name, met := range meet {
		b, err := os.ReadFile(path)
		check(t, err)
		whole := bytes.Clone(b)
		for i := 8 * 4096; i < len(b); i++ {
			b[i] = 0xee
		}
		check(t, os.WriteFile(path, b, 0o600))
		tells(name+" has not looked", false)
		if err := met(); err == nil || !strings.Contains(err.Error(), "database file is damaged") {
			t.Errorf("%s: %v", name, err)
		}
		tells(name, true)
		tells(name+", asked again", true)
		check(t, os.WriteFile(path, whole, 0o600))
		if err := meet["verify"](); strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s, mended in place: %v", name, err)
		}
		tells(name+", mended in place", false)
		check(t, os.WriteFile(path, b, 0o600))
		if err := meet["verify"](); !strings.Contains(err.Error(), "database file is damaged") { // a connection may remember what the file had
			t.Errorf("%s, damaged once more: %v", name, err)
		}
		tells(name+", damaged once more", true)
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(path+end, path+end+".away"); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		check(t, fill().Close())
		tells(name+", mended", false)
	}
}

// TestUnsent: changes that the database has and the delta file has not, because its disk is full, do
// not go unseen while all slaves have what the file has.
func TestUnsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	db, err := kdb.Create(t.Context(), path, "EXAMPLE.ORG", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	states := []deltafile.State{}
	note := func() {
		st, err := db.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, st)
	}
	note()
	for _, name := range []string{"a@EXAMPLE.ORG", "b@EXAMPLE.ORG", "c@EXAMPLE.ORG"} {
		if _, err := db.Update(t.Context(), func(tx *kdb.Tx) error {
			return tx.PutPrincipal(&dumpfmt.Principal{Name: name})
		}); err != nil {
			t.Fatal(err)
		}
		note()
	}
	src := &databaseSource{path: path, log: zerolog.Nop()}
	defer src.Close()
	foreign := states[0]
	foreign.Epoch++
	for _, c := range []struct {
		last  deltafile.State
		n     uint64
		since time.Time
		epoch deltafile.Epoch
	}{{states[0], 3, states[1].Time(), 0}, {states[1], 2, states[2].Time(), 0}, {states[2], 1, states[3].Time(), 0},
		{states[3], 0, time.Time{}, 0}, {foreign, 3, states[1].Time(), states[0].Epoch}} {
		if u, err := src.unsent(t.Context(), c.last); err != nil || u.n != c.n || !u.since.Equal(c.since) || u.epoch != c.epoch {
			t.Errorf("file at %v: %+v, %v, want %d since %v", c.last, u, err, c.n, c.since)
		}
	}
	ahead := states[3]
	ahead.Serial += 2
	if u, err := src.unsent(t.Context(), ahead); err != nil || u.n != 0 || u.back == nil || *u.back != 3 {
		t.Errorf("file ahead of the database: %+v, %v", u, err)
	}
	replica := &databaseSource{path: path + ".replica", log: zerolog.Nop()}
	defer replica.Close()
	slave, err := kdb.InitSlave(t.Context(), replica.path, "EXAMPLE.ORG", kdb.Options{})
	check(t, err)
	defer slave.Close()
	full, err := db.Snapshot(t.Context(), t.TempDir())
	check(t, err)
	_, err = slave.LoadSnapshot(t.Context(), io.NewSectionReader(full, 0, full.Size()))
	check(t, errors.Join(err, full.Close()))
	if u, err := replica.unsent(t.Context(), ahead); err != nil || u.back != nil {
		t.Errorf("file ahead of a relay's database: %+v, %v", u, err)
	}
	gone := &databaseSource{path: path + ".gone", log: zerolog.Nop()}
	var st status
	if st.lacks(gone.unsent(t.Context(), states[3])); !strings.Contains(st.Unread, ".gone") {
		t.Errorf("of a database that is gone: %+v", st)
	}

	now := time.Now()
	long, short := now.Add(-2*time.Minute), now.Add(-time.Second)
	for _, c := range []struct {
		st   status
		code int
		says string
	}{
		{status{Unsent: 3, UnsentSince: &long}, exitLagging, "the delta file lacks 3 changes that the database has, the first of them made 2m ago\n"},
		{status{Unsent: 1, UnsentSince: &long}, exitLagging, "the delta file lacks one change that the database has, made 2m ago\n"},
		{status{Unsent: 3, UnsentSince: &short}, exitStreaming, "made 1s ago\n"},
		{status{OtherEpoch: "5f0c1d2e3a4b5c6d", Unsent: 3, UnsentSince: &long}, exitLagging, "than the database, which has been in epoch 5f0c1d2e3a4b5c6d for 2m, at serial 3\n"},
		{status{OtherEpoch: "5f0c1d2e3a4b5c6d", UnsentSince: &short}, exitStreaming, "for 1s, at serial 0\n"},
		{status{Back: new(uint64(3))}, exitLagging, "the database is at serial 3, before the delta file's end: it was put back to an earlier copy; "},
		{status{Unread: "no such file"}, exitLagging, "the database cannot be read, for full copies and for the comparison of the slaves' content: no such file\n"},
		{status{ListTrouble: "line 2"}, exitLagging, "the changed slave list is not taken up, the one before stays: line 2\n"},
		{status{Unreadable: "a symbolic link"}, exitLagging, "the delta file cannot be read: a symbolic link\n"},
		{status{Trouble: errors.New("no space left on device").Error()}, exitLagging, "the delta file cannot be cut: no space left on device\n"},
		{status{ByHand: true}, exitBroken, byHandText + "\n"},
	} {
		c.st.Now = now
		var out bytes.Buffer
		if err := printStatus(&out, c.st); err != nil || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: %s", err, &out)
		}
		if code := exitStatus(c.st, time.Minute); code != c.code {
			t.Errorf("%q: exit status %d, want %d", c.says, code, c.code)
		}
	}
}
