package kdb

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"krealm/dumpfmt"
)

// descriptors lists this process's of a file.
func descriptors(t *testing.T, name string) map[int]bool {
	t.Helper()
	want, err := os.Stat(name)
	must(t, err)
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	out := make(map[int]bool)
	for _, e := range all {
		if fi, err := os.Stat("/proc/self/fd/" + e.Name()); err == nil && os.SameFile(fi, want) {
			n := 0
			for _, d := range e.Name() {
				n = 10*n + int(d-'0')
			}
			out[n] = true
		}
	}
	return out
}

// newDescriptor is the one of a file that was not there before.
func newDescriptor(t *testing.T, name string, before map[int]bool) int {
	t.Helper()
	var own []int
	for fd := range descriptors(t, name) {
		if !before[fd] {
			own = append(own, fd)
		}
	}
	if len(own) != 1 {
		t.Fatalf("descriptors of the writer: %v, before %v", own, before)
	}
	return own[0]
}

// unsyncable makes a descriptor one that takes everything, and cannot be synced.
func unsyncable(t *testing.T, fd int) {
	t.Helper()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	must(t, errors.Join(err, unix.Dup2(int(null.Fd()), fd), null.Close()))
}

// platter is what a disk holds of a file after an fsync has failed, for which it held before, and what was
// written later was synced: pages that were written up to the failure and not since are lost.
func platter(before, failed, after []byte) []byte {
	const page = 4096
	part := func(b []byte, at int) []byte { return b[min(at, len(b)):min(at+page, len(b))] }
	out := make([]byte, len(after))
	for at := 0; at < len(after); at += page {
		from := part(after, at)
		if bytes.Equal(from, part(failed, at)) && !bytes.Equal(from, part(before, at)) {
			from = part(before, at)
		}
		copy(out[at:], from)
	}
	return out
}

// lost is a database in which the fsync of a commit has failed, and what of its -wal the disk had before, and was
// given until then. meanwhile, if not nil, is called when that commit is about to be made.
func lost(t *testing.T, meanwhile func(db *DB)) (db *DB, synced, failed []byte) {
	t.Helper()
	db = newMaster(t, Options{})
	wal := db.path + "-wal"
	before := descriptors(t, wal)
	put(t, db, princ("alice", 1))
	own := newDescriptor(t, wal, before) // of the connection that writes
	synced, err := os.ReadFile(wal)
	must(t, err)
	must(t, db.SetLockout(t.Context(), "alice@"+testRealm, dumpfmt.Lockout{LastFailed: 1, FailCount: 1}))

	failed, err = os.ReadFile(wal)
	must(t, err)
	was := failpoint
	failpoint = func(name string) {
		if name != "commit" {
			return
		}
		unsyncable(t, own)
		if meanwhile != nil {
			meanwhile(db)
		}
	}
	_, err = db.Update(t.Context(), func(tx *Tx) error { return tx.PutPrincipal(princ("bob", 1)) })
	failpoint = was
	const fsyncFailed = 1034 // SQLITE_IOERR_FSYNC
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code() != fsyncFailed {
		t.Fatalf("the fsync did not fail: %v", err)
	}
	return db, synced, failed
}

// survives fails the test if a power cut would take carol from a database in which an fsync has failed.
func survives(t *testing.T, db *DB, synced, failed []byte) {
	t.Helper()
	after, err := os.ReadFile(db.path + "-wal")
	must(t, err)
	dir := t.TempDir()
	copied := filepath.Join(dir, "principal.sqlite")
	b, err := os.ReadFile(db.path)
	must(t, err)
	must(t, os.WriteFile(copied, b, 0o600))
	must(t, os.WriteFile(copied+"-wal", platter(synced, failed, after), 0o600))
	saved, err := Open(t.Context(), copied, Options{})
	must(t, err)
	defer closeDB(t, saved)
	verify(t, saved)
	if _, err := saved.Principal(t.Context(), "carol@"+testRealm); err != nil {
		t.Errorf("a power cut takes back what was committed: %v", err)
	}
}

// A commit whose fsync fails may take with it what another connection has written before without an fsync of
// its own, as lockout fields are. The next commit succeeds, be it another program's: it must not be lost in
// a power cut for what lies before it.
func TestCommitBehindALostOne(t *testing.T) {
	db, synced, failed := lost(t, nil)
	other, err := Open(t.Context(), db.path, Options{}) // as another program's
	must(t, err)
	defer closeDB(t, other)
	put(t, other, princ("carol", 1))
	survives(t, db, synced, failed)
}

// So is the moving of the -wal behind lockout fields, whose fsync may be the first that fails.
func TestCommitBehindALostMove(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	wal := db.path + "-wal"
	synced, err := os.ReadFile(wal)
	must(t, err)
	before := descriptors(t, wal)
	limit := func(n uint32) error {
		return db.SetLockout(t.Context(), "alice@"+testRealm, dumpfmt.Lockout{LastFailed: n, FailCount: n})
	}
	must(t, limit(1))
	own := newDescriptor(t, wal, before)
	var failed []byte
	was := failpoint
	defer func() { failpoint = was }()
	failpoint = func(name string) {
		if name == "move" {
			failed, err = os.ReadFile(wal)
			must(t, err)
			unsyncable(t, own)
		}
	}
	db.limits = limitsMoved - 1
	if err := limit(2); sqliteCode(err) != codeIOErr {
		t.Fatalf("the fsync did not fail: %v", err)
	}
	failpoint = was
	other, err := Open(t.Context(), db.path, Options{}) // as another program's
	must(t, err)
	defer closeDB(t, other)
	put(t, other, princ("carol", 1))
	survives(t, db, synced, failed)
	must(t, limit(3))
}

// Lockout fields alone do not let the -wal grow for ever.
func TestLockoutsAreMoved(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	for n := range uint32(8 * limitsMoved) {
		must(t, db.SetLockout(t.Context(), "alice@"+testRealm, dumpfmt.Lockout{LastFailed: n}))
	}
	const pages = 4 * limitsMoved // at most, with what is written while it is moved
	if fi, err := os.Stat(db.path + "-wal"); err != nil || fi.Size() > pages*4200 {
		t.Errorf("%v, %v", fi.Size(), err)
	}
	if n := alone(t, db.path); n != 1 {
		t.Errorf("the file itself is at %d", n)
	}
}

// patient lets Harden wait for as long as a busy machine takes to end what it waits for after a moment.
func patient(t *testing.T) {
	was := walPatience
	walPatience = time.Minute
	t.Cleanup(func() { walPatience = was })
}

const moment = 250 * time.Millisecond

// checkpointing locks what SQLite does for who moves the -wal, until the function that it returns is called.
func checkpointing(t *testing.T, db *DB) (end func()) {
	t.Helper()
	shm, err := os.OpenFile(db.path+"-shm", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { _ = shm.Close() }) // not before: it takes this process's other locks with it
	const at = 121                        // the byte that SQLite locks for that
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
	must(t, unix.FcntlFlock(shm.Fd(), unix.F_OFD_SETLK, &lock))
	return func() {
		t.Helper()
		lock.Type = unix.F_UNLCK
		must(t, unix.FcntlFlock(shm.Fd(), unix.F_OFD_SETLK, &lock))
	}
}

// Nor where the -wal could not begin anew at once, for somebody else or a sick disk was in the way: that is
// made up for before the next commit.
func TestCommitBehindALostOneLater(t *testing.T) {
	var end func()
	db, synced, failed := lost(t, func(db *DB) { end = checkpointing(t, db) })
	end()
	put(t, db, princ("carol", 1))
	survives(t, db, synced, failed)
}

// Somebody else who moves the -wal at the same moment, as the KDC does now and then, is waited for: that
// nothing was done does not count as done.
func TestHardenBesideAnother(t *testing.T) {
	patient(t)
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	end := checkpointing(t, db)
	done := make(chan error, 1)
	go func() { done <- db.Harden(t.Context()) }()
	select {
	case err := <-done:
		t.Errorf("done beside somebody else, %v; the file itself is at %d", err, alone(t, db.path))
		done <- err
	case <-time.After(moment):
	}
	end()
	must(t, <-done)
	if n := alone(t, db.path); n != 1 {
		t.Errorf("the file itself is at %d", n)
	}
}

// So is a reader, even one of the last state: behind it the -wal would go on.
func TestHardenWaitsForReaders(t *testing.T) {
	patient(t)
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	frozen, err := db.Freeze(t.Context())
	must(t, err)
	go func() {
		<-time.After(moment)
		_ = frozen.Close()
	}()
	must(t, db.Harden(t.Context()))
	if fi, err := os.Stat(db.path + "-wal"); err != nil || fi.Size() != 0 {
		t.Errorf("the -wal goes on: %v, %v", fi, err)
	}
}
