package sender

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/internal/wire"
)

// TestRival: a slave that another krep takes from us again and again says so in the status, also
// while it streams, and is not fought for at full speed.
func TestRival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "krep/kdc9.example.org@EXAMPLE.ORG at 192.0.2.9:4711"
		quarrel := true
		var b *bench
		b = newBench(t, func(e *end) {
			at := baseOf(e.b)
			e.hello(at)
			e.send(&wire.Ack{Epoch: uint64(at.Epoch), Spooled: at.Serial, Applied: at.Serial}) // all is well so far
			b.mu.Lock()
			over := !quarrel
			b.mu.Unlock()
			if !over {
				e.send(&wire.Error{Reason: wire.ReasonDisplaced, Text: other})
			}
			for m := e.next(); m != nil; m = e.next() {
				e.send(&wire.Heartbeat{})
			}
		}, nil)
		b.run()
		<-time.After(2 * time.Minute)
		if n := len(b.dialled()); n < 4 || n > 15 {
			t.Errorf("%d dials in two minutes", n)
		}
		if st := b.status(); !st.Contested || !strings.Contains(st.LastError, other) {
			t.Errorf("%+v", st)
		}
		b.safely(func() { quarrel = false })
		<-time.After(time.Minute)
		if st := b.status(); st.State != "streaming" || !st.Contested || !strings.Contains(st.LastError, "another krep feeds this slave: "+other+" (") {
			t.Errorf("streaming again: %+v", st)
		}
		<-time.After(rivalTime)
		if st := b.status(); st.State != "streaming" || st.Contested || st.LastError != "" {
			t.Errorf("long after: %+v", st)
		}
		b.stop()
	})
}
