package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/tests/testrealm"
)

// presence of an entry, as far as those who changed it were told.
type presence int

const (
	absent presence = iota
	maybe           // the command that made or removed it was killed
	present
)

// entry is what a writer knows of a principal or a policy that nobody else changes.
type entry struct {
	name     string
	policy   bool
	presence presence
	maxLife  []uint32 // seconds; one, or several where commands were killed
	kvno     [2]uint16
	password string // "" when it is not known
}

// writer changes entries of its own, one command after another.
type writer struct {
	name    string
	host    *testrealm.Host
	rng     *rand.Rand
	entries []*entry
	serial  int

	acked, killed atomic.Int64
	ops           map[string]int
}

// run makes changes until ctx ends; every fourth command is killed at a random instant. The error
// is of a command that failed by itself.
func (w *writer) run(ctx context.Context) error {
	w.ops = map[string]int{}
	for ctx.Err() == nil {
		if err := w.change(ctx); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(w.rng.IntN(40)) * time.Millisecond):
		}
	}
	return nil
}

// query runs a query of kadmin.local. ok means that it was told that the change is made; without it
// and without an error the command was killed.
func (w *writer) query(op, query string) (ok bool, err error) {
	w.ops[op]++
	ctx := context.Background() // a change is not interrupted by the end of the test: its outcome counts
	if w.rng.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.rng.IntN(60_000))*time.Microsecond)
		defer cancel()
	}
	_, err = w.host.Kadmin(ctx, query)
	switch {
	case err == nil:
		w.acked.Add(1)
		return true, nil
	case errors.Is(err, context.DeadlineExceeded):
		w.killed.Add(1)
		return false, nil
	}
	return false, err
}

// change makes one change.
func (w *writer) change(ctx context.Context) error {
	sure := slices.DeleteFunc(slices.Clone(w.entries), func(e *entry) bool { return e.presence != present })
	w.serial++
	n := w.rng.IntN(10)
	if len(sure) < 5 || n == 0 {
		return w.add()
	}
	e := sure[w.rng.IntN(len(sure))]
	switch {
	case n == 1:
		return w.remove(e)
	case n < 5 && !e.policy:
		return w.setPassword(e)
	}
	return w.modify(e)
}

func (w *writer) add() error {
	e := &entry{name: fmt.Sprintf("%s-%04d", w.name, w.serial), policy: w.rng.IntN(5) == 0,
		maxLife: []uint32{uint32(1000 + w.serial)}, kvno: [2]uint16{1, 1}}
	e.password = fmt.Sprintf("Added-as-%d", w.serial)
	query := fmt.Sprintf("addprinc -clearpolicy -e aes128-cts:normal -pw %s -maxlife \"%d seconds\" %s", e.password, e.maxLife[0], e.name)
	op := "addprinc"
	if e.policy {
		op, query = "addpol", fmt.Sprintf("addpol -maxlife \"%d seconds\" %s", e.maxLife[0], e.name)
	}
	ok, err := w.query(op, query)
	e.presence = maybe
	if ok {
		e.presence = present
	}
	w.entries = append(w.entries, e)
	return err
}

func (w *writer) remove(e *entry) error {
	op := "delprinc"
	if e.policy {
		op = "delpol"
	}
	ok, err := w.query(op, op+" -force "+e.name)
	e.presence = maybe
	if ok {
		e.presence = absent
	}
	return err
}

func (w *writer) modify(e *entry) error {
	life := uint32(1000 + w.serial)
	op := "modprinc"
	if e.policy {
		op = "modpol"
	}
	ok, err := w.query(op, fmt.Sprintf("%s -maxlife \"%d seconds\" %s", op, life, e.name))
	if ok {
		e.maxLife = nil
	}
	e.maxLife = append(e.maxLife, life)
	return err
}

func (w *writer) setPassword(e *entry) error {
	password := fmt.Sprintf("Changed-as-%d", w.serial)
	ok, err := w.query("cpw", fmt.Sprintf("cpw -e aes128-cts:normal -pw %s %s", password, e.name))
	e.kvno[1]++
	e.password = ""
	if ok {
		e.kvno[0]++
		e.password = password
	}
	return err
}

// verify holds what the database has against what the writer was told, and tells what does not fit.
func (w *writer) verify(ctx context.Context, db *kdb.DB) (wrong []string) {
	report := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, e := range w.entries {
		var life uint32
		var err error
		kvno := e.kvno[0]
		if e.policy {
			p, notFound := db.Policy(ctx, e.name)
			if err = notFound; err == nil {
				life = p.MaxLife
			}
		} else {
			p, notFound := db.Principal(ctx, e.name+"@"+testrealm.RealmName)
			if err = notFound; err == nil {
				life, kvno = uint32(p.MaxLife), p.CurrentKvno()
			}
		}
		switch missing := errors.Is(err, kdb.ErrNotFound); {
		case err != nil && !missing:
			report("%s: %v", e.name, err)
		case missing && e.presence == present:
			report("%s: its command was told that it is made, and it is not there", e.name)
		case !missing && e.presence == absent:
			report("%s: its command was told that it is removed, and it is there", e.name)
		case !missing && !slices.Contains(e.maxLife, life):
			report("%s: maximum life %d s, want one of %v", e.name, life, e.maxLife)
		case !missing && (kvno < e.kvno[0] || kvno > e.kvno[1]):
			report("%s: key version %d, want %v", e.name, kvno, e.kvno)
		}
	}
	return wrong
}

// TestVerify: lost, unasked-for and wrong entries are seen.
func TestVerify(t *testing.T) {
	db, err := kdb.Create(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"), testrealm.RealmName, kdb.Options{})
	check(t, err)
	defer db.Close()
	_, err = db.Update(t.Context(), func(tx *kdb.Tx) error {
		return tx.PutPolicy(&dumpfmt.Policy{Name: "there", MaxLife: 5})
	})
	check(t, err)
	for _, c := range []struct {
		name string
		e    entry
		want int
	}{
		{"right", entry{name: "there", presence: present, maxLife: []uint32{5}}, 0},
		{"perhaps", entry{name: "there", presence: maybe, maxLife: []uint32{4, 5}}, 0},
		{"perhaps not", entry{name: "away", presence: maybe}, 0},
		{"removed", entry{name: "away", presence: absent}, 0},
		{"lost", entry{name: "away", presence: present}, 1},
		{"back again", entry{name: "there", presence: absent}, 1},
		{"old value", entry{name: "there", presence: present, maxLife: []uint32{6}}, 1},
	} {
		c.e.policy = true
		w := &writer{entries: []*entry{&c.e}}
		if wrong := w.verify(t.Context(), db); len(wrong) != c.want {
			t.Errorf("%s: %q", c.name, wrong)
		}
	}
}
