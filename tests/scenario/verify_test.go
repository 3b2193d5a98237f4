package scenario

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"krealm/krep/verify"
)

func (m *master) verify(deep bool, slaves ...*slave) *verify.Report {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	var names []string
	for _, s := range slaves {
		names = append(names, m.status(s).Name)
	}
	r, err := verify.Run(ctx, m.db, m.set, names, deep)
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// Over real streams: rows changed by hand on one slave are named one by one, and nothing else is;
// the other slave is the same, and one that is away is said to be.
func TestVerify(t *testing.T) {
	m, s := pair(t)
	other, away := newSlave(t, m.realm, "kdc3"), newSlave(t, m.realm, "kdc4")
	other.start()
	m.listed(s, other, away)
	last := m.add(400)
	s.reaches(last)
	other.reaches(last)
	for _, r := range m.verify(false, s, other).Slaves {
		if r.Result != verify.Same || r.Serial != last.Serial {
			t.Errorf("%+v", r)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{
		"UPDATE principal SET line = CAST(replace(CAST(line AS TEXT), '86400', '99999') AS BLOB) WHERE name LIKE 'user000003@%'",
		"UPDATE principal SET name = replace(name, '@', 'x@') WHERE name LIKE 'user000005@%'",
		"DELETE FROM principal WHERE name LIKE 'user000007@%'",
	} {
		if r, err := db.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		} else if n, err := r.RowsAffected(); n != 1 || err != nil {
			t.Fatalf("%d rows, %v: %s", n, err, stmt)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := m.verify(true, s, other, away)
	got := ""
	for _, e := range r.Slaves[0].Names {
		got += fmt.Sprintln(e.Kind, e.Name, e.How)
	}
	want := fmt.Sprintf("principal user000003@%[1]s differs\nprincipal user000005@%[1]s missing\nprincipal user000005x@%[1]s extra\nprincipal user000007@%[1]s missing\n", realmName)
	if r.Slaves[0].Result != verify.Differs || !r.Slaves[0].ByHand || got != want {
		t.Errorf("%+v\ngot  %s\nwant %s", r.Slaves[0], got, want)
	}
	if r.Slaves[1].Result != verify.Same || r.Slaves[2].Result != verify.Unknown || r.Slaves[2].Reason == "" {
		t.Errorf("%+v", r.Slaves[1:])
	}
}

// A master that never rests is compared all the same, both sides at one serial.
func TestVerifyWhileChanging(t *testing.T) {
	m, s := pair(t)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		for ctx.Err() == nil {
			m.add(1)
		}
	})
	moved := false
	for range 5 {
		r := m.verify(true, s)
		if r.Slaves[0].Result != verify.Same {
			t.Errorf("%+v", r)
		}
		moved = moved || r.Slaves[0].Serial > r.Serial
	}
	cancel()
	wg.Wait()
	t.Logf("compared beyond the master's frozen serial: %v", moved)
}
