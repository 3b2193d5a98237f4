package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/wire"
	"krealm/krep/slave"
)

// link is one stream to a slave.
type link struct {
	s    *Sender
	log  zerolog.Logger
	conn *stream.Conn
	at   wire.Point // where the slave stands, once the hellos are over

	acks     chan struct{} // something was acknowledged
	copyDone chan struct{} // the full copy was
	buf      []byte        // of the message being sent
	data     []byte        // of the records being collected
	copied   bool          // a full copy was sent in this stream,
	oldEpoch uint64        // when this was the epoch of the delta file
	inflight flight

	ended atomic.Pointer[error] // why this side has ended the stream, once it has; see end

	askedMu sync.Mutex
	asked   []*question
}

func newLink(s *Sender, conn *stream.Conn) *link {
	return &link{s: s, log: s.attemptLog(), conn: conn, acks: make(chan struct{}, 1), copyDone: make(chan struct{})}
}

// run has one goroutine read and one write. Whichever ends first ends the other; its reason is
// the reason.
func (l *link) run(ctx context.Context) error {
	plan, err := l.hello(ctx)
	if err != nil {
		return err
	}
	if l.s.isPaused() { // since before the hellos
		return l.pausedNow()
	}
	g, inner := errgroup.WithContext(ctx)
	stop := context.AfterFunc(inner, func() { l.hangUp(ctx) })
	defer stop()
	defer l.loseQuestions()
	g.Go(l.read)
	g.Go(func() error {
		if plan == slave.PlanFull {
			if err := l.copy(inner); err != nil {
				return err
			}
		}
		return l.stream(inner)
	})
	err = g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if why := l.ended.Load(); why != nil {
		return *why
	}
	return err
}

// end tells the slave that the stream ends, and returns why. The slave hangs up when it hears that,
// which the reading goroutine may see before the writing one has returned: the reason is this one.
func (l *link) end(m wire.Message, why error) error {
	l.ended.Store(&why)
	_ = l.send(m)
	return why
}

// hangUp ends the connection when one side of the link has ended, with a goodbye if krep stops.
func (l *link) hangUp(ctx context.Context) {
	if ctx.Err() != nil {
		why := "krep stops"
		if errors.Is(context.Cause(ctx), errUnlisted) {
			why = errUnlisted.Error()
		}
		l.conn.Farewell((&wire.Bye{Text: why}).Append(nil), goodbyeTimeout)
	}
	_ = l.conn.Close()
}

// send is for messages that do not carry data; it may be called at any time.
func (l *link) send(m wire.Message) error { return l.put(m.Append(nil)) }

// sendData is for the writing goroutine alone.
func (l *link) sendData(m wire.Message) error {
	l.buf = m.Append(l.buf[:0])
	return l.put(l.buf)
}

func (l *link) put(b []byte) error {
	err := l.conn.Send(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("slave has taken nothing of what is sent to it for %v", stream.WriteTimeout)
	}
	return err
}

func (l *link) receive(within time.Duration) (wire.Message, error) {
	l.conn.SetPatience(within)
	b, err := l.conn.Receive()
	switch {
	case isEOF(err):
		return nil, errors.New("slave hung up")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("slave has said nothing for %v", within)
	case err != nil:
		return nil, err
	}
	return wire.Parse(b)
}

// fail tells the slave what is wrong and returns it as an error.
func (l *link) fail(r wire.Reason, text string) error {
	_ = l.send(&wire.Error{Reason: r, Text: text})
	return errors.New(text)
}

// hello exchanges hellos and decides how to go on.
func (l *link) hello(ctx context.Context) (slave.Plan, error) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	defer stop()
	_, last, _ := l.s.o.Feed.View()
	err := l.send(&wire.Hello{MinVersion: wire.Version, MaxVersion: wire.Version, Role: wire.Feeder,
		Realm: l.s.o.Realm, Point: point(last)})
	if err != nil {
		return 0, err
	}
	m, err := l.receive(helloTimeout)
	if err != nil {
		return 0, fmt.Errorf("hello: %w", err)
	}
	h, ok := m.(*wire.Hello)
	switch {
	case m.Kind() == wire.KindError:
		return 0, l.slaveError(m.(*wire.Error))
	case m.Kind() == wire.KindBye:
		return 0, fmt.Errorf("slave says: %s", m.(*wire.Bye).Text)
	case !ok:
		return 0, fmt.Errorf("hello: slave sent %v", m.Kind())
	case h.MinVersion > wire.Version || h.MaxVersion < wire.Version:
		return 0, l.fail(wire.ReasonVersion, fmt.Sprintf("no common version: %d to %d against %d", h.MinVersion, h.MaxVersion, wire.Version))
	case h.Role != wire.Slave:
		return 0, l.fail(wire.ReasonRole, "the other side is no slave")
	case h.Realm != l.s.o.Realm:
		return 0, l.fail(wire.ReasonRealm, fmt.Sprintf("slave is of realm %q, not %q", h.Realm, l.s.o.Realm))
	}
	l.awaitSerial(ctx, h.Point)
	base, last, _ := l.s.o.Feed.View()
	var plan slave.Plan
	var why string
	l.s.update(func(p *slave.Progress) { plan, why = p.OnHello(h, slave.View{Base: point(base), Last: point(last)}) })
	switch plan {
	case slave.PlanWait:
		return 0, l.fail(wire.ReasonInternal, why)
	case slave.PlanFull:
		l.log = l.s.copyLog(l.log, why)
		l.log.Warn().Str("reason", why).Str("peer", l.conn.RemoteAddr()).Msg("slave needs a full copy")
	default:
		l.log.Info().Uint64("spooled", h.Point.Serial).Uint64("applied", h.Applied).
			Str("peer", l.conn.RemoteAddr()).Msg("streaming")
	}
	l.at = h.Point
	return plan, nil
}

// awaitSerial gives the feed a moment to reach a slave that is ahead: after a start it may not
// have read the whole file, and after a power cut the file's end is about to be written again.
func (l *link) awaitSerial(ctx context.Context, at wire.Point) {
	t := time.NewTimer(aheadWait)
	defer t.Stop()
	for {
		changed := l.s.o.Feed.Changed()
		_, last, _ := l.s.o.Feed.View()
		if uint64(last.Epoch) != at.Epoch || last.Serial >= at.Serial {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-changed:
		}
	}
}

// read takes what the slave sends, until the stream ends. It never returns nil.
func (l *link) read() error {
	for {
		m, err := l.receive(silentHeartbeats * l.s.o.Heartbeat)
		if err != nil {
			return err
		}
		l.s.heard()
		switch m := m.(type) {
		case *wire.Ack:
			if err := l.ack(m); err != nil {
				return err
			}
		case *wire.SnapshotEnd:
			if err := l.loaded(); err != nil {
				return err
			}
		case *wire.Heartbeat:
			l.s.heartbeat(m)
		case *wire.Listing:
			m.Data = bytes.Clone(m.Data) // the next message overwrites it
			l.answer(m.ID, m)
		case *wire.Sums:
			l.answer(m.ID, m)
		case *wire.Error:
			return l.slaveError(m)
		case *wire.Bye:
			return fmt.Errorf("%w: slave says: %s", errEnd, m.Text)
		default:
			return fmt.Errorf("slave sent %v", m.Kind())
		}
	}
}

func (l *link) ack(a *wire.Ack) error {
	var err error
	l.s.update(func(p *slave.Progress) { err = p.OnAck(a) })
	if err != nil {
		return err
	}
	l.inflight.acked(a.Spooled)
	select {
	case l.acks <- struct{}{}:
	default:
	}
	return nil
}

// loaded takes the slave's word that the full copy is in its database.
func (l *link) loaded() error {
	var err error
	l.s.update(func(p *slave.Progress) { err = p.OnCopyDone() })
	if err == nil {
		close(l.copyDone)
		l.s.rebuilt() // here, for the other goroutine may have been told to end before it has seen this
	}
	return err
}

func (l *link) slaveError(e *wire.Error) error {
	l.s.update(func(p *slave.Progress) { p.OnError(e) })
	if e.Reason == wire.ReasonDisplaced {
		l.s.displaced(e.Text)
		return fmt.Errorf("%w: %s", errDisplaced, e.Text)
	}
	err := fmt.Errorf("slave says: %s: %s", e.Reason, e.Text)
	if e.Serial > 0 {
		err = fmt.Errorf("slave says: %s at %d: %s", e.Reason, e.Serial, e.Text)
	}
	return err
}

func (s *Sender) heard() {
	s.mu.Lock()
	s.lastRx = time.Now()
	s.mu.Unlock()
}

func (s *Sender) heartbeat(h *wire.Heartbeat) {
	s.update(func(p *slave.Progress) { p.OnAlive() })
	s.recovered()
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.HasDigest {
		s.digest, s.dstate = h.Digest, wire.Point{Epoch: h.Epoch, Serial: h.Serial}
	}
}

// stream sends changes as they come, until the stream ends. It never returns nil.
func (l *link) stream(ctx context.Context) error {
	o := l.s.o
	cursor := o.Feed.Cursor(deltafile.State{Realm: o.Realm, Epoch: deltafile.Epoch(l.at.Epoch),
		Serial: l.at.Serial, Hash: l.at.Hash})
	defer cursor.Close()
	beat := time.NewTicker(o.Heartbeat)
	defer beat.Stop()
	expiry := time.NewTimer(renewAfter(time.Until(l.conn.Expiry())))
	defer expiry.Stop()
	if err := l.beat(ctx); err != nil {
		return err
	}
	for {
		changed := o.Feed.Changed()
		var css []*deltafile.Changeset
		var err error
		acks := l.acks
		if l.inflight.size() < o.Window {
			acks = nil // not waited for: they come one for each change
			if !l.beforeEpoch() {
				css, err = cursor.Next(ctx, batchBytes)
			}
		}
		if err != nil {
			return l.feedError(err)
		}
		if len(css) > 0 {
			if err := l.records(css); err != nil {
				return err
			}
			changed = goOn // as a rule there is more; what else there is to do has its turn all the same
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-acks:
		case <-beat.C:
			if err := l.beat(ctx); err != nil {
				return err
			}
		case q := <-l.s.ask:
			if err := l.sendQuestion(q); err != nil {
				return err
			}
		case <-expiry.C:
			return l.end(&wire.Bye{Text: "ticket ends"}, fmt.Errorf("%w: ticket ends", errEnd))
		case <-l.s.ring:
			if l.s.called() {
				return errCalled
			}
		case <-l.s.again:
			if l.s.isPaused() {
				return l.pausedNow()
			}
			return l.end(&wire.Bye{Text: "asked to begin again"}, fmt.Errorf("%w: asked to begin again", errEnd))
		}
	}
}

// goOn is always ready.
var goOn = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// renewAfter is how long a stream is kept whose ticket is good for so long.
func renewAfter(left time.Duration) time.Duration { return left - min(ticketMargin, max(left/2, 0)) }

// beforeEpoch tells that the slave has a copy of an epoch that the delta file has not begun yet:
// whoever writes the file is about to.
func (l *link) beforeEpoch() bool {
	_, last, _ := l.s.o.Feed.View()
	return l.copied && l.oldEpoch != l.at.Epoch && uint64(last.Epoch) == l.oldEpoch
}

// feedError makes a slave that the delta file cannot serve ask for a full copy.
func (l *link) feedError(err error) error {
	var epoch *deltafile.EpochError
	if errors.Is(err, deltafile.ErrForeign) || errors.Is(err, deltafile.ErrBehind) || errors.As(err, &epoch) {
		if errors.Is(err, deltafile.ErrForeign) {
			l.s.update(func(p *slave.Progress) { p.OnForeign(l.at.Serial) })
		}
		return l.end(&wire.Bye{Text: "full copy needed"}, fmt.Errorf("%w: %w", errEnd, err))
	}
	return l.end(&wire.Error{Reason: wire.ReasonInternal, Text: "the delta file cannot be read"}, err)
}

// records sends changesets, several in one message, or one in several.
func (l *link) records(css []*deltafile.Changeset) error {
	_, last, _ := l.s.o.Feed.View()
	l.data = l.data[:0]
	var serial uint64 // last that ends in data
	for _, cs := range css {
		if len(l.data)+len(cs.Raw) > messageData {
			if err := l.flush(last.Serial, serial); err != nil {
				return err
			}
		}
		l.inflight.sent(cs.Serial, int64(len(cs.Raw)))
		raw := cs.Raw
		for ; len(raw) > messageData; raw = raw[messageData:] {
			if err := l.sendData(&wire.Records{Last: last.Serial, Data: raw[:messageData]}); err != nil {
				return err
			}
		}
		l.data = append(l.data, raw...)
		serial = cs.Serial
	}
	return l.flush(last.Serial, serial)
}

// flush sends what stands in data. What ends in it counts as sent before it is, so that no
// acknowledgement can overtake the count.
func (l *link) flush(last, serial uint64) error {
	if len(l.data) == 0 {
		return nil
	}
	l.s.update(func(p *slave.Progress) { p.OnSent(serial) })
	err := l.sendData(&wire.Records{Last: last, Data: l.data})
	l.data = l.data[:0]
	return err
}

// beat sends a heartbeat with the digest of the master's content, if there is one.
func (l *link) beat(ctx context.Context) error {
	h := &wire.Heartbeat{}
	at, digest, ok := l.s.o.Source.Digest(ctx)
	if ok {
		h.Epoch, h.Serial, h.HasDigest, h.Digest = uint64(at.Epoch), at.Serial, true, digest
	} else {
		_, last, _ := l.s.o.Feed.View()
		h.Epoch, h.Serial = uint64(last.Epoch), last.Serial
	}
	return l.send(h)
}
