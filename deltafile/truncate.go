package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Truncate drops from the file the changesets of epoch e with serials up to upto, which every
// follower must have acknowledged, and returns the new base. The file is rewritten with that
// base and what lies beyond, synced, and renamed over the old one, under the old one's lock:
// no append can be lost in between, and the path names a complete file at every moment.
//
// The work is that of copying what remains: call it when all is acknowledged, or when what
// can go is at least as much as what must stay. Others append meanwhile. A upto before the base does nothing; one
// beyond the end drops everything. *EpochError: the file is of another epoch and stays as
// it is. *FormatError: damage; it stays. fs.ErrNotExist: no file.
func Truncate(ctx context.Context, path string, e Epoch, upto uint64) (State, error) {
	return TruncateFS(ctx, OSFS, path, e, upto)
}

// TruncateFS is Truncate in a given file system; nil: OSFS.
func TruncateFS(ctx context.Context, fsys FS, path string, e Epoch, upto uint64) (State, error) {
	a, err := OpenAppender(path, AppenderOptions{FS: fsys})
	if err != nil {
		return State{}, err
	}
	s, err := a.Truncate(ctx, e, upto)
	return s, errors.Join(err, a.Close())
}

// Truncate is the function Truncate for whoever holds an Appender on the file.
func (a *Appender) Truncate(ctx context.Context, e Epoch, upto uint64) (State, error) {
	if err := a.take(ctx); err != nil {
		return State{}, err
	}
	defer a.give()
	s, err := a.truncate(ctx, e, upto)
	if IsFull(err) && a.spendRoom() { // where all is dropped nobody else appends now: the lock is held
		s, err = a.truncate(ctx, e, upto)
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: truncate %q: %w", a.path, err)
	}
	a.keepRoom()
	return s, nil
}

// errMoved: the file was replaced or cut while it was copied.
var errMoved = errors.New("file was replaced meanwhile")

func (a *Appender) truncate(ctx context.Context, e Epoch, upto uint64) (State, error) {
	for {
		if err := a.refresh(ctx); err != nil {
			if errors.Is(err, errNoHead) {
				err = fs.ErrNotExist
			}
			return State{}, err
		}
		base, last := a.end.base, a.end.state
		switch {
		case base.Epoch != e:
			return State{}, &EpochError{State: base}
		case upto <= base.Serial:
			return base, nil
		case upto >= last.Serial:
			return last, a.replaceWith("")(ctx, content{base: last, last: last})
		}
		cut, err := a.keepBehind(ctx, upto)
		if !errors.Is(err, errMoved) {
			return cut, err
		}
	}
}

// keepBehind truncates where something remains. What is there now is checked and copied without
// the lock, for that may take long and complete changesets stay as they are; only what
// was appended meanwhile is copied under it.
func (a *Appender) keepBehind(ctx context.Context, upto uint64) (State, error) {
	file, end := a.file, a.end
	if err := file.Unlock(); err != nil {
		return State{}, err
	}
	cut, off, err := a.findCut(upto)
	if err != nil {
		return State{}, err
	}
	d, err := a.draft(ctx, content{base: cut, from: off, to: end.off, last: end.state})
	if err != nil {
		return State{}, err
	}
	err = a.refresh(ctx)
	if a.file != file || err == nil && a.end.off < end.off {
		err = errMoved
	}
	if err == nil && a.end.off > end.off {
		if err = copyRange(d.file, a.file, end.off, a.end.off); err == nil {
			err = d.file.Sync()
		}
		d.end.state = a.end.state
		d.end.off += a.end.off - end.off
	}
	if err != nil {
		return State{}, a.discard(d, err)
	}
	return cut, a.install(d)
}

// findCut decodes from the base to the changeset upto and returns the state after it and
// where it ends. What is to remain is decoded too: a damaged file is left as it is.
func (a *Appender) findCut(upto uint64) (cut State, off int64, err error) {
	s := scanner{f: a.file, name: a.path, state: a.end.base, off: a.end.head, reuse: true}
	for {
		start := s.off
		css, err := s.batch(a.end.off)
		if err != nil {
			return State{}, 0, err
		}
		if len(css) == 0 {
			break
		}
		if first := css[0].Serial; cut.IsZero() && upto >= first && upto < first+uint64(len(css)) {
			off = start
			for _, cs := range css[:upto-first+1] {
				off += int64(len(cs.Raw))
				cut = a.end.base.After(cs)
			}
		}
	}
	if cut.IsZero() {
		return State{}, 0, fmt.Errorf("changeset %d not found before %s", upto, a.end.state)
	}
	return cut, off, nil
}
