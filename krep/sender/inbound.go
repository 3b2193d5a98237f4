package sender

import (
	"context"
	"errors"
	"fmt"

	"krealm/internal/stream"
)

// ErrNotListed means a stream from a principal that no slave of the list has that connects to us.
var ErrNotListed = errors.New("no slave of the list connects with this principal")

// caller is a stream that a slave has opened.
type caller struct {
	conn *stream.Conn
	done chan struct{} // closed when the stream has ended
}

// Expects tells whether a slave of the list connects to us with this principal: it is the allow
// list for streams that slaves open.
func (t *Set) Expects(principal string) bool {
	_, err := t.expecting(principal)
	return err == nil
}

func (t *Set) expecting(principal string) (*running, error) {
	for _, r := range t.senders() {
		if r.entry.Connects && r.entry.Principal == principal {
			return r, nil
		}
	}
	return nil, ErrNotListed
}

// Take feeds a slave over a stream that it has opened, until the stream ends or ctx does. A stream
// of the same slave that is still being served ends: the slave knows better which one works.
func (t *Set) Take(ctx context.Context, c *stream.Conn) error {
	r, err := t.expecting(c.Peer())
	if err != nil {
		return err
	}
	in := &caller{conn: c, done: make(chan struct{})}
	for taken := false; !taken; {
		select {
		case r.callers <- in:
			taken = true
		case old := <-r.callers: // one that nobody has come round to
			close(old.done)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case r.ring <- struct{}{}:
	default:
	}
	select {
	case <-in.done:
	case <-ctx.Done():
	}
	return nil
}

// called tells, after a ring, whether there is a caller, or has been answered already.
func (s *Sender) called() bool { return len(s.callers) > 0 }

// await waits for the slave to connect.
func (s *Sender) await(ctx context.Context) (*caller, error) {
	for {
		select {
		case in := <-s.callers:
			return in, nil
		case <-s.again:
			if s.isPaused() {
				return nil, fmt.Errorf("%w: paused", errEnd)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Sender) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}
