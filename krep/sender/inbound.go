package sender

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"krealm/internal/repeats"
	"krealm/internal/stream"
	"krealm/internal/wire"
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
// of the same slave that is still being served ends: the slave knows better which one works. A slave
// that is not to be fed now waits for callerWait, in which that may end, and is then told so.
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
	r.ringUp()
	if in.over(ctx, callerWait) {
		return nil
	}
	if r.withdraw(in) {
		if ctx.Err() == nil {
			r.sendAway(c)
		}
		return nil
	}
	if ctx.Err() != nil || !in.over(ctx, math.MaxInt64) {
		in.over(context.Background(), 2*goodbyeTimeout) // whoever feeds it says goodbye
	}
	return nil
}

// over waits until the stream has ended, for some time or until ctx ends; false: it has not.
func (c *caller) over(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// ringUp tells that there may be a caller.
func (s *Sender) ringUp() {
	select {
	case s.ring <- struct{}{}:
	default:
	}
}

// withdraw takes a caller back that nobody has come round to; false: somebody has, or a newer one has
// taken its place.
func (s *Sender) withdraw(in *caller) bool {
	select {
	case got := <-s.callers:
		if got == in {
			return true
		}
		select {
		case s.callers <- got:
			s.ringUp()
		default: // and yet a newer one
			close(got.done)
		}
	default:
	}
	return false
}

// sendAway tells a slave why it is not fed now, and logs that when it begins and every hour.
func (s *Sender) sendAway(c *stream.Conn) {
	why := "busy"
	if _, _, ok := s.o.Feed.View(); !ok {
		why = "there is no delta file yet"
	} else if s.isPaused() {
		why = "paused"
	}
	c.Farewell((&wire.Bye{Text: why}).Append(nil), goodbyeTimeout)
	s.mu.Lock()
	tell := s.away.Again(repeats.Calm, why, time.Now())
	times := s.away.Times()
	s.mu.Unlock()
	if tell {
		s.log.Info().Str("reason", why).Str("peer", c.RemoteAddr()).Int("times", times).
			Msg("slave connects and is not fed: told again in an hour if that goes on")
	}
}

// welcome logs that a slave which has connected is now fed.
func (s *Sender) welcome(in *caller) {
	log := s.attemptLog()
	s.mu.Lock()
	times, _, tell := s.away.Over(repeats.Calm)
	s.mu.Unlock()
	if tell {
		log = s.log
	}
	log.Info().Str("peer", in.conn.RemoteAddr()).Int("sent_away_before", times).Msg("slave has connected")
}

// called tells, after a ring, whether there is a caller, or has been answered already.
func (s *Sender) called() bool { return len(s.callers) > 0 }

// await waits for the slave to connect.
func (s *Sender) await(ctx context.Context) (*caller, error) {
	for {
		select {
		case in := <-s.callers:
			s.welcome(in)
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
