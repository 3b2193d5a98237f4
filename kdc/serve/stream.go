package serve

import (
	"bytes"
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"krealm/internal/krbmsg"
)

// conns are the open streams. When there are too many, the one that has been waiting longest
// for its peer to send a message is closed; those whose message is being answered are left.
type conns struct {
	mu      sync.Mutex
	max     int
	waiting list.List // of *stream, the longest waiting first
	open    map[*stream]bool
	closed  bool

	buffered atomic.Int64 // octets of unfinished messages
}

// stream is one connection.
type stream struct {
	net.Conn
	from netip.Addr
	slot *list.Element // in waiting, or nil
}

// add takes in a connection, at the cost of another if there are too many. It is false when the
// server is closing or all others are being answered.
func (c *conns) add(s *stream) (evicted *stream, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	if len(c.open) >= c.max {
		front := c.waiting.Front()
		if front == nil {
			return nil, false
		}
		evicted = front.Value.(*stream)
		c.forget(evicted)
	}
	if c.open == nil {
		c.open = make(map[*stream]bool)
	}
	c.open[s] = true
	s.slot = c.waiting.PushBack(s)
	return evicted, true
}

// forget takes a stream out; the caller holds the lock.
func (c *conns) forget(s *stream) {
	if s.slot != nil {
		c.waiting.Remove(s.slot)
		s.slot = nil
	}
	delete(c.open, s)
}

func (c *conns) remove(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(s)
}

// busy and idle move a stream out of the line of those waiting, and to its end. busy is false
// if the stream was evicted.
func (c *conns) busy(s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open[s] {
		return false
	}
	if s.slot != nil {
		c.waiting.Remove(s.slot)
		s.slot = nil
	}
	return true
}

func (c *conns) idle(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[s] && s.slot == nil {
		s.slot = c.waiting.PushBack(s)
	}
}

// closeAll ends all streams and lets no more in.
func (c *conns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for s := range c.open {
		_ = s.Close()
	}
}

// accept takes connections until the listener is closed. Each is served by a goroutine that
// spawn starts.
func (s *Server) accept(ctx context.Context, l net.Listener, spawn func(func() error)) error {
	failed := 0
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			if failed++; failed == maxReadErrors {
				return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
			}
			// Out of descriptors, mostly: wait for some to be closed.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		failed = 0
		st := &stream{Conn: nc}
		if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
			st.from = a.AddrPort().Addr()
		}
		evicted, ok := s.conns.add(st)
		if evicted != nil {
			s.tooMany("dropping the one from " + address(evicted.from))
			_ = evicted.Close()
		}
		if !ok {
			s.tooMany("refusing one from " + address(st.from))
			_ = nc.Close()
			continue
		}
		spawn(func() error { s.serveStream(st); return nil })
	}
}

// tooMany tells which connection had to go.
func (s *Server) tooMany(which string) {
	s.d.limit.evicted.line(s.o.Log, s.d.clock(), func() { s.o.Log.Line(LevelInfo, "too many connections; "+which) })
}

// serveStream answers the messages of one connection until its time is up, its peer ends it
// or sends something that is no request.
func (s *Server) serveStream(st *stream) {
	defer func() {
		s.conns.remove(st)
		_ = st.Close()
	}()
	end := time.Now().Add(s.o.ConnTimeout)
	for {
		frame := time.Now().Add(s.o.FrameTimeout)
		if frame.After(end) {
			frame = end
		}
		if st.SetDeadline(frame) != nil {
			return
		}
		msg, err := s.readMessage(st)
		if err != nil {
			if errors.Is(err, errTooLong) {
				s.d.limit.damaged.line(s.o.Log, s.d.clock(), func() {
					s.o.Log.Line(LevelInfo, "TCP client "+address(st.from)+": "+err.Error())
				})
				_ = writeMessage(st, s.d.plainError(krbmsg.ErrFieldTooLong))
			}
			return
		}
		if !s.conns.busy(st) {
			return
		}
		reply := s.d.answer(msg, st.from, viaTCP)
		s.conns.buffered.Add(-int64(cap(msg)))
		if reply == nil || st.SetWriteDeadline(time.Now().Add(s.o.FrameTimeout)) != nil || writeMessage(st, reply) != nil {
			return
		}
		s.conns.idle(st)
	}
}

var (
	errTooLong = errors.New("message too long")
	errNoRoom  = errors.New("too much buffered over all connections")
	errEmpty   = errors.New("empty message")
)

// readMessage reads a length and that many octets, as conns.read does.
func (s *Server) readMessage(st *stream) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(st, head[:]); err != nil {
		return nil, err
	}
	want := int64(binary.BigEndian.Uint32(head[:]))
	switch {
	case want > maxMessage:
		return nil, fmt.Errorf("%w: wants %d bytes, cap is %d", errTooLong, want, maxMessage)
	case want == 0:
		return nil, errEmpty
	}
	return s.conns.read(st, want)
}

// read reads want octets. The buffer grows with what arrives; its capacity is accounted for until
// the caller gives it back, unless there is an error.
func (c *conns) read(r io.Reader, want int64) (msg []byte, err error) {
	var buf bytes.Buffer
	held := int64(0)
	defer func() {
		if err != nil {
			c.buffered.Add(-held)
		}
	}()
	for int64(buf.Len()) < want {
		if _, err := io.CopyN(&buf, r, min(want-int64(buf.Len()), 32<<10)); err != nil {
			return nil, err
		}
		grown := int64(buf.Cap()) - held
		held += grown
		if c.buffered.Add(grown) > maxBuffered {
			return nil, errNoRoom
		}
	}
	return buf.Bytes()[:want:buf.Cap()], nil
}

func writeMessage(w io.Writer, msg []byte) error {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(msg)), uint32(len(msg)))
	_, err := w.Write(append(out, msg...))
	return err
}
