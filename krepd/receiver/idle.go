package receiver

import (
	"context"
	"errors"
	"net"
	"time"
)

// idleAgain is the time between two lines about a feeder that connects and does not feed.
const idleAgain = time.Hour

// idle is how often a feeder has connected, or was connected to, and not said hello, for the same
// reason: it has paused this slave, say.
type idle struct {
	why   string
	times int
	told  time.Time // when it was logged
}

// notFed logs the end of a stream whose feeder has not said hello, when that begins and every hour.
func (r *Receiver) notFed(ctx context.Context, s *session, err error) {
	if ctx.Err() != nil {
		s.log.Info().AnErr("reason", err).Msg("feeder gone before its hello")
		return
	}
	why := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		why = op.Err.Error() // without the port, which is another one each time
	}
	r.mu.Lock()
	i := r.idle[s.feeder.Principal]
	if i.why != why {
		i = idle{why: why}
	}
	i.times++
	tell := time.Since(i.told) >= idleAgain
	if tell {
		i.told = time.Now()
	}
	r.idle[s.feeder.Principal] = i
	r.mu.Unlock()
	if !tell {
		return
	}
	e := s.log.Warn()
	if errors.Is(err, errBye) {
		e = s.log.Info()
	}
	e.Err(err).Int("times", i.times).Msg("feeder does not feed this slave: told again in an hour if that goes on")
}

// welcome notes that the feeder has said hello.
func (s *session) welcome() {
	s.r.mu.Lock()
	before := s.r.idle[s.feeder.Principal].times
	delete(s.r.idle, s.feeder.Principal)
	s.greeted = true
	s.r.mu.Unlock()
	s.log.Info().Int("not_fed_before", before).Msg("feeder connected")
}
