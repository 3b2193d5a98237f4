package kdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The head of an SQLite file says whose it is and of which schema.
const (
	applicationID = 0x4b52444d // "KRDM"
	schemaVersion = 1
)

// schema is the whole of a database. The tables of entries are ordinary rowid tables: rows of
// half a kilobyte in the inner pages of a WITHOUT ROWID tree cost a tenth to a quarter of
// every look-up. The index over names has a statement of its own, because a bulk load makes
// it last.
//
// A row of an entry holds its version 7 dump line, LF included; in a principal's the three
// lockout fields are 0 and stand beside it. A row of changes holds the bytes of a changeset
// as they go to the delta file. state has one row; see the type of that name.
var schema = []string{
	createPrincipal("principal"),
	createPrincipalIndex,
	createPolicy("policy"),
	createPolicyIndex,
	`CREATE TABLE changes (
		serial INTEGER PRIMARY KEY,
		sec    INTEGER NOT NULL,
		usec   INTEGER NOT NULL,
		nlines INTEGER NOT NULL,
		hash   BLOB NOT NULL,
		raw    BLOB NOT NULL
	) STRICT`,
	`CREATE TABLE state (
		id          INTEGER PRIMARY KEY CHECK (id = 1),
		realm       TEXT NOT NULL,
		replica     INTEGER NOT NULL,
		generation  INTEGER NOT NULL,
		epoch       TEXT NOT NULL,
		serial      INTEGER NOT NULL,
		sec         INTEGER NOT NULL,
		usec        INTEGER NOT NULL,
		hash        BLOB NOT NULL,
		base_serial INTEGER NOT NULL,
		base_sec    INTEGER NOT NULL,
		base_usec   INTEGER NOT NULL,
		base_hash   BLOB NOT NULL,
		digest      BLOB NOT NULL,
		principals  INTEGER NOT NULL,
		policies    INTEGER NOT NULL
	) STRICT`,
	fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
}

const (
	createPrincipalIndex = "CREATE UNIQUE INDEX principal_name ON principal (name)"
	createPolicyIndex    = "CREATE UNIQUE INDEX policy_name ON policy (name)"
)

func createPrincipal(table string) string {
	return `CREATE TABLE ` + table + ` (
		id           INTEGER PRIMARY KEY,
		name         TEXT NOT NULL,
		line         BLOB NOT NULL,
		last_success INTEGER NOT NULL,
		last_failed  INTEGER NOT NULL,
		fail_count   INTEGER NOT NULL
	) STRICT`
}

func createPolicy(table string) string {
	return `CREATE TABLE ` + table + ` (
		id   INTEGER PRIMARY KEY,
		name TEXT NOT NULL,
		line BLOB NOT NULL
	) STRICT`
}

// createFile makes a new database holding st and no entries. The file gets its name only when
// it is complete and on disk: a crash leaves at most a file with a name of its own beside it.
func createFile(path string, st *state) (err error) {
	dir := filepath.Dir(path)
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("kdb: %s: %w", path, ErrExists)
	}
	if err := removeSides(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	tmp := f.Name()
	defer func() { err = errors.Join(err, os.Remove(tmp)) }()
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil { // whatever the umask took away
		return fmt.Errorf("kdb: %w", err)
	}
	if err := fillFile(tmp, st); err != nil {
		return fmt.Errorf("kdb: %s: %w", path, err)
	}
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("kdb: %s: %w", path, ErrExists)
	} else if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return syncDir(dir)
}

// fillFile writes the schema. Closing the only connection of a WAL database moves everything
// into the file itself, fsyncs it and leaves no -wal.
func fillFile(tmp string, st *state) error {
	c, err := openConn(tmp, "page_size = 4096", "journal_mode = WAL", "synchronous = FULL")
	if err != nil {
		return err
	}
	err = c.exec("BEGIN IMMEDIATE")
	for _, sql := range schema {
		if err == nil {
			err = c.script(sql)
		}
	}
	if err == nil {
		err = insertState(c, st)
	}
	if err == nil {
		err = c.exec("COMMIT")
	}
	return errors.Join(err, c.close())
}

// lockDir makes creators in one directory wait for one another: removeSides must not take the
// files of a database that somebody else has just made.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("kdb: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("kdb: lock %s: %w", dir, errors.Join(err, d.Close()))
	}
	return func() { _ = d.Close() }, nil
}

// removeSides removes the -wal and -shm of a database that is gone, and what is noted of it. SQLite would take them for the
// next one's of that name, and old entries would be back.
func removeSides(path string) error {
	for _, suffix := range []string{"-wal", "-shm", gateSuffix, replicaSuffix} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("kdb: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return nil
}

// checkFile looks at the names before SQLite opens them. It must not open the file: closing
// any descriptor of it would drop the POSIX locks that other connections of this process hold.
func checkFile(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		fi, err := os.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist) && suffix == "":
			return fmt.Errorf("kdb: %s: %w", path, ErrNoDatabase)
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("kdb: %w", err)
		case !fi.Mode().IsRegular():
			return fmt.Errorf("kdb: %s: %w: no regular file", path+suffix, ErrForeign)
		case fi.Mode().Perm()&0o077 != 0:
			return fmt.Errorf("kdb: %s: mode %04o: %w", path+suffix, fi.Mode().Perm(), ErrLoose)
		case suffix == "" && fi.Size() == 0:
			return fmt.Errorf("kdb: %s: %w, or nothing is left of it: %w", path, ErrForeign, ErrDamaged)
		}
	}
	return nil
}

// checkSchema refuses a file that this program has not made.
func checkSchema(c *conn, path string) error {
	id, err := c.first("PRAGMA application_id")
	if sqliteCode(err) == codeNotADB {
		return fmt.Errorf("kdb: %s: %w, or its head is gone: %w", path, ErrForeign, ErrDamaged)
	}
	if err != nil {
		return err
	}
	if id.int(0) != applicationID {
		return fmt.Errorf("kdb: %s: %w", path, ErrForeign)
	}
	v, err := c.first("PRAGMA user_version")
	if err != nil {
		return err
	}
	if v.int(0) != schemaVersion {
		return fmt.Errorf("kdb: %s: schema %d, this program knows %d: %w", path, v.int(0), schemaVersion, ErrVersion)
	}
	return nil
}

// Remove deletes a database with its -wal and -shm. Programs that have it open go on with what
// they have.
func Remove(path string) error {
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kdb: %s: %w", path, ErrNoDatabase)
	} else if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return errors.Join(removeSides(path), syncDir(filepath.Dir(path)))
}
