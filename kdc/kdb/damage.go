package kdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// A replica holds nothing of its own but lockout fields, so a file of one that the disk has damaged may be put
// aside, and an empty one, which gets a full copy, in its place. A master's file never: and what it is
// cannot be read from a damaged file. So whoever may put it aside has noted before, while it was whole, in
// NAME-replica, which file it is. The note goes when a master's database begins there, or one is opened.
const replicaSuffix = "-replica"

// maxAside is how many damaged files are kept beside a database: who has so many has a disk to replace.
const maxAside = 3

var (
	// ErrNotExpendable: the file is not known to be a replica's, or there are enough damaged ones already.
	ErrNotExpendable = errors.New("damaged, and left alone")
	// ErrSound: SQLite finds nothing wrong with the file.
	ErrSound = errors.New("database file is in order")
)

// Suspect tells whether an error may come of a damaged file: Expendable finds out.
func Suspect(err error) bool {
	switch sqliteCode(err) {
	case codeError, codeCorrupt, codeNotADB:
		return true
	}
	return errors.Is(err, ErrDamaged)
}

// Vouch notes that the file is a replica's, which SetAside may put aside should it be damaged. ErrMaster: it
// is not.
func (db *DB) Vouch(ctx context.Context) error {
	replica, err := db.Replica(ctx)
	if err != nil {
		return err
	}
	if !replica {
		return fmt.Errorf("kdb: %s: %w", db.path, ErrMaster)
	}
	note := replicaNote(db.realm, db.file)
	name := db.path + replicaSuffix
	if have, err := os.ReadFile(name); err == nil && string(have) == note {
		return nil
	}
	_, err = db.write(ctx, func(_ *conn, st *state) error { // nobody makes it a master's meanwhile
		if !st.replica {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrMaster)
		}
		draft := name + ".new"
		err := os.WriteFile(draft, []byte(note), 0o600)
		if err == nil {
			err = os.Rename(draft, name)
		}
		if err != nil {
			return fmt.Errorf("kdb: %w", err)
		}
		return nil
	})
	return err
}

// replicaNote is what the note says of a file.
func replicaNote(realm string, fi os.FileInfo) string {
	inode := uint64(0)
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("inode %d is a replica of %s\n", inode, realm)
}

// disown takes the note away, durably, before the file becomes a master's.
func disown(path string) error {
	name := path + replicaSuffix
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) { // on a read-only disk it cannot be removed either
		return nil
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Expendable says whether SetAside would put the file aside: nil, or why not. ErrSound and ErrNotExpendable are
// answers, any other error means that it could not be found out.
func Expendable(ctx context.Context, path, realm string) error {
	err := checkFile(path)
	if err == nil {
		err = inspect(ctx, path)
	}
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("kdb: %s: %w: it is a symbolic link", path, ErrNotExpendable)
	}
	note, err := os.ReadFile(path + replicaSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kdb: %w", err)
	}
	if string(note) != replicaNote(realm, fi) {
		return fmt.Errorf("kdb: %s: %w: it is not known for a replica of %s", path, ErrNotExpendable, realm)
	}
	if cause := trouble(path); cause != nil { // no empty database could take its place
		return fmt.Errorf("kdb: %s: %w: %w", path, ErrNotExpendable, cause)
	}
	_, err = asideName(path)
	return err
}

var trouble = diskTrouble // tests have a full disk

// inspect lets SQLite look at all of the file: ErrDamaged, ErrSound, or what kept it from that.
func inspect(ctx context.Context, path string) error {
	c, err := openConn(path, "query_only = 1")
	if err != nil {
		return annotate(path, err)
	}
	defer func() { _ = c.close() }()
	if err := checkSchema(c, path); err != nil {
		return annotate(path, err)
	}
	sound := false
	err = scan(ctx, c, "PRAGMA integrity_check(1)", func(r *rows) error {
		sound = r.text(0) == "ok"
		return nil
	})
	switch {
	case err != nil:
		return annotate(path, err)
	case sound:
		return fmt.Errorf("kdb: %s: %w", path, ErrSound)
	}
	return fmt.Errorf("kdb: %s: %w", path, ErrDamaged)
}

// asideName is a free name for a damaged file.
func asideName(path string) (string, error) {
	name := path + ".damaged"
	for n := 1; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if n == maxAside {
			return "", fmt.Errorf("kdb: %s: %w: %d damaged ones are kept beside it", path, ErrNotExpendable, n)
		}
		name = path + ".damaged." + strconv.Itoa(n)
	}
}

// SetAside gives the damaged file of a replica, and its -wal, another name, and returns that. Nobody may use
// it through a DB of this process; other programs go on with what they have. Errors are those of
// Expendable, and then nothing has happened.
func SetAside(ctx context.Context, path, realm string) (kept string, err error) {
	dir := filepath.Dir(path)
	unlock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := Expendable(ctx, path, realm); err != nil {
		return "", err
	}
	if kept, err = asideName(path); err != nil {
		return "", err
	}
	if err := os.Rename(path, kept); err != nil { // first: SQLite removes no -wal of a file that was moved
		return "", fmt.Errorf("kdb: %w", err)
	}
	failpoint("aside")
	if err := os.Rename(path+"-wal", kept+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kept, fmt.Errorf("kdb: %w", err)
	}
	failpoint("aside with its -wal")
	return kept, errors.Join(removeSides(path), syncDir(dir))
}
