package sender

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/krbmsg"
	"krealm/internal/wire"
)

// TestOrderlyEndIsNoLoss: a slave that hangs up as soon as it hears the goodbye does not make a loss of
// it, which would be logged, and waited after.
func TestOrderlyEndIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		ends := 0
		b = newBench(t, func(e *end) {
			e.hello(baseOf(e.b))
			for m := e.any(); m != nil; m = e.any() {
				switch m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.Bye:
					b.safely(func() { ends++ })
					_ = e.conn.Close()
				}
			}
		}, nil)
		b.realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = time.Now().Unix() + 12 }
		b.run()
		<-time.After(30 * time.Minute)
		b.stop()
		if ends < 250 || strings.Contains(b.log.String(), "stream lost") {
			t.Errorf("%d streams ended in order; the log says:\n%.500s", ends, b.log)
		}
	})
}

// TestResyncAtTheEndOfACopy: a full copy that is asked for when the one before is loaded, but krep is not
// done with it, is not forgotten.
func TestResyncAtTheEndOfACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		copies := 0
		b = newBench(t, func(e *end) {
			e.hello(deltafile.State{})
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					b.safely(func() { copies++ })
					b.wg.Go(func() { // loading
						<-time.After(time.Minute)
						e.send(&wire.SnapshotEnd{Size: m.Size})
					})
				}
			}
		}, nil)
		b.run()
		<-time.After(30 * time.Second)
		r, err := b.set.find(b.status().Name)
		if err != nil {
			t.Fatal(err)
		}
		r.nudge() // as a resync does that comes just after the slave's word
		<-time.After(5 * time.Minute)
		b.safely(func() {
			if copies < 2 {
				t.Errorf("%d full copies: the nudge was lost", copies)
			}
		})
		b.stop()
	})
}
