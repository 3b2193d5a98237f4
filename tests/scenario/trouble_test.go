package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/stream/streamtest"
	"krealm/kdc/kdb"
	"krealm/krep/feed"
	"krealm/krep/sender"
)

// pair is a master with one slave that is up to date.
func pair(t *testing.T) (*master, *slave) {
	t.Helper()
	realm := streamtest.NewRealm(realmName)
	m, s := newMaster(t, realm), newSlave(t, realm, "slave1")
	st := m.add(10)
	m.listed(s)
	s.start()
	m.start()
	s.reaches(st)
	until(t, "the slave is streaming", func() bool { return m.status(s).State == "streaming" })
	return m, s
}

func TestSlaveComesBackWithoutFullCopy(t *testing.T) {
	m, s := pair(t)
	s.stop()
	st := m.add(200)
	until(t, "krep has noticed", func() bool { return m.status(s).State == "retrying" })
	if base, _, _ := m.feed.View(); base.Serial > 10 {
		t.Errorf("file cut to %d while a slave is down at 10", base.Serial)
	}
	s.start()
	s.reaches(st)
	equal(m, s)
	if n := m.copies.Load(); n != 1 {
		t.Errorf("%d full copies, want the first only", n)
	}
}

func TestKrepRestarts(t *testing.T) {
	m, s := pair(t)
	for range 5 {
		m.stop()
		m.add(20)
		m.start()
		m.add(5)
	}
	s.reaches(m.add(1))
	equal(m, s)
	if n := m.copies.Load(); n != 1 {
		t.Errorf("%d full copies, want the first only", n)
	}
}

func TestWindowSmallerThanBacklog(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, s := newMaster(t, realm), newSlave(t, realm, "slave1")
	m.editFeed = func(o *feed.Options) { o.Window = 2000 }
	m.listed(s)
	s.start()
	m.start()
	s.reaches(m.add(1))
	s.stop()
	st := m.add(300)
	s.start()
	s.reaches(st)
	s.reaches(m.add(10))
	equal(m, s)
	if n := m.copies.Load(); n != 1 {
		t.Errorf("%d full copies, want the first only", n)
	}
}

func TestNewEpochRebuilds(t *testing.T) {
	m, s := pair(t)
	if _, err := m.db.NewEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reaches(m.add(3))
	equal(m, s)
}

func TestBehindTheFile(t *testing.T) {
	m, s := pair(t)
	s.stop()
	m.listed()
	st := m.add(10)
	until(t, "the file is cut without slaves", func() bool {
		base, _, _ := m.feed.View()
		return base.Serial == st.Serial
	})
	m.listed(s)
	s.start()
	s.reaches(m.add(1))
	equal(m, s)
	if n := m.copies.Load(); n != 2 {
		t.Errorf("%d full copies, want 2", n)
	}
}

// A slave that holds the file beyond its limit is let go of; the file shrinks.
func TestSizeLimit(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(t, realm)
	m.editFeed = func(o *feed.Options) { o.MaxSize = 200 << 10 }
	up, down := newSlave(t, realm, "slave1"), newSlave(t, realm, "slave2")
	m.listed(up, down)
	up.start()
	down.start()
	m.start()
	st := m.add(1)
	up.reaches(st)
	down.reaches(st)
	down.stop()
	for size := int64(0); size < 250<<10; size, _ = m.feed.Size() {
		if st = m.add(200); m.feedHas(st) && m.n > 5000 {
			t.Fatal("the file never grew")
		}
		if base, _, _ := m.feed.View(); base.Serial > 1 {
			break
		}
	}
	until(t, "the file is cut", func() bool { base, last, _ := m.feed.View(); return base.Serial == last.Serial })
	down.start()
	st = m.add(1)
	up.reaches(st)
	down.reaches(st)
	equal(m, up, down)
}

func (m *master) feedHas(st deltafile.State) bool {
	_, last, _ := m.feed.View()
	return last.Serial >= st.Serial
}

func TestBigChangeset(t *testing.T) {
	m, s := pair(t)
	st, err := m.db.Update(t.Context(), func(tx *kdb.Tx) error {
		for i := range 9000 {
			if err := tx.PutPrincipal(&dumpfmt.Principal{Name: fmt.Sprintf("bulk%05d@%s", i, realmName)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.reaches(st)
	s.reaches(m.add(1))
	equal(m, s)
}

func TestManyChangesToManySlaves(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(t, realm)
	var slaves []*slave
	for i := range 8 {
		slaves = append(slaves, newSlave(t, realm, fmt.Sprintf("slave%d", i)))
	}
	m.listed(slaves...)
	for _, s := range slaves {
		s.start()
	}
	m.start()
	start := time.Now()
	st := m.add(1000)
	made := time.Since(start)
	for _, s := range slaves {
		s.reaches(st)
	}
	t.Logf("1000 changes made in %v, applied by 8 slaves in %v", made, time.Since(start))
	equal(m, slaves...)
}

// A record that cannot be applied: nothing is skipped, a copy is kept, both sides say so, and a
// full copy mends it once the master has one. krep waits after the failure until the test has looked: broken is
// what a slave is for a moment only.
func TestBrokenRecord(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, s := newMaster(t, realm), newSlave(t, realm, "slave1")
	look := make(chan struct{})
	looked := sync.OnceFunc(func() { close(look) })
	defer looked()
	m.edit = func(o *sender.Options) {
		o.Heartbeat, o.Jitter = patience, func() float64 { <-look; return 0 }
	}
	s.beat = patience // nobody is gone because the machine has no time for him
	st := m.add(10)
	m.listed(s)
	s.start()
	m.start()
	s.reaches(st)
	bad := "princ\tthis is not a principal;\n"
	app, err := deltafile.OpenAppender(m.delta(), deltafile.AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := app.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cs, err := deltafile.Encode(last, time.Now(), []byte(bad))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.AppendRaw(t.Context(), []*deltafile.Changeset{cs}); err != nil {
		t.Fatal(err)
	}
	_ = app.Close()
	until(t, "krep says broken", func() bool {
		st := m.status(s)
		return st.State == "broken" && strings.HasPrefix(st.LastError, fmt.Sprintf("record %d:", cs.Serial))
	})
	if b := s.applier.Broken(); b == nil || b.Serial != cs.Serial {
		t.Errorf("krepd says %+v", b)
	}
	name := filepath.Join(s.dir, fmt.Sprintf("spool.%v.%d.bad", last.Epoch, cs.Serial))
	if kept, err := os.ReadFile(name); err != nil || !bytes.Equal(kept, cs.Raw) {
		t.Errorf("copy of the record: %q, %v", kept, err)
	}
	if at := s.applier.Applied(); at.Serial >= cs.Serial {
		t.Errorf("the record was skipped: applied %v", at)
	}
	// The master's database knows nothing of that record: its next change begins a new epoch.
	m.add(1)
	if st, err = m.db.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	looked()
	s.reaches(st)
	equal(m, s)
	until(t, "krep says streaming", func() bool { return m.status(s).State == "streaming" })
}

// A slave whose content differs at the same serial is found out by the next heartbeat.
func TestDivergence(t *testing.T) {
	m, s := pair(t)
	at := s.applier.Applied()
	s.stop()
	db, err := kdb.Open(t.Context(), filepath.Join(s.dir, "db.sqlite"), kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("kdb5_util load_dump version 7\n")
	var frame bytes.Buffer
	w, err := deltafile.NewFullWriter(&frame, at, 1, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.LoadSnapshot(t.Context(), &frame); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	s.start()
	until(t, "the slave is rebuilt", func() bool { return m.copies.Load() == 2 && m.status(s).State == "streaming" })
	equal(m, s)
}

func TestResyncAndPause(t *testing.T) {
	m, s := pair(t)
	name := m.status(s).Name
	if err := m.set.Resync(name); err != nil {
		t.Fatal(err)
	}
	until(t, "the slave is rebuilt", func() bool { return m.copies.Load() == 2 && m.status(s).State == "streaming" })
	if err := m.set.Pause(name, true); err != nil {
		t.Fatal(err)
	}
	until(t, "the slave is paused", func() bool { return m.status(s).State == "paused" })
	st := m.add(5)
	if err := m.set.Pause(name, false); err != nil {
		t.Fatal(err)
	}
	s.reaches(st)
	equal(m, s)
	if err := m.set.Resync("nobody"); err == nil {
		t.Error("a slave that is not listed was found")
	}
}

func TestListChangesDisturbNobody(t *testing.T) {
	m, s1 := pair(t)
	since := m.status(s1).Since
	s2 := newSlave(t, m.realm, "slave2")
	s2.start()
	m.listed(s1, s2)
	st := m.add(1)
	s1.reaches(st)
	s2.reaches(st)
	m.listed(s1)
	s1.reaches(m.add(1))
	if now := m.status(s1).Since; !now.Equal(since) {
		t.Errorf("stream of slave1 is of %v, was of %v", now, since)
	}
	if st := m.status(s2); st.Name != "" {
		t.Errorf("slave2 is still there: %+v", st)
	}
}

func TestNotAllowed(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, s := newMaster(t, realm), newSlave(t, realm, "slave1")
	s.allow = []string{"krep/other.example.org@" + realmName}
	m.listed(s)
	s.start()
	m.start()
	until(t, "krep is refused", func() bool { return strings.Contains(m.status(s).LastError, "refused by the other side") })
	if !s.applier.Applied().IsZero() {
		t.Error("and yet it was fed")
	}
}

// Three tiers: the middle one is killed while changes go on, and comes back.
func TestRelay(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	top, middle, leaf := newMaster(t, realm), newSlave(t, realm, "middle"), newSlave(t, realm, "leaf")
	middle.delta = filepath.Join(middle.dir, "delta")
	top.listed(middle)
	middle.start()
	leaf.start()
	top.start()
	st := top.add(10)
	middle.reaches(st)
	relay := &master{t: t, dir: middle.dir, realm: realm, db: middle.db}
	relay.listed(leaf)
	relay.start()
	leaf.reaches(st)
	relay.stop()
	middle.stop()
	top.add(50)
	middle.start()
	relay.db = middle.db
	relay.start()
	st = top.add(10)
	middle.reaches(st)
	leaf.reaches(st)
	equal(top, middle, leaf)
	if n := relay.copies.Load(); n != 1 {
		t.Errorf("the leaf got %d full copies, want the first only", n)
	}
}

// fullDisk fails every write while it is full.
type fullDisk struct {
	deltafile.FS
	full func() bool
}

type fullFile struct {
	deltafile.File
	full func() bool
}

func (d fullDisk) OpenAppend(name string) (deltafile.File, error) {
	f, err := d.FS.OpenAppend(name)
	return &fullFile{f, d.full}, err
}

func (d fullDisk) Create(name string) (deltafile.File, error) {
	if d.full() {
		return nil, syscall.ENOSPC
	}
	f, err := d.FS.Create(name)
	return &fullFile{f, d.full}, err
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.full() {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.File.Write(p)
}

func TestFullDiskUnderTheSpool(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, s := newMaster(t, realm), newSlave(t, realm, "slave1")
	full, setFull := context.WithCancel(t.Context())
	free, setFree := context.WithCancel(t.Context())
	s.fs = fullDisk{deltafile.OSFS, func() bool { return full.Err() != nil && free.Err() == nil }}
	m.listed(s)
	s.start()
	m.start()
	before := m.add(5)
	s.reaches(before)
	setFull()
	m.add(50)
	until(t, "krep hears of it", func() bool { return strings.Contains(m.status(s).LastError, "no space left") })
	if st := m.status(s); st.Spooled > before.Serial {
		t.Errorf("acknowledged %d with a full disk", st.Spooled)
	}
	setFree()
	s.reaches(m.add(1))
	equal(m, s)
}

func TestNoSlaves(t *testing.T) {
	m := newMaster(t, streamtest.NewRealm(realmName))
	m.listed()
	m.start()
	st := m.add(20)
	until(t, "the file is cut", func() bool { base, _, _ := m.feed.View(); return base.Serial == st.Serial })
	if upto, ok := m.set.Safe(st.Epoch); !ok || upto != math.MaxUint64 {
		t.Errorf("safe up to %d, %v", upto, ok)
	}
}

// Damage in the delta file stops krep, with file, offset and reason.
func TestDamagedDeltaFile(t *testing.T) {
	m := newMaster(t, streamtest.NewRealm(realmName))
	s := newSlave(t, m.realm, "slave1") // never there: the file is kept
	m.listed(s)
	m.add(5)
	b, err := os.ReadFile(m.delta())
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(m.delta(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	select {
	case err := <-m.err:
		var fe *deltafile.FormatError
		if !asFormat(err, &fe) || fe.File != m.delta() || fe.Offset == 0 {
			t.Errorf("%v", err)
		}
	case <-time.After(patience):
		t.Fatal("krep goes on with a damaged file")
	}
}
