package command

import (
	"context"
	"fmt"
	"time"

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
	told := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if d.db.Replaced() {
			return fmt.Errorf("database %q: %w", d.db.Path(), kdb.ErrReplaced)
		}
		err := d.db.Drain(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			d.log.Error().Err(err).Msg("delta file for the next tier could not be written, trying again")
		}
	}
}
