package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// network carries octets between machines: late, in pieces, or not at all.
type network struct {
	w *world

	mu        sync.Mutex
	listeners map[string]*listener
	conns     []*conn            // those that stand, one end each
	parted    map[[2]string]bool // pairs of machines that do not hear of each other
	held      []func()           // what arrives when they do again
	dials     int
}

func newNetwork(w *world) *network {
	return &network{w: w, listeners: map[string]*listener{}, parted: map[[2]string]bool{}}
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

func (n *network) apart(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parted[pair(a, b)]
}

// part separates two machines, or joins them again.
func (n *network) part(a, b string, yes bool) {
	n.mu.Lock()
	n.parted[pair(a, b)] = yes
	n.mu.Unlock()
	n.flush()
}

// flush sends again what could not arrive; each piece looks whether its own way is free.
func (n *network) flush() {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, f := range held {
		f()
	}
}

// addr is "machine:7754", or "machine:N" for the end that has dialled.
type addr string

func (a addr) Network() string { return "sim" }
func (a addr) String() string  { return string(a) }

func (a addr) host() string {
	h, _, _ := net.SplitHostPort(string(a))
	return h
}

type listener struct {
	n      *network
	p      *proc
	at     addr
	queue  chan *conn
	closed chan struct{}
	once   sync.Once
}

func (n *network) listen(p *proc, at string) (net.Listener, error) {
	if p.gone() {
		return nil, errKilled
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[at] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Addr: addr(at), Err: syscall.EADDRINUSE}
	}
	l := &listener{n: n, p: p, at: addr(at), queue: make(chan *conn, 64), closed: make(chan struct{})}
	n.listeners[at] = l
	p.atEnd(func() { _ = l.Close() })
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select { // first: with both ready, the one below would toss a coin
	case c := <-l.queue:
		return c, nil
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "sim", Addr: l.at, Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.listeners[string(l.at)] == l {
			delete(l.n.listeners, string(l.at))
		}
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.at }

// dial connects a process to an address.
func (n *network) dial(ctx context.Context, p *proc, to string) (net.Conn, error) {
	if p.gone() {
		return nil, errKilled
	}
	n.mu.Lock()
	n.dials++
	from := addr(net.JoinHostPort(p.host.name, itoa(30000+n.dials)))
	n.mu.Unlock()
	type result struct {
		c   *conn
		err error
	}
	got := make(chan result, 1)
	var try func()
	try = func() {
		switch {
		case n.apart(p.host.name, addr(to).host()) || n.w.machine(addr(to).host()).off: // no answer
			n.mu.Lock()
			n.held = append(n.held, try)
			n.mu.Unlock()
			return
		case ctx.Err() != nil || p.gone():
			got <- result{err: context.Canceled}
			return
		}
		n.mu.Lock()
		l := n.listeners[to]
		n.mu.Unlock()
		if l == nil || len(l.queue) == cap(l.queue) {
			got <- result{err: &net.OpError{Op: "dial", Net: "sim", Addr: addr(to), Err: syscall.ECONNREFUSED}}
			return
		}
		c := n.connect(p, from, l, n.w.plan.duplicate > unit(n.w.draw("duplicate "+p.id())))
		got <- result{c: c}
	}
	n.w.after(n.latency(p.host.name+" to "+addr(to).host()), "connect "+string(from)+" to "+to, try)
	select {
	case r := <-got:
		if r.err != nil {
			return nil, r.err
		}
		return r.c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.killed:
		return nil, errKilled
	}
}

func (n *network) latency(way string) time.Duration {
	x := n.w.draw("latency " + way)
	if !n.w.quiet && unit(mix(x)) < n.w.plan.spike {
		return between(x, time.Millisecond, 3*time.Second)
	}
	return between(x, n.w.plan.latency/4, n.w.plan.latency)
}

// connect makes both ends of a connection. twice: the other side accepts it twice, because a SYN
// came twice; both of its ends then hear what is said, and only the first can answer.
func (n *network) connect(p *proc, from addr, l *listener, twice bool) *conn {
	there, back := newPipe(n, from, l.at), newPipe(n, l.at, from)
	near := &conn{n: n, p: p, local: from, remote: l.at, in: back, out: there, closed: make(chan struct{})}
	far := &conn{n: n, p: l.p, local: l.at, remote: from, in: there, out: back, closed: make(chan struct{})}
	near.other, far.other = far, near
	there.to, back.to = far, near
	ends := []*conn{near, far}
	if twice {
		ghost := &conn{n: n, p: l.p, local: l.at, remote: from, closed: make(chan struct{}),
			in: newPipe(n, from, l.at), out: newPipe(n, l.at, from)}
		ghost.out.deaf = true
		ghost.in.to = ghost
		there.echo = ghost.in
		ends = append(ends, ghost)
		if n.w.draw("ghost")%2 == 0 {
			l.queue <- ghost
			l.queue <- far
		} else {
			l.queue <- far
			l.queue <- ghost
		}
	} else {
		l.queue <- far
	}
	n.mu.Lock()
	n.conns = append(n.conns, ends...)
	n.mu.Unlock()
	for _, c := range ends {
		c.p.atEnd(c.abandon)
	}
	return near
}

// pipe is one direction of a connection.
type pipe struct {
	n        *network
	from, at addr
	to       *conn // who reads

	mu     sync.Mutex
	buf    []byte // arrived, not read
	flight int    // on the way
	last   time.Duration
	end    error // arrived: io.EOF or a reset
	deaf   bool  // nothing arrives any more, and nobody knows
	echo   *pipe // hears all this too

	readable, writable chan struct{}
}

func newPipe(n *network, from, at addr) *pipe {
	return &pipe{n: n, from: from, at: at, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send puts octets on their way, as many as there is room for.
func (q *pipe) send(b []byte) int {
	q.mu.Lock()
	n := min(len(b), q.n.w.plan.buffer-len(q.buf)-q.flight)
	if n <= 0 {
		q.mu.Unlock()
		return 0
	}
	q.flight += n
	piece := slices.Clone(b[:n])
	wait := q.wait()
	q.mu.Unlock()
	if x := q.n.w.draw("flip " + q.way()); !q.n.w.quiet && unit(x) < q.n.w.plan.flip {
		piece[mix(x)%uint64(n)] ^= 1 << (x % 8)
	}
	q.n.w.after(wait, "octets "+q.way(), func() { q.arrive(piece, nil) })
	return n
}

// finish sends the end of the stream behind what is on its way.
func (q *pipe) finish(end error, wait bool) {
	var d time.Duration
	q.mu.Lock()
	if wait {
		d = q.wait()
	}
	q.mu.Unlock()
	q.n.w.after(d, "end "+q.way(), func() { q.arrive(nil, end) })
}

func (q *pipe) way() string { return string(q.from) + " to " + string(q.at) }

// wait is how long what is sent now takes: nothing overtakes. q.mu is held.
func (q *pipe) wait() time.Duration {
	at := max(q.last+1, q.n.w.now()+q.n.latency(q.from.host()+" to "+q.at.host()))
	q.last = at
	return at - q.n.w.now()
}

// arrive is what happens at the other end.
func (q *pipe) arrive(piece []byte, end error) {
	if q.n.apart(q.from.host(), q.at.host()) {
		q.n.mu.Lock()
		q.n.held = append(q.n.held, func() { q.arrive(piece, end) })
		q.n.mu.Unlock()
		return
	}
	if q.echo != nil {
		q.echo.arrive(piece, end)
	}
	q.n.w.note("arrived", piece)
	q.n.w.oracle.heard = true
	q.mu.Lock()
	if q.deaf || q.end != nil || q.to != nil && q.to.p.host.off {
		q.mu.Unlock()
		return
	}
	q.flight -= len(piece)
	q.buf = append(q.buf, piece...)
	q.end = end
	nobody := q.to != nil && q.to.isClosed()
	q.mu.Unlock()
	poke(q.readable)
	if end != nil && !errors.Is(end, io.EOF) {
		poke(q.writable)
	}
	if nobody && len(piece) > 0 && q.to.out != nil { // the machine answers that there is nobody
		q.to.out.finish(syscall.ECONNRESET, false)
	}
}

// conn is one end of a connection.
type conn struct {
	n             *network
	p             *proc
	local, remote addr
	in, out       *pipe
	other         *conn // nil: none, or not known

	mu         sync.Mutex
	rdl, wdl   time.Time
	once       sync.Once
	closed     chan struct{}
	closedFlag bool
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closedFlag
}

func (c *conn) deadline(write bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if write {
		return c.wdl
	}
	return c.rdl
}

// pause waits for one of the things that a blocked read or write waits for.
func (c *conn) pause(ready chan struct{}, write bool) {
	var late <-chan time.Time
	if dl := c.deadline(write); !dl.IsZero() {
		t := time.NewTimer(time.Until(dl))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ready:
	case <-late:
	case <-c.closed:
	}
}

func (c *conn) err(op string, err error) error {
	return &net.OpError{Op: op, Net: "sim", Source: c.local, Addr: c.remote, Err: err}
}

// state is what keeps a read or write from going on.
func (c *conn) state(op string, write bool) error {
	dl := c.deadline(write)
	switch {
	case c.isClosed():
		return c.err(op, net.ErrClosed)
	case !dl.IsZero() && !time.Now().Before(dl):
		return c.err(op, os.ErrDeadlineExceeded)
	}
	return nil
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		if err := c.state("read", false); err != nil {
			return 0, err
		}
		c.in.mu.Lock()
		n := copy(b, c.in.buf)
		c.in.buf = c.in.buf[n:]
		end := c.in.end
		c.in.mu.Unlock()
		switch {
		case n > 0:
			poke(c.in.writable)
			return n, nil
		case errors.Is(end, io.EOF):
			return 0, io.EOF
		case end != nil:
			return 0, c.err("read", end)
		}
		c.pause(c.in.readable, false)
	}
}

func (c *conn) Write(b []byte) (int, error) {
	done := 0
	for {
		if err := c.state("write", true); err != nil {
			return done, err
		}
		c.in.mu.Lock()
		end := c.in.end
		c.in.mu.Unlock()
		if end != nil && !errors.Is(end, io.EOF) {
			return done, c.err("write", end)
		}
		n := c.out.send(b[done:])
		if done += n; done == len(b) {
			return done, nil
		}
		if n == 0 {
			c.pause(c.out.writable, true)
		}
	}
}

// Close ends the connection in order: the other side reads what was sent, then its end.
func (c *conn) Close() error {
	c.shut(io.EOF)
	return nil
}

func (c *conn) shut(end error) {
	c.once.Do(func() {
		c.mu.Lock()
		c.closedFlag = true
		c.mu.Unlock()
		close(c.closed)
		if end != nil {
			c.out.finish(end, true)
		}
		c.n.forget(c)
	})
}

// abandon is what becomes of a connection whose process has gone: its machine tells the other
// side, unless that is gone too.
func (c *conn) abandon() {
	if c.p.host.off {
		c.shut(nil)
		return
	}
	c.shut(syscall.ECONNRESET)
}

func (n *network) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = slices.DeleteFunc(n.conns, func(o *conn) bool { return o == c })
}

// cut breaks a connection: one side or both learn of it at once, or neither does.
func (n *network) cut(x uint64) {
	n.mu.Lock()
	if len(n.conns) == 0 {
		n.mu.Unlock()
		return
	}
	c := n.conns[x%uint64(len(n.conns))]
	n.mu.Unlock()
	n.w.stats.cuts++
	how := mix(x) % 4
	if how != 0 {
		c.in.arrive(nil, syscall.ECONNRESET)
	}
	if how != 1 && c.other != nil {
		c.other.in.arrive(nil, syscall.ECONNRESET)
	}
	for _, q := range []*pipe{c.in, c.out} {
		q.mu.Lock()
		q.deaf = true
		q.mu.Unlock()
	}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.setDeadlines(&t, &t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.setDeadlines(&t, nil)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.setDeadlines(nil, &t)
	return nil
}

func (c *conn) setDeadlines(r, w *time.Time) {
	c.mu.Lock()
	if r != nil {
		c.rdl = *r
	}
	if w != nil {
		c.wdl = *w
	}
	c.mu.Unlock()
	poke(c.in.readable)
	poke(c.out.writable)
}
