package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/kdc/kdb"
	"krealm/krep/feed"
	"krealm/krep/sender"
	"krealm/krep/slavelist"
	"krealm/krepd/apply"
	"krealm/krepd/receiver"
	"krealm/krepd/spool"
)

const (
	realmName = "EXAMPLE.ORG"
	masterID  = "krep/master.example.org@" + realmName
	patience  = 20 * time.Second // before a test gives up
	heartbeat = 200 * time.Millisecond
)

func slaveID(name string) string { return "krep/" + name + ".example.org@" + realmName }

// log collects what both sides log, and shows it when the test fails.
func logTo(t testing.TB, host string) zerolog.Logger {
	return zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.DebugLevel).With().Str("host", host).Logger()
}

// master is a master's host.
type master struct {
	t     testing.TB
	dir   string
	realm *streamtest.Realm
	db    *kdb.DB
	feed  *feed.Feed
	set   *sender.Set
	list  []slavelist.Slave
	n     int // principals added

	copies atomic.Int32 // full copies made
	open   gauge        // of them, being sent

	edit     func(*sender.Options)
	editFeed func(*feed.Options)
	stop     func()
	err      chan error
}

func newMaster(t testing.TB, realm *streamtest.Realm) *master {
	t.Helper()
	m := &master{t: t, dir: t.TempDir(), realm: realm}
	db, err := kdb.Create(t.Context(), filepath.Join(m.dir, "db.sqlite"), realmName, kdb.Options{DeltaFile: m.delta(), KeepChanges: 100})
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
	t.Cleanup(func() { _ = db.Close() })
	return m
}

func (m *master) delta() string { return filepath.Join(m.dir, "delta") }

type feedOf struct{ *feed.Feed }

func (f feedOf) Cursor(at deltafile.State) sender.Cursor { return f.Feed.Cursor(at) }

type sourceOf struct {
	db     *kdb.DB
	dir    string
	copies *atomic.Int32
	open   *gauge
}

// gauge counts what is open, and the most that ever was.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

// counted is a full copy that is counted while it is open.
type counted struct {
	*kdb.Snapshot
	g *gauge
}

func (c counted) Close() error {
	c.g.add(-1)
	return c.Snapshot.Close()
}

func (s sourceOf) Copy(ctx context.Context) (sender.Copy, error) {
	s.copies.Add(1)
	c, err := s.db.Snapshot(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	s.open.add(1)
	return counted{c, s.open}, nil
}

func (s sourceOf) Digest(ctx context.Context) (deltafile.State, [32]byte, bool) {
	at, d, err := s.db.Digest(ctx)
	return at, d, err == nil && !at.IsZero()
}

// start starts krep; it is stopped by stop or with the test.
func (m *master) start() {
	m.t.Helper()
	log := logTo(m.t, "master")
	var set *sender.Set
	fo := feed.Options{Path: m.delta(), Realm: realmName, Log: log, Quiet: 20 * time.Millisecond,
		Safe:    func(e deltafile.Epoch) (uint64, bool) { return set.Safe(e) },
		Release: func(e deltafile.Epoch, serial uint64, why string) { set.Release(e, serial, why) }}
	if m.editFeed != nil {
		m.editFeed(&fo)
	}
	m.feed = feed.New(fo)
	o := sender.Options{
		Realm: realmName, Feed: feedOf{m.feed}, Source: sourceOf{m.db, m.dir, &m.copies, &m.open}, Log: log,
		Heartbeat: heartbeat,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
		Auth: func(ctx context.Context, nc net.Conn, principal string) (*stream.Conn, error) {
			return stream.Initiate(ctx, nc, m.realm.Credentials(masterID, principal))
		},
	}
	o.Backoff.First, o.Backoff.Cap = 5*time.Millisecond, 100*time.Millisecond
	if m.edit != nil {
		m.edit(&o)
	}
	set = sender.NewSet(o)
	set.Update(m.list)
	m.set = set
	ctx, cancel := context.WithCancel(context.Background())
	m.err = make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { m.err <- m.feed.Run(ctx) })
	wg.Go(func() { set.Run(ctx) })
	m.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	m.t.Cleanup(m.stop)
}

// listed puts slaves on the list.
func (m *master) listed(slaves ...*slave) {
	m.t.Helper()
	var text bytes.Buffer
	for _, s := range slaves {
		fmt.Fprintf(&text, "%s %s\n", s.addr, s.id)
	}
	list, err := slavelist.Parse(&text, slavelist.Defaults{Realm: realmName, Port: 7754})
	if err != nil {
		m.t.Fatal(err)
	}
	m.list = list
	if m.set != nil {
		m.set.Update(list)
	}
}

// add adds n principals, one changeset each, and returns the state after them.
func (m *master) add(n int) deltafile.State {
	m.t.Helper()
	var st deltafile.State
	for range n {
		m.n++
		st = m.put(&dumpfmt.Principal{Name: fmt.Sprintf("user%06d@%s", m.n, realmName), MaxLife: 86400})
	}
	return st
}

func (m *master) put(p *dumpfmt.Principal) deltafile.State {
	m.t.Helper()
	st, err := m.db.Update(m.t.Context(), func(tx *kdb.Tx) error { return tx.PutPrincipal(p) })
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

// slave is a slave's host.
type slave struct {
	t     testing.TB
	name  string
	id    string
	dir   string
	addr  string
	realm *streamtest.Realm
	allow []string

	db       *kdb.DB
	spool    *spool.Spool
	applier  *apply.Applier
	receiver *receiver.Receiver
	fs       deltafile.FS
	delta    string        // of a relay
	beat     time.Duration // between heartbeats
	held     net.Listener  // keeps the port until the first start
	stop     func()
}

func newSlave(t testing.TB, realm *streamtest.Realm, name string) *slave {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slave{t: t, name: name, id: slaveID(name), dir: private(t), realm: realm, addr: ln.Addr().String(), allow: []string{masterID}, held: ln, beat: heartbeat}
	t.Cleanup(func() { _ = ln.Close() })
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

type standing struct {
	*apply.Applier
	db *kdb.DB
}

func (s standing) Standing(ctx context.Context, digest bool) (receiver.Standing, error) {
	st := receiver.Standing{Applied: s.Applied()}
	if b := s.Broken(); b != nil {
		st.WantSnapshot, st.Serial, st.Reason, st.Diverged = true, b.Serial, b.Reason, b.Diverged
	}
	if digest && !st.Applied.IsZero() {
		at, sum, err := s.db.Digest(ctx)
		if err != nil {
			return st, err
		}
		st.Applied, st.Digest, st.HasDigest = at, sum, true
	}
	return st, nil
}

// start starts krepd; it is stopped by stop or with the test.
func (s *slave) start() {
	s.t.Helper()
	if err := s.run(logTo(s.t, s.name)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
}

// run opens everything and starts what krepd consists of.
func (s *slave) run(log zerolog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	path := filepath.Join(s.dir, "db.sqlite")
	o := kdb.Options{DeltaFile: s.delta}
	db, err := kdb.Open(ctx, path, o)
	if errors.Is(err, kdb.ErrNoDatabase) {
		db, err = kdb.InitSlave(ctx, path, realmName, o)
	}
	if err != nil {
		cancel()
		return err
	}
	s.db = db
	if s.spool, err = spool.Open(filepath.Join(s.dir, "spool"), s.fs); err != nil {
		cancel()
		return err
	}
	s.applier = apply.New(db, s.spool, log)
	s.receiver = receiver.New(receiver.Options{Realm: realmName, Spool: s.spool, Applier: standing{s.applier, db}, Inspector: db,
		Log: log, Heartbeat: s.beat})
	server := &stream.Server{Handle: s.receiver.Handle, Log: log, Acceptor: s.realm.Acceptor(s.id, s.allow...)}
	s.release()
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		cancel()
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.applier.Run(ctx) })
	wg.Go(func() { _ = server.Serve(ctx, ln) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = s.spool.Close()
		_ = db.Close()
	})
	return nil
}

// release lets go of the port.
func (s *slave) release() {
	if s.held != nil {
		_ = s.held.Close()
	}
}

// reaches waits until the slave has applied a state.
func (s *slave) reaches(want deltafile.State) {
	s.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		changed := s.applier.Changed()
		if got := s.applier.Applied(); got.Same(want) {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			s.t.Fatalf("%s is at %v, not %v", s.name, s.applier.Applied(), want)
		}
	}
}

// until waits for a condition that nothing announces.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("never came: %s", what)
		}
	}
}

// state returns a slave's state as krep status would show it.
func (m *master) status(s *slave) sender.Status {
	for _, st := range m.set.Status() {
		if st.Addr == s.addr {
			return st
		}
	}
	return sender.Status{}
}

func dump(t testing.TB, db *kdb.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := db.Dump(t.Context(), &b, kdb.DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// equal compares all dumps with the master's, and all digests with their content.
func equal(m *master, slaves ...*slave) {
	m.t.Helper()
	want := dump(m.t, m.db)
	for _, s := range slaves {
		if got := dump(m.t, s.db); !bytes.Equal(got, want) {
			m.t.Errorf("%s: dump of %d octets differs from the master's of %d", s.name, len(got), len(want))
		}
		if err := s.db.VerifyDigest(m.t.Context()); err != nil {
			m.t.Errorf("%s: %v", s.name, err)
		}
	}
}

func asFormat(err error, fe **deltafile.FormatError) bool { return errors.As(err, fe) }

// private is a directory closed to others.
func private(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
