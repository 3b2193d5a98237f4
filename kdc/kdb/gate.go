package kdb

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Processes that want to write queue at the gate, a file of no content beside the database that is locked
// with flock. SQLite alone has no queue: whoever finds the database locked sleeps and looks again,
// longer each time, and beside a process that commits one transaction after the other it may be
// unlucky for long. Here only the one at the gate looks, and often, and lets the next one to the
// gate when it has begun its transaction; a process that has just committed stands behind those
// that wait already. The kernel keeps their order.
//
// The gate is for fairness and not for safety. Who waits there for too long, or cannot open it,
// goes past it, and takes its chance at the database's own lock.
const gateSuffix = "-queue"

// gatePatience is longer than the front should ever take: its owner is stopped, or somebody loads.
const gatePatience = 2 * time.Second

// Between two looks at the lock: at first, and at most for the one in front and for others.
const (
	beginFirst = 50 * time.Microsecond
	beginFront = 2 * time.Millisecond
	beginOther = 50 * time.Millisecond
)

// gate is one connection's descriptor of the file: a flock is one descriptor's.
type gate struct {
	path string
	f    *os.File
	all  *gates
}

// gates is what those of one DB have in common.
type gates struct {
	left     atomic.Int32 // how many still stand at the gate, though nobody waits for them any more
	patience atomic.Int64 // of tests, in nanoseconds; 0: gatePatience
}

func (g *gates) wait() time.Duration {
	if d := time.Duration(g.patience.Load()); d > 0 {
		return d
	}
	return gatePatience
}

// enter waits for the place in front and returns what gives it up; nil without the place.
func (g *gate) enter(ctx context.Context) (leave func()) {
	if g.f == nil {
		var err error
		if g.f, err = os.OpenFile(g.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			g.f = nil
			return nil
		}
	}
	f := g.f
	leave = func() { _ = flock(f, unix.LOCK_UN) }
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return leave
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if g.all.left.Load() > 0 { // whoever is in front has been there for too long
		return nil
	}
	got := make(chan error, 1)
	go func() { got <- flock(f, unix.LOCK_EX) }() // a call that nothing can cut short
	t := time.NewTimer(g.all.wait())
	defer t.Stop()
	select {
	case err := <-got:
		if err == nil {
			return leave
		}
	case <-t.C:
		g.abandon(got)
	case <-ctx.Done():
		g.abandon(got)
	}
	return nil
}

// announce writes to the file, which wakes those who watch it or its directory: the views of other
// processes. The commit itself makes no event behind its fsync. What is written means nothing.
func (g *gate) announce() {
	if g.f != nil {
		_, _ = g.f.WriteAt([]byte{'\n'}, 0)
	}
}

// abandon leaves the descriptor to the goroutine that waits with it.
func (g *gate) abandon(got <-chan error) {
	f, left := g.f, &g.all.left
	g.f = nil
	left.Add(1)
	go func() {
		<-got
		_ = f.Close()
		left.Add(-1)
	}()
}

func (g *gate) close() {
	if g.f != nil {
		_ = g.f.Close()
		g.f = nil
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// begin waits for the write lock, for busyMax at most.
func begin(ctx context.Context, c *conn) error {
	most := beginOther
	if leave := c.gate.enter(ctx); leave != nil {
		defer leave()
		most = beginFront
	}
	start, wait := time.Now(), beginFirst
	for {
		err := c.exec("BEGIN IMMEDIATE")
		if sqliteCode(err) != codeBusy || time.Since(start) > busyMax {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		wait = min(2*wait, most)
	}
}
