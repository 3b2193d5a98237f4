package kdb

import (
	"context"

	"krealm/deltafile"
)

// NewEpoch makes the database a master's with a history of its own from here on: the promotion of
// a slave. Its content stays. Whoever follows the old history needs a full copy.
func (db *DB) NewEpoch(ctx context.Context) (deltafile.State, error) {
	s, err := db.newEpoch(ctx, deltafile.State{})
	if err != nil {
		return deltafile.State{}, err
	}
	db.drainAfterCommit(ctx)
	return s, nil
}

// newEpoch starts a new epoch; if from is not zero, only if the database still stands there.
func (db *DB) newEpoch(ctx context.Context, from deltafile.State) (s deltafile.State, err error) {
	err = db.write(ctx, func(c *conn, st *state) error {
		if from.IsZero() || st.Same(from) {
			st.replica = false
			if err := db.startEpoch(c, st); err != nil {
				return err
			}
		}
		s = st.State
		return nil
	})
	return s, err
}

// startEpoch puts st at serial 0 of a new epoch and empties the outbox.
func (db *DB) startEpoch(c *conn, st *state) error {
	st.restart(deltafile.Initial(st.Realm, deltafile.NewEpoch(), db.o.now()))
	return c.exec("DELETE FROM changes")
}
