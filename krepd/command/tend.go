package command

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/repeats"
	"krealm/kdc/kdb"
)

// tendEvery is how often tend looks.
const tendEvery = time.Second

// tend looks after the files until ctx ends, then returns nil. A change that could not be appended to a
// relay's delta file, because its disk was full, say, is appended when that is over, and not only with
// the next one. A database that somebody has removed, or put another in the place of, is an error, with
// which krepd ends: what it goes on to acknowledge would be in a file without a name. The next start
// takes the database that is there.
func (d *krepd) tend(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if d.db.Replaced() {
			return fmt.Errorf("database %q: %w", d.db.Path(), kdb.ErrReplaced)
		}
		if err := d.suspects.note(d.db.Drain(ctx)); ctx.Err() == nil {
			d.relay.note(d.log, err)
		}
	}
}

// relay is the trouble with writing the delta file for the next tier, which each change meets, and tend. The zero
// relay has none.
type relay struct {
	mu      sync.Mutex
	trouble repeats.Spell
}

// note logs that the delta file could not be written, as repeats.Trouble has it, and that it could again: nil.
func (r *relay) note(log zerolog.Logger, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.trouble.Again(repeats.Trouble, repeats.Kind(err), time.Now()) {
			log.Error().Err(err).Int("times", r.trouble.Times()).Msg("delta file for the next tier could not be written, trying again")
		}
		return
	}
	if times, since, _ := r.trouble.Over(repeats.Trouble); times > 0 {
		log.Info().Int("times", times).Time("since", since).Msg("delta file for the next tier is written again")
	}
}
