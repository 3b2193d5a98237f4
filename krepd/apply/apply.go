package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/kdc/kdb"
	"krealm/krepd/spool"
)

// DB is what is applied to; *kdb.DB is one.
type DB interface {
	State(ctx context.Context) (deltafile.State, error)
	Digest(ctx context.Context) (deltafile.State, kdb.Digest, error)
	Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error)
	LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error)
}

// Spool is where changes come from; *spool.Spool is one.
type Spool interface {
	Settle(ctx context.Context, db deltafile.State) (last deltafile.State, anew string, err error)
	Tail(after deltafile.State) (*deltafile.Tail, error)
	Cut(ctx context.Context, applied deltafile.State, quiet bool) error
	Reset(ctx context.Context, base deltafile.State) error
	Quarantine(e deltafile.Epoch, cs *deltafile.Changeset) (string, error)
}

// Broken says why nothing more is applied until a full copy is loaded.
type Broken struct {
	Serial   uint64 // the record, or where the content differs; 0: no record in particular
	Reason   string // for people
	Diverged bool   // the content differs from the master's
}

const (
	quietAfter = time.Second            // without work before the spool is cut
	retryFirst = 100 * time.Millisecond // after trouble that may pass
	retryMax   = 10 * time.Second
)

// Applier applies. Its methods may be called from any goroutine; Run must be running for Load and
// Position to return.
type Applier struct {
	db    DB
	spool Spool
	log   zerolog.Logger
	loads chan load

	stopped chan struct{} // closed when Run has returned

	mu        sync.Mutex
	applied   deltafile.State
	since     time.Time // when it was applied; zero: before this start
	settled   bool      // spool and database agree
	loading   bool
	broken    *Broken
	trouble   string // that is being waited out
	failing   bool   // it is one of applying: over when something is applied, or nothing is left to be
	copies    int    // full copies loaded
	expect    expectation
	interrupt context.CancelFunc // ends the wait of the reader of the spool
	changed   chan struct{}
}

// New returns an Applier for a database and a spool that are nobody else's.
func New(db DB, spool Spool, log zerolog.Logger) *Applier {
	return &Applier{db: db, spool: spool, log: log, loads: make(chan load, 1),
		stopped: make(chan struct{}), changed: make(chan struct{})}
}

// Run applies until ctx ends, then returns nil. It is called once.
func (a *Applier) Run(ctx context.Context) error {
	defer close(a.stopped)
	wait := retryFirst
	for ctx.Err() == nil {
		err := a.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			wait = retryFirst
			continue
		}
		if a.Trouble() == "" { // the last one was over
			wait = retryFirst
		}
		a.note(err)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, retryMax)
	}
	return nil
}

// note logs trouble that is waited out, once per reason.
func (a *Applier) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble != err.Error() {
		a.trouble = err.Error()
		a.log.Error().Err(err).Msg("cannot apply for now, trying again")
	}
	a.wake()
}

// calm ends the trouble.
func (a *Applier) calm() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failing = false
	if a.trouble != "" {
		a.trouble = ""
		a.wake()
	}
}

// round does what is to be done until something changes: load a full copy, wait for one, or apply
// what comes. An error is trouble that may pass.
func (a *Applier) round(ctx context.Context) error {
	select {
	case l := <-a.loads:
		a.load(ctx, l)
		return nil
	default:
	}
	ready, err := a.settle(ctx)
	if err != nil {
		return err
	}
	if !ready {
		select {
		case <-ctx.Done():
		case l := <-a.loads:
			a.load(ctx, l)
		}
		return nil
	}
	if err = a.follow(ctx); err != nil {
		a.mu.Lock()
		a.failing = true
		a.mu.Unlock()
	}
	return err
}

// settle makes spool and database agree and tells whether there is something to apply to.
func (a *Applier) settle(ctx context.Context) (ready bool, err error) {
	st, err := a.db.State(ctx)
	if err != nil {
		return false, err
	}
	settled := true
	if b := a.Broken(); b == nil {
		_, anew, err := a.spool.Settle(ctx, st)
		var damage *spool.DamageError
		var room *spool.RoomError
		if errors.As(err, &room) { // it is applied first, which makes room
			a.note(err)
			settled, err = false, nil
		}
		if errors.As(err, &damage) {
			a.log.Error().Err(err).Msg("spool is in order again, the damaged file is kept")
			err = nil
		}
		if err != nil {
			return false, err
		}
		if anew != "" {
			a.log.Warn().Str("reason", anew).Stringer("database", st).Msg("spool started anew")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reached(st)
	a.settled = settled
	ready = !st.IsZero() && a.broken == nil
	if !ready || settled && !a.failing {
		a.trouble = ""
	}
	a.wake()
	return ready, nil
}

// follow applies what stands in the spool and what comes, until a full copy is to be loaded or
// something is wrong.
func (a *Applier) follow(ctx context.Context) error {
	tail, err := a.spool.Tail(a.Applied())
	if err != nil {
		return err
	}
	defer func() { _ = tail.Close() }()
	for len(a.loads) == 0 {
		css, err := a.next(ctx, tail)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded): // quiet
			if err := a.spool.Cut(ctx, a.Applied(), true); err != nil || !a.isSettled() {
				return err
			}
			a.calm()
			continue
		case errors.Is(err, context.Canceled): // a full copy, or a digest to compare
			if err := a.compare(ctx); err != nil || a.Broken() != nil {
				return err
			}
			continue
		case err != nil:
			return a.readError(err)
		}
		for len(css) > 0 && a.Broken() == nil {
			if css, err = a.batch(ctx, css); err != nil {
				return err
			}
		}
		if a.Broken() != nil {
			return nil
		}
		if err := a.spool.Cut(ctx, a.Applied(), false); err != nil {
			return err
		}
	}
	return nil
}

// next reads the spool until there is something, it has been quiet, or a load interrupts.
func (a *Applier) next(ctx context.Context, tail *deltafile.Tail) ([]*deltafile.Changeset, error) {
	ctx, cancel := context.WithTimeout(ctx, quietAfter)
	defer cancel()
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	a.mu.Lock()
	a.interrupt = interrupt
	due := a.expect.set && a.expect.serial <= a.applied.Serial || a.broken != nil
	a.mu.Unlock()
	if due || len(a.loads) > 0 {
		return nil, context.Canceled
	}
	return tail.Next(ctx)
}

// readError sorts out why the spool cannot be read on. A spool that does not continue the
// database is started anew by settle, if its end shows it; here its middle has.
func (a *Applier) readError(err error) error {
	var epoch *deltafile.EpochError
	var damage *deltafile.FormatError
	switch {
	case errors.As(err, &epoch):
		return nil // started anew meanwhile: settle
	case errors.Is(err, deltafile.ErrBehind), errors.Is(err, deltafile.ErrForeign), errors.As(err, &damage):
		a.breakdown(Broken{Reason: "spool cannot be applied: " + err.Error()})
		return nil
	}
	return err
}

// batch applies changesets in one transaction, up to the serial whose digest is to be compared,
// and returns those that are left.
func (a *Applier) batch(ctx context.Context, css []*deltafile.Changeset) ([]*deltafile.Changeset, error) {
	css, rest := a.splitAtExpected(css)
	st, err := a.db.Apply(ctx, css)
	var bad *kdb.RecordError
	switch {
	case errors.As(err, &bad):
		return nil, a.record(ctx, css, bad)
	case errors.Is(err, kdb.ErrMaster):
		a.breakdown(Broken{Reason: err.Error()})
		return nil, nil
	case err != nil:
		return nil, err
	}
	a.setApplied(st)
	runtime.Gosched() // whoever acknowledges goes first
	return rest, a.compare(ctx)
}

// record deals with a record that cannot be applied: what stands before it is.
func (a *Applier) record(ctx context.Context, css []*deltafile.Changeset, bad *kdb.RecordError) error {
	good := css
	var culprit *deltafile.Changeset
	for i, cs := range css {
		if cs.Serial == bad.Serial {
			good, culprit = css[:i], cs
		}
	}
	if len(good) > 0 && culprit != nil {
		st, err := a.db.Apply(ctx, good)
		if err != nil {
			return err
		}
		a.setApplied(st)
	}
	b := Broken{Serial: bad.Serial, Reason: bad.Err.Error()}
	if culprit != nil {
		name, err := a.spool.Quarantine(a.Applied().Epoch, culprit)
		if err != nil {
			a.log.Error().Err(err).Msg("no copy of the record could be kept")
		} else {
			a.log.Warn().Str("file", name).Msg("copy of the record kept")
		}
	}
	a.breakdown(b)
	return nil
}

// breakdown stops applying until a full copy is loaded.
func (a *Applier) breakdown(b Broken) {
	a.log.Error().Uint64("serial", b.Serial).Str("reason", b.Reason).
		Msg("nothing more is applied until a full copy is loaded")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = &b
	a.wake()
}

// Break stops applying until a full copy is loaded, for a reason that somebody else has found, and that takes
// the place of any other.
func (a *Applier) Break(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil && a.broken.Reason == reason {
		return
	}
	a.log.Error().Str("reason", reason).Msg("nothing more is applied until a full copy is loaded")
	a.broken = &Broken{Reason: reason}
	a.settled = true // what the spool holds is of no more use: whoever feeds may know
	if a.interrupt != nil {
		a.interrupt()
	}
	a.wake()
}

// wake tells everybody who waits for a change. a.mu is held.
func (a *Applier) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *Applier) setApplied(st deltafile.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reached(st)
	a.trouble, a.failing = "", false
	a.wake()
}

// reached notes the database's state, and when it came to that. a.mu is held.
func (a *Applier) reached(st deltafile.State) {
	if st != a.applied && !a.applied.IsZero() {
		a.since = time.Now()
	}
	a.applied = st
}

func (a *Applier) isSettled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled
}

// Applied returns the state of the database. Its epoch is 0 before the first full copy.
func (a *Applier) Applied() deltafile.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.applied
}

// AppliedAt returns when the database came to the state that it has; zero if that was before this
// Applier.
func (a *Applier) AppliedAt() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since
}

// Broken returns why nothing is applied, or nil.
func (a *Applier) Broken() *Broken {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// Changed returns a channel that is closed when what this Applier says of itself changes. Take it
// before looking.
func (a *Applier) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Trouble returns what is being waited out, empty if nothing is.
func (a *Applier) Trouble() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble
}

// Ready waits until spool and database agree and no full copy is being loaded: from then on the
// spool may be appended to, and its last state is where to continue.
func (a *Applier) Ready(ctx context.Context) error {
	for {
		changed := a.Changed()
		a.mu.Lock()
		ok := a.settled && !a.loading
		a.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// load is a full copy to be loaded.
type load struct {
	r    io.Reader
	done chan error
}

// Load replaces the database's content by a full copy and starts the spool anew behind it. It
// returns when that is done, or has failed and all is as before. There is one Load at a time.
func (a *Applier) Load(r io.Reader) error {
	l := load{r: r, done: make(chan error, 1)}
	a.mu.Lock()
	a.loading = true
	a.mu.Unlock()
	a.loads <- l
	a.mu.Lock()
	if a.interrupt != nil {
		a.interrupt()
	}
	a.mu.Unlock()
	select {
	case err := <-l.done:
		return err
	case <-a.stopped:
		return context.Canceled
	}
}

func (a *Applier) load(ctx context.Context, l load) {
	st, err := a.db.LoadSnapshot(ctx, l.r)
	settled := err == nil
	if err == nil {
		if resetErr := a.spool.Reset(ctx, st); resetErr != nil {
			// The copy is loaded, so this is like a kill at this moment: settle mends it.
			a.note(resetErr)
			settled = false
		}
	}
	a.mu.Lock()
	if err == nil {
		a.applied, a.since, a.broken = st, time.Now(), nil
		a.copies++
		a.expect = expectation{}
	}
	a.loading, a.settled = false, settled || a.broken != nil // as Break has it
	a.wake()
	a.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("load: %w", err)
	}
	l.done <- err
}
