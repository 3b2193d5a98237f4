package kdb

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// atTheGate makes a database beside whose gate somebody stands, who goes with the file; patience is
// how long others wait for him.
func atTheGate(t *testing.T, patience time.Duration) (*DB, *os.File) {
	t.Helper()
	db := newMaster(t, Options{})
	db.gates.patience.Store(int64(patience))
	put(t, db, princ("a", 1))
	f, err := os.OpenFile(db.path+gateSuffix, os.O_RDWR, 0)
	if err == nil {
		err = flock(f, unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return db, f
}

// A process that stands still at the gate for long costs those who go past it one wait and one
// goroutine, with its thread and descriptor, and not one for each change.
func TestGateIsWaitedForOnce(t *testing.T) {
	db, f := atTheGate(t, 300*time.Millisecond)
	before := runtime.NumGoroutine()
	for i := range 20 {
		put(t, db, princ("a", uint32(i+2)))
	}
	if n := runtime.NumGoroutine() - before; n > 4 { // flock's, the one that closes its descriptor, a leader
		t.Errorf("%d goroutines wait at the gate", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("a", 99))
}
