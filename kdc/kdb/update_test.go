package kdb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

func TestUpdate(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), Clock: clock()})
	base := stateOf(t, db)
	alice, bob, pol := princ("alice", 1), princ("bob", 2), policy("staff", 8)
	st, err := db.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.Principal(alice.Name); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := errors.Join(tx.PutPrincipal(alice), tx.PutPrincipal(bob), tx.PutPolicy(pol)); err != nil {
			return err
		}
		if err := tx.DeletePrincipal("carol@" + testRealm); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := tx.DeletePolicy("none"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		got, err := tx.Principal(alice.Name) // sees what it has put
		if err != nil || got.Expire != 1 {
			t.Error(got, err)
		}
		got2, err := tx.Policy("staff")
		if err != nil || got2.MinLength != 8 {
			t.Error(got2, err)
		}
		return nil
	})
	if err != nil || st.Serial != 1 || st.Epoch != base.Epoch || st != stateOf(t, db) {
		t.Fatal(st, err)
	}
	css, err := db.Changes(t.Context(), 0, 10)
	if err != nil || len(css) != 1 || css[0].NLines != 3 {
		t.Fatal(css, err)
	}
	// What is kept is what was encoded: it decodes, and follows the base.
	cs, n, err := deltafile.Decode(base, css[0].Raw)
	if err != nil || n != len(css[0].Raw) || cs.Hash != css[0].Hash || string(cs.Lines) != string(css[0].Lines) || !cs.Time().Equal(css[0].Time()) {
		t.Error(cs, n, err)
	}
	st, err = db.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.DeletePrincipal(bob.Name), tx.DeletePolicy("staff"))
	})
	if err != nil || st.Serial != 2 {
		t.Fatal(st, err)
	}
	css, err = db.Changes(t.Context(), 1, 10)
	if want := "delprinc\t15\tbob@EXAMPLE.COM\t;\ndelpolicy\t5\tstaff\t;\n"; err != nil || string(css[0].Lines) != want {
		t.Errorf("%q, %v", css[0].Lines, err)
	}
	if n, m, err := db.Count(t.Context()); n != 1 || m != 0 || err != nil {
		t.Error(n, m, err)
	}
	verify(t, db)
	checkDelta(t, db)
}

// An Update that changes nothing, or that fails, makes no change; one that goes back and forth
// makes the change that remains.
func TestUpdateOutcome(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	put(t, db, princ("alice", 1))
	boom := errors.New("no")
	alice2 := princ("alice", 2)
	locked := princ("alice", 1)
	locked.FailCount = 5
	cases := []struct {
		name  string
		fn    func(tx *Tx) error
		lines string
		err   error
	}{
		{"nothing", func(tx *Tx) error { return nil }, "", nil},
		{"the same", func(tx *Tx) error { return tx.PutPrincipal(princ("alice", 1)) }, "", nil},
		{"error at the end", func(tx *Tx) error { return errors.Join(tx.PutPrincipal(alice2), boom) }, "", boom},
		{"error after a cut", func(tx *Tx) error { return errors.Join(tx.PutPrincipal(alice2), tx.Cut(), boom) }, "", boom},
		{"there and back", func(tx *Tx) error { return errors.Join(tx.PutPrincipal(alice2), tx.PutPrincipal(princ("alice", 1))) }, "", nil},
		{"new and gone", func(tx *Tx) error {
			return errors.Join(tx.PutPrincipal(princ("bob", 1)), tx.DeletePrincipal("bob@"+testRealm))
		}, "", nil},
		{"lockout only", func(tx *Tx) error { return tx.PutPrincipal(locked) }, "", nil},
		{"gone and new", func(tx *Tx) error {
			return errors.Join(tx.DeletePrincipal(alice2.Name), tx.PutPolicy(policy("p", 1)), tx.PutPrincipal(alice2))
		}, "policy princ", nil},
		{"rename", func(tx *Tx) error {
			return errors.Join(tx.PutPrincipal(princ("al", 2)), tx.DeletePrincipal(alice2.Name))
		}, "princ delprinc", nil},
	}
	for _, c := range cases {
		before, beforeDump := stateOf(t, db), dump(t, db, DumpOptions{})
		st, err := db.Update(t.Context(), c.fn)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		after := stateOf(t, db)
		if c.lines == "" && after != before || c.lines != "" && after.Serial != before.Serial+1 || err == nil && st != after {
			t.Errorf("%s: state %v after %v", c.name, after, before)
		}
		if c.err != nil {
			diff(t, dump(t, db, DumpOptions{}), beforeDump)
		}
		if c.lines != "" {
			css, err := db.Changes(t.Context(), before.Serial, 5)
			if err != nil || len(css) != 1 {
				t.Fatal(css, err)
			}
			var words []string
			for l := range strings.Lines(string(css[0].Lines)) {
				words = append(words, l[:strings.IndexByte(l, '\t')])
			}
			if got := strings.Join(words, " "); got != c.lines {
				t.Errorf("%s: lines %s, want %s", c.name, got, c.lines)
			}
		}
		verify(t, db)
	}
	checkDelta(t, db)
}

func TestUpdatePanics(t *testing.T) {
	db := newMaster(t, Options{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = db.Update(t.Context(), func(tx *Tx) error {
			if err := tx.PutPrincipal(princ("x", 1)); err != nil {
				t.Error(err)
			}
			panic("a bug of the caller's")
		})
	}()
	put(t, db, princ("y", 1)) // the database is usable, and x was never there
	if n, _, err := db.Count(t.Context()); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestTxAfterUpdate(t *testing.T) {
	db := newMaster(t, Options{})
	var kept *Tx
	if _, err := db.Update(t.Context(), func(tx *Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := kept.Principal("x")
	for _, err := range []error{err, kept.PutPrincipal(princ("x", 1)), kept.DeletePrincipal("x"), kept.Cut()} {
		if !errors.Is(err, errTxOver) {
			t.Error(err)
		}
	}
}

// A record that no dump could carry is refused before anything happens.
func TestUpdateRefuses(t *testing.T) {
	db := newMaster(t, Options{})
	bad := []dumpfmt.Record{
		&dumpfmt.Principal{Name: "no-realm"},
		&dumpfmt.Principal{Name: strings.Repeat("x", dumpfmt.MaxName) + "@R"},
		&dumpfmt.Principal{Name: "tab\t@R"},
		&dumpfmt.Policy{Name: "with blank"},
		&dumpfmt.Policy{Name: ""},
	}
	for _, rec := range bad {
		_, err := db.Update(t.Context(), func(tx *Tx) error { return tx.put(rec) })
		if err == nil {
			t.Errorf("%+v taken", rec)
		}
	}
	if st := stateOf(t, db); st.Serial != 0 {
		t.Error(st)
	}
}

// Many changesets in one transaction.
func TestCut(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	st, err := db.Update(t.Context(), func(tx *Tx) error {
		for i := range uint32(50) {
			if err := errors.Join(tx.PutPrincipal(princ("alice", i+1)), tx.Cut()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || st.Serial != 50 {
		t.Fatal(st, err)
	}
	verify(t, db)
	if rep := checkDelta(t, db); rep.Changesets != 50 {
		t.Error(rep)
	}
}

// Lockout fields stay out of changes, digest and delta file.
func TestSetLockout(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	alice := princ("alice", 1)
	put(t, db, alice)
	before, digest, err := db.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := dumpfmt.Lockout{LastSuccess: 1, LastFailed: 1<<32 - 1, FailCount: 1<<32 - 2}
	if err := db.SetLockout(t.Context(), alice.Name, l); err != nil {
		t.Fatal(err)
	}
	if err := db.SetLockout(t.Context(), "nobody@"+testRealm, l); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	batch := map[string]dumpfmt.Lockout{"nobody@" + testRealm: l, alice.Name: l}
	if err := errors.Join(db.SetLockouts(t.Context(), batch), db.SetLockouts(t.Context(), nil)); err != nil {
		t.Error(err)
	}
	got, err := db.Principal(t.Context(), alice.Name)
	if err != nil || got.Lockout() != l {
		t.Error(got, err)
	}
	after, digest2, err := db.Digest(t.Context())
	if err != nil || after != before || digest2 != digest {
		t.Error(after, digest2, err)
	}
	verify(t, db)
	// A later change carries the fields, as a dump does, and so does a dump.
	got.Expire = 9
	put(t, db, got)
	css, err := db.Changes(t.Context(), before.Serial, 1)
	if err != nil || !strings.Contains(string(css[0].Lines), "\t1\t4294967295\t-2\t") {
		t.Errorf("%q %v", css[0].Lines, err)
	}
	if d := dump(t, db, DumpOptions{}); !strings.Contains(string(d), string(css[0].Lines)) {
		t.Errorf("%q", d)
	}
}

// Promotion: same content, new epoch, a master's database from then on.
func TestNewEpoch(t *testing.T) {
	master := newMaster(t, Options{})
	load(t, master, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	slave := newSlave(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	copyTo(t, master, slave)
	before := stateOf(t, slave)
	st, err := slave.NewEpoch(t.Context())
	if err != nil || st.Epoch == before.Epoch || st.Serial != 0 || st != stateOf(t, slave) {
		t.Fatal(st, before, err)
	}
	put(t, slave, princ("new", 1))
	if _, err := slave.Apply(t.Context(), nil); !errors.Is(err, ErrMaster) {
		t.Error(err)
	}
	verify(t, slave)
	checkDelta(t, slave)
	if _, err := os.Stat(slave.o.DeltaFile + "." + before.Epoch.String()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a delta file without changes is kept: %v", err)
	}
}
