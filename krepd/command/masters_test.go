package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/wire"
	"krealm/krep/slavelist"
	"krealm/krepd/receiver"
)

// fakeMaster is a master as the slave sees it.
type fakeMaster struct {
	down, paused, breaks bool
	resync               bool // gives the slave a full copy, whatever that has
	at                   wire.Point
}

// fakeMasters is a slave with its masters, on a fake clock. Changes come to a master only when the test says so.
type fakeMasters struct {
	t    *testing.T
	wait func() // for the connector's end

	mu      sync.Mutex // guards what follows
	masters map[string]*fakeMaster
	slave   wire.Point
	copies  int
	fedBy   string
	hands   int // how often another master has begun to feed
	calls   int
}

func startMasters(t *testing.T, slave wire.Point, masters map[string]*fakeMaster, order ...string) *fakeMasters {
	t.Helper()
	list, err := parseMasters(order, "EXAMPLE.ORG")
	if err != nil {
		t.Fatal(err)
	}
	x := &fakeMasters{t: t, masters: masters, slave: slave}
	ctx, cancel := context.WithCancel(t.Context())
	c := &connector{masters: func() []slavelist.Slave { return list }, log: zerolog.Nop(), serve: x.serve}
	done := make(chan struct{})
	go func() { c.run(ctx); close(done) }()
	x.wait = func() { cancel(); <-done }
	return x
}

// serve is connector.once without a network.
func (x *fakeMasters) serve(ctx context.Context, m slavelist.Slave, accept accept) error {
	x.mu.Lock()
	x.calls++
	f := *x.masters[m.Host]
	slave := x.slave
	x.mu.Unlock()
	switch {
	case f.down:
		return errors.New("connection refused")
	case f.paused:
		pause(ctx, 8*time.Second)
		return fmt.Errorf("%w: paused", receiver.ErrNotFed)
	}
	if err := accept(f.at, slave); err != nil {
		return err
	}
	if f.at.Epoch == slave.Epoch && f.at.Serial < slave.Serial && !f.resync {
		return fmt.Errorf("%w: slave is ahead", receiver.ErrNotFed)
	}
	x.mu.Lock()
	if x.fedBy != m.Host {
		x.hands++
	}
	x.fedBy = m.Host
	x.mu.Unlock()
	if f.at.Epoch != slave.Epoch || f.resync {
		pause(ctx, time.Second)
		x.mu.Lock()
		x.copies++
		x.masters[m.Host].resync = false
		x.mu.Unlock()
	}
	for ctx.Err() == nil {
		x.mu.Lock()
		now := *x.masters[m.Host]
		if now.at.Epoch == f.at.Epoch && !now.down && !now.breaks {
			x.slave = now.at
		}
		x.mu.Unlock()
		switch {
		case now.down, now.breaks:
			return receiver.ErrLost
		case now.paused, now.at.Epoch != f.at.Epoch:
			return nil
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// after lets time pass and compares: who feeds, where the slave is, how many full copies it has had, and
// how often it has changed hands.
func (x *fakeMasters) after(d time.Duration, fedBy string, at wire.Point, copies, hands int) {
	x.t.Helper()
	<-time.After(d)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.fedBy != fedBy || x.slave != at || x.copies != copies || x.hands != hands {
		x.t.Errorf("after %v: fed by %q, at %v, %d copies, %d hands; want %q, %v, %d, %d", d, x.fedBy, x.slave, x.copies, x.hands, fedBy, at, copies, hands)
	}
}

func (x *fakeMasters) set(master string, f func(*fakeMaster)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(x.masters[master])
}

func down(m *fakeMaster)    { m.down = true }
func up(m *fakeMaster)      { m.down = false }
func paused(m *fakeMaster)  { m.paused = true }
func fed(m *fakeMaster)     { m.paused = false }
func rebuild(m *fakeMaster) { m.resync = true }
func to(epoch, serial uint64) func(*fakeMaster) {
	return func(m *fakeMaster) { m.at = wire.Point{Epoch: epoch, Serial: serial} }
}

// A master that pauses the slave is left for the next; the one that feeds is stayed with, whatever
// becomes of the other. Where all pause, all are asked again and again.
func TestPausedMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := wire.Point{Epoch: 7, Serial: 5}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {at: at}, "b": {at: at}}, "a", "b")
		defer x.wait()
		x.after(time.Hour, "a", at, 0, 1)
		x.set("a", paused)
		x.set("b", to(7, 6))
		x.after(10*time.Second, "b", wire.Point{Epoch: 7, Serial: 6}, 0, 2)
		x.set("a", fed)
		x.set("a", to(7, 6))
		x.after(time.Hour, "b", wire.Point{Epoch: 7, Serial: 6}, 0, 2)
		x.set("b", paused)
		x.after(10*time.Second, "a", wire.Point{Epoch: 7, Serial: 6}, 0, 3)
		x.set("a", paused)
		x.mu.Lock()
		before := x.calls
		x.mu.Unlock()
		<-time.After(time.Hour)
		x.mu.Lock()
		if n := x.calls - before; n < 300 || n > 460 { // 8 seconds each
			t.Errorf("%d calls of paused masters in an hour", n)
		}
		x.mu.Unlock()
		x.set("b", fed)
		x.after(20*time.Second, "b", wire.Point{Epoch: 7, Serial: 6}, 0, 4)
	})
}

// A master that is behind the slave is not taken: not for a while, and not while it is the only one there, unless
// its administrator says so.
func TestMasterBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := wire.Point{Epoch: 7, Serial: 5}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {at: at}, "b": {at: wire.Point{Epoch: 7, Serial: 3}}}, "a", "b")
		x.after(time.Minute, "a", at, 0, 1)
		x.set("a", down)
		x.after(time.Hour, "a", at, 0, 1)
		x.set("b", to(7, 5)) // has caught up
		x.after(time.Minute, "b", at, 0, 2)
		x.wait()

		x = startMasters(t, at, map[string]*fakeMaster{"a": {at: at}, "b": {at: wire.Point{Epoch: 7, Serial: 3}}}, "a", "b")
		x.after(time.Minute, "a", at, 0, 1)
		x.set("a", down) // for good
		x.set("b", rebuild)
		x.after(11*time.Minute, "b", wire.Point{Epoch: 7, Serial: 3}, 1, 2)
		x.wait()
	})
}

// The master followed last may have fallen back itself, restored from a backup, say. krep resync rebuilds the slave then
// as it does where there is no other; until then one that is not behind feeds it.
func TestMasterFellBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, back := wire.Point{Epoch: 7, Serial: 5}, wire.Point{Epoch: 7, Serial: 3}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {at: at}, "b": {at: wire.Point{Epoch: 6, Serial: 9}}, "c": {at: at}}, "a", "b", "c")
		x.after(time.Minute, "a", at, 0, 1)
		x.set("c", down)
		x.set("a", down)
		x.after(time.Minute, "a", at, 0, 1)
		x.set("a", func(m *fakeMaster) { m.down, m.at = false, back })
		x.after(3*time.Hour, "a", at, 0, 1) // b is in another epoch, and a, followed last, is there
		x.set("a", rebuild)
		x.after(time.Minute, "a", back, 1, 1)
		x.wait()
	})
}

// A relay that is left behind, because what fed it is gone, does not keep the slave from a master that has taken
// its place with a new epoch.
func TestLeftBehindAndPromoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, promoted := wire.Point{Epoch: 7, Serial: 5}, wire.Point{Epoch: 8, Serial: 1}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {at: at}, "b": {at: wire.Point{Epoch: 7, Serial: 3}}, "c": {at: promoted}}, "a", "b", "c")
		x.after(time.Minute, "a", at, 0, 1)
		x.set("a", down)
		x.after(9*time.Minute, "a", at, 0, 1)
		x.after(2*time.Minute, "c", promoted, 1, 2)
		x.after(10*time.Hour, "c", promoted, 1, 2)
		x.wait()
	})
}

// A master that is named twice is one: the next has its turn, and the slave has no choice where there is no other.
func TestMasterNamedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := wire.Point{Epoch: 7, Serial: 5}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {down: true}, "b": {at: at}}, "a", "a", "b")
		x.after(time.Minute, "b", at, 0, 1)
		x.wait()
		other := wire.Point{Epoch: 8, Serial: 1}
		x = startMasters(t, at, map[string]*fakeMaster{"a": {at: other}}, "a", "a")
		x.after(10*time.Second, "a", other, 1, 1)
		x.wait()
	})
}

// Masters of different epochs never make the slave go back and forth: while one that is in the slave's is heard
// of, paused even, no other is taken.
func TestMastersOfTwoEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, new := wire.Point{Epoch: 7, Serial: 50}, wire.Point{Epoch: 8, Serial: 1}
		x := startMasters(t, old, map[string]*fakeMaster{"a": {at: old}, "b": {at: old}}, "a", "b")
		defer x.wait()
		x.after(time.Minute, "a", old, 0, 1)
		x.set("a", to(8, 1)) // a load, which b has not had yet
		x.after(time.Minute, "a", new, 1, 1)
		for range 20 { // restarts of the master, and outages of some minutes
			x.set("a", down)
			x.after(5*time.Minute, "a", new, 1, 1)
			x.set("a", up)
			x.after(time.Minute, "a", new, 1, 1)
		}
		x.set("a", paused)
		x.after(3*time.Hour, "a", new, 1, 1)
		x.set("b", to(8, 2)) // has caught up
		x.after(time.Minute, "b", wire.Point{Epoch: 8, Serial: 2}, 1, 2)
	})
}

// An epoch that nobody offers any more is left: at once if all masters say so, otherwise after a while, and
// then there is no way back while the new one is there.
func TestEpochIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, other := wire.Point{Epoch: 7, Serial: 50}, wire.Point{Epoch: 8, Serial: 1}
		x := startMasters(t, own, map[string]*fakeMaster{"a": {at: other}, "b": {at: other}}, "a", "b")
		x.after(5*time.Second, "b", other, 1, 1)
		x.wait()

		x = startMasters(t, own, map[string]*fakeMaster{"a": {at: own}, "b": {at: other}}, "a", "b")
		defer x.wait()
		x.after(time.Minute, "a", own, 0, 1)
		x.set("a", down) // for good, it seems
		x.after(9*time.Minute, "a", own, 0, 1)
		x.after(2*time.Minute, "b", other, 1, 2)
		x.set("a", up)
		x.after(10*time.Hour, "b", other, 1, 2)
		for range 10 {
			x.set("b", down)
			x.after(9*time.Minute, "b", other, 1, 2)
			x.set("b", up)
			x.after(time.Minute, "b", other, 1, 2)
		}
	})
}

// An empty slave takes what it gets, and a slave with one master has no choice.
func TestNoChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := wire.Point{Epoch: 7, Serial: 5}
		x := startMasters(t, wire.Point{}, map[string]*fakeMaster{"a": {down: true}, "b": {at: at}}, "a", "b")
		x.after(10*time.Second, "b", at, 1, 1)
		x.wait()
		x = startMasters(t, wire.Point{Epoch: 8, Serial: 9}, map[string]*fakeMaster{"a": {at: at}}, "a")
		x.after(10*time.Second, "a", at, 1, 1)
		x.wait()
		x = startMasters(t, wire.Point{Epoch: 7, Serial: 9}, map[string]*fakeMaster{"a": {at: at}}, "a") // it will say so itself
		x.after(10*time.Second, "", wire.Point{Epoch: 7, Serial: 9}, 0, 0)
		x.set("a", rebuild)
		x.after(time.Minute, "a", at, 1, 1)
		x.wait()
	})
}

// A master whose streams all break soon has three tries; then it is the next one's turn.
func TestMasterWhoseStreamsBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := wire.Point{Epoch: 7, Serial: 5}
		x := startMasters(t, at, map[string]*fakeMaster{"a": {at: at, breaks: true}, "b": {at: at}}, "a", "b")
		defer x.wait()
		x.after(5*time.Second, "b", at, 0, 2)
		x.set("a", func(m *fakeMaster) { m.breaks = false })
		x.after(time.Hour, "b", at, 0, 2)
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.calls != 4 {
			t.Errorf("%d calls", x.calls)
		}
		if s := strings.Join([]string{errBehind.Error(), errEpoch.Error()}, ""); len(s) > 512 {
			t.Error("too long to be told")
		}
	})
}
