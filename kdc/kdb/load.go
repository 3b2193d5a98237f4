package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"krealm/dumpfmt"
)

// Load reads a dump file of version 4 to 7, in which a name may come twice: the last wins. Either
// all of it is taken or nothing: a record that does not parse is a *dumpfmt.SyntaxError with
// line and field. Readers see the database of before until Load returns; other changes wait for
// as long as r takes to be read.
//
// A full load begins a new epoch. With o.Update the epoch goes on, with a changeset for each
// record that makes a difference. In both, lockout fields are taken from the file. ErrReplica
// on a slave's database, which takes its content from a master only.
func (db *DB) Load(ctx context.Context, r io.Reader, o LoadOptions) (LoadResult, error) {
	in, err := dumpfmt.NewReader(r)
	if err != nil {
		return LoadResult{}, fmt.Errorf("kdb: load: %w", err)
	}
	var res LoadResult
	st, err := db.write(ctx, func(c *conn, st *state) (err error) {
		if st.replica {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrReplica)
		}
		if o.Update {
			res, err = db.loadUpdate(ctx, c, st, in, o.Progress)
		} else {
			b := &bulk{c: c, progress: o.Progress}
			if res, err = b.replace(ctx, st, in, false); err == nil {
				err = db.startEpoch(c, st)
			}
		}
		return err
	})
	if err != nil {
		return LoadResult{}, err
	}
	res.State = st.State
	db.checkpoint(ctx)
	db.drainAfterCommit(ctx, &st)
	return res, nil
}

// loadUpdate puts record by record, as an Update that cuts after each.
func (db *DB) loadUpdate(ctx context.Context, c *conn, st *state, in *dumpfmt.Reader, progress func(int)) (LoadResult, error) {
	var res LoadResult
	tx := &Tx{db: db, c: c, st: st, touched: make(map[key]*touch)}
	for n := 0; ; n++ {
		if progress != nil && n%batchRows == 0 && n > 0 {
			progress(n)
		}
		if ctx.Err() != nil {
			return res, ctx.Err()
		}
		kind, _, line, err := in.NextLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return res, fmt.Errorf("kdb: load: %w", err)
		}
		if kind == dumpfmt.KindPrincipal {
			res.Principals++
		} else {
			res.Policies++
		}
		if err := tx.putLine(bytes.Clone(line)); err != nil {
			return res, err
		}
		if err := tx.Cut(); err != nil {
			return res, err
		}
	}
	if progress != nil {
		progress(res.Principals + res.Policies)
	}
	return res, nil
}

// checkpoint moves the -wal into the database file and empties it: after a load it is as large as
// the database. That readers are in the way is no error; what is left then goes at the next
// automatic checkpoint.
func (db *DB) checkpoint(ctx context.Context) {
	if acquire(ctx, db.writing) != nil {
		return
	}
	defer func() { db.writing <- struct{}{} }()
	if db.w != nil {
		_ = db.w.script("PRAGMA wal_checkpoint(TRUNCATE)")
	}
}
