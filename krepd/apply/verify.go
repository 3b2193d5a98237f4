package apply

import (
	"context"
	"errors"
	"time"

	"krealm/internal/repeats"
	"krealm/kdc/kdb"
)

// Verifier recomputes the digest of a database's content; *kdb.DB is one.
type Verifier interface {
	// VerifyDigest fails with kdb.ErrDigest when the content is not what the changes have made
	// of it, and with kdb.ErrDamaged when it cannot be read because of what is in the file.
	VerifyDigest(ctx context.Context) error
	// Stamp tells one state of the database's files from another. settled is false while a
	// further change might not show in it yet.
	Stamp() (stamp string, settled bool, err error)
}

const (
	// DefaultVerify is how often the content is read through, if the files have changed: a
	// heartbeat, so that a change made by hand is found within one.
	DefaultVerify = 5 * time.Second
	// verifyShare bounds the time that takes, as a share of all time: one part in so many.
	verifyShare = 50
)

// Verify looks every so often whether somebody else has changed the content of the database, or its file is
// damaged, and asks for a full copy if so. It runs beside Run until ctx ends, then returns nil. Changes that
// replication makes keep digest and content together; nothing else is to change it but the
// lockout fields, which the digest leaves out.
func (a *Applier) Verify(ctx context.Context, v Verifier, every time.Duration) error {
	t := time.NewTimer(0)
	defer t.Stop()
	var seen string
	var failures repeats.Spell
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		stamp, settled, err := v.Stamp()
		if err == nil && stamp == seen || a.Broken() != nil || a.Applied().IsZero() {
			t.Reset(every)
			continue
		}
		copies := a.loaded()
		start := time.Now()
		err = v.VerifyDigest(ctx)
		wait := max(every, verifyShare*time.Since(start))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, kdb.ErrDigest):
			a.spoiled(err, copies, Broken{Diverged: true, Reason: "content was changed by hand"})
		case errors.Is(err, kdb.ErrDamaged):
			a.spoiled(err, copies, Broken{Reason: err.Error()})
		case err != nil:
			if failures.Again(repeats.Trouble, repeats.Kind(err), time.Now()) {
				a.log.Warn().Err(err).Int("times", failures.Times()).Msg("content could not be verified")
			}
		case settled:
			seen = stamp
		}
		t.Reset(wait)
	}
}

// loaded returns how many full copies were loaded so far.
func (a *Applier) loaded() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.copies
}

// spoiled stops applying, unless a full copy has come since the content was read.
func (a *Applier) spoiled(err error, copies int, b Broken) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.copies != copies || a.loading || a.broken != nil {
		return
	}
	if b.Diverged {
		b.Serial = a.applied.Serial
	}
	a.log.Error().Err(err).Str("reason", b.Reason).Msg("nothing more is applied until a full copy is loaded")
	a.broken = &b
	if a.interrupt != nil {
		a.interrupt()
	}
	a.wake()
}
