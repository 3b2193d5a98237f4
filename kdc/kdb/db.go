package kdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"krealm/deltafile"
)

// DB is one realm's database, open. Its methods may be called concurrently, also by several
// processes on one file: readers never wait for a writer, writers wait for one another.
type DB struct {
	path  string
	realm string
	o     Options
	file  os.FileInfo // that path named when it was opened

	writing chan struct{} // holds one token: whoever has it uses w and unsure
	w       *conn         // nil until the first change, and after an error of the engine
	unsure  bool          // the disk may have lost some of the -wal: nothing is to be committed behind that
	line    line          // Updates that wait

	limiting chan struct{} // likewise, for l
	l        *conn         // lockout counters, not fsynced
	limits   int64         // how many since it has last moved the -wal

	gates gates

	mu     sync.Mutex
	idle   []*conn // readers not in use
	closed bool

	delta  atomic.Pointer[deltafile.Appender] // nil without a delta file
	last   atomic.Pointer[made]               // what was committed last, for the drain behind it
	synced atomic.Pointer[deltafile.State]    // the delta file holds this durably; only for pruning
}

// maxIdle is how many connections for reading are kept for the next reader.
const maxIdle = 4

// busyMax is how long a change waits for other processes: longer than the longest load.
const busyMax = 2 * time.Minute

func (o *Options) now() time.Time {
	if o.Clock != nil {
		return o.Clock()
	}
	return time.Now()
}

func (o *Options) keep() uint64 {
	if o.KeepChanges > 0 {
		return uint64(o.KeepChanges)
	}
	return DefaultKeepChanges
}

// Create makes an empty database, a master's, with a new epoch. There must be nothing at path
// (ErrExists); its directory must exist. The delta file, if one is named, is begun.
func Create(ctx context.Context, path, realm string, o Options) (*DB, error) {
	s := deltafile.Initial(realm, deltafile.NewEpoch(), o.now())
	return create(ctx, path, &state{State: s, base: s}, o)
}

// InitSlave makes an empty database, a slave's, which waits for a snapshot: its state has epoch
// 0. There must be nothing at path (ErrExists).
func InitSlave(ctx context.Context, path, realm string, o Options) (*DB, error) {
	s := deltafile.State{Realm: realm}
	return create(ctx, path, &state{State: s, base: s, replica: true}, o)
}

func create(ctx context.Context, path string, st *state, o Options) (*DB, error) {
	if st.Realm == "" {
		return nil, fmt.Errorf("kdb: %s: empty realm", path)
	}
	if err := createFile(path, st); err != nil {
		return nil, err
	}
	return Open(ctx, path, o)
}

// Open opens a database: ErrNoDatabase, ErrForeign, ErrDamaged, ErrVersion and ErrLoose say what is wrong
// with the file. Unless o.ReadOnly, what a crash kept from the delta file is appended to it; that
// this fails is told to o.OnDrainError only.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("kdb: %w", err)
	}
	db := &DB{path: path, o: o, file: fi, writing: make(chan struct{}, 1), limiting: make(chan struct{}, 1)}
	db.writing <- struct{}{}
	db.limiting <- struct{}{}
	var st state
	err = db.read(ctx, func(c *conn) (err error) {
		if err := checkSchema(c, path); err != nil {
			return err
		}
		st, err = readState(c)
		return err
	})
	if err == nil && !st.replica && !o.ReadOnly {
		err = disown(path)
	}
	if err == nil {
		db.realm = st.Realm
		err = db.openDelta(nil)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.drainAfterCommit(ctx, &st)
	return db, nil
}

// Close closes the database. Reads that are under way keep their connection until they end.
func (db *DB) Close() error {
	<-db.writing
	<-db.limiting
	db.mu.Lock()
	idle := db.idle
	db.idle, db.closed = nil, true
	db.mu.Unlock()
	errs := []error{}
	for _, c := range append(idle, db.w, db.l) {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	db.w, db.l = nil, nil
	if d := db.delta.Swap(nil); d != nil {
		errs = append(errs, d.Close())
	}
	db.writing <- struct{}{}
	db.limiting <- struct{}{}
	return errors.Join(errs...)
}

// Realm is the realm's name.
func (db *DB) Realm() string { return db.realm }

// Path is the file's name as given to Open.
func (db *DB) Path() string { return db.path }

// Replaced tells that the file is gone, or another has its name, since it was opened: what is written
// here then goes where nobody will look for it.
func (db *DB) Replaced() bool {
	fi, err := os.Stat(db.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(fi, db.file)
}

var errClosed = errors.New("kdb: database closed")

// reader takes a connection for reading.
func (db *DB) reader(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, errClosed
	}
	if n := len(db.idle); n > 0 {
		c := db.idle[n-1]
		db.idle = db.idle[:n-1]
		return c, nil
	}
	return openConn(db.path, "query_only = 1")
}

// release gives a reader back; a bad one is closed.
func (db *DB) release(c *conn, good bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if good && !db.closed && len(db.idle) < maxIdle {
		db.idle = append(db.idle, c)
		return
	}
	_ = c.close() // nothing was written through it
}

// read runs fn on a connection for reading. Each statement of fn sees the state of its own start.
func (db *DB) read(ctx context.Context, fn func(c *conn) error) error {
	c, err := db.reader(ctx)
	if err != nil {
		return annotate(db.path, err)
	}
	good := false
	defer func() { db.release(c, good) }()
	err = fn(c)
	good = sqliteCode(err) == 0
	return annotate(db.path, err)
}

// readTx runs fn in a read transaction: all of it sees one state, which is st.
func (db *DB) readTx(ctx context.Context, fn func(c *conn, st *state) error) error {
	return db.read(ctx, func(c *conn) error { return c.readTx(fn) })
}

func (c *conn) readTx(fn func(c *conn, st *state) error) (err error) {
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	defer func() {
		if e := c.exec("COMMIT"); err == nil {
			err = e
		}
	}()
	st, err := readState(c)
	if err != nil {
		return err
	}
	return fn(c, &st)
}

// readFile is readTx for whoever wants what the file has, and not what a connection remembers of it.
func (db *DB) readFile(ctx context.Context, fn func(c *conn, st *state) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := openConn(db.path, "query_only = 1")
	if err != nil {
		return annotate(db.path, err)
	}
	defer func() { _ = c.close() }() // nothing was written through it
	return annotate(db.path, c.readTx(fn))
}

// scan runs a query and fn on each row, looking at ctx now and then.
func scan(ctx context.Context, c *conn, sql string, fn func(r *rows) error) error {
	r, err := c.query(sql)
	if err != nil {
		return err
	}
	for n := 0; r.next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			err = ctx.Err()
			break
		}
		if err = fn(r); err != nil {
			break
		}
	}
	if e := r.close(); err == nil {
		err = e
	}
	return err
}
