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
// After an error the file holds what it held, or some of the first changesets whole.
func (a *Appender) AppendLines(ctx context.Context, want State, t time.Time, bodies ...[]byte) (State, error) {
	if err := want.check(); err != nil && want != (State{}) {
		return State{}, fmt.Errorf("deltafile: append: wanted state: %w", err)
	}
	s, err := a.appendLines(ctx, want, t, bodies)
	if err == nil && a.sync {
		err = a.Sync()
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: append to %q: %w", a.path, err)
	}
	return s, nil
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
