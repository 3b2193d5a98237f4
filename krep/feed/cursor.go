package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"krealm/deltafile"
)

// Cursor is one slave's place in the history. It is for one goroutine.
type Cursor struct {
	f    *Feed
	at   deltafile.State
	tail *deltafile.Tail // while the slave is behind what is in memory
}

// Cursor returns a Cursor that stands at a state.
func (f *Feed) Cursor(at deltafile.State) *Cursor { return &Cursor{f: f, at: at} }

// catchUpWait bounds a look into the file: what is looked for is there, unless the file is
// being replaced just now.
const catchUpWait = time.Second

// Next returns changesets behind the cursor, as many as fit in limit bytes but at least one, and
// moves on; none if there is nothing new. The changesets are shared and not to be modified.
//
// errors.Is tells deltafile.ErrForeign (another hash at the cursor's serial) and
// deltafile.ErrBehind (the file begins after the cursor); errors.As a *deltafile.EpochError. In
// all these cases the slave needs a full copy. A *deltafile.FormatError is damage.
func (c *Cursor) Next(ctx context.Context, limit int64) ([]*deltafile.Changeset, error) {
	css, inMemory, err := c.f.from(c.at, limit)
	if !inMemory && err == nil {
		css, err = c.read(ctx)
	} else {
		c.closeTail()
	}
	if err != nil {
		return nil, err
	}
	if n := len(css); n > 0 {
		c.at = c.at.After(css[n-1])
	}
	return css, nil
}

// Close gives back what the cursor holds.
func (c *Cursor) Close() { c.closeTail() }

func (c *Cursor) closeTail() {
	if c.tail != nil {
		_ = c.tail.Close()
		_, _ = c.tail.Next(context.Background()) // closes the file, which Close leaves to the reader
		c.tail = nil
	}
}

// read takes the next changesets from the file.
func (c *Cursor) read(ctx context.Context) ([]*deltafile.Changeset, error) {
	if c.tail == nil {
		o := c.f.o.Tail
		o.Watch = func(string) (deltafile.Watcher, error) { return nil, nil }
		tail, err := o.Open(c.f.o.Path, c.at)
		if err != nil {
			return nil, err
		}
		c.tail = tail
	}
	look, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	css, err := c.tail.Next(look)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	var gap *deltafile.GapError
	if errors.As(err, &gap) {
		c.f.cutAt(gap.Base)
	}
	if err != nil {
		c.closeTail()
		return nil, err
	}
	return css, nil
}

// from returns what is in memory behind a state. inMemory is false if some of it is only in
// the file.
func (f *Feed) from(at deltafile.State, limit int64) (css []*deltafile.Changeset, inMemory bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case at.Epoch != f.last.Epoch:
		return nil, true, &deltafile.EpochError{State: f.base}
	case at.Serial < f.base.Serial:
		return nil, true, &deltafile.GapError{After: at, Base: f.base}
	case at.Serial < f.first.Serial:
		return nil, false, nil
	case at.Serial > f.last.Serial:
		return nil, true, nil
	}
	i := int(at.Serial - f.first.Serial)
	have := f.first
	if i > 0 {
		have = f.first.After(f.window[i-1])
	}
	if have.Hash != at.Hash {
		return nil, true, &deltafile.ForeignError{Have: at, File: have}
	}
	end, size := i, int64(0)
	for end < len(f.window) && (end == i || size+int64(len(f.window[end].Raw)) <= limit) {
		size += int64(len(f.window[end].Raw))
		end++
	}
	return slices.Clone(f.window[i:end]), true, nil
}

// HashAt returns the state at a serial of the present epoch, if it is known without reading
// the file.
func (f *Feed) HashAt(serial uint64) (deltafile.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case serial == f.base.Serial:
		return f.base, nil
	case serial < f.first.Serial || serial > f.last.Serial:
		return deltafile.State{}, fmt.Errorf("serial %d is not in memory: %w", serial, deltafile.ErrBehind)
	case serial == f.first.Serial:
		return f.first, nil
	}
	return f.first.After(f.window[serial-f.first.Serial-1]), nil
}
