package kdb

import (
	"context"
	"fmt"
)

// write runs fn in an immediate transaction: the state it is given is the last, and stays so
// until the commit. fn changes rows, and st accordingly; st is saved behind it and returned. If
// fn fails, or panics, nothing has happened.
func (db *DB) write(ctx context.Context, fn func(c *conn, st *state) error) (state, error) {
	if err := acquire(ctx, db.writing); err != nil {
		return state{}, err
	}
	defer func() { db.writing <- struct{}{} }()
	return db.writeHeld(ctx, fn)
}

// writeHeld does it for a caller that has the token.
func (db *DB) writeHeld(ctx context.Context, fn func(c *conn, st *state) error) (state, error) {
	if db.o.ReadOnly {
		return state{}, fmt.Errorf("kdb: %s: %w", db.path, ErrReadOnly)
	}
	if err := db.makeSure(ctx, 0); err != nil {
		return state{}, annotate(db.path, err)
	}
	st, err := db.transact(ctx, db.w, fn)
	if err == nil {
		db.remember(db.w)
	}
	if code := sqliteCode(err); code != 0 { // whatever state the connection is in now, a new one is not
		_ = db.w.close()
		db.w = nil
		if code == codeIOErr {
			db.afterFault(ctx)
		}
	}
	return st, annotate(db.path, err)
}

// acquire takes the token of a connection, unless ctx has ended.
func acquire(ctx context.Context, token <-chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-token:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openWriter opens a connection for writing where there is none. journal_size_limit cuts the
// -wal back after a load has made it as large as the database.
func (db *DB) openWriter(c **conn, synchronous string, more ...string) (err error) {
	db.mu.Lock()
	closed := db.closed
	db.mu.Unlock()
	if closed {
		return errClosed
	}
	if *c == nil {
		*c, err = openConn(db.path, append([]string{"synchronous = " + synchronous,
			"secure_delete = FAST", "journal_size_limit = 16777216", "busy_timeout = 0"}, more...)...) // begin waits
		if err == nil {
			(*c).gate = gate{path: db.path + gateSuffix, all: &db.gates}
		}
	}
	return err
}

func (db *DB) transact(ctx context.Context, c *conn, fn func(c *conn, st *state) error) (st state, err error) {
	if err := begin(ctx, c); err != nil {
		return st, err
	}
	done := false
	defer func() {
		if !done {
			_ = c.exec("ROLLBACK") // fails where the engine has rolled back already
		}
	}()
	if st, err = c.state(); err != nil {
		return st, err
	}
	before := st
	c.made = made{}
	if err := fn(c, &st); err != nil {
		return st, err
	}
	if st != before {
		if err := saveState(c, &st); err != nil {
			return st, err
		}
	}
	failpoint("commit")
	if err := c.exec("COMMIT"); err != nil {
		return st, err
	}
	done = true
	c.last.state = st
	c.gate.announce()
	failpoint("committed")
	return st, nil
}

// failpoint marks a place where the crash tests end the process. It does nothing otherwise.
var failpoint = func(name string) {}
