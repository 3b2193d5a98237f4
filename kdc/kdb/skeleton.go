package kdb

import (
	"context"
	"errors"
	"io"
	"iter"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

var errSoon = errors.New("kdb: not built yet")

// DB is one realm's database.
type DB struct{}

func Create(ctx context.Context, path, realm string, o Options) (*DB, error)    { return nil, errSoon }
func InitSlave(ctx context.Context, path, realm string, o Options) (*DB, error) { return nil, errSoon }
func Open(ctx context.Context, path string, o Options) (*DB, error)             { return nil, errSoon }
func Remove(path string) error                                                  { return errSoon }
func (db *DB) Close() error                                                     { return errSoon }
func (db *DB) Realm() string                                                    { return "" }
func (db *DB) Path() string                                                     { return "" }

func (db *DB) State(ctx context.Context) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}
func (db *DB) Digest(ctx context.Context) (deltafile.State, Digest, error) {
	return deltafile.State{}, Digest{}, errSoon
}
func (db *DB) Count(ctx context.Context) (principals, policies int, err error) { return 0, 0, errSoon }
func (db *DB) VerifyDigest(ctx context.Context) error                          { return errSoon }
func (db *DB) NewEpoch(ctx context.Context) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}

func (db *DB) Principal(ctx context.Context, name string) (*dumpfmt.Principal, error) {
	return nil, errSoon
}
func (db *DB) Policy(ctx context.Context, name string) (*dumpfmt.Policy, error) { return nil, errSoon }
func (db *DB) Principals(ctx context.Context) iter.Seq2[*dumpfmt.Principal, error] {
	return nil
}
func (db *DB) Names(ctx context.Context) iter.Seq2[string, error]             { return nil }
func (db *DB) Policies(ctx context.Context) iter.Seq2[*dumpfmt.Policy, error] { return nil }

// Tx is the view of the database inside Update.
type Tx struct{}

func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}
func (tx *Tx) Principal(name string) (*dumpfmt.Principal, error) { return nil, errSoon }
func (tx *Tx) Policy(name string) (*dumpfmt.Policy, error)       { return nil, errSoon }
func (tx *Tx) PutPrincipal(p *dumpfmt.Principal) error           { return errSoon }
func (tx *Tx) DeletePrincipal(name string) error                 { return errSoon }
func (tx *Tx) PutPolicy(p *dumpfmt.Policy) error                 { return errSoon }
func (tx *Tx) DeletePolicy(name string) error                    { return errSoon }
func (tx *Tx) Cut() error                                        { return errSoon }

func (db *DB) SetLockout(ctx context.Context, name string, l dumpfmt.Lockout) error { return errSoon }
func (db *DB) SetLockouts(ctx context.Context, batch map[string]dumpfmt.Lockout) error {
	return errSoon
}
func (db *DB) Drain(ctx context.Context) error { return errSoon }
func (db *DB) Changes(ctx context.Context, after uint64, max int) ([]*deltafile.Changeset, error) {
	return nil, errSoon
}

func (db *DB) Dump(ctx context.Context, w io.Writer, o DumpOptions) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}
func (db *DB) Load(ctx context.Context, r io.Reader, o LoadOptions) (LoadResult, error) {
	return LoadResult{}, errSoon
}

// Snapshot is a consistent copy of the database, framed for the wire.
type Snapshot struct{}

func (db *DB) Snapshot(ctx context.Context, dir string) (*Snapshot, error) { return nil, errSoon }
func (s *Snapshot) State() deltafile.State                                 { return deltafile.State{} }
func (s *Snapshot) Size() int64                                            { return 0 }
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error)                { return 0, errSoon }
func (s *Snapshot) Close() error                                           { return nil }

func (db *DB) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}
func (db *DB) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	return deltafile.State{}, errSoon
}

// View is the database in memory.
type View struct{}

func OpenView(ctx context.Context, db *DB) (*View, error)        { return nil, errSoon }
func (v *View) Run(ctx context.Context) error                    { return errSoon }
func (v *View) Principal(name string) (*dumpfmt.Principal, bool) { return nil, false }
func (v *View) Line(name string) ([]byte, bool)                  { return nil, false }
func (v *View) Ref(name string) (uint64, bool)                   { return 0, false }
func (v *View) Policy(name string) (*dumpfmt.Policy, bool)       { return nil, false }
func (v *View) SetLockout(name string, l dumpfmt.Lockout) bool   { return false }
func (v *View) State() deltafile.State                           { return deltafile.State{} }
func (v *View) Version() uint64                                  { return 0 }
