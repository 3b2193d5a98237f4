package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

const (
	realmName = "EXAMPLE.ORG"
	masterID  = "krep/kdc1.example.org@EXAMPLE.ORG"
	slaveID   = "krep/kdc2.example.org@EXAMPLE.ORG"
)

// fakeFeed is a delta file in memory.
type fakeFeed struct {
	mu      sync.Mutex
	base    deltafile.State
	css     []*deltafile.Changeset
	changed chan struct{}
	acked   int
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{base: deltafile.Initial(realmName, 0x5f0c1d2e3a4b5c6d, time.Unix(1700000000, 0)), changed: make(chan struct{})}
}

func (f *fakeFeed) last() deltafile.State {
	if n := len(f.css); n > 0 {
		return f.base.After(f.css[n-1])
	}
	return f.base
}

// add appends n changesets of about the given size.
func (f *fakeFeed) add(n, size int) deltafile.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		line := fmt.Sprintf("princ\t%s;\n", bytes.Repeat([]byte("x"), size))
		cs, err := deltafile.Encode(f.last(), time.Unix(1700000000, 0), []byte(line))
		if err != nil {
			panic(err)
		}
		f.css = append(f.css, cs)
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return f.last()
}

func (f *fakeFeed) View() (base, last deltafile.State, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base, f.last(), true
}

func (f *fakeFeed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeFeed) Acked() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked++
}

func (f *fakeFeed) Cursor(at deltafile.State) Cursor { return &fakeCursor{f, at} }

type fakeCursor struct {
	f  *fakeFeed
	at deltafile.State
}

func (c *fakeCursor) Next(_ context.Context, limit int64) (out []*deltafile.Changeset, err error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.at.Epoch != c.f.base.Epoch {
		return nil, &deltafile.EpochError{State: c.f.base}
	}
	var size int64
	for _, cs := range c.f.css {
		if cs.Serial > c.at.Serial && (size == 0 || size+int64(len(cs.Raw)) <= limit) {
			size += int64(len(cs.Raw))
			out = append(out, cs)
			c.at = c.at.After(cs)
		}
	}
	return out, nil
}

func (c *fakeCursor) Close() {}

// fakeSource makes copies of the feed's last state; take is how long that takes.
type fakeSource struct {
	f    *fakeFeed
	take time.Duration
	err  error
	size int
	// late: the copy is just ready when its time is over.
	late bool
	open atomic.Int64 // copies that are not closed
}

func (s *fakeSource) Copy(ctx context.Context) (Copy, error) {
	_, last, _ := s.f.View()
	select {
	case <-time.After(s.take):
	case <-ctx.Done():
		if !s.late {
			return nil, ctx.Err()
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	s.open.Add(1)
	return &fakeCopy{bytes.NewReader(bytes.Repeat([]byte{7}, max(s.size, 1))), last, s}, nil
}

func (s *fakeSource) Digest(context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	_, last, _ := s.f.View()
	return last, [32]byte{9}, true
}

type fakeCopy struct {
	*bytes.Reader
	state deltafile.State
	of    *fakeSource
}

func (c *fakeCopy) State() deltafile.State { return c.state }
func (c *fakeCopy) Size() int64            { return c.Reader.Size() }
func (c *fakeCopy) Close() error           { c.of.open.Add(-1); return nil }

// logged is what senders have written to their log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// bench is a Set with one slave, whose every connection goes to serve.
type bench struct {
	t     *testing.T
	feed  *fakeFeed
	src   *fakeSource
	realm *streamtest.Realm
	set   *Set
	log   *logged

	mu    sync.Mutex
	dials []time.Duration // since the start
	start time.Time
	// serve is the slave's end of each connection; nil refuses.
	serve func(*end)
	stop  func()
	wg    sync.WaitGroup
}

// newBench makes a bench; edit may change the options. It is used inside a synctest bubble.
func newBench(t *testing.T, serve func(*end), edit func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, feed: newFakeFeed(), realm: streamtest.NewRealm(realmName), log: new(logged), start: time.Now(), serve: serve}
	b.src = &fakeSource{f: b.feed}
	o := Options{Realm: realmName, Feed: b.feed, Source: b.src, Dial: b.dial, Auth: b.auth,
		Jitter: func() float64 { return 0 }, Log: zerolog.New(b.log)}
	if edit != nil {
		edit(&o)
	}
	b.set = NewSet(o)
	b.set.Update([]slavelist.Slave{{Host: "kdc2.example.org", Port: 7754, Principal: slaveID}})
	return b
}

// run starts the senders.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.wg.Go(func() { b.set.Run(ctx) })
	b.stop = sync.OnceFunc(func() { cancel(); b.wg.Wait() })
}

func (b *bench) dial(context.Context, string) (net.Conn, error) {
	b.mu.Lock()
	b.dials = append(b.dials, time.Since(b.start))
	b.mu.Unlock()
	if b.serve == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	b.wg.Go(func() {
		defer func() { _ = far.Close() }()
		c, err := b.realm.Acceptor(slaveID, masterID).Accept(b.t.Context(), far)
		if err != nil {
			return
		}
		b.serve(&end{b: b, conn: c})
	})
	return near, nil
}

func (b *bench) auth(ctx context.Context, nc net.Conn, principal string) (*stream.Conn, error) {
	return stream.Initiate(ctx, nc, b.realm.Credentials(masterID, principal))
}

// safely changes what a test and its slaves share; the slaves of two connections may overlap.
func (b *bench) safely(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bench) status() Status { return b.set.Status()[0] }

func (b *bench) dialled() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Duration(nil), b.dials...)
}

// end is a slave as a test plays it.
type end struct {
	b    *bench
	conn *stream.Conn
	got  []byte // of all records
}

func (e *end) send(m wire.Message) { _ = e.conn.Send(m.Append(nil)) }

// next returns the next message that is no heartbeat, nil at the end.
func (e *end) next() wire.Message {
	for {
		m := e.any()
		if h, ok := m.(*wire.Heartbeat); !ok || h == nil {
			return m
		}
	}
}

func (e *end) any() wire.Message {
	b, err := e.conn.Receive()
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			e.b.t.Logf("slave: %v", err)
		}
		return nil
	}
	m, err := wire.Parse(bytes.Clone(b))
	if err != nil {
		e.b.t.Errorf("slave: %v", err)
		return nil
	}
	return m
}

// hello takes krep's hello and answers with a point.
func (e *end) hello(at deltafile.State) {
	if h, ok := e.next().(*wire.Hello); !ok || h.Role != wire.Feeder || h.Realm != realmName {
		e.b.t.Errorf("krep's hello is %+v", h)
	}
	e.send(&wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Slave, Realm: realmName, Point: point(at), Applied: at.Serial})
}

func (e *end) ack(at deltafile.State) {
	e.send(&wire.Ack{Epoch: uint64(at.Epoch), Spooled: at.Serial, Applied: at.Serial})
}
