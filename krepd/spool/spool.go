package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"krealm/deltafile"
)

// cutAt is how many bytes a spool may hold before what is applied is dropped at once and not
// only when it is quiet.
const cutAt = 4 << 20

// Spool is one spool. Its methods may be called from several goroutines; those that change the file
// take turns.
type Spool struct {
	path string
	fsys deltafile.FS
	lock io.Closer
	wake chan struct{} // of the Tail
	turn chan struct{} // full while somebody changes the file; no mutex, for the disk may block it

	// sure: what is in the file was written by this process since it began the file anew, and no fsync
	// has failed: another fsync makes it durable. Whoever has the turn may use it.
	sure bool

	mu      sync.Mutex
	app     *deltafile.Appender
	last    deltafile.State // appended
	durable deltafile.State // synced
	bytes   int64           // in the file, about
	from    uint64          // serial that the file starts at, or was tried to be cut at
	barred  error           // why nothing may be appended, and no sync counts: Settle has not come to its end
	begun   uint64          // counts settlings and new beginnings: what was appended before is another matter
}

// Open takes possession of a spool. The directory must exist and be closed to others; the file
// need not exist. deltafile.ErrPossessed: somebody has it. FS is for tests, nil is the real one; possession is
// a matter of the real one only.
func Open(path string, fsys deltafile.FS) (*Spool, error) {
	var lock io.Closer = io.NopCloser(nil)
	if fsys == nil {
		own, err := deltafile.Possess(path, "lock", fmt.Sprintf("krepd with pid %d", os.Getpid()))
		if err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
		fsys, lock = deltafile.OSFS, own
	}
	app, err := deltafile.OpenAppender(path, deltafile.AppenderOptions{FS: fsys, Verify: -1})
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &Spool{path: path, fsys: fsys, lock: lock, app: app, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}, nil
}

// Close gives the spool back.
func (s *Spool) Close() error { return errors.Join(s.appender().Close(), s.lock.Close()) }

func (s *Spool) appender() *deltafile.Appender {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app
}

// revive opens the file again if an fsync has failed; the caller, who has the turn, goes on with
// Recover.
func (s *Spool) revive() error {
	dead := s.appender()
	if dead.Failed() == nil {
		return nil
	}
	app, err := deltafile.OpenAppender(s.path, deltafile.AppenderOptions{FS: s.fsys, Verify: -1})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.app = app
	s.last = s.durable // of the rest nothing is known, and a sync of the file opened anew proves nothing
	s.begun++
	s.mu.Unlock()
	s.sure = false
	_ = dead.Close()
	return nil
}

// Path returns the name of the file; NAME.full and the like beside it are the receiver's.
func (s *Spool) Path() string { return s.path }

// Settle makes the spool one that can be continued to and from the database's state, and returns
// its last state, which is then durable, also after an fsync that has failed. anew says why it was started anew, if it was. With a
// database that waits for its first full copy (epoch 0) there is no spool, and the result is
// zero. A *DamageError comes with a good result; other errors leave things as they are.
func (s *Spool) Settle(ctx context.Context, db deltafile.State) (last deltafile.State, anew string, err error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.bar()
	last, damage, err := s.recover(ctx)
	var room *RoomError
	if deltafile.IsFull(err) {
		full := err
		if last, err = s.app.Last(ctx); err != nil {
			return deltafile.State{}, "", full
		}
		room = &RoomError{Last: last, Err: full}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		last, err = deltafile.State{}, nil
		if db.IsZero() {
			return last, "", nil
		}
		anew = "there is none"
	case err != nil:
		return deltafile.State{}, "", err
	case last.Epoch != db.Epoch:
		anew = fmt.Sprintf("it is at %v, the database at %v", last, db)
	case last.Serial < db.Serial:
		anew = fmt.Sprintf("it ends at %d, the database is at %d", last.Serial, db.Serial)
	case last.Serial == db.Serial && last.Hash != db.Hash:
		anew = fmt.Sprintf("it has another change %d than the database", db.Serial)
	}
	if db.IsZero() {
		if err := s.setAside(); err != nil {
			return deltafile.State{}, "", err
		}
		s.set(deltafile.State{}, 0)
		return deltafile.State{}, "the database is empty", nil
	}
	if anew != "" {
		if err := s.reset(ctx, db); err != nil {
			return deltafile.State{}, "", err
		}
		return db, anew, nil
	}
	if room != nil && last.Serial > db.Serial {
		s.setUnsafe(last, db, room)
		return last, "", room
	}
	if room != nil { // nothing of it is needed any more
		return db, "", s.reset(ctx, db)
	}
	s.set(last, db.Serial)
	if damage != nil {
		return last, "", &DamageError{Last: last, Err: damage}
	}
	return last, "", nil
}

// recover finds the last state and makes it durable. What an earlier process has written, or this one
// before an fsync that has failed, it writes anew.
func (s *Spool) recover(ctx context.Context) (last deltafile.State, damage, err error) {
	if err := s.revive(); err != nil {
		return deltafile.State{}, nil, err
	}
	if s.sure {
		if last, err = s.app.Last(ctx); err == nil {
			if err = s.app.Sync(); err != nil {
				s.sure = false
			}
			return last, nil, err
		}
	}
	last, damage, err = s.app.Recover(ctx)
	s.sure = err == nil
	return last, damage, err
}

var errUnsettled = errors.New("spool is not in order yet")

// bar lets nothing be appended, and no sync count, until set is called: if what comes now fails, nothing is
// known of what the file holds.
func (s *Spool) bar() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.barred = errUnsettled
}

// RoomError says that a spool is good up to Last and could not be made durable, for there is no room to
// write it anew: it may be applied, which needs no durable spool, and then be settled again, but not
// appended to.
type RoomError struct {
	Last deltafile.State
	Err  error
}

func (e *RoomError) Error() string { return fmt.Sprintf("spool up to %d: %v", e.Last.Serial, e.Err) }

func (e *RoomError) Unwrap() error { return e.Err }

// DamageError says that a spool was damaged and is in order again: what stood before the damage,
// up to Last, is kept, and the damaged file as NAME.damaged. A power cut leaves such damage behind
// what was synced.
type DamageError struct {
	Last deltafile.State
	Err  error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("spool was damaged behind %d: %v", e.Last.Serial, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// set notes what is in the file, all of it durable. from is the serial from which on it is of use.
func (s *Spool) set(last deltafile.State, from uint64) { s.note(last, last, from, nil) }

// setUnsafe notes what is in the file and is not durable beyond what the database has, and why.
func (s *Spool) setUnsafe(last, db deltafile.State, why error) { s.note(last, db, db.Serial, why) }

// note notes all of it at once: others read it meanwhile, and acknowledge.
func (s *Spool) note(last, durable deltafile.State, from uint64, barred error) {
	size := s.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.durable, s.bytes, s.from = last, durable, size, from
	s.begun++
	s.barred = barred
}

// size is that of the file; one that cannot be asked for is not taken for nothing, which need never be cut.
func (s *Spool) size() int64 {
	info, err := s.fsys.Stat(s.path)
	switch {
	case err == nil:
		return info.Size
	case errors.Is(err, fs.ErrNotExist):
		return 0
	}
	return 1
}

// setAside renames the file to NAME.stale.
func (s *Spool) setAside() error {
	if err := s.fsys.Rename(s.path, s.path+".stale"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Reset starts the spool anew at a state, durably: after a full copy was loaded.
func (s *Spool) Reset(ctx context.Context, base deltafile.State) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.bar()
	if err := s.revive(); err != nil {
		return err
	}
	return s.reset(ctx, base)
}

// reset does it for a caller who has the turn. Nothing of what is in the file is needed any more: on a
// full disk it makes room for the new one.
func (s *Spool) reset(ctx context.Context, base deltafile.State) error {
	err := s.app.Reset(ctx, base)
	if deltafile.IsFull(err) && s.app.Empty(ctx) == nil {
		err = s.app.Reset(ctx, base)
	}
	if err != nil {
		return err
	}
	s.sure = true
	s.set(base, base.Serial)
	s.poke()
	return nil
}

// Append writes changesets that follow Last. They are not durable before Sync.
func (s *Spool) Append(ctx context.Context, css []*deltafile.Changeset) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.mu.Lock()
	barred := s.barred
	s.mu.Unlock()
	if barred != nil {
		return barred
	}
	last, err := s.app.AppendRaw(ctx, css)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.last = last
	for _, cs := range css {
		s.bytes += int64(len(cs.Raw))
	}
	s.mu.Unlock()
	s.poke()
	return nil
}

// Sync makes durable what was appended before the call and returns the last state of it.
//
// After an error nothing more can be done with this Spool: what the disk has is not known. The
// process should end, and begin with what it finds.
func (s *Spool) Sync() (deltafile.State, error) {
	s.mu.Lock()
	last, app, begun := s.last, s.app, s.begun
	s.mu.Unlock()
	if err := app.Sync(); err != nil {
		return deltafile.State{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun == begun && s.barred == nil && last.Serial > s.durable.Serial {
		s.durable = last
	}
	return s.durable, nil
}

// Last returns the state after what was appended, Durable the state after what was synced.
func (s *Spool) Last() deltafile.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Durable returns the state after what is certain to survive a power cut.
func (s *Spool) Durable() deltafile.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// Cut drops what is applied if it is worth it: all there is when it is quiet, or when the file has
// grown; and where something new has always come before the last is applied, what can go when that is
// as much as what must stay. When it is quiet it looks whether the file is still the one that was
// written: an error says that somebody has removed it, or put another in its place, and Settle mends it.
func (s *Spool) Cut(ctx context.Context, applied deltafile.State, quiet bool) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.mu.Lock()
	last, bytes, from := s.last, s.bytes, s.from
	s.mu.Unlock()
	if quiet {
		if err := s.missing(ctx, last); err != nil {
			return err
		}
	}
	all := applied.Epoch == last.Epoch && applied.Serial == last.Serial
	half := applied.Epoch == last.Epoch && applied.Serial < last.Serial && applied.Serial > from &&
		applied.Serial-from >= last.Serial-applied.Serial
	if bytes == 0 || !all && !half || (!all || !quiet) && bytes < cutAt {
		return nil
	}
	_, err := s.app.Truncate(ctx, applied.Epoch, applied.Serial)
	switch {
	case deltafile.IsFull(err) && all:
		return s.reset(ctx, applied)
	case deltafile.IsFull(err): // when more of it is applied there will be less to copy
		s.mu.Lock()
		defer s.mu.Unlock()
		s.from = applied.Serial
		return nil
	case err != nil:
		return err
	}
	size := int64(0)
	if half {
		size = s.size()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.from = size, applied.Serial
	return nil
}

// missing tells whether the file lacks what was appended. It may have more, of a write that failed.
func (s *Spool) missing(ctx context.Context, want deltafile.State) error {
	have, err := s.app.Last(ctx)
	if err != nil {
		return err
	}
	if have.Epoch != want.Epoch || have.Serial < want.Serial || have.Serial == want.Serial && have.Hash != want.Hash {
		return fmt.Errorf("spool ends at %v, what was appended at %v: %w", have, want, errOther)
	}
	return nil
}

var errOther = errors.New("somebody has put another file in its place")

// maxBad is how many copies there may be of changesets that cannot be applied.
const maxBad = 100

// Quarantine keeps a copy of a changeset that cannot be applied as NAME.EPOCH.SERIAL.bad and
// returns that name. There may be a hundred such files; nobody but the administrator removes one.
func (s *Spool) Quarantine(e deltafile.Epoch, cs *deltafile.Changeset) (string, error) {
	name := fmt.Sprintf("%s.%v.%d.bad", s.path, e, cs.Serial)
	err := s.fsys.Remove(name) // of an earlier try
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("spool: quarantine: %w", err)
	}
	if err := s.roomForBad(); err != nil {
		return "", fmt.Errorf("spool: quarantine: %w", err)
	}
	f, err := s.fsys.Create(name)
	if err == nil {
		_, err = f.Write(cs.Raw)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "", fmt.Errorf("spool: quarantine: %w", err)
	}
	return name, nil
}

func (s *Spool) roomForBad() error {
	names, err := s.fsys.Names(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	n, prefix := 0, filepath.Base(s.path)+"."
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, ".bad") {
			n++
		}
	}
	if n >= maxBad {
		return fmt.Errorf("there are %d copies already", n)
	}
	return nil
}

// Tail reads the spool from behind a state. There is one Tail at a time.
func (s *Spool) Tail(after deltafile.State) (*deltafile.Tail, error) {
	s.poke() // what is there already
	o := deltafile.TailOptions{FS: s.fsys, Watch: func(string) (deltafile.Watcher, error) { return watcher(s.wake), nil }}
	return o.Open(s.path, after)
}

func (s *Spool) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watcher wakes the Tail within the process.
type watcher chan struct{}

func (w watcher) C() <-chan struct{} { return w }
func (w watcher) Close() error       { return nil }
