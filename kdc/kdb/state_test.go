package kdb

import (
	"errors"
	"testing"

	"krealm/dumpfmt"
)

// A writer that remembers the state row sees what others have written since: another DB, the
// connection for lockout fields, a hand with sqlite3, and its own transaction that was undone.
func TestLastState(t *testing.T) {
	db := newMaster(t, Options{})
	other, err := Open(t.Context(), db.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	check := func(what string) {
		t.Helper()
		st := put(t, db, princ("a", uint32(stateOf(t, db).Serial)+1)) // fails on a serial that is taken
		if got := stateOf(t, db); st != got {
			t.Errorf("%s: %v, database at %v", what, st, got)
		}
		if err := db.VerifyDigest(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("nothing")
	check("its own change")
	if db.w.last.version < 0 {
		t.Error("nothing is remembered")
	}
	put(t, other, princ("b", 1))
	check("a change by another")
	if err := db.SetLockout(t.Context(), "a@"+testRealm, dumpfmt.Lockout{FailCount: 1}); err != nil {
		t.Fatal(err)
	}
	check("lockout fields")
	boom := errors.New("boom")
	if _, err := db.write(t.Context(), func(_ *conn, st *state) error {
		st.principals += 7
		return boom
	}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	check("a change undone")
	c, err := openConn(db.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close() }()
	if err := c.script("UPDATE state SET principals = 99"); err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("c", 1))
	if p, _, err := db.Count(t.Context()); err != nil || p != 100 {
		t.Errorf("what a hand has written is lost: %d principals, %v", p, err)
	}
}
