package kdb

import (
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"modernc.org/sqlite"

	"krealm/dumpfmt"
)

// Whatever has happened to the database since a writer's last transaction, and by whomever, it begins
// the next one with the state row as it is.
func TestLastStateIsTheRow(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), KeepChanges: 50})
	other := reopenBeside(t, db)
	steps := lastStateSteps(t, other)
	names := slices.Sorted(maps.Keys(steps))
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	n := 0
	for range rounds {
		for _, i := range r.Perm(len(names)) {
			n++
			steps[names[i]](db, n)
			if r.IntN(3) > 0 { // or else two in a row
				agree(t, db, names[i], seed)
			}
			if r.IntN(3) == 0 {
				put(t, other, princ("theirs", uint32(n)))
				agree(t, db, "a change beside it", seed)
			}
		}
	}
	put(t, db, princ("last", 1))
	verify(t, db)
	verifyChanges(t, db)
	checkDelta(t, db)
}

// agree checks what a writer would begin a transaction with against the row itself.
func agree(t *testing.T, db *DB, what string, seed uint64) {
	t.Helper()
	<-db.writing
	defer func() { db.writing <- struct{}{} }()
	if err := db.openWriter(&db.w, "FULL"); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := begin(t.Context(), db.w); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() { _ = db.w.exec("ROLLBACK") }()
	have, err := db.w.state()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	row, err := readState(db.w)
	if err != nil || have != row {
		t.Fatalf("after %s (seed %d) a writer takes the row for %+v, it is %+v, %v", what, seed, have, row, err)
	}
}

// lastStateSteps are what can happen to a database between two transactions of a writer; other is a
// second writer of the same process.
func lastStateSteps(t *testing.T, other *DB) map[string]func(db *DB, n int) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hand := func(sql ...string) func(*DB, int) {
		return func(db *DB, _ int) {
			c, err := openConn(db.path)
			must(err)
			for _, s := range sql {
				must(c.script(s))
			}
			must(c.close())
		}
	}
	process := func(die string) func(*DB, int) {
		return func(db *DB, _ int) {
			put(t, other, princ("a", 1000))
			put(t, other, princ("b", 0))
			if died := crash(t, "update", die, db); died != (die != "") {
				t.Errorf("dying at %q: %v", die, died)
			}
		}
	}
	boom := errors.New("boom")
	steps := map[string]func(db *DB, n int){
		"a change":        func(db *DB, n int) { put(t, db, princ("x", uint32(n))) },
		"many changes":    func(db *DB, n int) { load(t, db, bigDump(t, 70+n%7), LoadOptions{Update: true}) },
		"a load":          func(db *DB, n int) { load(t, db, bigDump(t, 3+n%7), LoadOptions{}) },
		"another's load":  func(_ *DB, n int) { load(t, other, bigDump(t, 3+n%7), LoadOptions{}) },
		"a dry run":       func(db *DB, _ int) { load(t, db, bigDump(t, 40), LoadOptions{DryRun: true}) },
		"a new epoch":     func(db *DB, _ int) { _, err := db.NewEpoch(t.Context()); must(err) },
		"another's epoch": func(*DB, int) { _, err := other.NewEpoch(t.Context()); must(err) },
		"lockout fields": func(db *DB, n int) {
			put(t, db, princ("x", 1))
			must(db.SetLockout(t.Context(), "x@"+testRealm, dumpfmt.Lockout{FailCount: uint32(n)}))
		},
		"a checkpoint":          func(db *DB, _ int) { db.checkpoint(t.Context()) },
		"another's checkpoint":  hand("PRAGMA wal_checkpoint(TRUNCATE)"),
		"a restart of the -wal": hand("PRAGMA wal_checkpoint(RESTART)"),
		"a vacuum":              hand("VACUUM"),
		"a hand":                hand("UPDATE state SET generation = generation + 1"),
		"a hand undone":         hand("BEGIN IMMEDIATE", "UPDATE state SET generation = generation + 1", "ROLLBACK"),
		"a kill":                process("committed"),
		"an earlier kill":       process("commit"),
		"a process":             process(""),
		"a change undone": func(db *DB, n int) {
			_, err := db.write(t.Context(), func(c *conn, st *state) error {
				st.principals += int64(n)
				return errors.Join(saveState(c, st), boom)
			})
			if !errors.Is(err, boom) {
				t.Fatal(err)
			}
		},
		"a change undone by the engine": func(db *DB, n int) {
			_, err := db.write(t.Context(), func(c *conn, st *state) error {
				st.principals += int64(n)
				return errors.Join(saveState(c, st), c.exec("ROLLBACK"), boom)
			})
			if !errors.Is(err, boom) {
				t.Fatal(err)
			}
		},
		"one of a group undone": func(db *DB, n int) {
			_, err := db.Update(t.Context(), func(tx *Tx) error {
				return errors.Join(tx.PutPrincipal(princ("y", uint32(n))), tx.Cut(), boom)
			})
			if !errors.Is(err, boom) {
				t.Fatal(err)
			}
		},
		"a group undone by the engine": func(db *DB, n int) { // as it does when the disk is full
			<-db.writing
			must(db.openWriter(&db.w, "FULL"))
			must(db.w.script("CREATE TEMP TRIGGER full BEFORE INSERT ON changes BEGIN SELECT RAISE(ROLLBACK, 'full'); END"))
			db.writing <- struct{}{}
			_, err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutPrincipal(princ("y", uint32(n))) })
			if sqliteCode(err) == 0 {
				t.Fatal(err)
			}
		},
	}
	steps["a backup put back"] = func(db *DB, n int) { // as sqlite3's .backup and .restore do
		before := stateOf(t, db)
		must(copyAll(db.path, backuper.NewBackup))
		put(t, db, princ("z", uint32(n)+1000))
		must(copyAll(db.path, backuper.NewRestore))
		if st := stateOf(t, db); st != before {
			t.Fatalf("%v was put back as %v", before, st)
		}
	}
	return steps
}

// backuper is the driver's connection.
type backuper interface {
	NewBackup(to string) (*sqlite.Backup, error)
	NewRestore(from string) (*sqlite.Backup, error)
}

// copyAll copies a database to or from the file PATH.copy, with SQLite's own means.
func copyAll(path string, begin func(backuper, string) (*sqlite.Backup, error)) error {
	c, err := openConn(path)
	if err != nil {
		return err
	}
	b, err := begin(c.raw.(backuper), path+".copy")
	if err == nil {
		_, err = b.Step(-1)
		err = errors.Join(err, b.Finish())
	}
	return errors.Join(err, c.close())
}
