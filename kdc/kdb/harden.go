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
		whole, err = db.emptyWAL(ctx, c, walPatience)
		return err
	})
	if err != nil || whole {
		return err
	}
	_, err = db.write(ctx, func(c *conn, _ *state) error { return c.exec("UPDATE state SET id = 1") })
	return err
}

// Readers, and others who move the -wal, are in the way for a moment as a rule.
const walAgain = 5 * time.Millisecond

var walPatience = time.Second // tests lengthen it

// emptyWAL moves what is in the -wal into the database file, synced, and lets the -wal begin anew. It waits for
// who is in the way as long as it is told. whole: all of it has been moved, be the -wal empty or not. The caller has
// the token of w.
func (db *DB) emptyWAL(ctx context.Context, c *conn, patience time.Duration) (whole bool, err error) {
	for start := time.Now(); ; {
		r, err := c.first("PRAGMA wal_checkpoint(TRUNCATE)")
		if err != nil {
			db.unsure = db.unsure || sqliteCode(err) == codeIOErr
			return false, err
		}
		blocked, frames, moved := r.int(0) != 0, r.int(1), r.int(2) // -1, -1: somebody else moves it now
		whole = moved == frames && frames >= 0
		db.unsure = db.unsure && blocked
		if !blocked || time.Since(start) >= patience {
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

// afterFault is for a transaction that a fault of the disk has ended; the caller has the token of w. The connection that
// has met it is closed. If it was an fsync that failed, what other connections had in the -wal by then may be
// lost to the disk, and no later fsync brings it there: a commit behind it, by whatever process, would be lost
// with it in a power cut. So the -wal begins anew. Where that cannot be, for the disk is still sick, or somebody is
// in the way, each of our later transactions tries it again before it begins.
func (db *DB) afterFault(ctx context.Context) {
	db.unsure = true
	_ = db.makeSure(context.WithoutCancel(ctx), walPatience)
}

// makeSure lets the -wal begin anew where db is unsure of what is in it. A reader may hold it for minutes: that is
// no error, and what is committed meanwhile may be lost with what was before.
func (db *DB) makeSure(ctx context.Context, patience time.Duration) (err error) {
	if err := db.openWriter(&db.w, "FULL"); err != nil || !db.unsure {
		return err
	}
	if _, err = db.emptyWAL(ctx, db.w, patience); err != nil {
		_ = db.w.close()
		db.w = nil
	}
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
