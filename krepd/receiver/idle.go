package receiver

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/repeats"
)

const (
	quickStream = 5 * time.Second // an end in order that comes sooner is counted as trouble
	goodStream  = time.Minute     // a stream that lasts as long ends what was wrong before
)

// troubles are what goes wrong again and again with one feeder, guarded by Receiver.mu.
type troubles struct {
	idle    repeats.Spell   // it has connected, or was connected to, and not said hello: it has paused this slave, say
	streams repeats.Spell   // that were lost
	rivals  repeats.Spell   // whose place it has taken
	copies  repeats.Efforts // full copies that have begun
}

// of returns the troubles with a feeder: one of those that are allowed. r.mu is held.
func (r *Receiver) of(principal string) *troubles {
	t := r.troubles[principal]
	if t == nil {
		t = new(troubles)
		r.troubles[principal] = t
	}
	return t
}

// notFed logs the end of a stream whose feeder has not said hello, when that begins and every hour.
func (r *Receiver) notFed(ctx context.Context, s *session, err error) {
	if ctx.Err() != nil {
		s.log.Info().AnErr("reason", err).Msg("feeder gone before its hello")
		return
	}
	r.mu.Lock()
	t := r.of(s.feeder.Principal)
	tell, times := t.idle.Again(repeats.Calm, repeats.Kind(err), time.Now()), t.idle.Times()
	r.mu.Unlock()
	if !tell {
		return
	}
	e := s.log.Warn()
	if errors.Is(err, errBye) {
		e = s.log.Info()
	}
	e.Err(err).Int("times", times).Msg("feeder does not feed this slave: told again in an hour if that goes on")
}

// replaces logs that the stream takes the place of another that has not ended.
func (s *session) replaces(before *session) {
	s.r.mu.Lock()
	t := s.r.of(s.feeder.Principal)
	tell, times := t.rivals.Again(repeats.Trouble, before.feeder.Principal, time.Now()), t.rivals.Times()
	s.r.mu.Unlock()
	if tell {
		s.log.Warn().Str("replaced", before.conn.Peer()).Str("replaced_peer", before.conn.RemoteAddr()).Int("times", times).
			Msg("a new stream takes the place of one that had not ended: if this goes on, two masters feed this slave")
	}
}

// welcome notes that the feeder has said hello. What comes of a stream after many that were lost is
// not told, but for errors, where its loss would not be.
func (s *session) welcome() {
	s.r.mu.Lock()
	t := s.r.of(s.feeder.Principal)
	before, _, tell := t.idle.Over(repeats.Calm)
	if !tell && t.streams.Quiet(repeats.Trouble, time.Now()) {
		s.log = s.log.Level(zerolog.ErrorLevel)
	}
	s.greeted = true
	s.r.mu.Unlock()
	s.log.Info().Int("not_fed_before", before).Msg("feeder connected")
}

// tellCopy lets a full copy be told of, which may take hours, also in a stream that comes after many that were lost.
func (s *session) tellCopy() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.of(s.feeder.Principal).copies.Again("", time.Now()) {
		s.log = s.loud
	}
}

// copied notes that a full copy was loaded. r.mu is held.
func (s *session) copied() { s.r.of(s.feeder.Principal).copies.Done() }

// gone logs the end of a stream that was fed. Trouble, and what ends in order soon, is told as
// repeats.Trouble has it.
func (s *session) gone(err error, inOrder bool) {
	s.r.mu.Lock()
	t := s.r.of(s.feeder.Principal)
	tell, times := true, 0
	if !inOrder || time.Since(s.feeder.Since) < quickStream {
		tell, times = t.streams.Again(repeats.Trouble, repeats.Kind(err), time.Now()), t.streams.Times()
	}
	s.r.mu.Unlock()
	switch {
	case !tell:
	case inOrder:
		s.loud.Info().Str("reason", err.Error()).Int("times", times).Msg("feeder gone")
	default:
		s.loud.Warn().Err(err).Int("times", times).Msg("feeder gone")
	}
}

// recovered ends the trouble with the feeder when its stream has lasted for goodStream, and says so if not all
// of it was told.
func (s *session) recovered() {
	if time.Since(s.feeder.Since) < goodStream {
		return
	}
	s.r.mu.Lock()
	times, since, tell := s.r.of(s.feeder.Principal).streams.Over(repeats.Trouble)
	s.r.mu.Unlock()
	if tell {
		s.loud.Info().Int("times", times).Time("since", since).Msg("feeder feeds again")
	}
}
