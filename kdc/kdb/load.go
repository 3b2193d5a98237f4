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
// record that makes a difference. In both, lockout fields are taken from the file, with o.Iprop
// only those of entries that are new. ErrReplica
// on a slave's database, which takes its content from a master only.
func (db *DB) Load(ctx context.Context, r io.Reader, o LoadOptions) (LoadResult, error) {
	if o.Update && o.Iprop {
		return LoadResult{}, errors.New("kdb: load: an iprop dump is a full copy, it does not merge")
	}
	read := dumpfmt.NewReader
	if o.Iprop {
		read = dumpfmt.NewIpropReader
	}
	in, err := read(r)
	if err != nil {
		return LoadResult{}, fmt.Errorf("kdb: load: %w", err)
	}
	res := LoadResult{Iprop: in.Iprop()}
	st, err := db.write(ctx, func(c *conn, st *state) (err error) {
		if st.replica {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrReplica)
		}
		before := st.State
		if o.Update {
			err = db.loadUpdate(ctx, c, st, in, &o, &res)
		} else {
			b := &bulk{c: c, progress: o.Progress, master: o.Master}
			err = b.replace(ctx, st, in, o.Iprop, &o, &res)
			if err == nil && !o.DryRun {
				err = db.startEpoch(c, st)
			}
		}
		if err == nil && o.DryRun {
			res.State, err = before, errDryRun
		}
		return err
	})
	switch {
	case errors.Is(err, errDryRun):
		db.checkpoint(ctx) // what did not fit into memory went to the -wal
		return res, nil
	case err != nil:
		return LoadResult{}, err
	}
	res.State = st.State
	db.checkpoint(ctx)
	db.drainAfterCommit(ctx, &st)
	return res, nil
}

// errDryRun rolls a load back that has gone well.
var errDryRun = errors.New("dry run")

// loadUpdate puts record by record, as an Update that cuts after each.
func (db *DB) loadUpdate(ctx context.Context, c *conn, st *state, in *dumpfmt.Reader, o *LoadOptions, res *LoadResult) error {
	tx := &Tx{db: db, c: c, st: st, touched: make(map[key]*touch)}
	for n := 0; ; n++ {
		if o.Progress != nil && n%batchRows == 0 && n > 0 {
			o.Progress(n)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		kind, _, line, err := in.NextLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("kdb: load: %w", err)
		}
		if kind == dumpfmt.KindPrincipal {
			res.Principals++
		} else {
			res.Policies++
		}
		if err := tx.putLine(bytes.Clone(line)); err != nil {
			return err
		}
		if o.Changed != nil {
			tx.tell(o.Changed)
		}
		if err := tx.Cut(); err != nil {
			return err
		}
	}
	if o.Progress != nil {
		o.Progress(res.Principals + res.Policies)
	}
	return nil
}

// tell reports what the changeset being built does.
func (tx *Tx) tell(changed func(LoadChange)) {
	for _, t := range tx.order {
		switch {
		case t == nil || bytes.Equal(t.old.line, t.now.line):
		case t.old.line == nil:
			changed(LoadChange{t.key.kind, t.key.name, Added})
		default:
			changed(LoadChange{t.key.kind, t.key.name, Changed})
		}
	}
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
