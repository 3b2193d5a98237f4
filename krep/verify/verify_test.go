package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/wire"
	"krealm/kdc/kdb"
)

const realm = "EXAMPLE.ORG"

// world is a master and slaves that answer as krepd does, from databases of their own.
type world struct {
	t      *testing.T
	master *kdb.DB
	slaves map[string]*kdb.DB
	before func(name string) // an Inspect of it
	away   map[string]error
}

func newWorld(t *testing.T, entries int, slaves ...string) *world {
	t.Helper()
	w := &world{t: t, slaves: make(map[string]*kdb.DB), away: make(map[string]error)}
	db, err := kdb.Create(t.Context(), filepath.Join(t.TempDir(), "m.sqlite"), realm, kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.master = db
	t.Cleanup(func() { _ = db.Close() })
	w.change(func(tx *kdb.Tx) error {
		for i := range entries {
			if err := tx.PutPrincipal(princ(fmt.Sprint("u", i), 1)); err != nil {
				return err
			}
		}
		return tx.PutPolicy(&dumpfmt.Policy{Name: "staff", MinLength: 1, MinClasses: 1, History: 1})
	})
	for _, name := range slaves {
		s, err := kdb.InitSlave(t.Context(), filepath.Join(t.TempDir(), "s.sqlite"), realm, kdb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		w.slaves[name] = s
		w.rebuild(name)
	}
	return w
}

func princ(name string, n int32) *dumpfmt.Principal {
	return &dumpfmt.Principal{Name: name + "@" + realm, MaxLife: n}
}

func (w *world) change(f func(tx *kdb.Tx) error) {
	w.t.Helper()
	if _, err := w.master.Update(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name string, n int32) {
	w.t.Helper()
	w.change(func(tx *kdb.Tx) error { return tx.PutPrincipal(princ(name, n)) })
}

// rebuild gives a slave a full copy of a database that has the master's epoch and serial.
func (w *world) rebuild(name string) {
	w.t.Helper()
	s, err := w.master.Snapshot(w.t.Context(), w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.slaves[name].LoadSnapshot(w.t.Context(), io.NewSectionReader(s, 0, s.Size()))
	if err = errors.Join(err, s.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// follow brings a slave up to date.
func (w *world) follow(name string) {
	w.t.Helper()
	st, err := w.slaves[name].State(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	css, err := w.master.Changes(w.t.Context(), st.Serial, 1000)
	if err == nil {
		_, err = w.slaves[name].Apply(w.t.Context(), css)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// Inspect implements Slaves.
func (w *world) Inspect(ctx context.Context, name string, m *wire.Inspect, each func(*wire.Listing) error) (*wire.Sums, error) {
	if err := w.away[name]; err != nil {
		return nil, err
	}
	if w.before != nil {
		w.before(name)
	}
	st, err := w.slaves[name].State(ctx)
	if err == nil && st.Serial < m.Serial {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	out := &wire.Sums{Epoch: uint64(st.Epoch)}
	c, err := w.slaves[name].Content(ctx, m.Parts.Has, func(it kdb.Item) error {
		one := wire.Item{Kind: 1, Hash: it.Hash, Name: it.Name}
		if it.Kind == dumpfmt.KindPolicy {
			one.Kind = 2
		}
		return each(&wire.Listing{Data: one.Append(nil)})
	})
	out.Serial, out.Kept, out.Count = c.State.Serial, c.Kept, uint64(c.Count)
	for i := range c.Parts {
		out.Parts[i] = c.Parts[i]
	}
	return out, err
}

func (w *world) run(deep bool, names ...string) *Report {
	w.t.Helper()
	r, err := Run(w.t.Context(), w.master, w, names, deep)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestSame(t *testing.T) {
	w := newWorld(t, 200, "a", "b")
	w.put("x", 1)
	w.follow("a")
	w.follow("b")
	r := w.run(true, "a", "b")
	if len(r.Slaves) != 2 || r.Entries != 202 || r.Serial != 2 || r.ByHand {
		t.Errorf("%+v", r)
	}
	for _, s := range r.Slaves {
		if s.Result != Same || s.Serial != 2 || s.Parts != 0 || s.Entries != 202 || s.ByHand {
			t.Errorf("%+v", s)
		}
	}
	if r := w.run(false); len(r.Slaves) != 0 {
		t.Errorf("%+v", r)
	}
}

// Another database under the master's epoch and serial: what a fault of this program, or of a disk,
// would leave. Every difference is named, and no other entry.
func TestNamesWhatDiffers(t *testing.T) {
	w := newWorld(t, 300, "good", "bad")
	other := newWorld(t, 300)
	other.change(func(tx *kdb.Tx) error {
		p := princ("u7", 99)
		return errors.Join(tx.PutPrincipal(p), tx.DeletePrincipal("u8@"+realm), tx.DeletePolicy("staff"), tx.PutPrincipal(princ("evil", 1)), tx.PutPrincipal(princ("caf\xe9", 1)))
	})
	w.put("u7", 1) // leaves it as it was: no change, the serial stays
	w.slaves["bad"] = other.master
	w.change(func(tx *kdb.Tx) error { return tx.PutPrincipal(princ("late", 1)) })
	w.follow("good")
	// bad answers in the name of the master's epoch
	lie := &liar{world: w, name: "bad"}
	r, err := Run(t.Context(), w.master, lie, []string{"good", "bad"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if r.Slaves[0].Result != Same {
		t.Errorf("%+v", r.Slaves[0])
	}
	bad := r.Slaves[1]
	want := []Entry{{"policy", "staff", "missing", ""}, {"principal", "evil@" + realm, "extra", ""}, {"principal", "late@" + realm, "missing", ""},
		{"principal", "u7@" + realm, "differs", ""}, {"principal", "u8@" + realm, "missing", ""},
		{"principal", "caf\xe9@" + realm, "extra", hex.EncodeToString([]byte("caf\xe9@" + realm))}}
	if bad.Result != Differs || !sameEntries(bad.Names, want) || bad.Parts == 0 || bad.More {
		t.Errorf("%+v", bad)
	}
	if r, err := Run(t.Context(), w.master, lie, []string{"bad"}, false); err != nil || r.Slaves[0].Result != Differs || len(r.Slaves[0].Names) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// sameEntries compares as sets: the order is by parts first.
func sameEntries(got, want []Entry) bool {
	count := make(map[Entry]int)
	for _, e := range got {
		count[e]++
	}
	for _, e := range want {
		count[e]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// liar puts the master's state over the answers of one slave.
type liar struct {
	*world
	name string
}

func (l *liar) Inspect(ctx context.Context, name string, m *wire.Inspect, each func(*wire.Listing) error) (*wire.Sums, error) {
	ask := *m
	ask.Serial = 0
	out, err := l.world.Inspect(ctx, name, &ask, each)
	if err == nil && name == l.name {
		out.Epoch, out.Serial = m.Epoch, m.Serial
	}
	return out, err
}

// The slave answers for a later serial than the master was frozen at: what has happened in between
// is no difference, and a difference is still seen.
func TestBusyMaster(t *testing.T) {
	w := newWorld(t, 100, "a")
	n := int32(1)
	w.before = func(name string) {
		n++
		w.put("u3", n)
		w.put(fmt.Sprint("new", n), n)
		w.change(func(tx *kdb.Tx) error { return tx.DeletePrincipal(fmt.Sprintf("u%d@%s", 50+n, realm)) })
		w.follow(name)
	}
	r := w.run(true, "a")
	if s := r.Slaves[0]; s.Result != Same || s.Serial != r.Serial+3 {
		t.Errorf("%+v of %+v", s, r)
	}
	// And a slave with the content of another master is seen, whatever happens meanwhile.
	other := newWorld(t, 100, "a")
	other.slaves["a"] = w.slaves["a"]
	r, err := Run(t.Context(), other.master, &liar{other, "a"}, []string{"a"}, true)
	if err != nil || r.Slaves[0].Result != Differs || len(r.Slaves[0].Names) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCannotCompare(t *testing.T) {
	w := newWorld(t, 10, "behind", "away", "foreign")
	w.put("x", 1)
	w.follow("foreign")
	w.away["away"] = errors.New("slave is not streaming: retrying: dial: connection refused")
	other := newWorld(t, 1)
	other.put("x", 1)
	w.slaves["foreign"] = other.master
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, w.master, w, []string{"behind", "away", "foreign"}, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"no answer in time", "connection refused", "another epoch"} {
		if s := r.Slaves[i]; s.Result != Unknown || !strings.Contains(s.Reason, want) {
			t.Errorf("%+v, want %q", s, want)
		}
	}
	empty, err := kdb.InitSlave(t.Context(), filepath.Join(t.TempDir(), "e.sqlite"), realm, kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = empty.Close() }()
	if _, err := Run(t.Context(), empty, w, nil, false); !errors.Is(err, kdb.ErrEmpty) {
		t.Error(err)
	}
}

// A slave that has nothing in common costs bounded memory: the names of a report are limited.
func TestManyNames(t *testing.T) {
	w := newWorld(t, 3000)
	w.slaves["a"] = newWorld(t, 0).master
	r, err := Run(t.Context(), w.master, &liar{w, "a"}, []string{"a"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Slaves[0]; s.Result != Differs || s.Parts < 250 || len(s.Names) != MaxNames || !s.More {
		t.Errorf("%d parts, %d names, more %v", s.Parts, len(s.Names), s.More)
	}
}

// liars are slaves that name entries of their own, with names as long as they come.
type liars struct{ *world }

func (l liars) Inspect(_ context.Context, _ string, m *wire.Inspect, each func(*wire.Listing) error) (*wire.Sums, error) {
	st, err := l.master.State(l.t.Context())
	out := &wire.Sums{Epoch: uint64(st.Epoch), Serial: st.Serial}
	out.Parts[0][0] = 1
	for i := range 20 {
		one := wire.Item{Kind: 1, Name: fmt.Sprint(i, strings.Repeat("\xff", wire.MaxItemName-10))}
		if m.Parts.Has(0) && err == nil {
			err = each(&wire.Listing{Data: one.Append(nil)})
		}
	}
	return out, err
}

// TestLongNames: whatever slaves say, the report is one that the control socket takes.
func TestLongNames(t *testing.T) {
	w := newWorld(t, 1, "a")
	names := make([]string, 4)
	r, err := Run(t.Context(), w.master, liars{w}, names, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(r)
	if err != nil || len(b) > maxNamesBytes+1<<20 {
		t.Errorf("a report of %d bytes, %v", len(b), err)
	}
	for _, s := range r.Slaves {
		if s.Result != Differs || !s.More {
			t.Errorf("%s, more: %v, %s", s.Result, s.More, s.Reason)
		}
	}
}
