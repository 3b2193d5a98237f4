package receiver

import (
	"context"
	"fmt"

	"krealm/dumpfmt"
	"krealm/internal/wire"
	"krealm/kdc/kdb"
)

// Inspector reads what the database holds; *kdb.DB is one.
type Inspector interface {
	Content(ctx context.Context, list func(part int) bool, each func(kdb.Item) error) (kdb.Content, error)
}

// ask leaves a question to inspect. It takes the place of one that was not answered yet.
func (s *session) ask(m *wire.Inspect) {
	select {
	case <-s.asked:
	default:
	}
	s.asked <- m // only the reader puts anything in
}

// inspect answers the feeder's questions about the content, until the stream ends. It never
// returns nil. Reading takes no lock: changes are spooled and applied meanwhile.
func (s *session) inspect(ctx context.Context) error {
	var m *wire.Inspect
	for {
		if m == nil {
			select {
			case m = <-s.asked:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		next, err := s.awaitSerial(ctx, m)
		if err != nil {
			return err
		}
		if next == nil {
			err = s.tell(ctx, m)
		}
		if err != nil {
			return err
		}
		m = next
	}
}

// awaitSerial waits until the database has the serial that m asks about, or never will. If another
// question comes first it is returned.
func (s *session) awaitSerial(ctx context.Context, m *wire.Inspect) (*wire.Inspect, error) {
	for {
		changed := s.o.Applier.Changed()
		st, err := s.o.Applier.Standing(ctx, false)
		if err != nil {
			return nil, err
		}
		if uint64(st.Applied.Epoch) != m.Epoch || st.Applied.Serial >= m.Serial || st.WantSnapshot {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case next := <-s.asked:
			return next, nil
		case <-changed:
		}
	}
}

// tell reads the content and sends it. Trouble with the database is told and does not end the stream.
func (s *session) tell(ctx context.Context, m *wire.Inspect) error {
	out := &wire.Sums{ID: m.ID}
	if s.o.Inspector == nil {
		out.Problem = "this slave cannot be inspected"
		return s.send(out)
	}
	var data []byte
	var sendErr error
	flush := func() error {
		if len(data) > 0 {
			sendErr = s.send(&wire.Listing{ID: m.ID, Data: data})
			data = data[:0]
		}
		return sendErr
	}
	c, err := s.o.Inspector.Content(ctx, m.Parts.Has, func(it kdb.Item) error {
		one := wire.Item{Kind: 1, Hash: it.Hash, Name: it.Name}
		if it.Kind == dumpfmt.KindPolicy {
			one.Kind = 2
		}
		if len(data)+len(one.Name)+64 > wire.MaxData {
			if err := flush(); err != nil {
				return err
			}
		}
		data = one.Append(data)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if sendErr != nil || ctx.Err() != nil {
		return fmt.Errorf("inspection: %w", err)
	}
	if err != nil {
		out.Problem = err.Error()
		return s.send(out)
	}
	out.Epoch, out.Serial, out.Kept, out.Count = uint64(c.State.Epoch), c.State.Serial, c.Kept, uint64(c.Count)
	for i := range c.Parts {
		out.Parts[i] = c.Parts[i]
	}
	return s.send(out)
}
