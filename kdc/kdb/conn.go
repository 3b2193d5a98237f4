package kdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// SQLite's primary result codes that this package tells apart.
const (
	codeError      = 1
	codeBusy       = 5
	codeReadOnly   = 8
	codeIOErr      = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26
)

// conn is one connection to the database file. It speaks to the driver directly: database/sql
// adds a quarter to the cost of a statement, and this package needs a connection of known
// identity for its transactions anyway. A conn is used by one goroutine at a time.
//
// Statements are prepared once and kept. They never get a context that can end: the driver
// would start a goroutine for each execution. Callers look at their context between rows.
type conn struct {
	raw   driver.Conn
	stmts map[string]*stmt

	// Of a writer.
	made made      // by this transaction
	gate gate      // not open yet
	last lastState // of the last transaction
}

type stmt struct {
	raw  driver.Stmt
	exec driver.StmtExecContext
	rows driver.StmtQueryContext
	args []driver.NamedValue // scratch
}

// openConn opens the file, which must exist, and runs pragmas on the connection one by one:
// in a DSN the driver would run them in an order of its own.
func openConn(path string, pragmas ...string) (*conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := (&url.URL{Scheme: "file", Path: abs, RawQuery: "mode=rw&_txlock=immediate&_busy_timeout=5000&_dqs=0&_error_rc=1"}).String()
	raw, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: make(map[string]*stmt), last: lastState{version: -1}}
	for _, p := range pragmas {
		if err := c.script("PRAGMA " + p); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	c.gate.close()
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.raw.Close())
	}
	c.stmts = nil
	return errors.Join(append(errs, c.raw.Close())...)
}

// script runs statements that are not worth keeping.
func (c *conn) script(sql string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return err
}

func (c *conn) prepare(sql string) (*stmt, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	raw, err := c.raw.(driver.ConnPrepareContext).PrepareContext(context.Background(), sql)
	if err != nil {
		return nil, err
	}
	s := &stmt{raw: raw, exec: raw.(driver.StmtExecContext), rows: raw.(driver.StmtQueryContext)}
	c.stmts[sql] = s
	return s, nil
}

// forget drops the prepared statements. After the tables have been swapped they would be
// prepared again one by one, and hold the old plans until then.
func (c *conn) forget() {
	for _, s := range c.stmts {
		_ = s.raw.Close() // reports only the error of the statement's last run
	}
	clear(c.stmts)
}

func (s *stmt) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs a statement without results. Arguments are int64, string and []byte.
func (c *conn) exec(sql string, args ...any) error {
	_, err := c.execCount(sql, args...)
	return err
}

// execCount does the same and returns the number of rows changed.
func (c *conn) execCount(sql string, args ...any) (int64, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	res, err := s.exec.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query starts a statement with results. The rows must be closed before the same statement
// runs again on this connection.
func (c *conn) query(sql string, args ...any) (*rows, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return nil, err
	}
	raw, err := s.rows.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return nil, err
	}
	return &rows{raw: raw, vals: make([]driver.Value, len(raw.Columns()))}, nil
}

// first runs a statement and returns the values of its first row, or errNoRow.
func (c *conn) first(sql string, args ...any) (*rows, error) {
	r, err := c.query(sql, args...)
	if err != nil {
		return nil, err
	}
	ok := r.next()
	if err := r.close(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoRow
	}
	return r, nil
}

var errNoRow = errors.New("no such row")

// rows is a result being read. The values of a row live until the garbage collector takes
// them: the driver copies each out of SQLite.
type rows struct {
	raw  driver.Rows
	vals []driver.Value
	err  error
}

// next reads one row; after false, close says whether that was the end or an error.
func (r *rows) next() bool {
	if r.err != nil {
		return false
	}
	err := r.raw.Next(r.vals)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return err == nil
}

func (r *rows) close() error {
	if err := r.raw.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}

func (r *rows) int(i int) int64 {
	n, _ := r.vals[i].(int64)
	return n
}

func (r *rows) bytes(i int) []byte {
	b, _ := r.vals[i].([]byte)
	return b
}

func (r *rows) text(i int) string {
	s, _ := r.vals[i].(string)
	return s
}

// sqliteCode returns the primary result code of an error of the engine, 0 for another.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// placeholders returns "(?,?),(?,?)" for n rows of width columns.
func placeholders(n, width int) string {
	row := "(" + strings.Repeat("?,", width-1) + "?)"
	return strings.Repeat(row+",", n-1) + row
}

// diskTrouble names what the engine does not: it wants to write files beside the database even to
// read, and says "unable to open" and "I/O error" of a disk that is read-only or full. nil: it is neither.
func diskTrouble(path string) error {
	dir := filepath.Dir(path)
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("cannot write in %s: %w", dir, err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err == nil && s.Blocks > 0 && s.Bavail == 0 {
		return ErrFull
	}
	return nil
}

// annotate gives an engine error the name of the file it happened on, and ErrBusy, ErrFull and ErrDamaged
// to callers that want to tell them apart. Other errors pass unchanged.
func annotate(path string, err error) error {
	switch sqliteCode(err) {
	case 0:
		return err
	case codeBusy:
		return fmt.Errorf("kdb: %s: %w", path, ErrBusy)
	case codeFull:
		return fmt.Errorf("kdb: %s: %w", path, ErrFull)
	case codeCorrupt, codeNotADB:
		return fmt.Errorf("kdb: %s: %w: %w", path, ErrDamaged, err)
	case codeReadOnly, codeCantOpen, codeIOErr:
		if cause := diskTrouble(path); cause != nil {
			return fmt.Errorf("kdb: %s: %w (%w)", path, cause, err)
		}
	}
	return fmt.Errorf("kdb: %s: %w", path, err)
}
