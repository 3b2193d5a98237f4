package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/stream"
	"krealm/internal/wire"
)

// Defaults and limits.
const (
	DefaultHeartbeat = 5 * time.Second
	helloTimeout     = 10 * time.Second
	readyTimeout     = 8 * time.Second // for the applier to be done with what it does
	silentHeartbeats = 4
	goodbyeTimeout   = time.Second
	// syncDelay is how long what was appended to the spool waits for the applier. What that
	// commits is on the disk: a change that is applied at once costs one fsync, not two.
	syncDelay = 20 * time.Millisecond
)

// Spool takes changes; *spool.Spool is one.
type Spool interface {
	Append(ctx context.Context, css []*deltafile.Changeset) error
	Sync() (deltafile.State, error)
	Last() deltafile.State
	Durable() deltafile.State
	Path() string
}

// Standing is what the applier says of itself.
type Standing struct {
	Applied      deltafile.State // epoch 0: no content yet
	WantSnapshot bool
	Serial       uint64 // of the record that is the reason, 0: none
	Reason       string // empty: nothing is wrong, or there is no content yet
	Diverged     bool
	Digest       [32]byte // of the content at Applied, if HasDigest
	HasDigest    bool
}

// Applier applies what the spool has and loads full copies.
type Applier interface {
	// Ready waits until the spool may be appended to.
	Ready(ctx context.Context) error
	// Standing says where the database is. With digest it takes the time to ask for it.
	Standing(ctx context.Context, digest bool) (Standing, error)
	// Changed returns a channel that is closed when Standing changes.
	Changed() <-chan struct{}
	// Expect says what the digest must be at a serial.
	Expect(e deltafile.Epoch, serial uint64, digest [32]byte)
	// Load replaces the content by a full copy.
	Load(r io.Reader) error
}

// Options say whom a Receiver works with.
type Options struct {
	Realm     string
	Spool     Spool
	Applier   Applier
	Log       zerolog.Logger
	Heartbeat time.Duration // 0: DefaultHeartbeat
	FS        deltafile.FS  // for full copies; for tests, nil: the real one
	Inspector Inspector     // nil: the content cannot be asked for

	// Allowed tells who may feed this slave; what it says may change, see Recheck. nil: whoever has
	// authenticated.
	Allowed func(principal string) bool

	// Grace is how long after the end of its ticket a stream is let live, which its feeder renews
	// before: as long as a handshake with the ticket would be accepted. 0: stream.DefaultSkew
	Grace time.Duration
}

// Receiver takes streams, one at a time.
type Receiver struct {
	o     Options
	fatal chan error
	turn  chan struct{} // full while a stream is being served

	mu      sync.Mutex
	current *session

	troubles map[string]*troubles // by principal
}

// New returns a Receiver.
func New(o Options) *Receiver {
	if o.Heartbeat == 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	if o.FS == nil {
		o.FS = deltafile.OSFS
	}
	if o.Grace == 0 {
		o.Grace = stream.DefaultSkew
	}
	return &Receiver{o: o, fatal: make(chan error, 1), turn: make(chan struct{}, 1), troubles: make(map[string]*troubles)}
}

// Fatal receives an error after which the process must end: the disk has failed to sync the
// spool.
func (r *Receiver) Fatal() <-chan error { return r.fatal }

// Feeder describes the stream that is being served.
type Feeder struct {
	Principal string    `json:"principal"`
	Addr      string    `json:"address"`
	Since     time.Time `json:"since"`
	Last      uint64    `json:"last_serial"` // of the feeder's file, as last heard
	Copied    uint64    `json:"full_copy_received,omitempty"`
	CopySize  uint64    `json:"full_copy_size,omitempty"`
}

// Feeder returns what is known of the feeder, or nil if there is none: one that has not said hello is
// none.
func (r *Receiver) Feeder() *Feeder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || !r.current.greeted {
		return nil
	}
	f := r.current.feeder
	return &f
}

// errReplaced is the end of a stream whose place another has taken, whose feeder by names.
type errReplaced struct{ by string }

func (e errReplaced) Error() string { return "a new stream took its place, of " + e.by }

// errDismissed is the end of a stream whose feeder is no longer allowed.
var errDismissed = errors.New("no longer allowed to feed this slave")

func (r *Receiver) allowed(principal string) bool {
	return r.o.Allowed == nil || r.o.Allowed(principal)
}

// Recheck ends the stream that is being served if its feeder is not allowed any more. Other streams
// do not notice.
func (r *Receiver) Recheck() {
	r.mu.Lock()
	s := r.current
	r.mu.Unlock()
	if s != nil && !r.allowed(s.conn.Peer()) {
		s.cancel(errDismissed)
	}
}

// Handle serves one stream until it ends or ctx does. It ends the stream that was served before,
// and waits for its end, unless a further stream comes first: one at most waits.
func (r *Receiver) Handle(ctx context.Context, c *stream.Conn) { _ = r.Take(ctx, c, nil) }

// Take is Handle for a slave that may choose: accept is asked when the feeder has said where it stands, beside
// where the slave is; what it returns, if not nil, is told the feeder and ends the stream. nil: whoever
// feeds is taken. Take returns nil when the feeder has ended the stream in order, or ctx has;
// ErrNotFed, ErrLost, or what accept has returned.
func (r *Receiver) Take(ctx context.Context, c *stream.Conn, accept func(feeder, own wire.Point) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{r: r, o: &r.o, conn: c, cancel: cancel, accept: accept,
		acking: make(chan struct{}, 1), due: make(chan struct{}, 1), late: time.NewTimer(time.Hour), asked: make(chan *wire.Inspect, 1),
		log:    r.o.Log.With().Str("feeder", c.Peer()).Str("peer", c.RemoteAddr()).Logger(),
		feeder: Feeder{Principal: c.Peer(), Addr: c.RemoteAddr(), Since: time.Now()}}
	s.loud = s.log
	defer s.late.Stop()
	s.late.Stop()

	r.mu.Lock()
	if !r.allowed(c.Peer()) { // since the handshake; later ones are Recheck's
		r.mu.Unlock()
		s.log.Warn().Msg("feeder is no longer allowed")
		return ErrNotFed
	}
	before := r.current
	r.current = s
	r.mu.Unlock()
	if before != nil {
		// A feeder that lost its connection and is back, or a second one.
		s.replaces(before)
		before.cancel(errReplaced{s.feeder.Principal + " at " + s.feeder.Addr})
	}
	defer func() {
		r.mu.Lock()
		if r.current == s {
			r.current = nil
		}
		r.mu.Unlock()
	}()

	err := s.inTurn(ctx)
	switch {
	case errors.Is(err, errDismissed):
		s.loud.Warn().Err(err).Msg("feeder gone")
		return ErrLost
	case s.declined != nil:
		return s.declined // whoever has declined knows
	case !s.greeted:
		r.notFed(ctx, s, err)
		return fmt.Errorf("%w: %w", ErrNotFed, err)
	case errors.Is(err, errBye), ctx.Err() != nil:
		s.gone(err, true)
		return nil
	case errors.Is(err, ErrNotFed):
		s.gone(err, false)
		return err
	default:
		s.gone(err, false)
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
}

// die tells of an error after which nothing can be promised any more. It does not go the way of the
// errors that end a stream: of those only the first counts.
func (r *Receiver) die(err error) {
	select {
	case r.fatal <- err:
	default:
	}
}

// errBye is the feeder's goodbye.
var errBye = errors.New("feeder says goodbye")

// session is one stream being served.
type session struct {
	r      *Receiver
	o      *Options
	conn   *stream.Conn
	cancel context.CancelCauseFunc
	loud   zerolog.Logger // for what is told in any case
	log    zerolog.Logger // see welcome
	feeder Feeder         // guarded by r.mu

	accept   func(feeder, own wire.Point) error // see Take
	declined error                              // what it has said

	greeted bool          // guarded by r.mu, but for its writer: the feeder has said hello
	told    wire.Ack      // what the hello has told
	acking  chan struct{} // full while an acknowledgement is made and sent; no mutex, see stream.Conn
	due     chan struct{} // an acknowledgement is due
	late    *time.Timer   // goes off when what was appended has waited long enough for the applier,
	waits   atomic.Bool   // and is running
	copying bool          // guarded by r.mu: a full copy is on its way, positions say nothing
	want    bool          // guarded by r.mu, but for its writer: nothing but a full copy is of use
	copies  int           // guarded by r.mu: full copies loaded
	pending []byte        // the beginning of a changeset
	ending  bool          // pending holds at least the beginning of an end line
	at      deltafile.State
	asked   chan *wire.Inspect
}

// inTurn runs when the stream before has ended.
func (s *session) inTurn(ctx context.Context) error {
	select {
	case s.r.turn <- struct{}{}:
	case <-ctx.Done():
		s.hangUp(ctx)
		return context.Cause(ctx)
	}
	defer func() { <-s.r.turn }()
	return s.run(ctx)
}

func (s *session) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.hangUp(ctx) })
	defer stop()
	if err := s.hello(ctx); err != nil {
		return s.reason(ctx, err)
	}
	g, inner := errgroup.WithContext(ctx)
	stopInner := context.AfterFunc(inner, func() {
		if ctx.Err() == nil {
			_ = s.conn.Close()
		}
	})
	defer stopInner()
	g.Go(func() error { return s.read(inner) })
	g.Go(func() error { return s.answer(inner) })
	g.Go(func() error { return s.inspect(inner) })
	return s.reason(ctx, g.Wait())
}

func (s *session) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hangUp says why and closes the stream, because krepd stops or another stream has come.
func (s *session) hangUp(ctx context.Context) {
	var last wire.Message = &wire.Bye{Text: "krepd stops"}
	var replaced errReplaced
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &replaced):
		last = &wire.Error{Reason: wire.ReasonDisplaced, Text: replaced.by}
	case errors.Is(cause, errDismissed):
		last = &wire.Error{Reason: wire.ReasonInternal, Text: errDismissed.Error()}
	}
	s.conn.Farewell(last.Append(nil), goodbyeTimeout)
	_ = s.conn.Close()
}

func (s *session) send(m wire.Message) error { return s.conn.Send(m.Append(nil)) }

func (s *session) receive(within time.Duration) (wire.Message, error) {
	s.conn.SetPatience(within)
	b, err := s.conn.Receive()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("feeder hung up")
	}
	if err != nil {
		return nil, err
	}
	return wire.Parse(b)
}

// fail tells the feeder what is wrong and returns it as an error.
func (s *session) fail(r wire.Reason, serial uint64, text string) error {
	_ = s.send(&wire.Error{Reason: r, Serial: serial, Text: text})
	return errors.New(text)
}

// hello exchanges hellos.
func (s *session) hello(ctx context.Context) error {
	m, err := s.receive(helloTimeout)
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	h, ok := m.(*wire.Hello)
	switch {
	case m.Kind() == wire.KindBye:
		return fmt.Errorf("%w: %s", errBye, m.(*wire.Bye).Text)
	case !ok:
		return fmt.Errorf("hello: feeder sent %v", m.Kind())
	case h.MinVersion > wire.Version || h.MaxVersion < wire.Version:
		return s.fail(wire.ReasonVersion, 0, fmt.Sprintf("no common version: %d to %d against %d", h.MinVersion, h.MaxVersion, wire.Version))
	case h.Role != wire.Feeder:
		return s.fail(wire.ReasonRole, 0, "the other side is no feeder")
	case h.Realm != s.o.Realm:
		return s.fail(wire.ReasonRealm, 0, fmt.Sprintf("feeder is of realm %q, not %q", h.Realm, s.o.Realm))
	}
	// Where the database is is not known before: a krepd that has just started would take itself for an empty slave.
	ready, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.o.Applier.Ready(ready); err != nil {
		s.welcome()
		_ = s.send(&wire.Bye{Text: "busy with something else"})
		return fmt.Errorf("applier is busy: %w", err)
	}
	if err := s.consider(ctx, h.Point); err != nil {
		return err
	}
	s.welcome()
	// What an earlier stream has appended and did not come to sync counts as well: the applier has
	// it, or soon will, and an acknowledgement of more than hello has told and krep has sent
	// would be one of another history.
	st, err := s.o.Applier.Standing(ctx, false)
	if err != nil {
		return err
	}
	if s.unsafe(st.Applied) {
		if err := s.sync(); err != nil {
			return err
		}
	}
	answer := &wire.Hello{MinVersion: wire.Version, MaxVersion: wire.Version, Role: wire.Slave, Realm: s.o.Realm,
		WantSnapshot: st.WantSnapshot, Reason: st.Reason}
	s.want = st.WantSnapshot || st.Applied.IsZero()
	if !st.Applied.IsZero() {
		s.at = s.reached(st)
		answer.Point = point(s.at)
		answer.Applied = st.Applied.Serial
		s.told = wire.Ack{Epoch: uint64(s.at.Epoch), Spooled: s.at.Serial, Applied: st.Applied.Serial}
	}
	s.heard(h.Point.Serial)
	return s.send(answer)
}

func (s *session) heard(last uint64) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.feeder.Last = max(s.feeder.Last, last)
}

// read takes what the feeder sends, until the stream ends. It never returns nil.
func (s *session) read(ctx context.Context) error {
	limit := s.conn.Expiry().Add(s.o.Grace)
	for first := true; ; first = false {
		m, err := s.receive(silentHeartbeats * s.o.Heartbeat)
		if err != nil {
			return err
		}
		if time.Now().After(limit) {
			return s.fail(wire.ReasonInternal, 0, "ticket of the stream has ended")
		}
		switch m := m.(type) {
		case *wire.Records:
			s.heard(m.Last)
			err = s.records(ctx, m)
		case *wire.Heartbeat:
			if m.HasDigest {
				s.o.Applier.Expect(deltafile.Epoch(m.Epoch), m.Serial, m.Digest)
			}
		case *wire.Inspect:
			s.ask(m)
		case *wire.SnapshotBegin:
			err = s.fullCopy(m)
		case *wire.Error:
			if err = fmt.Errorf("feeder says: %s: %s", m.Reason, m.Text); first {
				err = fmt.Errorf("%w: %w", ErrNotFed, err)
			}
		case *wire.Bye:
			err = fmt.Errorf("%w: %s", errBye, m.Text)
		default:
			err = fmt.Errorf("feeder sent %v", m.Kind())
		}
		if err != nil {
			return err
		}
	}
}

const (
	endLine    = "\nend\t"
	maxPending = 65 << 20 // octets: more than the longest changeset
)

// decode takes the complete changesets off what has come.
func (s *session) decode() (css []*deltafile.Changeset, rest []byte, err error) {
	rest = s.pending
	for len(rest) > 0 {
		cs, n, err := deltafile.Decode(s.at, rest)
		if errors.Is(err, deltafile.ErrIncomplete) {
			break
		}
		if err != nil {
			return nil, nil, s.fail(wire.ReasonChain, s.at.Serial+1, err.Error())
		}
		css = append(css, cs)
		s.at = s.at.After(cs)
		rest = rest[n:]
	}
	return css, rest, nil
}

// records spools what has become complete.
func (s *session) records(ctx context.Context, m *wire.Records) error {
	if s.want {
		return s.fail(wire.ReasonChain, 0, "records without the full copy that was asked for")
	}
	// A changeset is complete with its end line: before that has at least begun there is no use in
	// looking at the same octets again.
	seen := max(0, len(s.pending)-len(endLine))
	s.pending = append(s.pending, m.Data...)
	s.ending = s.ending || bytes.Contains(s.pending[seen:], []byte(endLine))
	if !s.ending && len(s.pending) < maxPending {
		return nil
	}
	css, rest, err := s.decode()
	if err != nil {
		return err
	}
	s.ending = bytes.Contains(rest, []byte(endLine))
	if len(css) == 0 {
		return nil
	}
	if err := s.o.Spool.Append(ctx, css); err != nil {
		text := "spool: " + err.Error()
		if ctx.Err() != nil {
			text = "krepd stops"
		}
		return s.fail(wire.ReasonInternal, 0, text)
	}
	s.pending = append(s.pending[:0], rest...)
	if s.waits.CompareAndSwap(false, true) {
		s.late.Reset(syncDelay)
	}
	return nil
}
