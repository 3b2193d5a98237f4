package receiver

import (
	"context"
	"fmt"
	"time"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// answer acknowledges, and syncs what does not become durable in the database soon, until the stream
// ends. It never returns nil.
func (s *session) answer(ctx context.Context) error {
	beat := time.NewTicker(s.o.Heartbeat)
	defer beat.Stop()
	told := told{ack: s.told}
	for {
		changed := s.o.Applier.Changed()
		hopeless := s.wantsCopy() // the hello has told; asked before the look, which may be of before the copy
		st, err := s.o.Applier.Standing(ctx, false)
		if err != nil {
			return err
		}
		if st.WantSnapshot && !hopeless {
			return s.breakdown(st)
		}
		if err := s.acknowledge(&told, st.Applied); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.late.C:
			if err := s.syncLate(ctx); err != nil {
				return err
			}
		case <-s.due:
		case <-changed:
		case <-beat.C:
			if err := s.beat(ctx); err != nil {
				return err
			}
		}
	}
}

// unsafe tells whether the spool has something that is neither synced nor in the database.
func (s *session) unsafe(applied deltafile.State) bool {
	last, durable := s.o.Spool.Last(), s.o.Spool.Durable().Serial
	if applied.Epoch == last.Epoch {
		durable = max(durable, applied.Serial)
	}
	return last.Serial > durable
}

// syncLate syncs what the applier has not come to in syncDelay.
func (s *session) syncLate(ctx context.Context) error {
	s.waits.Store(false) // before the look: what is appended after it sets the timer again
	st, err := s.o.Applier.Standing(ctx, false)
	if err != nil || !s.unsafe(st.Applied) {
		return err
	}
	return s.sync()
}

// sync makes durable what was appended. That it fails is the end of krepd, not only of the stream.
func (s *session) sync() error {
	_, err := s.o.Spool.Sync()
	if err != nil {
		err = fmt.Errorf("spool could not be synced: %w", err)
		_ = s.send(&wire.Error{Reason: wire.ReasonInternal, Text: err.Error()})
		s.r.die(err)
	}
	return err
}

// told is what the feeder knows: the last acknowledgement, and after how many full copies.
type told struct {
	ack    wire.Ack
	copies int
}

// acknowledge tells the positions if they have moved, and after a full copy in any case. What is
// in the database is durable too. No acknowledgement of before a full copy is sent after it.
func (s *session) acknowledge(last *told, applied deltafile.State) error {
	s.acking <- struct{}{}
	defer func() { <-s.acking }()
	durable := s.o.Spool.Durable()
	s.r.mu.Lock()
	silent, copies := s.copying || s.want, s.copies
	s.r.mu.Unlock()
	if silent || applied.IsZero() || durable.Epoch != applied.Epoch {
		return nil
	}
	now := told{copies: copies, ack: wire.Ack{Epoch: uint64(applied.Epoch),
		Spooled: max(durable.Serial, applied.Serial), Applied: applied.Serial}}
	if now == *last {
		return nil
	}
	if now.copies == last.copies && now.ack.Epoch == last.ack.Epoch && now.ack.Spooled < last.ack.Spooled {
		// The spool was damaged or removed, and the feeder goes on behind what it had: the next hello tells.
		return s.fail(wire.ReasonInternal, 0, fmt.Sprintf("spool has lost what was acknowledged: it ends at %d, not %d", now.ack.Spooled, last.ack.Spooled))
	}
	*last = now
	return s.send(&now.ack)
}

func (s *session) wantsCopy() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.want
}

// breakdown tells the feeder that nothing more is applied, and ends the stream: the next one
// begins with a full copy.
func (s *session) breakdown(st Standing) error {
	reason := wire.ReasonBroken
	if st.Diverged {
		reason = wire.ReasonDiverged
	}
	return s.fail(reason, st.Serial, st.Reason)
}

// beat sends a heartbeat with the digest of the content.
func (s *session) beat(ctx context.Context) error {
	s.recovered()
	st, err := s.o.Applier.Standing(ctx, true)
	if err != nil {
		return err
	}
	return s.send(&wire.Heartbeat{Epoch: uint64(st.Applied.Epoch), Serial: st.Applied.Serial,
		HasDigest: st.HasDigest, Digest: st.Digest})
}
