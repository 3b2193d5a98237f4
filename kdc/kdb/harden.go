package kdb

import (
	"context"
	"time"
)

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
	err := db.withWriter(ctx, func(c *conn) (err error) {
		whole, err = emptyWAL(ctx, c)
		return err
	})
	if err != nil || whole {
		return err
	}
	_, err = db.write(ctx, func(c *conn, _ *state) error { return c.exec("UPDATE state SET id = 1") })
	return err
}

// Readers, and others who move the -wal, are in the way for a moment as a rule.
const (
	walPatience = time.Second
	walAgain    = 5 * time.Millisecond
)

// emptyWAL moves what is in the -wal into the database file, synced, and lets the -wal begin anew. It waits for
// who is in the way, for a second at most. whole: all of it has been moved, be the -wal empty or not.
func emptyWAL(ctx context.Context, c *conn) (whole bool, err error) {
	for start := time.Now(); ; {
		r, err := c.first("PRAGMA wal_checkpoint(TRUNCATE)")
		if err != nil {
			return false, err
		}
		blocked, frames, moved := r.int(0) != 0, r.int(1), r.int(2) // -1, -1: somebody else moves it now
		whole = moved == frames && frames >= 0
		if !blocked || time.Since(start) >= walPatience {
			return whole, nil
		}
		t := time.NewTimer(walAgain)
		select {
		case <-ctx.Done():
			t.Stop()
			return false, ctx.Err()
		case <-t.C:
		}
	}
}

// afterFault is for a transaction that a fault of the disk has ended; the caller has the token of w, which is
// closed. If it was an fsync that failed, what other connections had in the -wal by then may be
// lost to the disk, and no later fsync brings it there: a commit behind it, by whatever process, would be lost
// with it in a power cut. So the -wal begins anew, if the disk lets it.
func (db *DB) afterFault(ctx context.Context) {
	if db.openWriter(&db.w, "FULL") != nil {
		return
	}
	if _, err := emptyWAL(context.WithoutCancel(ctx), db.w); err != nil {
		_ = db.w.close()
		db.w = nil
	}
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
