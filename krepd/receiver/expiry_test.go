package receiver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/internal/krbmsg"
	"krealm/internal/wire"
)

// TestTicketEnds: a feeder that does not renew its stream is cut off when its ticket has ended and
// the clocks may not differ by more, and is served until then.
func TestTicketEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life, grace, beat = 10 * time.Minute, time.Minute, 5 * time.Second
		b := newBench(t)
		b.rec.o.Heartbeat, b.rec.o.Grace = beat, grace
		close(b.spool.allow)
		b.realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = time.Now().Add(life).Unix() }
		start := time.Now()
		f := b.connect()
		f.hello()
		b.wg.Go(func() {
			at := b.base
			for f.conn.Send((&wire.Heartbeat{}).Append(nil)) == nil {
				if since := time.Since(start); since >= life && since < life+beat {
					raw, _ := some(t, at, 1, 10) // late, and taken
					_ = f.conn.Send((&wire.Records{Last: 1, Data: raw}).Append(nil))
				}
				<-time.After(beat)
			}
		})
		if a := want[*wire.Ack](f); a.Spooled != 1 {
			t.Errorf("in the time of grace: %+v", a)
		}
		e := want[*wire.Error](f)
		took := time.Since(start)
		if e.Reason != wire.ReasonInternal || !strings.Contains(e.Text, "ticket of the stream has ended") {
			t.Errorf("%+v", e)
		}
		if took < life+grace || took > life+grace+2*beat {
			t.Errorf("cut off after %v", took)
		}
		if m := f.next(); m != nil {
			t.Errorf("and then %+v", m)
		}
		b.stop()
		b.wg.Wait()
	})
}
