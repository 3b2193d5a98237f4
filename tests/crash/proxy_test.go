package crash

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between krep and one krepd and does to their connections what networks do.
type proxy struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup
	piece  func() int // how many octets, at most, are passed on at once

	mu     sync.Mutex // guards what follows
	closed bool
	refuse bool
	delay  time.Duration
	held   [2]chan struct{} // by direction; not nil while held, closed when let go
	pairs  map[*pair]bool
	passed [2]int64
}

// direction of what is passed on.
const (
	up   = 0 // from who dialled
	down = 1
)

// pair is a connection through the proxy: from who dialled, and on to the target.
type pair struct{ client, server *net.TCPConn }

func (c *pair) close() { _, _ = c.client.Close(), c.server.Close() }

func newProxy(target string, piece func() int) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, target: target, piece: piece, pairs: map[*pair]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

// close ends everything and waits for it.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.ln.Close()
	p.heal()
	p.cut(false)
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		client := nc.(*net.TCPConn)
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			_, _ = client.SetLinger(0), client.Close()
			continue
		}
		p.wg.Go(func() { p.join(client) })
	}
}

// join dials the target and passes on until one side ends.
func (p *proxy) join(client *net.TCPConn) {
	nc, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_, _ = client.SetLinger(0), client.Close()
		return
	}
	c := &pair{client, nc.(*net.TCPConn)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.close()
		return
	}
	p.pairs[c] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, c.server, c.client, up) })
	p.pass(c, c.client, c.server, down)
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pass copies in one direction, piece by piece, so that cuts fall into the middle of frames.
func (p *proxy) pass(c *pair, to, from *net.TCPConn, dir int) {
	defer func() { // that one side has gone is not heard of either while the direction is held
		p.mu.Lock()
		held := p.held[dir]
		p.mu.Unlock()
		if held != nil {
			<-held
		}
		c.close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf[:p.piece()])
		if err != nil {
			return
		}
		p.mu.Lock()
		held, delay := p.held[dir], p.delay
		p.mu.Unlock()
		if delay > 0 {
			<-time.After(delay)
		}
		if held != nil {
			<-held
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		p.mu.Lock()
		p.passed[dir] += int64(n)
		p.mu.Unlock()
	}
}

// hold stops one direction; what is on its way waits.
func (p *proxy) hold(dir int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[dir] == nil {
		p.held[dir] = make(chan struct{})
	}
}

func (p *proxy) setDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *proxy) setRefuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// cut closes all connections, with RST on both sides if reset.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if reset {
			_, _ = c.client.SetLinger(0), c.server.SetLinger(0)
		}
		c.close()
	}
}

// lose takes the connections away from the target alone: it is told by RST, who dialled hears
// nothing more until the network is healed.
func (p *proxy) lose() {
	p.hold(up)
	p.hold(down)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		_, _ = c.server.SetLinger(0), c.server.Close()
	}
}

// heal ends delays, stalls and refusals.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.refuse = 0, false
	for dir, c := range p.held {
		if c != nil {
			close(c)
			p.held[dir] = nil
		}
	}
}

// TestProxy: what the other tests rely on.
func TestProxy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // an echo
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	p, err := newProxy(ln.Addr().String(), func() int { return 3 })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.close(); _ = ln.Close(); wg.Wait() }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	echoes := func(c net.Conn, within time.Duration) bool {
		_ = c.SetDeadline(time.Now().Add(within))
		if _, err := c.Write([]byte("hello, world")); err != nil {
			return false
		}
		_, err := io.ReadFull(c, make([]byte, 12))
		return err == nil
	}
	const soon, patience = 50 * time.Millisecond, 10 * time.Second
	c := dial()
	if !echoes(c, patience) {
		t.Error("nothing comes through")
	}
	p.hold(down)
	if echoes(c, soon) {
		t.Error("a held direction passes")
	}
	p.heal()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, 12)); err != nil {
		t.Errorf("what was held is lost: %v", err)
	}
	p.cut(true)
	if echoes(c, patience) {
		t.Error("a cut connection passes")
	}
	p.setRefuse(true)
	if c, err := net.Dial("tcp", p.addr()); err == nil { // it may be reset already
		if echoes(c, patience) {
			t.Error("a refused connection passes")
		}
		_ = c.Close()
	}
	p.heal()
	c = dial()
	if !echoes(c, patience) {
		t.Error("nothing comes through after healing")
	}
	p.lose()
	if echoes(c, soon) {
		t.Error("a lost connection passes")
	}
}
