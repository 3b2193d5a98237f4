package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// defaultPoll bounds how late a change is seen that no event told of (a network file system,
// an overflown event queue, a write through a mapping).
const defaultPoll = 250 * time.Millisecond

// Watcher wakes a Tail; FileWatch is the real one.
type Watcher interface {
	// C receives after something may have changed; several changes may come as one.
	C() <-chan struct{}
	Close() error
}

// TailOptions vary a Tail. The zero value is right but for tests.
type TailOptions struct {
	FS FS // nil: OSFS
	// Watch starts watching a file, which need not exist; nil: WatchFile. It may return a nil
	// Watcher for a tail that only polls, such as one that catches up and ends.
	Watch func(path string) (Watcher, error)
	Poll  time.Duration // 0: 250 ms
}

// Tail follows a delta file: it returns every changeset once, in order, whatever happens to
// the file meanwhile - appends by other processes, torn writes completed or cut off,
// truncation by rename, a file that comes later. Next and Ready are for one goroutine; Base,
// Last and Close for any.
type Tail struct {
	path    string
	fsys    FS
	poll    time.Duration
	watch   Watcher
	wake    <-chan struct{}
	timer   *time.Timer // of wait
	closing chan struct{}
	once    sync.Once
	use     sync.Mutex // held by Next and Ready; whoever else finds it free may close the file

	file File // nil: none open
	id   Info
	scan scanner
	idle bool // all there was at the last look has been returned: the next waits first

	mu   sync.Mutex // guards base and last for Base and Last
	base State      // of file
	last State      // after what Next returned; zero until the first file
}

// OpenTail follows path from behind after, the state its follower has; the zero State means
// everything from the file's base on. The directory must exist, the file need not.
func OpenTail(path string, after State) (*Tail, error) {
	return TailOptions{}.Open(path, after)
}

// Open is OpenTail with options.
func (o TailOptions) Open(path string, after State) (*Tail, error) {
	t := &Tail{path: filepath.Clean(path), fsys: o.FS, poll: o.Poll, last: after, closing: make(chan struct{})}
	if t.fsys == nil {
		t.fsys = OSFS
	}
	if t.poll <= 0 {
		t.poll = defaultPoll
	}
	if o.Watch == nil {
		o.Watch = func(path string) (Watcher, error) { return WatchFile(path) }
	}
	// The watch comes before the first look, so that nothing falls between the two.
	w, err := o.Watch(t.path)
	if err != nil {
		return nil, err
	}
	if w != nil {
		t.watch, t.wake = w, w.C()
	}
	return t, nil
}

// Base is the base of the file being read; zero before there was one.
func (t *Tail) Base() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.base
}

// Last is the state after the last changeset Next returned, or where the tail began.
func (t *Tail) Last() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Ready waits until there is a file with a complete head and returns its base. Errors are
// those of Next.
func (t *Tail) Ready(ctx context.Context) (State, error) {
	t.use.Lock()
	defer t.release()
	for {
		if err := t.alive(ctx); err != nil {
			return State{}, err
		}
		if t.file == nil {
			if err := t.open(); err != nil {
				return State{}, err
			}
		}
		if t.file != nil {
			return t.Base(), nil
		}
		if err := t.wait(ctx); err != nil {
			return State{}, err
		}
	}
}

// Next waits for changesets and returns at least one; they are the caller's to keep.
//
// *EpochError, *GapError and *ForeignError say that the file cannot continue the follower's
// history; a Next after one of them goes on from the file's base. *FormatError is
// damage, confirmed under the file's lock; a Next after it looks again. Other errors come from the
// file system. A follower ahead of the file's end waits: whoever keeps the file appends
// again what a power cut took from it, and the hash shows whether it is the same.
func (t *Tail) Next(ctx context.Context) ([]*Changeset, error) {
	t.use.Lock()
	defer t.release()
	for {
		if err := t.alive(ctx); err != nil {
			return nil, err
		}
		if t.idle { // what has come since has woken us
			t.idle = false
			if err := t.wait(ctx); err != nil {
				return nil, err
			}
		}
		css, more, err := t.look(ctx)
		if err != nil || len(css) > 0 {
			return css, err
		}
		if more {
			continue
		}
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// Close ends the tail; a Next that waits returns ErrClosed.
func (t *Tail) Close() error {
	var err error
	t.once.Do(func() {
		close(t.closing)
		if t.watch != nil {
			err = t.watch.Close()
		}
		t.letGo()
	})
	return err
}

// release ends a call of Next or Ready.
func (t *Tail) release() {
	t.use.Unlock()
	t.letGo()
}

// letGo closes the file of a Tail that is closed, unless somebody reads from it: then he does.
func (t *Tail) letGo() {
	select {
	case <-t.closing:
	default:
		return
	}
	if t.use.TryLock() {
		t.leave()
		t.use.Unlock()
	}
}

// alive says whether to go on.
func (t *Tail) alive(ctx context.Context) error {
	select {
	case <-t.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

func (t *Tail) wait(ctx context.Context) error {
	if t.timer == nil {
		t.timer = time.NewTimer(t.poll)
	} else {
		t.timer.Reset(t.poll)
	}
	defer t.timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.closing:
	case <-t.wake:
	case <-t.timer.C:
	}
	return nil
}

// look takes what there is now. more asks to look again at once.
func (t *Tail) look(ctx context.Context) (css []*Changeset, more bool, err error) {
	if t.file == nil {
		if err := t.open(); err != nil || t.file == nil {
			return nil, false, err
		}
	}
	// The name first, then the size: once the name stands for another file this one has its
	// final size, for it was replaced under its writers' lock.
	now, err := t.fsys.Stat(t.path)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return nil, false, fmt.Errorf("deltafile: %w", err)
	}
	mine, err := t.file.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("deltafile: %w", err)
	}
	if mine.Size < t.scan.off { // cut into: find our place in it again
		t.leave()
		return nil, true, nil
	}
	css, err = t.scan.batch(mine.Size)
	switch {
	case len(css) > 0:
		t.idle = t.wake != nil && t.scan.off == mine.Size && !gone && now.Dev == t.id.Dev && now.Ino == t.id.Ino
		css, err = t.deliver(css)
		return css, true, err
	case isDamage(err):
		return nil, true, t.confirm(ctx)
	case err != nil && !errors.Is(err, ErrIncomplete):
		return nil, false, err
	case !gone && (now.Dev != t.id.Dev || now.Ino != t.id.Ino):
		t.leave()
		return nil, true, nil
	}
	return nil, false, nil
}

// open opens the file if there is one with a complete head, and finds the follower's place.
func (t *Tail) open() error {
	f, err := t.fsys.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deltafile: %w", err)
	}
	id, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("deltafile: %w", err)
	}
	base, head, err := readHead(f, t.path, id.Size)
	if err != nil {
		_ = f.Close()
		if errors.Is(err, ErrIncomplete) {
			return nil
		}
		return err
	}
	if t.last.Realm != "" && t.last.Realm != base.Realm {
		_ = f.Close()
		return &FormatError{File: t.path, Offset: int64(len(Header)), Err: ErrRealm}
	}
	t.file, t.id = f, id
	t.scan = scanner{f: f, name: t.path, state: base, off: head}
	return t.join(base)
}

// join compares the follower's state with the base of a file just opened.
func (t *Tail) join(base State) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.last
	t.base = base
	switch {
	case have.IsZero():
		t.last = base
	case have.Epoch != base.Epoch:
		t.last = base
		return &EpochError{State: base}
	case have.Serial < base.Serial:
		t.last = base
		return &GapError{After: have, Base: base}
	case have.Serial == base.Serial && have.Hash != base.Hash:
		t.last = base
		return &ForeignError{Have: have, File: base}
	}
	return nil
}

// deliver drops what the follower has already and moves its state on.
func (t *Tail) deliver(css []*Changeset) ([]*Changeset, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(css) > 0 && css[0].Serial <= t.last.Serial {
		if css[0].Serial == t.last.Serial && css[0].Hash != t.last.Hash {
			err := &ForeignError{Have: t.last, File: t.base.After(css[0])}
			t.last = t.base
			t.leave()
			return nil, err
		}
		css = css[1:]
	}
	if len(css) > 0 {
		t.last = t.base.After(css[len(css)-1])
	}
	return css, nil
}

// confirm looks at damage again under the file's lock: without it a torn tail may have been
// cut off and written over between two reads, or the whole file written anew in place. nil
// means that it was only that; the file is then read again from its head.
func (t *Tail) confirm(ctx context.Context) error {
	if err := t.file.Lock(ctx); err != nil {
		return err
	}
	defer t.leave() // closing unlocks
	mine, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("deltafile: %w", err)
	}
	base, head, err := readHead(t.file, t.path, mine.Size)
	if err != nil {
		return err
	}
	s := scanner{f: t.file, name: t.path, state: base, off: head, reuse: true}
	if _, err := s.run(mine.Size); isDamage(err) {
		return err
	}
	return nil
}

// leave closes the file; the next look opens what the name then stands for.
func (t *Tail) leave() {
	t.idle = false
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}
