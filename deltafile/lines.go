package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// AppendLines is for a writer that has no outbox, such as a patched legacy tool: each body becomes
// the changeset behind the file's last one, encoded under the file's lock. It returns the new
// last state.
//
// want is the state that a missing or empty file is begun with; a zero want asks for a file
// that is there (fs.ErrNotExist). A file that is there is continued whatever its epoch, and never
// replaced: *FormatError says that it is damaged or of another realm than want. Without bodies
// nothing is appended, but a missing file is made.
//
// After an error the file holds what it held, or some of the first changesets whole. What it then holds is on disk, also
// after an fsync that has failed; ErrUnsure says that it may not be, and that no later success says so.
func (a *Appender) AppendLines(ctx context.Context, want State, t time.Time, bodies ...[]byte) (State, error) {
	if err := want.check(); err != nil && want != (State{}) {
		return State{}, fmt.Errorf("deltafile: append: wanted state: %w", err)
	}
	s, err := a.appendLines(ctx, want, t, bodies)
	if err == nil && a.sync {
		if err = a.Sync(); err != nil {
			if anew := a.anew(ctx); anew != nil {
				err = errors.Join(err, fmt.Errorf("%w: %w", ErrUnsure, anew))
			}
		}
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: append to %q: %w", a.path, err)
	}
	return s, nil
}

// anew writes the file anew after a sync that has failed: nothing else could supply what it holds, and the next
// sync would succeed without writing that.
func (a *Appender) anew(ctx context.Context) error {
	b, err := OpenAppender(a.path, AppenderOptions{FS: a.fsys})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	if err := b.refresh(ctx); err != nil {
		return err
	}
	e := b.end
	return b.replaceWith("")(ctx, content{base: e.base, from: e.head, to: e.off, last: e.state})
}

func (a *Appender) appendLines(ctx context.Context, want State, t time.Time, bodies [][]byte) (State, error) {
	if err := a.take(ctx); err != nil {
		return State{}, err
	}
	defer a.give()
	fetch := func(after State) ([]*Changeset, error) { return encodeAll(after, t, bodies) }
	for {
		err := a.refresh(ctx)
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case (missing || errors.Is(err, errNoHead)) && want == State{}:
			err = fs.ErrNotExist
		case missing:
			err = a.begin(ctx, want, fetch, a.create)
			if errors.Is(err, fs.ErrExist) { // another process was faster
				continue
			}
		case errors.Is(err, errNoHead):
			err = a.begin(ctx, want, fetch, a.replaceWith(""))
		case err == nil && want.Realm != "" && want.Realm != a.end.base.Realm:
			err = &FormatError{File: a.path, Offset: int64(len(Header)), Err: ErrRealm}
		case err == nil:
			var css []*Changeset
			if css, err = fetch(a.end.state); err == nil {
				err = a.write(css)
			}
		}
		return a.end.state, err
	}
}

// encodeAll makes the changesets that follow prev, one for each body.
func encodeAll(prev State, t time.Time, bodies [][]byte) ([]*Changeset, error) {
	css := make([]*Changeset, 0, len(bodies))
	for _, body := range bodies {
		cs, err := Encode(prev, t, body)
		if err != nil {
			return nil, err
		}
		css, prev = append(css, cs), prev.After(cs)
	}
	return css, nil
}
