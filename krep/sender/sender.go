package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/repeats"
	"krealm/internal/stream"
	"krealm/internal/wire"
	"krealm/krep/slave"
	"krealm/krep/slavelist"
)

// errEnd is the end of a stream that nothing is wrong with: the slave said goodbye, the ticket
// ends, the slave is to be rebuilt. The next one is begun without waiting.
var errEnd = errors.New("stream ended in order")

// errUnlisted is why a Sender is told to stop while krep goes on.
var errUnlisted = errors.New("no longer on the slave list")

// errCalled is the end of one that the slave has replaced by another.
var errCalled = fmt.Errorf("%w: the slave has called again", errEnd)

// errDisplaced is the end of a stream whose place another has taken.
var errDisplaced = errors.New("another krep feeds this slave")

// Sender feeds one slave.
type Sender struct {
	o      *Options
	entry  slavelist.Slave
	listed time.Time
	copies chan struct{} // a place for each full copy at a time
	log    zerolog.Logger
	again  chan struct{} // cuts a wait or a stream short

	callers chan *caller  // a stream that the slave has opened
	ring    chan struct{} // there may be a new one

	ask       chan *question // to be put to the slave
	questions atomic.Uint64  // put so far

	mu     sync.Mutex
	p      slave.Progress
	since  time.Time // of the present state
	fed    time.Time // when Streaming began last: hellos agreed, or full copy loaded
	loaded time.Time // when it had loaded a full copy last
	paused bool
	peer   string     // address of the present stream
	digest [32]byte   // last that the slave reported
	dstate wire.Point // and where: epoch and serial
	lastRx time.Time
	rival  rival

	trouble repeats.Spell   // streams that were lost, or not had
	full    repeats.Efforts // full copies that were due at the hellos
	away    repeats.Spell   // a slave that has connected and was not to be fed
}

func newSender(o *Options, entry slavelist.Slave, copies chan struct{}) *Sender {
	now := time.Now()
	s := &Sender{o: o, paused: o.Paused != nil && o.Paused(entry.Name()), entry: entry, copies: copies, listed: now, since: now, again: make(chan struct{}, 1),
		callers: make(chan *caller, 1), ring: make(chan struct{}, 1), ask: make(chan *question),
		log: o.Log.With().Str("slave", entry.Name()).Logger()}
	if o.Wanted != nil && o.Wanted(entry.Name()) {
		s.p.OnResync(byAdministrator)
	}
	return s
}

// byAdministrator is why a slave gets a full copy that was asked for.
const byAdministrator = "asked for by the administrator"

// update changes what is known of the slave, keeps count of how long it has been in its state,
// and tells the feed when the slave lets go of more.
func (s *Sender) update(f func(p *slave.Progress)) {
	epoch := s.epoch()
	s.mu.Lock()
	before, at := s.p.State, reachedOf(&s.p)
	held, holds := s.p.Holds(epoch)
	f(&s.p)
	s.p.Check()
	if s.p.State != before {
		s.since = time.Now()
		if s.p.State == slave.Streaming {
			s.fed = s.since
		}
		if s.p.State == slave.Streaming && before == slave.Snapshot {
			s.loaded = s.since
		}
	}
	held2, holds2 := s.p.Holds(epoch)
	now := reachedOf(&s.p)
	s.mu.Unlock()
	if now != at {
		s.o.moved.ring(s, now)
	}
	if held2 > held || holds && !holds2 {
		s.o.Feed.Acked()
	}
}

func (s *Sender) epoch() uint64 {
	base, _, _ := s.o.Feed.View()
	return uint64(base.Epoch)
}

func (s *Sender) holds(epoch uint64) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Holds(epoch)
}

// run feeds the slave until ctx ends. A stream that ended in order is followed by the next at
// once, unless it was a short one. A slave that breaks, or is lost, soon after each full copy gets the next one
// later and later: copies without end would leave it no time for anything else.
func (s *Sender) run(ctx context.Context) {
	quick, spoiled := 0, 0
	for {
		start := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		s.lost(err, time.Since(start))
		if time.Since(start) >= quickStream {
			quick = 0
		}
		failures := s.failures()
		if errors.Is(err, errEnd) {
			failures = max(failures, quick)
			quick++
		}
		if spoils, late := s.spoils(start); spoils {
			if spoiled++; late {
				spoiled = 0
			}
			n := spoiled
			if errors.Is(err, errEnd) {
				n-- // the first is free here, too
			}
			failures = max(failures, n)
		}
		if errors.Is(err, errDisplaced) {
			failures = max(failures, s.spacing())
		}
		if failures == 0 {
			continue
		}
		t := time.NewTimer(s.o.Backoff.Delay(failures, s.o.Jitter()))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		case <-s.again:
		case <-s.ring:
		}
		t.Stop()
	}
}

// spoils tells whether the session that began at start has broken the slave, or has had a full copy that may
// have been in vain, and whether the slave had been fed for a while by then. A full copy may have taken
// longer than that by itself.
func (s *Sender) spoils(start time.Time) (spoils, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.State == slave.Broken || !s.loaded.Before(start), !s.fed.Before(start) && time.Since(s.fed) > brokenAgain
}

func (s *Sender) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Failures
}

// lost records the end of a stream, and logs it as repeats.Trouble has it: not every attempt of a
// night. An end in order counts where it comes soon and nobody has asked for it.
func (s *Sender) lost(err error, lasted time.Duration) {
	if errors.Is(err, errEnd) {
		s.update(func(p *slave.Progress) { p.OnBye() })
		tell, times := true, 0
		if lasted < quickStream && !s.isPaused() {
			tell, times = s.countLoss(err)
		}
		if tell {
			s.log.Info().Str("reason", err.Error()).Int("times", times).Msg("stream ended")
		}
		return
	}
	reason := strings.ReplaceAll(err.Error(), "\n", "; ")
	s.update(func(p *slave.Progress) { p.OnLost(reason) })
	s.mu.Lock()
	p := s.p
	s.mu.Unlock()
	if tell, times := s.countLoss(err); tell {
		s.log.Warn().Err(err).Stringer("state", p.State).Int("failures", p.Failures).Int("times", times).Msg("stream lost")
	}
}

// countLoss counts a stream that was lost, or not had.
func (s *Sender) countLoss(err error) (tell bool, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.Again(repeats.Trouble, repeats.Kind(err), time.Now()), s.trouble.Times()
}

// attemptLog is the log for what leads to a stream: errors only, where its loss would not be told.
func (s *Sender) attemptLog() zerolog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble.Quiet(repeats.Trouble, time.Now()) {
		return s.log.Level(zerolog.ErrorLevel)
	}
	return s.log
}

// copyLog is the log for a full copy and its reason: a copy may take an hour, may have been asked for, and mends
// what came before.
func (s *Sender) copyLog(attempt zerolog.Logger, why string) zerolog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full.Again(repeats.Kind(errors.New(why)), time.Now()) {
		return s.log
	}
	return attempt
}

// copied notes that a full copy was loaded, for the log.
func (s *Sender) copied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full.Done()
}

// rebuilt tells whoever wants to know that a full copy was loaded.
func (s *Sender) rebuilt() {
	if s.o.Rebuilt == nil {
		return
	}
	s.o.Rebuilt(s.entry.Name(), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.p.Forced
	})
}

// recovered ends the trouble when a stream has lasted for goodStream, and says so if not all of it was told.
func (s *Sender) recovered() {
	s.mu.Lock()
	if s.trouble.Times() == 0 || s.p.State != slave.Streaming || time.Since(s.since) < goodStream {
		s.mu.Unlock()
		return
	}
	times, since, tell := s.trouble.Over(repeats.Trouble)
	s.mu.Unlock()
	if tell {
		s.log.Info().Int("times", times).Time("since", since).Msg("slave is fed again")
	}
}

// session is one stream, from the dialling to its end. It never returns nil.
func (s *Sender) session(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.update(func(p *slave.Progress) { p.OnDial() })
	conn, done, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	defer func() { _ = conn.Close() }()
	s.mu.Lock()
	s.peer = conn.RemoteAddr()
	s.mu.Unlock()
	l := newLink(s, conn)
	return l.run(ctx)
}

// open dials the slave, or waits until it has called.
func (s *Sender) open(ctx context.Context) (conn *stream.Conn, done func(), err error) {
	if s.entry.Connects {
		in, err := s.await(ctx)
		if err != nil {
			return nil, nil, err
		}
		return in.conn, func() { close(in.done) }, nil
	}
	if s.o.Prepare != nil {
		if err := s.o.Prepare(ctx, s.entry.Principal); err != nil {
			return nil, nil, err
		}
	}
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := s.o.Dial(dial, s.entry.Addr())
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	conn, err = s.o.Auth(ctx, nc, s.entry.Principal)
	return conn, func() {}, err
}

// ready waits until there is a delta file and the slave is not paused.
func (s *Sender) ready(ctx context.Context) error {
	for {
		changed := s.o.Feed.Changed()
		_, _, ok := s.o.Feed.View()
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		if ok && !paused {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-s.again:
		}
	}
}

// nudge ends a wait or a stream, so that the next attempt comes at once.
func (s *Sender) nudge() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

// resync makes the next stream begin with a full copy, and ends the present one.
func (s *Sender) resync(reason string) {
	s.update(func(p *slave.Progress) { p.OnResync(reason) })
	s.nudge()
}

func (s *Sender) pause(on bool) {
	s.mu.Lock()
	s.paused = on
	s.mu.Unlock()
	s.nudge()
}

// release lets go of the delta file up to serial if the slave holds it there, and says so. It spares
// a slave that has not had the time to say where it is: after a start of krep most slaves have all
// there is. It also spares one that gets a full copy now: that holds what came since, and would need
// another copy. A stream is not ended: the slave may well catch up before the file is cut.
func (s *Sender) release(epoch deltafile.Epoch, serial uint64, reason string) {
	s.mu.Lock()
	held, ok := s.p.Holds(uint64(epoch))
	spared := s.p.State == slave.Snapshot || s.p.Stranger(uint64(epoch)) && time.Since(s.listed) < strangerTime
	s.mu.Unlock()
	if !ok || held >= serial || spared {
		return
	}
	s.log.Error().Uint64("held_serial", held).Str("reason", reason).
		Msg("slave lets go of the delta file and will get a full copy")
	s.update(func(p *slave.Progress) { p.OnRelease(serial, reason) })
}

// acquire takes one of the places for full copies.
func (s *Sender) acquire(ctx context.Context) error {
	select {
	case s.copies <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func jitter() float64 { return rand.Float64() }
