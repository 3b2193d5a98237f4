package kdb

import "context"

// Harden makes durable what the database shows, for a program that is about to vouch for it.
//
// A writer that is killed between the writing of a commit and its fsync leaves one that whoever opens
// the database next finds whole in the -wal, and that a power cut takes back. After an fsync that has
// failed it is worse: the kernel takes the pages for written, and no later fsync of them proves anything.
// So what is in the -wal is written anew, into the database file, that is synced, and the -wal begins
// anew as well: another program's commit that was lost in it, of lockout fields, say, would hide all behind
// it from whoever reads it after a power cut. Where a reader holds on to an older state and keeps that from being done, what there
// is is synced behind a commit that changes nothing.
func (db *DB) Harden(ctx context.Context) error {
	whole := false
	err := db.withWriter(ctx, func(c *conn) error {
		r, err := c.first("PRAGMA wal_checkpoint(TRUNCATE)")
		if err == nil {
			whole = r.int(1) == r.int(2)
		}
		return err
	})
	if err != nil || whole {
		return err
	}
	_, err = db.write(ctx, func(c *conn, _ *state) error { return c.exec("UPDATE state SET id = 1") })
	return err
}

// withWriter runs fn on the connection for writing, outside of a transaction.
func (db *DB) withWriter(ctx context.Context, fn func(c *conn) error) error {
	if err := acquire(ctx, db.writing); err != nil {
		return err
	}
	defer func() { db.writing <- struct{}{} }()
	if db.o.ReadOnly {
		return annotate(db.path, ErrReadOnly)
	}
	if err := db.openWriter(&db.w, "FULL"); err != nil {
		return annotate(db.path, err)
	}
	err := fn(db.w)
	if sqliteCode(err) != 0 { // whatever state the connection is in now, a new one is not
		_ = db.w.close()
		db.w = nil
	}
	return annotate(db.path, err)
}
