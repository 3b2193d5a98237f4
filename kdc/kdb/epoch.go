package kdb

import (
	"context"

	"krealm/deltafile"
)

// NewEpoch makes the database a master's with a history of its own from here on: the promotion of
// a slave. Its content stays. Whoever follows the old history needs a full copy.
func (db *DB) NewEpoch(ctx context.Context) (deltafile.State, error) {
	st, err := db.newEpoch(ctx, deltafile.State{})
	if err != nil {
		return deltafile.State{}, err
	}
	after := st.State
	db.drainAfterCommit(ctx, &st)
	return after, nil
}

// newEpoch starts a new epoch; if from is not zero, only if the database still stands there.
func (db *DB) newEpoch(ctx context.Context, from deltafile.State) (state, error) {
	return db.write(ctx, func(c *conn, st *state) error {
		if !from.IsZero() && !st.Same(from) {
			return nil
		}
		if err := disown(db.path); err != nil {
			return err
		}
		st.replica = false
		return db.startEpoch(c, st)
	})
}

// startEpoch puts st at serial 0 of a new epoch and empties the outbox.
func (db *DB) startEpoch(c *conn, st *state) error {
	st.restart(deltafile.Initial(st.Realm, deltafile.NewEpoch(), db.o.now()))
	return c.exec("DELETE FROM changes")
}
