package receiver

import (
	"errors"
	"testing"

	"krealm/internal/wire"
)

// A slave that may choose looks at where the feeder stands and where it is itself; whom it declines is told why, and
// is no feeder. Its caller learns what the end of the stream was.
func TestTake(t *testing.T) {
	b := newBench(t)
	_, at := some(t, b.base, 3, 10)
	b.spool.durable = at
	no := errors.New("not this one")
	hello := &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: realmName, Point: wire.Point{Epoch: 9, Serial: 1}}
	for _, tt := range []struct {
		name    string
		decline error
		play    func(f *feeder)
		want    error // nil: an end in order
	}{
		{"declined", no, func(f *feeder) {
			f.send(hello)
			if bye := want[*wire.Bye](f); bye.Text != no.Error() {
				t.Errorf("told %q", bye.Text)
			}
			if b.rec.Feeder() != nil {
				t.Error("it counts as feeder")
			}
		}, no},
		{"taken", nil, func(f *feeder) {
			f.send(hello)
			want[*wire.Hello](f)
			f.send(&wire.Bye{Text: "enough"})
		}, nil},
		{"lost", nil, func(f *feeder) {
			f.send(hello)
			want[*wire.Hello](f)
			_ = f.conn.Close()
		}, ErrLost},
		{"not fed", nil, func(f *feeder) { f.send(&wire.Bye{Text: "paused"}) }, ErrNotFed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			end := make(chan error, 1)
			near, far := b.realm.Pair(t, masterID, slaveID)
			b.wg.Go(func() {
				end <- b.rec.Take(b.ctx, far, func(feeder, own wire.Point) error {
					asked++
					if feeder != hello.Point || own != point(at) {
						t.Errorf("asked about %+v at %+v", feeder, own)
					}
					return tt.decline
				})
				_ = far.Close()
			})
			tt.play(&feeder{b: b, conn: near})
			if err := <-end; !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if asked != 1 && !errors.Is(tt.want, ErrNotFed) {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
