package scenario

import (
	"fmt"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/stream/streamtest"
	"krealm/kdc/kdb"
	"krealm/krep/sender"
)

func TestChangesReachAllSlaves(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(t, realm)
	m.add(20)
	s1, s2 := newSlave(t, realm, "slave1"), newSlave(t, realm, "slave2")
	m.listed(s1, s2)
	m.start()
	s1.start()
	s2.start()
	st := m.add(30)
	s1.reaches(st)
	s2.reaches(st)
	equal(m, s1, s2)

	if _, err := m.db.Update(t.Context(), func(tx *kdb.Tx) error {
		if err := tx.DeletePrincipal("user000003@" + realmName); err != nil {
			return err
		}
		return tx.PutPolicy(&dumpfmt.Policy{Name: "staff", MinLength: 10})
	}); err != nil {
		t.Fatal(err)
	}
	st = m.add(1)
	s1.reaches(st)
	s2.reaches(st)
	equal(m, s1, s2)
	until(t, "the delta file is cut", func() bool {
		base, last, _ := m.feed.View()
		return base.Serial == last.Serial
	})
	until(t, "krep knows that all is applied", func() bool {
		return m.status(s1).Applied == st.Serial && m.status(s1).State == "streaming"
	})
}

// The time from before a change to its being applied, one change at a time.
func TestLatency(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(t, realm)
	s := newSlave(t, realm, "slave1")
	m.listed(s)
	m.start()
	s.start()
	s.reaches(m.add(1))
	var worst, sum time.Duration
	const n = 50
	for range n {
		start := time.Now()
		s.reaches(m.add(1))
		d := time.Since(start)
		sum += d
		worst = max(worst, d)
	}
	t.Logf("commit to applied: mean %v, worst %v", sum/n, worst)
	if mean := sum / n; mean > 200*time.Millisecond {
		t.Errorf("mean %v", mean)
	}
}

// Many empty slaves at once: full copies a few at a time, and the streams of others go on.
func TestCopiesUnderALimit(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(t, realm)
	m.edit = func(o *sender.Options) { o.MaxCopies = 2 }
	m.add(500)
	old := newSlave(t, realm, "old")
	old.start()
	m.listed(old)
	m.start()
	old.reaches(m.add(1))
	all := []*slave{old}
	for i := range 6 {
		s := newSlave(t, realm, fmt.Sprintf("new%d", i))
		s.start()
		all = append(all, s)
	}
	m.listed(all...)
	for m.copies.Load() < 7 {
		old.reaches(m.add(1))
	}
	st := m.add(1)
	for _, s := range all {
		s.reaches(st)
	}
	equal(m, all...)
	if m.open.most > 2 {
		t.Errorf("%d full copies at a time", m.open.most)
	}
	if n := m.copies.Load(); n != 7 {
		t.Errorf("%d full copies for 7 slaves", n)
	}
}
