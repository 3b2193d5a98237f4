package deltafile

import (
	"context"
	"errors"
)

// AppenderOptions vary an Appender. The zero value is right for an outbox.
type AppenderOptions struct {
	FS   FS   // nil: OSFS
	Sync bool // fsync within each append
	// Verify is how many bytes at the end of the file are checked against the hash chain
	// when the file is first opened; 0 means 4 MiB, negative all of it.
	Verify int64
}

// Appender appends changesets to one delta file, which other processes may append to or
// truncate at the same time. Its methods may be called concurrently.
type Appender struct{ path string }

var errNotBuilt = errors.New("deltafile: not built yet")

// OpenAppender prepares appending to path. The file need not exist.
func OpenAppender(path string, o AppenderOptions) (*Appender, error) { return nil, errNotBuilt }

// Append brings the file up to date from an outbox.
func (a *Appender) Append(ctx context.Context, want State, fetch func(after State) ([]*Changeset, error)) (State, error) {
	return State{}, errNotBuilt
}

// AppendRaw appends changesets, which must follow the file's last state.
func (a *Appender) AppendRaw(ctx context.Context, css []*Changeset) (State, error) {
	return State{}, errNotBuilt
}

// Reset replaces the file by one that starts at base and holds nothing.
func (a *Appender) Reset(ctx context.Context, base State) error { return errNotBuilt }

// Last is the state at the end of the file; fs.ErrNotExist if there is none.
func (a *Appender) Last(ctx context.Context) (State, error) { return State{}, errNotBuilt }

// Sync makes durable all that was appended through a before the call.
func (a *Appender) Sync() error { return errNotBuilt }

// Close closes the file.
func (a *Appender) Close() error { return errNotBuilt }

// Truncate drops from the file the changesets of epoch e with serials up to upto.
func Truncate(ctx context.Context, path string, e Epoch, upto uint64) (State, error) {
	return State{}, errNotBuilt
}
