package kdb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Options say how a database is opened. The zero value is a database without a delta file.
type Options struct {
	// DeltaFile is where committed changes are appended for krep, "" for nowhere. All
	// programs that write to one database must name the same file.
	DeltaFile string
	// VerifyDelta checks all of the delta file when it is first opened, up to about a second for
	// a gigabyte; else its last 4 MiB are. It is for programs that run for long: they mend
	// what a power cut has left of more than that.
	VerifyDelta bool
	// DeltaFS is the file system that DeltaFile is in; for tests, nil means the real one.
	DeltaFS deltafile.FS
	// KeepChanges is how many changesets the changes table keeps at least (MIT's
	// iprop_ulogsize); 0 means DefaultKeepChanges. Those that the delta file does not hold
	// yet are kept beyond that.
	KeepChanges int
	// ReadOnly refuses every change, and leaves the delta file alone.
	ReadOnly bool
	// Clock gives the time of changesets and epochs; nil means time.Now.
	Clock func() time.Time
	// OnDrainError is told when a change was committed but could not be appended to the
	// delta file. That change is safe in the database, and the next Drain, of any process,
	// appends it; so the call that made the change still succeeds. nil ignores it.
	OnDrainError func(error)
	// OnDeltaDamage is told what was wrong with a delta file that a drain found damaged: it is
	// written anew from the database, and the damaged one kept as NAME.damaged. nil ignores it.
	OnDeltaDamage func(error)
}

// DefaultKeepChanges is MIT's default iprop_ulogsize.
const DefaultKeepChanges = 1000

// Errors that callers tell apart with errors.Is.
var (
	// ErrNoDatabase: there is no file at the path.
	ErrNoDatabase = errors.New("no such database")
	// ErrExists: Create or InitSlave found a file in the way.
	ErrExists = errors.New("database exists already")
	// ErrForeign: the file is not a database of this program.
	ErrForeign = errors.New("not a krealm database")
	// ErrVersion: the file was written by a program with another schema.
	ErrVersion = errors.New("database of another schema version")
	// ErrLoose: the file, or its -wal or -shm, can be read or written by others.
	ErrLoose = errors.New("file permissions let others in, want 0600")
	// ErrNotFound: no such principal or policy.
	ErrNotFound = errors.New("no such entry")
	// ErrPruned: the changes asked for are no longer kept.
	ErrPruned = errors.New("changes no longer kept")
	// ErrReadOnly: a change on a DB opened with Options.ReadOnly.
	ErrReadOnly = errors.New("database opened read-only")
	// ErrReplica: a change of replicated content on a slave's database.
	ErrReplica = errors.New("database is a replica: changes are made on the master")
	// ErrMaster: Apply or LoadSnapshot on a master's database.
	ErrMaster = errors.New("database is the master's: it takes no changes from another")
	// ErrEmpty: a replica that has not received its first snapshot.
	ErrEmpty = errors.New("replica has no content yet")
	// ErrBusy: another process has held the write lock for too long.
	ErrBusy = errors.New("database locked by another process")
	// ErrFull: the disk, or the file, is full. Nothing has changed.
	ErrFull = errors.New("no room left for the database")
	// ErrDamaged: SQLite finds the file damaged, or no database at all.
	ErrDamaged = errors.New("database file is damaged")
	// ErrReplaced: the file under a View, or a DB, is no longer the one it opened.
	ErrReplaced = errors.New("database file replaced")
	// ErrHistory: a changeset or snapshot of another history than the database's: another
	// epoch or realm, or the same serial with another hash. Only a snapshot mends it.
	ErrHistory = errors.New("another history")
	// ErrGap: a changeset that does not follow the database's state.
	ErrGap = errors.New("changes missing in between")
	// ErrDigest: content and digest disagree.
	ErrDigest = errors.New("content does not match its digest")
)

// RecordError says which changeset could not be applied. Nothing of its batch has been.
type RecordError struct {
	Serial uint64
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("kdb: changeset %d: %v", e.Serial, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// Digest is the sum modulo 2^256 of the SHA-256 of every row's line, principals and policies
// alike, as a big-endian number. It does not depend on the order of rows and each change
// updates it by one subtraction and one addition. The lockout fields are not part of it.
type Digest [sha256.Size]byte

// String is 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// DumpOptions say what Dump writes. The zero value is the whole database in version 7, in
// MIT's order.
type DumpOptions struct {
	Version    dumpfmt.Version        // 0 means dumpfmt.Current
	Reverse    bool                   // principals in descending order, as MIT's -rev
	Match      func(name string) bool // principals to write; nil means all
	NoPolicies bool
}

// LoadOptions say how Load treats what is there.
type LoadOptions struct {
	// Update keeps the entries the file does not name and makes one changeset per record.
	// Otherwise the file replaces everything and a new epoch begins.
	Update bool
	// Iprop takes a full copy as MIT's kpropd receives it: the header is that of iprop or ipropx,
	// and entries that exist keep their lockout fields. It does not go with Update.
	Iprop bool
	// Progress, if not nil, is called now and then with the number of records read so far.
	Progress func(n int)
	// DryRun does everything but the commit: the database stays as it is. The write lock is held
	// and the disk is needed as by a load.
	DryRun bool
	// Changed, if not nil, is told each entry that the load adds, changes or removes, before the
	// commit.
	Changed func(c LoadChange)
	// Review, if not nil, is shown a full load when all of the file has been read and nothing
	// replaced: its error is Load's, and nothing has happened. Master is the name of an entry that
	// Review looks at, "" for none.
	Review func(r *Review) error
	Master string
}

// LoadResult says what a Load has brought.
type LoadResult struct {
	State      deltafile.State // after the load
	Principals int             // records in the file
	Policies   int             // records in the file
	// Iprop is the position in MIT's update log that the file was made at, with
	// LoadOptions.Iprop. Our own serials have nothing to do with it.
	Iprop dumpfmt.IpropHeader
}
