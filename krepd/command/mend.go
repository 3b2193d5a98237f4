package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/daemon"
	"krealm/kdc/kdb"
)

// A slave's database that its disk has damaged is set aside, and an empty one, which gets a full copy, takes
// its place: docs/adr/0013-a-damaged-replica-is-set-aside.md.

// errSpoiled ends a krepd whose database is to be set aside; the next one begins in the same process.
var errSpoiled = errors.New("database cannot be gone on with")

// mendEvery is how long a database that may not be set aside is left alone before it is looked at again:
// the administrator may have made room, or another one.
const mendEvery = time.Minute

// moveAway is what to do about a damaged database that krepd leaves alone.
const moveAway = "if it is this slave's, move it away, with its -wal and -shm, and start krepd again: it makes a new one and gets a full copy"

// suspects receives what may come of a damaged file. The zero one forgets it.
type suspects chan error

// note passes an error on, and returns it.
func (s suspects) note(err error) error {
	if err != nil && kdb.Suspect(err) {
		select {
		case s <- err:
		default: // it is being looked at
		}
	}
	return err
}

// mend looks at the database when somebody has met damage in it. If it may be set aside that is an error,
// with which this krepd ends; otherwise the applier says that it is broken, and why.
func (d *krepd) mend(ctx context.Context) error {
	for {
		var cause error
		select {
		case <-ctx.Done():
			return nil
		case cause = <-d.suspects:
		}
		err := kdb.Expendable(ctx, d.db.Path(), d.s.Realm.Name)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return fmt.Errorf("%w: %w", errSpoiled, cause)
		case errors.Is(err, kdb.ErrNotExpendable):
			d.applier.Break(err.Error() + "; " + moveAway)
		}
		t := time.NewTimer(mendEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// setAside sets the database aside that somebody has met damage in. It returns that damage, and why nothing
// was done, if nothing was.
func (s *settings) setAside(ctx context.Context, log zerolog.Logger, cause error) error {
	kept, err := kdb.SetAside(ctx, s.Realm.Database, s.Realm.Name)
	if errors.Is(err, kdb.ErrSound) {
		return cause
	}
	if err != nil {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	e := log.Error().AnErr("reason", cause).Str("kept", kept)
	if s.delta != "" {
		e = e.Str("delta_file", s.delta)
	}
	e.Msg("database is damaged and was set aside: look at the disk; a new one is made and waits for a full copy")
	return nil
}

// wide is the database; what reads or writes all of it may use all processors.
type wide struct {
	*kdb.DB
	suspects suspects
}

func (d *krepd) wide() wide { return wide{d.db, d.suspects} }

// State implements apply.DB. The applier asks when it begins, and after trouble: what it is told it
// counts as durable, which a commit that a kill has left to the kernel is not.
func (w wide) State(ctx context.Context) (deltafile.State, error) {
	if err := w.Harden(ctx); err != nil {
		return deltafile.State{}, w.suspects.note(err)
	}
	st, err := w.DB.State(ctx)
	return st, w.suspects.note(err)
}

// Apply implements apply.DB.
func (w wide) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	st, err := w.DB.Apply(ctx, css)
	return st, w.suspects.note(err)
}

// Digest implements apply.DB.
func (w wide) Digest(ctx context.Context) (deltafile.State, kdb.Digest, error) {
	st, digest, err := w.DB.Digest(ctx)
	return st, digest, w.suspects.note(err)
}

// LoadSnapshot implements apply.DB.
func (w wide) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	defer daemon.Wide()()
	st, err := w.DB.LoadSnapshot(ctx, r)
	return st, w.suspects.note(err)
}

// VerifyDigest implements apply.Verifier.
func (w wide) VerifyDigest(ctx context.Context) error {
	defer daemon.Wide()()
	return w.suspects.note(w.DB.VerifyDigest(ctx))
}

// Content implements receiver.Inspector.
func (w wide) Content(ctx context.Context, list func(int) bool, each func(kdb.Item) error) (kdb.Content, error) {
	defer daemon.Wide()()
	c, err := w.DB.Content(ctx, list, each)
	return c, w.suspects.note(err)
}
