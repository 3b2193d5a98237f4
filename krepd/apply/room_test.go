package apply

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/krepd/spool"
)

// tight is a spool that has no room to be made durable until it is cut.
type tight struct {
	*spool.Spool
	cut     atomic.Bool
	settled atomic.Int64 // Settles that failed
}

func (s *tight) Settle(ctx context.Context, db deltafile.State) (deltafile.State, string, error) {
	last, anew, err := s.Spool.Settle(ctx, db)
	if err == nil && !s.cut.Load() {
		s.settled.Add(1)
		err = &spool.RoomError{Last: last, Err: errors.New("no space left on device")}
	}
	return last, anew, err
}

func (s *tight) Cut(ctx context.Context, applied deltafile.State, quiet bool) error {
	err := s.Spool.Cut(ctx, applied, quiet)
	if err == nil && applied.Same(s.Last()) {
		s.cut.Store(true)
	}
	return err
}

// A spool for which there is no room to be made durable is applied, and only then appended to again.
func TestAppliesOnAFullDisk(t *testing.T) {
	b := newBench(t)
	s := &tight{Spool: b.spool}
	b.a = New(b.db, s, zerolog.Nop())
	b.add(50)
	b.run()
	b.reaches(50)
	if err := b.a.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if !s.cut.Load() || s.settled.Load() != 1 {
		t.Errorf("ready to be appended to before it was cut: %v, %d", s.cut.Load(), s.settled.Load())
	}
	b.until("the end of the trouble", func() bool { return b.a.Trouble() == "" })
	b.add(1)
	b.reaches(51)
}
