package sender

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/krbmsg"
	"krealm/internal/wire"
)

// endless is a delta file that is written faster than anybody reads it.
type endless struct{ *fakeFeed }

func (f endless) Cursor(at deltafile.State) Cursor { return &endlessCursor{at} }

type endlessCursor struct{ at deltafile.State }

func (c *endlessCursor) Next(context.Context, int64) ([]*deltafile.Changeset, error) {
	cs, err := deltafile.Encode(c.at, time.Unix(1700000000, 0), []byte("princ\tx;\n"))
	if err != nil {
		return nil, err
	}
	c.at = c.at.After(cs)
	return []*deltafile.Changeset{cs}, nil
}

func (c *endlessCursor) Close() {}

// TestBusyStreamListens: a stream that always has more to send is paused, begun again, renewed, and has
// its heartbeats, as others are.
func TestBusyStreamListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		beats, byes := 0, []string(nil)
		b = newBench(t, nil, func(o *Options) { o.Feed = endless{o.Feed.(*fakeFeed)} })
		b.realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = time.Now().Unix() + 600 }
		b.serve = func(e *end) {
			at := baseOf(b)
			e.hello(at)
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					b.safely(func() { beats++ })
					e.send(&wire.Heartbeat{})
				case *wire.Bye:
					b.safely(func() { byes = append(byes, m.Text) })
				case *wire.Records:
					<-time.After(100 * time.Millisecond) // it is always behind
					cs, _, err := deltafile.Decode(at, m.Data)
					if err != nil {
						t.Error(err)
						return
					}
					at = at.After(cs)
					e.ack(at)
				case *wire.SnapshotEnd:
					e.send(&wire.SnapshotEnd{Size: m.Size})
				}
			}
		}
		b.run()
		<-time.After(59 * time.Second)
		b.safely(func() {
			if beats < 10 {
				t.Errorf("%d heartbeats in a minute", beats)
			}
		})
		name := b.status().Name
		if err := b.set.Pause(name, true); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		if st := b.status(); st.State != "paused" {
			t.Errorf("paused a second ago: %+v", st)
		}
		if err := b.set.Pause(name, false); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if err := b.set.Resync(name); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		if !strings.Contains(b.log.String(), "full copy loaded") {
			t.Error("no full copy a second after it was asked for")
		}
		<-time.After(20 * time.Minute)
		b.stop()
		if got := strings.Join(byes, ", "); !strings.HasPrefix(got, "paused, asked to begin again, ticket ends, ticket ends") {
			t.Errorf("streams were ended for: %s", got)
		}
	})
}
