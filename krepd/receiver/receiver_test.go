package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/internal/wire"
)

const (
	realmName = "EXAMPLE.ORG"
	masterID  = "krep/kdc1.example.org@EXAMPLE.ORG"
	slaveID   = "krep/kdc2.example.org@EXAMPLE.ORG"

	// heartbeat is longer than any test takes: a feeder that a busy machine has no time for is not
	// gone. What is about silence runs on a fake clock.
	heartbeat = time.Minute
)

// fakeSpool keeps what is appended, and syncs when it may.
type fakeSpool struct {
	mu      sync.Mutex
	path    string
	last    deltafile.State
	durable deltafile.State
	allow   chan struct{} // one token for each Sync; closed: as many as come
	entered chan struct{} // receives when a Sync begins; nil: it does not
	err     error         // of Sync
	full    error         // of Append
}

func (s *fakeSpool) Append(_ context.Context, css []*deltafile.Changeset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	s.last = s.last.After(css[len(css)-1])
	return nil
}

func (s *fakeSpool) Sync() (deltafile.State, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
	}
	<-s.allow
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return deltafile.State{}, s.err
	}
	s.durable = s.last
	return s.durable, nil
}

func (s *fakeSpool) get(p *deltafile.State) deltafile.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *p
}

func (s *fakeSpool) Last() deltafile.State    { return s.get(&s.last) }
func (s *fakeSpool) Durable() deltafile.State { return s.get(&s.durable) }
func (s *fakeSpool) Path() string             { return s.path }

// fakeApplier is where the test says it is.
type fakeApplier struct {
	mu       sync.Mutex
	st       Standing
	changed  chan struct{}
	expected []uint64
	loaded   [][]byte
	loadErr  error
	spool    *fakeSpool
}

func (a *fakeApplier) Ready(context.Context) error { return nil }

func (a *fakeApplier) Standing(_ context.Context, digest bool) (Standing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.st
	if digest {
		st.HasDigest, st.Digest = true, [32]byte{5}
	}
	return st, nil
}

func (a *fakeApplier) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

func (a *fakeApplier) Expect(_ deltafile.Epoch, serial uint64, _ [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expected = append(a.expected, serial)
}

func (a *fakeApplier) Load(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	full, err := deltafile.ReadFull(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if a.loadErr != nil {
		return a.loadErr
	}
	a.spool.mu.Lock()
	a.spool.last, a.spool.durable = full.Base, full.Base
	a.spool.mu.Unlock()
	a.set(func(st *Standing) { *st = Standing{Applied: full.Base} })
	a.mu.Lock()
	a.loaded = append(a.loaded, b)
	a.mu.Unlock()
	return nil
}

func (a *fakeApplier) set(f func(*Standing)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.st)
	close(a.changed)
	a.changed = make(chan struct{})
}

// bench is a Receiver whose feeder is the test.
type bench struct {
	t     *testing.T
	spool *fakeSpool
	app   *fakeApplier
	rec   *Receiver
	realm *streamtest.Realm
	base  deltafile.State
	wg    sync.WaitGroup
	ctx   context.Context
	stop  context.CancelFunc
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, realm: streamtest.NewRealm(realmName), base: deltafile.Initial(realmName, 7, time.Unix(1700000000, 0))}
	b.spool = &fakeSpool{path: filepath.Join(t.TempDir(), "spool"), last: b.base, durable: b.base, allow: make(chan struct{})}
	b.app = &fakeApplier{st: Standing{Applied: b.base}, changed: make(chan struct{}), spool: b.spool}
	b.rec = New(Options{Realm: realmName, Spool: b.spool, Applier: b.app, Log: zerolog.Nop(), Heartbeat: heartbeat})
	b.ctx, b.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { b.stop(); b.wg.Wait() })
	return b
}

// feeder is the test's end of a stream.
type feeder struct {
	b    *bench
	conn *stream.Conn
}

func (b *bench) connect() *feeder {
	b.t.Helper()
	near, far := b.realm.Pair(b.t, masterID, slaveID)
	b.wg.Go(func() { b.rec.Handle(b.ctx, far); _ = far.Close() })
	return &feeder{b: b, conn: near}
}

func (f *feeder) send(m wire.Message) {
	f.b.t.Helper()
	if err := f.conn.Send(m.Append(nil)); err != nil {
		f.b.t.Fatalf("send %v: %v", m.Kind(), err)
	}
}

// next returns the next message that is no heartbeat; nil at the end.
func (f *feeder) next() wire.Message {
	f.b.t.Helper()
	for {
		f.conn.SetPatience(time.Minute)
		raw, err := f.conn.Receive()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return nil
		}
		if err != nil {
			f.b.t.Fatal(err)
		}
		m, err := wire.Parse(bytes.Clone(raw))
		if err != nil {
			f.b.t.Fatal(err)
		}
		if m.Kind() != wire.KindHeartbeat {
			return m
		}
	}
}

// want takes the next message of a kind.
func want[M wire.Message](f *feeder) M {
	f.b.t.Helper()
	m := f.next()
	got, ok := m.(M)
	if !ok {
		f.b.t.Fatalf("got %+v, want a %T", m, got)
	}
	return got
}

func (f *feeder) hello() *wire.Hello {
	f.b.t.Helper()
	f.send(&wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: realmName})
	return want[*wire.Hello](f)
}

// some makes n changesets behind a state, as they travel.
func some(t *testing.T, after deltafile.State, n, size int) (raw []byte, last deltafile.State) {
	t.Helper()
	for range n {
		cs, err := deltafile.Encode(after, time.Unix(1700000000, 0), fmt.Appendf(nil, "princ\t%s;\n", bytes.Repeat([]byte("x"), size)))
		if err != nil {
			t.Fatal(err)
		}
		raw, after = append(raw, cs.Raw...), after.After(cs)
	}
	return raw, after
}

func TestHelloTellsWhereTheSlaveIs(t *testing.T) {
	b := newBench(t)
	_, at := some(t, b.base, 3, 10)
	b.spool.durable = at
	h := b.connect().hello()
	if h.Role != wire.Slave || h.Point.Serial != 3 || h.Point.Hash != at.Hash || h.Applied != 0 || h.WantSnapshot {
		t.Errorf("%+v", h)
	}
	b.app.set(func(st *Standing) { *st = Standing{Applied: b.base, WantSnapshot: true, Serial: 1, Reason: "bad"} })
	if h := b.connect().hello(); h.Point.Serial != 0 || !h.WantSnapshot || h.Reason != "bad" {
		t.Errorf("broken: %+v", h)
	}
	b.app.set(func(st *Standing) { *st = Standing{} })
	if h := b.connect().hello(); h.Point.Epoch != 0 || h.Applied != 0 {
		t.Errorf("empty: %+v", h)
	}
}

// What an earlier stream has left unsynced is told: after a sync, or at once if the database has it.
func TestHelloTellsWhatIsLeft(t *testing.T) {
	for _, applied := range []bool{false, true} {
		b := newBench(t)
		_, at := some(t, b.base, 3, 10)
		b.spool.last = at
		want := uint64(0)
		if applied {
			b.app.set(func(st *Standing) { st.Applied = at })
			want = 3
		} else {
			close(b.spool.allow)
		}
		h := b.connect().hello()
		if h.Point.Serial != 3 || h.Point.Hash != at.Hash || h.Applied != want || b.spool.Durable().Same(at) == applied {
			t.Errorf("applied %v: %+v, durable %v", applied, h, b.spool.Durable())
		}
	}
}

// What is committed to the database before its turn to be synced comes is acknowledged as both, and
// never synced.
func TestAppliedIsDurable(t *testing.T) {
	b := newBench(t)
	b.spool.err = errors.New("synced") // which ends the stream
	close(b.spool.allow)
	f := b.connect()
	f.hello()
	for at, base := uint64(2), b.base; at <= 6; at += 2 {
		raw, last := some(t, base, 2, 10)
		b.app.set(func(st *Standing) { st.Applied = last }) // the applier is faster than anybody
		f.send(&wire.Records{Last: at, Data: raw})
		if a := want[*wire.Ack](f); a.Spooled != at || a.Applied != at {
			t.Errorf("%+v", a)
		}
		quiet := time.NewTimer(2 * syncDelay)
		<-quiet.C
		base = last
	}
}

// S2: nothing is acknowledged before it is synced; what comes meanwhile shares the next sync.
func TestAckOnlyAfterSync(t *testing.T) {
	b := newBench(t)
	f := b.connect()
	f.hello()
	raw, at := some(t, b.base, 4, 10)
	f.send(&wire.Records{Last: 4, Data: raw[:len(raw)-20]})
	f.send(&wire.Records{Last: 4, Data: raw[len(raw)-20:]})
	quiet := time.NewTimer(30 * time.Millisecond)
	<-quiet.C
	b.app.set(func(st *Standing) { st.Applied = b.base }) // woken, and still nothing to tell
	b.spool.allow <- struct{}{}
	a := want[*wire.Ack](f)
	if a.Spooled > 4 || a.Spooled < 3 || a.Applied != 0 {
		t.Errorf("%+v", a)
	}
	close(b.spool.allow)
	if a.Spooled == 3 {
		a = want[*wire.Ack](f)
	}
	if a.Spooled != 4 {
		t.Errorf("%+v", a)
	}
	b.app.set(func(st *Standing) { st.Applied = at })
	if a := want[*wire.Ack](f); a.Spooled != 4 || a.Applied != 4 || a.Epoch != 7 {
		t.Errorf("%+v", a)
	}
	if fd := b.rec.Feeder(); fd == nil || fd.Principal != masterID || fd.Last != 4 {
		t.Errorf("%+v", fd)
	}
}

func TestLongChangesetInPieces(t *testing.T) {
	b := newBench(t)
	close(b.spool.allow)
	f := b.connect()
	f.hello()
	raw, _ := some(t, b.base, 2, 3*wire.MaxData)
	for piece := range slices.Chunk(raw, wire.MaxData) {
		f.send(&wire.Records{Last: 2, Data: piece})
	}
	for a := want[*wire.Ack](f); a.Spooled != 2; a = want[*wire.Ack](f) {
	}
}

func TestWhatTheFeederMayNotSend(t *testing.T) {
	raw, _ := some(t, deltafile.Initial(realmName, 7, time.Unix(1700000000, 0)), 2, 10)
	_, at := some(t, deltafile.Initial(realmName, 8, time.Unix(1700000000, 0)), 1, 10)
	other, _ := some(t, at, 1, 10)
	for _, tt := range []struct {
		name string
		m    wire.Message
		want wire.Reason
	}{
		{"records of another history", &wire.Records{Last: 2, Data: other}, wire.ReasonChain},
		{"noise", &wire.Records{Last: 1, Data: []byte("what\nend\tis this\n")}, wire.ReasonChain},
		{"a record left out", &wire.Records{Last: 2, Data: raw[len(raw)/2:]}, wire.ReasonChain},
		{"an ack", &wire.Ack{}, 0},
		{"a chunk", &wire.SnapshotChunk{Data: []byte("x")}, 0},
		{"a second hello", &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: realmName}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			f := b.connect()
			f.hello()
			f.send(tt.m)
			m := f.next()
			if e, ok := m.(*wire.Error); ok && e.Reason == tt.want {
				m = f.next()
			} else if tt.want != 0 {
				t.Errorf("told %+v", m)
			}
			if m != nil {
				t.Errorf("and then %+v", m)
			}
			if !b.spool.Last().Same(b.base) {
				t.Errorf("spool is at %v", b.spool.Last())
			}
		})
	}
}

func TestHelloRefused(t *testing.T) {
	good := wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: realmName}
	version, role, realm := good, good, good
	version.MinVersion, version.MaxVersion = 2, 9
	role.Role = wire.Slave
	realm.Realm = "OTHER.ORG"
	for reason, h := range map[wire.Reason]*wire.Hello{wire.ReasonVersion: &version, wire.ReasonRole: &role, wire.ReasonRealm: &realm} {
		f := newBench(t).connect()
		f.send(h)
		if e := want[*wire.Error](f); e.Reason != reason {
			t.Errorf("%v, want %v", e.Reason, reason)
		}
	}
}

// fullCopy is a frame of a state.
func fullCopy(t *testing.T, base deltafile.State, size int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := deltafile.NewFullWriter(&buf, base, 1, int64(size))
	if err == nil {
		_, err = w.Write(append(bytes.Repeat([]byte("x"), size-1), '\n'))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFullCopy(t *testing.T) {
	b := newBench(t)
	close(b.spool.allow)
	b.app.set(func(st *Standing) { *st = Standing{} })
	f := b.connect()
	f.hello()
	_, base := some(t, deltafile.Initial(realmName, 9, time.Unix(1700000000, 0)), 5, 10)
	raw := fullCopy(t, base, 3*wire.MaxData+9)
	f.send(&wire.SnapshotBegin{Base: wire.Point{Epoch: 9, Serial: 5, Hash: base.Hash}, Size: uint64(len(raw))})
	off := 0
	for piece := range slices.Chunk(raw, wire.MaxData) {
		f.send(&wire.SnapshotChunk{Offset: uint64(off), Data: piece})
		off += len(piece)
		f.send(&wire.Heartbeat{})
	}
	f.send(&wire.SnapshotEnd{Size: uint64(len(raw))})
	if e := want[*wire.SnapshotEnd](f); e.Size != uint64(len(raw)) {
		t.Errorf("%+v", e)
	}
	if a := want[*wire.Ack](f); a.Epoch != 9 || a.Spooled != 5 || a.Applied != 5 {
		t.Errorf("%+v", a)
	}
	if len(b.app.loaded) != 1 || !bytes.Equal(b.app.loaded[0], raw) {
		t.Error("what was loaded is not what was sent")
	}
	more, _ := some(t, base, 1, 10)
	f.send(&wire.Records{Last: 6, Data: more})
	if a := want[*wire.Ack](f); a.Spooled != 6 {
		t.Errorf("%+v", a)
	}
}

func TestFullCopyRefused(t *testing.T) {
	base := deltafile.Initial(realmName, 9, time.Unix(1700000000, 0))
	raw := fullCopy(t, base, 1000)
	damaged := bytes.Clone(raw)
	damaged[500] ^= 1
	begin := wire.SnapshotBegin{Base: wire.Point{Epoch: 9, Hash: base.Hash}, Size: uint64(len(raw))}
	other, long := begin, begin
	other.Base.Serial = 4
	long.Size += 10
	chunk := func(off int, b []byte) wire.Message { return &wire.SnapshotChunk{Offset: uint64(off), Data: b} }
	end := func(n int) wire.Message { return &wire.SnapshotEnd{Size: uint64(n)} }
	n := len(raw)
	for name, msgs := range map[string][]wire.Message{
		"damaged":           {&begin, chunk(0, damaged), end(n)},
		"another base":      {&other, chunk(0, raw), end(n)},
		"chunk left out":    {&begin, chunk(0, raw[:100]), chunk(200, raw[200:])},
		"chunk twice":       {&begin, chunk(0, raw[:100]), chunk(0, raw[:100])},
		"more than said":    {&begin, chunk(0, raw), chunk(n, []byte("x"))},
		"less than said":    {&begin, chunk(0, raw[:100]), end(n)},
		"end of another":    {&begin, chunk(0, raw), end(n + 1)},
		"octets behind end": {&long, chunk(0, raw), chunk(n, []byte("0123456789")), end(n + 10)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			f := b.connect()
			f.hello()
			for _, m := range msgs {
				f.send(m)
			}
			if e := want[*wire.Error](f); e.Reason != wire.ReasonSnapshot {
				t.Errorf("%+v", e)
			}
			if len(b.app.loaded) > 0 || !b.spool.Last().Same(b.base) {
				t.Error("and yet something was loaded")
			}
		})
	}
}

func TestRecordsInsteadOfTheCopy(t *testing.T) {
	b := newBench(t)
	b.app.set(func(st *Standing) { *st = Standing{} })
	f := b.connect()
	f.hello()
	raw, _ := some(t, b.base, 1, 10)
	f.send(&wire.Records{Last: 1, Data: raw})
	if e := want[*wire.Error](f); e.Reason != wire.ReasonChain {
		t.Errorf("%+v", e)
	}
}

func TestBreakdownIsTold(t *testing.T) {
	for reason, diverged := range map[wire.Reason]bool{wire.ReasonBroken: false, wire.ReasonDiverged: true} {
		b := newBench(t)
		f := b.connect()
		f.hello()
		b.app.set(func(st *Standing) { st.WantSnapshot, st.Serial, st.Reason, st.Diverged = true, 8, "bad", diverged })
		if e := want[*wire.Error](f); e.Reason != reason || e.Serial != 8 || e.Text != "bad" {
			t.Errorf("%+v", e)
		}
		if m := f.next(); m != nil {
			t.Errorf("and then %+v", m)
		}
	}
}

// TestSpoolLosesWhatItHad: a spool that was damaged or removed ends before what was acknowledged. The feeder would
// send only what comes next, so its stream ends.
func TestSpoolLosesWhatItHad(t *testing.T) {
	b := newBench(t)
	_, b.spool.last = some(t, b.base, 1, 10)
	b.spool.durable = b.spool.last
	f := b.connect()
	if h := f.hello(); h.Point.Serial != b.spool.last.Serial {
		t.Fatalf("%+v", h)
	}
	b.spool.mu.Lock()
	b.spool.last, b.spool.durable = b.base, b.base
	b.spool.mu.Unlock()
	b.app.set(func(*Standing) {})
	if e := want[*wire.Error](f); e.Reason != wire.ReasonInternal {
		t.Errorf("%+v", e)
	}
	if m := f.next(); m != nil {
		t.Errorf("and then %+v", m)
	}
}

func TestFailedSyncIsFatal(t *testing.T) {
	b := newBench(t)
	b.spool.err = errors.New("input/output error")
	close(b.spool.allow)
	f := b.connect()
	f.hello()
	raw, _ := some(t, b.base, 1, 10)
	f.send(&wire.Records{Last: 1, Data: raw})
	if e := want[*wire.Error](f); e.Reason != wire.ReasonInternal {
		t.Errorf("%+v", e)
	}
	select {
	case err := <-b.rec.Fatal():
		if !errors.Is(err, b.spool.err) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("krepd would go on")
	}
}

// That a new stream takes the place of the one that has run into it hides nothing.
func TestFailedSyncIsFatalInAnyCase(t *testing.T) {
	b := newBench(t)
	b.spool.err = errors.New("input/output error")
	b.spool.entered = make(chan struct{})
	old := b.connect()
	old.hello()
	raw, _ := some(t, b.base, 1, 10)
	old.send(&wire.Records{Last: 1, Data: raw})
	<-b.spool.entered
	b.connect()
	want[*wire.Error](old)
	close(b.spool.allow)
	select {
	case err := <-b.rec.Fatal():
		if !errors.Is(err, b.spool.err) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("krepd would go on")
	}
}

func TestFullSpoolIsNot(t *testing.T) {
	b := newBench(t)
	b.spool.full = errors.New("no space left on device")
	f := b.connect()
	f.hello()
	raw, _ := some(t, b.base, 1, 10)
	f.send(&wire.Records{Last: 1, Data: raw})
	if e := want[*wire.Error](f); e.Reason != wire.ReasonInternal || e.Text != "spool: no space left on device" {
		t.Errorf("%+v", e)
	}
	if m := f.next(); m != nil {
		t.Errorf("and then %+v", m)
	}
	select {
	case err := <-b.rec.Fatal():
		t.Error(err)
	default:
	}
}

func TestNewStreamTakesThePlace(t *testing.T) {
	b := newBench(t)
	var log bytes.Buffer
	b.rec.o.Log = zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.WarnLevel)
	old := b.connect()
	old.hello()
	fresh := b.connect()
	if m := want[*wire.Error](old); m.Reason != wire.ReasonDisplaced || !strings.HasPrefix(m.Text, fresh.conn.Local()+" at ") {
		t.Errorf("%v, %q", m.Reason, m.Text)
	}
	fresh.hello()
	b.stop()
	if m := want[*wire.Bye](fresh); m.Text != "krepd stops" {
		t.Errorf("%q", m.Text)
	}
	b.wg.Wait()
	if n := strings.Count(log.String(), "two masters"); n != 1 {
		t.Errorf("%d warnings of a second feeder, want 1: %s", n, log.String())
	}
}

// Heartbeats go out and come in, and a feeder of which nothing is heard is gone.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.connect()
		f.hello()
		f.send(&wire.Heartbeat{Epoch: 7, Serial: 3, HasDigest: true})
		f.send(&wire.Heartbeat{Epoch: 7, Serial: 4})
		start, beats := time.Now(), 0
		f.conn.SetPatience(time.Hour)
		for raw, err := f.conn.Receive(); err == nil; raw, err = f.conn.Receive() {
			beats++
			m, err := wire.Parse(raw)
			if h, ok := m.(*wire.Heartbeat); err != nil || !ok || !h.HasDigest || h.Digest != [32]byte{5} || h.Epoch != 7 {
				t.Errorf("%+v, %v", m, err)
			}
			if took := time.Since(start); took != time.Duration(beats)*heartbeat {
				t.Errorf("heartbeat %d after %v", beats, took)
			}
		}
		if took := time.Since(start); took < silentHeartbeats*heartbeat || took > (silentHeartbeats+1)*heartbeat {
			t.Errorf("silence was borne for %v", took)
		}
		b.app.mu.Lock()
		defer b.app.mu.Unlock()
		if len(b.app.expected) != 1 || b.app.expected[0] != 3 {
			t.Errorf("digests to compare: %v", b.app.expected)
		}
		b.stop()
		b.wg.Wait()
	})
}
