package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"krealm/deltafile"
	"krealm/internal/repeats"
)

// Defaults of Options.
const (
	DefaultWindow  = 16 << 20               // bytes
	DefaultMaxSize = 1 << 30                // bytes
	DefaultQuiet   = 200 * time.Millisecond // without an append before the whole file is dropped
	DefaultMinCut  = 1 << 20                // bytes that must be droppable in a busy file
	marksPerCut    = 16                     // marks in that many bytes
	agePeriod      = time.Minute            // how often MaxAge is looked at
)

// Options say what to follow and whom to ask.
type Options struct {
	Path  string // the delta file; its directory must exist
	Realm string // "" = whatever the file says

	// Safe tells up to which serial of an epoch all listed slaves let go of the file; ok
	// is false if there is a slave that holds all of it. With no slave it is (MaxUint64, true).
	Safe func(epoch deltafile.Epoch) (upto uint64, ok bool)
	// Release makes every slave let go that holds changes up to serial: the file has grown
	// too large or too old. nil: never asked.
	Release func(epoch deltafile.Epoch, serial uint64, reason string)

	Window  int64         // bytes of changesets kept in memory; 0: DefaultWindow
	MaxSize int64         // of the file, in bytes; 0: DefaultMaxSize, negative: no limit
	MaxAge  time.Duration // of the oldest change a slave may hold; 0: no limit
	MinCut  int64         // bytes that can go from a busy file before it is rewritten; 0: DefaultMinCut
	Quiet   time.Duration // 0: DefaultQuiet

	Log  zerolog.Logger
	Tail deltafile.TailOptions // for tests; its FS is also where the file is cut
}

// Feed follows one delta file. Its methods may be called at any time, also before and after Run.
type Feed struct {
	o       Options
	acked   chan struct{} // wakes cut
	resting atomic.Bool   // cut wants to be woken
	made    time.Time
	failed  repeats.Spell // cuts; for cut alone
	moved   atomic.Int64  // when something was acknowledged or appended last: so long after made

	mu      sync.Mutex
	base    deltafile.State // where the file begins
	first   deltafile.State // before the first changeset of window
	last    deltafile.State // after the last
	window  []*deltafile.Changeset
	bytes   int64 // of window
	size    int64 // of all changesets of the file
	marks   []mark
	oldest  time.Time // when the first changeset of the file was made; zero: none
	changed chan struct{}
	trouble string // why the file could not be cut; empty: it could
	unread  string // why it could not be read, likewise
}

// mark says how many bytes of changesets the file holds up to a serial.
type mark struct {
	serial uint64
	off    int64
}

// New returns a Feed that has not yet looked at the file.
func New(o Options) *Feed {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MinCut == 0 {
		o.MinCut = DefaultMinCut
	}
	if o.Quiet == 0 {
		o.Quiet = DefaultQuiet
	}
	return &Feed{o: o, acked: make(chan struct{}, 1), made: time.Now(), changed: make(chan struct{})}
}

// Run follows the file until ctx ends, then returns nil. It returns an error for a file that is
// damaged, of another realm, or cannot be read at the start. One that later cannot be read, or
// rewritten, is tried again: Unread and Trouble say so meanwhile.
func (f *Feed) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.follow(ctx) })
	g.Go(func() error { return f.cut(ctx) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (f *Feed) follow(ctx context.Context) error {
	tail, err := f.o.Tail.Open(f.o.Path, deltafile.State{})
	if err != nil {
		return err
	}
	defer func() { _ = tail.Close() }()
	base, err := tail.Ready(ctx)
	if err != nil {
		return err
	}
	if f.o.Realm != "" && base.Realm != f.o.Realm {
		return fmt.Errorf("delta file %q is of realm %q, not %q: %w", f.o.Path, base.Realm, f.o.Realm, deltafile.ErrRealm)
	}
	f.reset(base)
	f.o.Log.Info().Stringer("epoch", base.Epoch).Uint64("serial", base.Serial).Msg("following delta file")
	for {
		css, err := f.next(ctx, tail)
		var (
			epoch   *deltafile.EpochError
			gap     *deltafile.GapError
			foreign *deltafile.ForeignError
			damage  *deltafile.FormatError
		)
		switch {
		case err == nil:
			f.add(tail.Base(), css)
		case errors.As(err, &epoch):
			f.o.Log.Warn().Stringer("epoch", epoch.State.Epoch).Uint64("serial", epoch.State.Serial).
				Msg("delta file has begun a new epoch: all slaves get a full copy")
			f.reset(epoch.State)
		case errors.As(err, &gap):
			f.o.Log.Warn().Uint64("serial", gap.Base.Serial).Msg("somebody else has cut the delta file")
			f.reset(gap.Base)
		case errors.As(err, &foreign):
			f.o.Log.Warn().Uint64("serial", foreign.File.Serial).Msg("delta file holds another history of the same epoch")
			f.reset(tail.Base())
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &damage):
			return err
		default:
			f.unreadable(ctx, err)
		}
	}
}

// readAgain is how long a file that could not be read is left alone.
const readAgain = time.Second

// next waits for changesets; none if the file can be read again and holds nothing new.
func (f *Feed) next(ctx context.Context, tail *deltafile.Tail) ([]*deltafile.Changeset, error) {
	if f.Unread() == "" {
		return tail.Next(ctx)
	}
	look, cancel := context.WithTimeout(ctx, readAgain)
	defer cancel()
	css, err := tail.Next(look)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	if err == nil {
		f.mu.Lock()
		f.unread = ""
		f.mu.Unlock()
		f.o.Log.Info().Msg("delta file is read again")
	}
	return css, err
}

// unreadable tells that the file cannot be read now, and waits before the next try.
func (f *Feed) unreadable(ctx context.Context, err error) {
	f.mu.Lock()
	if f.unread == "" {
		f.o.Log.Error().Err(err).Msg("delta file cannot be read, trying again")
	}
	f.unread = err.Error()
	f.mu.Unlock()
	t := time.NewTimer(readAgain)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// reset begins anew at base with nothing known behind it.
func (f *Feed) reset(base deltafile.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base, f.first, f.last = base, base, base
	f.window, f.bytes, f.size, f.marks, f.oldest = nil, 0, 0, nil, time.Time{}
	f.wake()
}

// wake tells everybody who waits that there is something new. f.mu is held.
func (f *Feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *Feed) add(base deltafile.State, css []*deltafile.Changeset) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if base.Serial > f.base.Serial {
		f.rebase(base)
	}
	for _, cs := range css {
		f.window = append(f.window, cs)
		f.last = f.last.After(cs)
		f.bytes += int64(len(cs.Raw))
		f.size += int64(len(cs.Raw))
		if f.oldest.IsZero() {
			f.oldest = cs.Time()
		}
		if n := len(f.marks); n == 0 || f.size-f.marks[n-1].off >= f.markStep() {
			f.marks = append(f.marks, mark{cs.Serial, f.size})
		}
	}
	drop := 0
	for f.bytes > f.o.Window && drop < len(f.window)-1 {
		f.bytes -= int64(len(f.window[drop].Raw))
		f.first = f.first.After(f.window[drop])
		drop++
	}
	clear(f.window[:drop]) // so that what is dropped is freed; append moves the rest now and then
	f.window = f.window[drop:]
	f.wake()
	f.poke()
}

// markStep is how many bytes lie between two marks: fine enough to find half of the limit.
func (f *Feed) markStep() int64 {
	if f.o.MaxSize > 0 {
		return min(f.o.MinCut, f.o.MaxSize) / marksPerCut
	}
	return f.o.MinCut / marksPerCut
}

// rebase takes note that the file now begins at base. f.mu is held.
func (f *Feed) rebase(base deltafile.State) {
	f.base = base
	kept := f.size - f.before(base.Serial)
	i := 0
	for i < len(f.marks) && f.marks[i].serial <= base.Serial {
		i++
	}
	gone := f.size - kept
	f.marks = append([]mark(nil), f.marks[i:]...)
	for j := range f.marks {
		f.marks[j].off -= gone
	}
	f.size = kept
	f.oldest = time.Time{}
	if base.Serial >= f.last.Serial {
		f.size, f.marks = 0, nil
	} else if n := base.Serial + 1; n > f.first.Serial {
		f.oldest = f.window[n-f.first.Serial-1].Time()
	} else {
		f.oldest = base.Time()
	}
}

// before returns how many bytes of changesets the file holds up to serial, or a little less.
// f.mu is held.
func (f *Feed) before(serial uint64) int64 {
	if serial >= f.last.Serial {
		return f.size
	}
	var off int64
	for _, m := range f.marks {
		if m.serial > serial {
			break
		}
		off = m.off
	}
	return off
}

// View returns where the file begins and ends, as far as it has been read. ok is false as
// long as there is no file.
func (f *Feed) View() (base, last deltafile.State, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base, f.last, !f.base.IsZero()
}

// Changed returns a channel that is closed when View changes. Take it before looking.
func (f *Feed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Trouble returns why the file could not be cut when that was last tried, which is tried again; empty
// if it could.
func (f *Feed) Trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// Unread returns why the file could not be read when that was last tried, which is tried again; empty
// if it could.
func (f *Feed) Unread() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unread
}

// Size returns how many bytes of changesets the file holds, and when the first was made.
func (f *Feed) Size() (bytes int64, oldest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, f.oldest
}

// Since returns when the change after serial was made, if it is known: how long a slave at
// serial has been behind.
func (f *Feed) Since(serial uint64) (t time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case serial >= f.last.Serial:
		return time.Time{}, false
	case serial < f.first.Serial:
		return f.oldest, !f.oldest.IsZero()
	}
	return f.window[serial-f.first.Serial].Time(), true
}
