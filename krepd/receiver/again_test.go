package receiver

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// brittle is an applier that is broken again as soon as it has loaded a full copy, by the record
// behind it, before anybody has seen it whole.
type brittle struct{ *fakeApplier }

func (a brittle) Load(r io.Reader) error {
	full, err := deltafile.ReadFull(r)
	if err != nil {
		return err
	}
	a.spool.mu.Lock()
	a.spool.last, a.spool.durable = full.Base, full.Base
	a.spool.mu.Unlock()
	a.set(func(st *Standing) {
		*st = Standing{Applied: full.Base, WantSnapshot: true, Serial: full.Base.Serial + 1, Reason: "bad again"}
	})
	return nil
}

// A breakdown behind a full copy is told, also when nobody has seen the time in which nothing was wrong.
func TestBreakdownBehindTheCopyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.rec.o.Applier = brittle{b.app}
		b.app.set(func(st *Standing) { *st = Standing{Applied: b.base, WantSnapshot: true, Serial: 1, Reason: "bad"} })
		f := b.connect()
		f.hello()
		base := deltafile.Initial(realmName, 9, time.Unix(1700000000, 0))
		raw := fullCopy(t, base, 1000)
		f.send(&wire.SnapshotBegin{Base: wire.Point{Epoch: 9, Hash: base.Hash}, Size: uint64(len(raw))})
		f.send(&wire.SnapshotChunk{Data: raw})
		f.send(&wire.SnapshotEnd{Size: uint64(len(raw))})
		want[*wire.SnapshotEnd](f)
		told := make(chan wire.Message, 8)
		go func() {
			defer close(told)
			for m := f.next(); m != nil; m = f.next() {
				told <- m
			}
		}()
		for range 10 { // a feeder that is alive
			synctest.Wait()
			if f.conn.Send((&wire.Heartbeat{}).Append(nil)) != nil {
				break
			}
			<-time.After(heartbeat)
		}
		b.stop()
		b.wg.Wait()
		var last wire.Message
		for m := range told {
			if e, ok := m.(*wire.Error); ok {
				last = e
			}
		}
		if e, ok := last.(*wire.Error); !ok || e.Reason != wire.ReasonBroken || e.Serial != 1 || e.Text != "bad again" {
			t.Errorf("told %+v", last)
		}
	})
}

// slow is an applier whose load of a full copy takes until the test lets it end.
type slow struct {
	*fakeApplier
	begun, end chan struct{}
}

func (a slow) Load(r io.Reader) error {
	close(a.begun)
	<-a.end
	return a.fakeApplier.Load(r)
}

// Streams that wait for the end of one that cannot be ended at once, since it loads a full copy, are
// ended by the next that comes: a feeder that dials again and again does not fill the memory.
func TestWaitingStreamsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := slow{b.app, make(chan struct{}), make(chan struct{})}
		b.rec.o.Applier = a
		f := b.connect()
		f.hello()
		base := deltafile.Initial(realmName, 9, time.Unix(1700000000, 0))
		raw := fullCopy(t, base, 1000)
		f.send(&wire.SnapshotBegin{Base: wire.Point{Epoch: 9, Hash: base.Hash}, Size: uint64(len(raw))})
		f.send(&wire.SnapshotChunk{Data: raw})
		f.send(&wire.SnapshotEnd{Size: uint64(len(raw))})
		<-a.begun
		go func() { // the displaced one is told
			for f.next() != nil {
			}
		}()
		var waiting []*feeder
		for range 5 {
			waiting = append(waiting, b.connect())
			<-time.After(2 * goodbyeTimeout)
		}
		for i, w := range waiting[:4] {
			w.conn.SetPatience(time.Second)
			if _, err := w.conn.Receive(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("stream %d: %v, want to be let go of", i, err)
			}
		}
		close(a.end)
		if h := waiting[4].hello(); h.Point.Epoch != 9 {
			t.Errorf("the last one: %+v", h)
		}
		b.stop()
		b.wg.Wait()
	})
}
