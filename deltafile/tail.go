package deltafile

import "context"

// Tail follows a delta file.
type Tail struct{ path string }

// OpenTail follows path from behind after; the zero State means from the file's base.
func OpenTail(path string, after State) (*Tail, error) { return nil, errNotBuilt }

// Ready waits until there is a file with a complete base line and returns its base.
func (t *Tail) Ready(ctx context.Context) (State, error) { return State{}, errNotBuilt }

// Next waits for changesets and returns at least one.
func (t *Tail) Next(ctx context.Context) ([]*Changeset, error) { return nil, errNotBuilt }

// Base is the base of the file being read, zero before there is one.
func (t *Tail) Base() State { return State{} }

// Last is the state after the last changeset Next returned.
func (t *Tail) Last() State { return State{} }

// Close ends the tail.
func (t *Tail) Close() error { return errNotBuilt }

// DirWatch wakes its user when something in a directory changes.
type DirWatch struct{ c chan struct{} }

// WatchDir watches a directory.
func WatchDir(dir string) (*DirWatch, error) { return nil, errNotBuilt }

// C receives after each change; several changes may come as one.
func (w *DirWatch) C() <-chan struct{} { return w.c }

// Close ends the watch.
func (w *DirWatch) Close() error { return errNotBuilt }
