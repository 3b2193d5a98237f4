package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

const (
	// defaultVerify covers what a power cut may have damaged: it is far more than a realm
	// appends between two write-backs of the kernel (about 35 s).
	defaultVerify = 4 << 20
	// writePiece bounds the memory an append takes; changesets are not divided.
	writePiece = 4 << 20
)

// AppenderOptions vary an Appender. The zero value is right for an outbox and for a spool.
type AppenderOptions struct {
	FS   FS   // nil: OSFS
	Sync bool // fsync within each append; else durability is a matter of Sync
	// Verify is how many bytes at the end of the file are checked against the hash chain
	// when the file is first opened; 0 means 4 MiB, negative all of it. Later only what
	// others have appended since is checked.
	Verify int64
	// OnDamage is told what was wrong with a file that Append has written anew; the damaged one
	// is kept as NAME.damaged. It is called while the file is locked, and nil ignores it.
	OnDamage func(error)
	// Reserve is how many bytes Truncate keeps in .NAME.reserve, to give them up on a full disk:
	// the file that takes the place of one that fills it needs some room first. 0: none.
	Reserve int
}

// Appender appends changesets to one delta file, which other processes may append to or
// truncate at the same time. Its methods may be called concurrently; they take turns.
type Appender struct {
	path   string
	fsys   FS
	sync   bool
	verify int64
	damage func(error)   // never nil
	room   int           // bytes of the reserve
	turn   chan struct{} // holds one token: whoever has taken it owns what follows
	closed bool
	file   File    // nil: not open
	end    fileEnd // of file, when known
	known  bool
	spool  bool // AppendRaw was used: nobody else writes
	group  group
}

// OpenAppender prepares appending to path. The file need not exist, and is not touched before
// the first call that needs it.
func OpenAppender(path string, o AppenderOptions) (*Appender, error) {
	if path == "" {
		return nil, errors.New("deltafile: no file named")
	}
	a := &Appender{
		path: filepath.Clean(path), fsys: o.FS, sync: o.Sync, verify: o.Verify,
		damage: o.OnDamage, room: o.Reserve, turn: make(chan struct{}, 1),
	}
	if a.fsys == nil {
		a.fsys = OSFS
	}
	if a.verify == 0 {
		a.verify = defaultVerify
	}
	if a.damage == nil {
		a.damage = func(error) {}
	}
	a.group.init()
	a.group.syncDir = func() error { return a.fsys.SyncDir(filepath.Dir(a.path)) }
	a.turn <- struct{}{}
	return a, nil
}

// Append brings the file up to date from an outbox and returns the file's last state.
//
// Under the file's lock it calls fetch with the last state of the file, verifies that what
// fetch returns follows it, and appends it with one write (4 MiB at a time). fetch
// therefore sees the outbox as of a moment when nobody else appends: writers in several
// processes leave no gap and share the work. It may return a first part only; an empty
// result means that the file is up to date.
//
// want is the state a new file starts at. One is begun, and fetch called with want, when
// there is no file or an empty one; when the file is of another epoch; and when fetch returns
// ErrRebase, which says that it cannot continue from the file's last state (what lies between
// is pruned, the file is ahead, or its hash is not ours). An old file that holds changesets is
// then kept as NAME.EPOCH. fetch is called before the old file is touched; as want may be stale by
// then, fetch must return an error for a state that is not of its present epoch, whereupon
// nothing is changed.
//
// A torn tail is cut off. Damage behind the head is what a power cut leaves of bytes never
// synced: the file is kept as NAME.damaged, what is good of it stays, and fetch is asked for
// the rest. A file that does not begin as a delta file, or belongs to another realm, is left
// alone: *FormatError.
//
// After an error the file holds what it held, or a prefix of the new changesets.
func (a *Appender) Append(ctx context.Context, want State, fetch func(after State) ([]*Changeset, error)) (State, error) {
	if err := want.check(); err != nil {
		return State{}, fmt.Errorf("deltafile: append: wanted state: %w", err)
	}
	s, err := a.append(ctx, want, fetch)
	if err == nil && a.sync {
		err = a.Sync()
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: append to %q: %w", a.path, err)
	}
	return s, nil
}

func (a *Appender) append(ctx context.Context, want State, fetch func(State) ([]*Changeset, error)) (State, error) {
	if err := a.take(ctx); err != nil {
		return State{}, err
	}
	defer a.give()
	for {
		err := a.refresh(ctx)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = a.begin(ctx, want, fetch, a.create)
			if errors.Is(err, fs.ErrExist) { // another process was faster
				continue
			}
		case errors.Is(err, errNoHead):
			err = a.begin(ctx, want, fetch, a.replaceWith(""))
		case isDamage(err) && a.known:
			found := err
			if err = a.extend(ctx, want, fetch, true); err == nil {
				a.damage(found)
			}
		case err == nil:
			err = a.extend(ctx, want, fetch, false)
		}
		return a.end.state, err
	}
}

// extend appends what is new, or begins anew where the file cannot be continued. A damaged file
// is rewritten: its good part, then what fetch has beyond.
func (a *Appender) extend(ctx context.Context, want State, fetch func(State) ([]*Changeset, error), damaged bool) error {
	if a.end.base.Realm != want.Realm {
		return &FormatError{File: a.path, Offset: int64(len(Header)), Err: ErrRealm}
	}
	suffix := a.end.base.Epoch.String()
	switch {
	case damaged:
		suffix = "damaged"
	case a.end.off == a.end.head: // nothing in it
		suffix = ""
	}
	aside := a.replaceWith(suffix)
	if a.end.base.Epoch != want.Epoch {
		return a.begin(ctx, want, fetch, aside)
	}
	css, err := fetch(a.end.state)
	switch {
	case errors.Is(err, ErrRebase):
		return a.begin(ctx, want, fetch, aside)
	case err != nil:
		return err
	case !damaged:
		return a.write(css)
	}
	c := content{base: a.end.base, from: a.end.head, to: a.end.off, css: css}
	if c.last, err = follow(a.end.state, css); err != nil {
		return err
	}
	return aside(ctx, c)
}

// begin starts a file at want by way of make. fetch comes first: make must not happen when
// want is stale.
func (a *Appender) begin(ctx context.Context, want State, fetch func(State) ([]*Changeset, error),
	make func(context.Context, content) error) error {
	css, err := fetch(want)
	if err != nil {
		return err
	}
	c := content{base: want, css: css}
	if c.last, err = follow(want, css); err != nil {
		return err
	}
	return make(ctx, c)
}

// AppendRaw appends changesets that others have encoded, as a spool does, with one write, and
// returns the new last state. They must follow the file's last state: ErrSerial or ErrHash
// says that they do not. There must be a file (fs.ErrNotExist; see Reset), and damage in it is
// refused with *FormatError: what a spool has acknowledged nobody else can supply.
func (a *Appender) AppendRaw(ctx context.Context, css []*Changeset) (State, error) {
	s, err := a.appendRaw(ctx, css)
	if err == nil && a.sync {
		err = a.Sync()
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: append to %q: %w", a.path, err)
	}
	return s, nil
}

func (a *Appender) appendRaw(ctx context.Context, css []*Changeset) (State, error) {
	if err := a.take(ctx); err != nil {
		return State{}, err
	}
	defer a.give()
	a.spool = true
	err := a.refresh(ctx)
	if errors.Is(err, errNoHead) {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = a.write(css)
	}
	return a.end.state, err
}

// Last is the state at the end of the file, a torn tail having been cut off. fs.ErrNotExist: no
// file, or an empty one. *FormatError: damage.
func (a *Appender) Last(ctx context.Context) (State, error) {
	if err := a.take(ctx); err != nil {
		return State{}, err
	}
	defer a.give()
	err := a.refresh(ctx)
	if errors.Is(err, errNoHead) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: end of %q: %w", a.path, err)
	}
	return a.end.state, nil
}

// Recover is Last for a spool at start: damage does not stop it, and the state returned is
// durable. The damaged file is kept as NAME.damaged, its good part stays in place, and damage
// says what was wrong (nil: nothing). The state returned may then be older than what was
// acknowledged; its owner says so to whoever feeds him, who sends the rest again or a full copy. A
// file that does not begin as a delta file is left alone: err is a *FormatError.
//
// The file is written anew, whatever its condition, for a sync of it would prove nothing: an fsync
// that has failed before, in this process or an earlier one, may have left bytes that no later
// fsync writes. The work is that of copying what there is.
func (a *Appender) Recover(ctx context.Context) (s State, damage, err error) {
	if err := a.take(ctx); err != nil {
		return State{}, nil, err
	}
	defer a.give()
	err = a.refresh(ctx)
	suffix := ""
	if isDamage(err) && a.known {
		suffix, damage, err = "damaged", err, nil
	}
	if err == nil {
		e := a.end
		err = a.replaceWith(suffix)(ctx, content{base: e.base, from: e.head, to: e.off, last: e.state})
	}
	if errors.Is(err, errNoHead) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return State{}, damage, fmt.Errorf("deltafile: recover %q: %w", a.path, err)
	}
	return a.end.state, damage, nil
}

// Reset puts a file that starts at base and holds nothing in the place of whatever was there,
// durably and in one step: a spool after a full copy. A damaged delta file is kept as
// NAME.damaged; a file that never was a delta file is left alone (*FormatError).
func (a *Appender) Reset(ctx context.Context, base State) error {
	if err := base.check(); err != nil {
		return fmt.Errorf("deltafile: reset: %w", err)
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	c := content{base: base, last: base}
	for {
		err := a.refresh(ctx)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = a.create(ctx, c)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
		case isDamage(err) && a.known:
			err = a.replaceWith("damaged")(ctx, c)
		case err == nil || errors.Is(err, errNoHead):
			err = a.replaceWith("")(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("deltafile: reset %q: %w", a.path, err)
		}
		return nil
	}
}

// Empty cuts every changeset off, in place: for a spool all of which is of no more use, on a disk that
// is too full for the file that Reset puts in its place. A crash behind it leaves a file that ends where
// it begins. fs.ErrNotExist: no file. *FormatError: damage; it stays.
func (a *Appender) Empty(ctx context.Context) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	err := a.refresh(ctx)
	if errors.Is(err, errNoHead) {
		err = fs.ErrNotExist
	}
	if err == nil {
		a.known = false
		err = a.file.Truncate(a.end.head)
	}
	if err != nil {
		return fmt.Errorf("deltafile: empty %q: %w", a.path, err)
	}
	return nil
}

// Sync makes durable all that was appended or found through this Appender before the call:
// after Last or AppendRaw and then Sync, the state they returned survives a power cut. Callers
// that come together share one fsync.
//
// When it fails, nothing more can be done with this Appender: every later call returns the
// error, as does Failed. What a spool alone had written since the last good sync is cut off the
// file again, so that nobody who reads it takes it for durable. What came out of an outbox stays:
// a sync by another process may have counted it as durable meanwhile, and pruned it there.
func (a *Appender) Sync() error {
	lead, err := a.group.sync()
	if !lead {
		return err
	}
	<-a.turn
	defer a.give()
	if a.closed || !a.spool {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cutPatience)
	defer cancel()
	if cerr := a.cutUnsynced(ctx); cerr != nil {
		err = errors.Join(err, fmt.Errorf("cut what is not synced: %w", cerr))
	}
	return err
}

// Failed is the reason for which this Appender can do nothing more, nil while it works: an fsync
// has failed, of the file or, after a rename, of its directory. Its owner opens another; whoever
// is the only one to have what the file holds begins that with Recover.
func (a *Appender) Failed() error { return a.group.failed() }

// Close closes the file. A Sync that is under way ends first.
func (a *Appender) Close() error {
	<-a.turn
	defer func() { a.turn <- struct{}{} }()
	a.closed = true
	a.group.fail(ErrClosed)
	a.drop()
	a.group.release()
	return nil
}

// take waits for this Appender's turn.
func (a *Appender) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.turn:
	}
	err := a.group.failed()
	if a.closed {
		err = ErrClosed
	}
	if err != nil {
		a.turn <- struct{}{}
	}
	return err
}

// give ends the turn and with it the file's lock.
func (a *Appender) give() {
	if a.file != nil {
		if err := a.file.Unlock(); err != nil {
			a.drop() // closing unlocks
		}
	}
	a.turn <- struct{}{}
}

// drop forgets the open file.
func (a *Appender) drop() {
	if a.file != nil {
		a.group.retire(a.file)
	}
	a.file, a.known = nil, false
}

func isDamage(err error) bool {
	var fe *FormatError
	return errors.As(err, &fe)
}

// follow checks that css are the changesets behind last and returns the state after them.
func follow(last State, css []*Changeset) (State, error) {
	for _, cs := range css {
		got, n, err := Decode(last, cs.Raw)
		if err == nil && n != len(cs.Raw) {
			err = fmt.Errorf("%d bytes behind the end line", len(cs.Raw)-n)
		}
		if err != nil {
			return State{}, fmt.Errorf("changeset %d does not follow %s: %w", cs.Serial, last, err)
		}
		last = last.After(got)
	}
	return last, nil
}
