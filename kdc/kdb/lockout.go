package kdb

import (
	"context"
	"fmt"

	"krealm/dumpfmt"
)

// SetLockout sets the lockout fields of one entry in this database only: no changeset is made.
// ErrNotFound if there is no such principal.
//
// Lockout fields change with every login, so they are not fsynced: a crash of the program keeps
// them, a power cut may take the last ones. Other changes are not affected by that. An error may also be of a
// disk that fails as they are moved into the database file, though they are set.
func (db *DB) SetLockout(ctx context.Context, name string, l dumpfmt.Lockout) error {
	n, err := db.setLockouts(ctx, map[string]dumpfmt.Lockout{name: l})
	if err == nil && n == 0 {
		err = notFound("principal", name)
	}
	return err
}

// SetLockouts does the same for many entries in one transaction. Names that do not exist, any more,
// are passed over.
func (db *DB) SetLockouts(ctx context.Context, batch map[string]dumpfmt.Lockout) error {
	_, err := db.setLockouts(ctx, batch)
	return err
}

func (db *DB) setLockouts(ctx context.Context, batch map[string]dumpfmt.Lockout) (n int64, err error) {
	if db.o.ReadOnly {
		return 0, fmt.Errorf("kdb: %s: %w", db.path, ErrReadOnly)
	}
	if len(batch) == 0 {
		return 0, nil
	}
	n, err = db.limit(ctx, batch)
	if sqliteCode(err) == codeIOErr { // also when ctx has ended: others rely on it
		<-db.writing
		db.afterFault(ctx)
		db.writing <- struct{}{}
	}
	return n, annotate(db.path, err)
}

// limitsMoved is how many lockout fields are written before the -wal is moved into the database file. SQLite
// would do that by itself, and tell nobody if the fsync of the -wal failed: what is committed behind what was
// lost then would be lost with it in a power cut.
const limitsMoved = 500

// limit writes lockout fields, and moves the -wal now and then. An error of that is returned though they are written.
func (db *DB) limit(ctx context.Context, batch map[string]dumpfmt.Lockout) (n int64, err error) {
	if err := acquire(ctx, db.limiting); err != nil {
		return 0, err
	}
	defer func() { db.limiting <- struct{}{} }()
	if err := db.openWriter(&db.l, "NORMAL", "wal_autocheckpoint = 0"); err != nil {
		return 0, err
	}
	n, err = writeLockouts(ctx, db.l, batch)
	if db.limits += n; err == nil && db.limits >= limitsMoved {
		db.limits = 0
		failpoint("move")
		_, err = db.l.first("PRAGMA wal_checkpoint(PASSIVE)")
	}
	if sqliteCode(err) != 0 {
		_ = db.l.close()
		db.l = nil
	}
	return n, err
}

func writeLockouts(ctx context.Context, c *conn, batch map[string]dumpfmt.Lockout) (n int64, err error) {
	if err := begin(ctx, c); err != nil {
		return 0, err
	}
	for name, l := range batch {
		var one int64
		one, err = c.execCount("UPDATE principal SET last_success = ?, last_failed = ?, fail_count = ? WHERE name = ?",
			int64(l.LastSuccess), int64(l.LastFailed), int64(l.FailCount), name)
		if err != nil {
			_ = c.exec("ROLLBACK")
			return 0, err
		}
		n += one
	}
	if err := c.exec("COMMIT"); err != nil {
		_ = c.exec("ROLLBACK")
		return 0, err
	}
	return n, nil
}
