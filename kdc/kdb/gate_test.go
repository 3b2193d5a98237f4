package kdb

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that stands still at the gate for long costs those who go past it one wait and one
// goroutine, with its thread and descriptor, and not one for each change.
func TestGateIsWaitedForOnce(t *testing.T) {
	patience := gatePatience
	gatePatience = 300 * time.Millisecond
	defer func() { gatePatience = patience }()
	db := newMaster(t, Options{})
	put(t, db, princ("a", 1))
	f, err := os.OpenFile(db.path+gateSuffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before, start := runtime.NumGoroutine(), time.Now()
	for i := range 20 {
		put(t, db, princ("a", uint32(i+2)))
	}
	if n := runtime.NumGoroutine() - before; n > 4 { // flock's, the one that closes its descriptor, a leader
		t.Errorf("%d goroutines wait at the gate", n)
	}
	if took := time.Since(start); took > 10*gatePatience {
		t.Errorf("20 changes took %v", took)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("a", 99))
}
