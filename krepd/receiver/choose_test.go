package receiver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

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
		{"refused", nil, func(f *feeder) {
			f.send(hello)
			want[*wire.Hello](f)
			f.send(&wire.Error{Reason: wire.ReasonInternal, Text: "slave is at 3, ahead of the delta file at 1"})
		}, ErrNotFed},
		{"fed and then lost", nil, func(f *feeder) {
			f.send(hello)
			want[*wire.Hello](f)
			f.send(&wire.Heartbeat{})
			f.send(&wire.Error{Reason: wire.ReasonInternal, Text: "the delta file cannot be read"})
		}, ErrLost},
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
			if asked != 1 && tt.name != "not fed" {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// starting is an applier that has not looked at its database yet: where that is it says when it is ready.
type starting struct {
	*fakeApplier
	asked chan struct{} // closed when somebody waits for it
	ready chan struct{} // closed when it is
}

func (a starting) Ready(ctx context.Context) error {
	close(a.asked)
	select {
	case <-a.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A krepd that has just started does not take itself for an empty slave, which takes what it gets: the feeder is
// looked at beside where the database is, not beside what is not known yet.
func TestTakeWaitsForTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		at := b.base
		b.app.set(func(st *Standing) { *st = Standing{} })
		a := starting{b.app, make(chan struct{}), make(chan struct{})}
		b.rec.o.Applier = a
		no := errors.New("another epoch")
		end := make(chan error, 1)
		near, far := b.realm.Pair(t, masterID, slaveID)
		b.wg.Go(func() {
			end <- b.rec.Take(b.ctx, far, func(_, own wire.Point) error {
				if own.Epoch == 0 {
					return nil
				}
				return no
			})
			_ = far.Close()
		})
		f := &feeder{b: b, conn: near}
		f.send(&wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Feeder, Realm: realmName, Point: wire.Point{Epoch: 6, Serial: 1}})
		<-a.asked
		b.app.set(func(st *Standing) { st.Applied = at })
		close(a.ready)
		if m, ok := f.next().(*wire.Bye); !ok || m.Text != no.Error() {
			t.Errorf("told %+v", m)
		}
		if err := <-end; !errors.Is(err, no) {
			t.Errorf("%v", err)
		}
	})
}
