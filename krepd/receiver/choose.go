package receiver

import (
	"context"
	"errors"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// Ends of a stream, for Take.
var (
	// ErrNotFed means a feeder that has not said hello, it has paused this slave, say, or one that has heard
	// where the slave is and refused it: it is behind the slave, say.
	ErrNotFed = errors.New("feeder does not feed this slave")
	// ErrLost means a stream that has fed this slave, or was about to, and did not end in order.
	ErrLost = errors.New("stream lost")
)

// reached is how far the slave is: the end of its spool, or what its database has if that is further or nothing
// behind it is of use.
func (s *session) reached(st Standing) deltafile.State {
	at := s.o.Spool.Durable()
	if st.WantSnapshot || at.Epoch != st.Applied.Epoch || at.Serial < st.Applied.Serial {
		return st.Applied
	}
	return at
}

func point(at deltafile.State) wire.Point {
	return wire.Point{Epoch: uint64(at.Epoch), Serial: at.Serial, Hash: at.Hash}
}

// consider lets whoever has opened the stream decline a feeder.
func (s *session) consider(ctx context.Context, feeder wire.Point) error {
	if s.accept == nil {
		return nil
	}
	st, err := s.o.Applier.Standing(ctx, false)
	if err != nil {
		return err
	}
	if s.declined = s.accept(feeder, point(s.reached(st))); s.declined != nil {
		_ = s.send(&wire.Bye{Text: s.declined.Error()})
	}
	return s.declined
}
