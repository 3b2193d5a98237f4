package apply

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// Trouble that lasts is logged once, however often it is tried again, and again when it is back.
func TestTroubleIsToldOnce(t *testing.T) {
	b := newBench(t)
	var log bytes.Buffer
	b.a = New(b.db, b.spool, zerolog.New(zerolog.SyncWriter(&log)))
	b.db.trouble = 4
	b.add(1)
	b.run()
	b.reaches(1)
	b.db.change(func() { b.db.trouble = 2 })
	start := time.Now()
	b.add(1)
	b.reaches(2)
	if took := time.Since(start); took > 3*time.Second { // 300 ms, and not what the last trouble came to
		t.Errorf("new trouble was over after %v", took)
	}
	b.until("the end of the trouble", func() bool { return b.a.Trouble() == "" })
	b.stop()
	if n := strings.Count(log.String(), "cannot apply for now"); n != 2 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

// A digest announced for a serial that does not come, by a master that has lost its end in a power cut
// or is broken, does not keep the ones of serials that do from being compared.
func TestExpectNearer(t *testing.T) {
	b := newBench(t)
	b.add(3)
	b.run()
	b.reaches(3)
	b.a.Expect(7, 1<<40, [32]byte{1})
	b.a.Expect(7, 3, [32]byte{9})
	b.until("a difference", func() bool { return b.a.Broken() != nil })
	if broken := b.a.Broken(); !broken.Diverged || broken.Serial != 3 {
		t.Errorf("%+v", broken)
	}
}
