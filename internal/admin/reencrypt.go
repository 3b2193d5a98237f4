package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// ErrActiveChanged means that another version of the master key became active during a
// re-encryption. What was done is done; run again it goes on with the new one.
var ErrActiveChanged = errors.New("another master key has become active meanwhile; run the command again")

// Outcome is what a re-encryption did with an entry.
type Outcome int

// The outcomes. With Reencryption.DryRun Updated means "would be".
const (
	Updated Outcome = iota + 1
	Current         // sealed by the active version already
	Lost            // a key that no version opens: the entry is left as it is
)

// Reencryption says which entries to seal anew, and is told what comes of each.
type Reencryption struct {
	// Pattern selects entries by name, in MIT's syntax; "" is all.
	Pattern string
	// Kvno is the version to seal with; 0 is the active one. The work ends with
	// ErrActiveChanged if it is not, or no longer, the active one.
	Kvno   uint16
	DryRun bool
	// Each, if not nil, is told of each entry, in order. When it hears of an entry that is
	// Updated, the change has been committed.
	Each func(name string, o Outcome)

	batch int // entries in one transaction; 0: batchEntries
}

// Reencrypted counts what a re-encryption did.
type Reencrypted struct {
	Kvno                   uint16 // of the master key that seals all now
	Updated, Current, Lost int
}

const (
	// batchEntries and batchTime bound one transaction of a re-encryption: others who want to
	// write wait no longer than that and the commit.
	batchEntries = 1024
	batchTime    = 50 * time.Millisecond
)

// Reencrypt seals the keys of all entries but K/M with the active version of the master key,
// as MIT's kdb5_util update_princ_encryption does. It goes by what really sealed a key: an
// entry that names the active version but was sealed by another is mended.
//
// Each entry is a changeset of its own, and many short transactions do the work: other writers
// get their turn in between, and after a kill the entries done are done (invariant M5). An entry
// that is changed meanwhile by someone else is taken as it is then.
func (a *Admin) Reencrypt(ctx context.Context, o Reencryption) (Reencrypted, error) {
	g, err := compileGlob(o.Pattern, true)
	if err != nil {
		return Reencrypted{}, err
	}
	km, err := a.master(ctx)
	if err != nil {
		return Reencrypted{}, err
	}
	ring, err := a.ringOf(km)
	if err != nil {
		return Reencrypted{}, err
	}
	if o.Kvno == 0 {
		o.Kvno = ring.Active(a.opts.Clock()).Kvno
	}
	if o.batch == 0 {
		o.batch = batchEntries
	}
	r := &reencryption{Reencryption: o, a: a, ring: ring, done: Reencrypted{Kvno: o.Kvno}}
	if err := r.checkActive(ring, a.opts.Clock()); err != nil {
		return r.done, err
	}
	err = a.each(ctx, func(p *dumpfmt.Principal) error {
		if a.isMaster(p.Name) || !g.match(p.Name) {
			return nil
		}
		return r.add(ctx, p)
	})
	if err == nil {
		err = r.flush(ctx)
	}
	return r.done, err
}

// reencryption is one run of Reencrypt.
type reencryption struct {
	Reencryption
	a       *Admin
	ring    *mkey.Ring
	done    Reencrypted
	waiting []result // entries in order; those Updated are not written yet
	writes  int      // how many of them are Updated
}

// result is what comes of one entry.
type result struct {
	name string
	o    Outcome
}

func (r *reencryption) checkActive(ring *mkey.Ring, at time.Time) error {
	if v := ring.Active(at).Kvno; v != r.Kvno {
		return fmt.Errorf("version %d instead of %d: %w", v, r.Kvno, ErrActiveChanged)
	}
	return nil
}

// add decides what is to be done with an entry, and does it when enough are waiting.
func (r *reencryption) add(ctx context.Context, p *dumpfmt.Principal) error {
	res := result{p.Name, Current}
	if !r.ring.SealedBy(p, r.Kvno) {
		res.o = Updated
		if r.DryRun {
			res.o = outcome(r.ring.SealPrincipalWith(p, r.Kvno))
		} else {
			r.writes++
		}
	}
	r.waiting = append(r.waiting, res)
	if r.writes >= r.batch || len(r.waiting) >= scanPage {
		return r.flush(ctx)
	}
	return nil
}

func outcome(err error) Outcome {
	if err != nil {
		return Lost
	}
	return Updated
}

// flush writes what waits, in one transaction or more, and tells of it.
func (r *reencryption) flush(ctx context.Context) error {
	for len(r.waiting) > 0 {
		batch := r.waiting
		if r.writes > 0 {
			n := 0
			err := r.a.update(ctx, r.a.conf.MasterPrincipal, func(c *change) error {
				var err error
				n, err = r.seal(ctx, c, batch)
				return err
			})
			if err != nil {
				return err
			}
			batch = batch[:n]
		}
		for _, res := range batch {
			r.tell(res)
		}
		r.waiting = r.waiting[len(batch):]
	}
	r.waiting, r.writes = nil, 0
	return nil
}

// seal seals what it can of a batch before its time is over, at least one entry, notes what
// came of each, and returns how many it looked at.
func (r *reencryption) seal(ctx context.Context, c *change, batch []result) (int, error) {
	ring, err := c.masterRing()
	if err != nil {
		return 0, err
	}
	if err := r.checkActive(ring, c.at); err != nil {
		return 0, err
	}
	r.ring = ring
	until := time.Now().Add(batchTime)
	for i := range batch {
		if batch[i].o != Updated {
			continue
		}
		if i > 0 && time.Now().After(until) || ctx.Err() != nil {
			return i, ctx.Err()
		}
		o, err := c.reseal(ring, batch[i].name, r.Kvno)
		if err != nil {
			return i, err
		}
		batch[i].o = o
	}
	return len(batch), nil
}

// reseal seals one entry as it is now, and ends the changeset.
func (c *change) reseal(ring *mkey.Ring, name string, kvno uint16) (Outcome, error) {
	p, err := c.tx.Principal(name)
	switch {
	case errors.Is(err, kdb.ErrNotFound):
		return 0, nil // deleted meanwhile
	case err != nil:
		return 0, err
	case ring.SealedBy(p, kvno):
		return Current, nil // changed meanwhile
	}
	err = ring.SealPrincipalWith(p, kvno)
	switch {
	case errors.Is(err, mkey.ErrSealed):
		return Lost, nil
	case err != nil:
		return 0, err
	}
	p.SetModPrinc(c.now, c.by)
	if err := c.tx.PutPrincipal(p); err != nil {
		return 0, err
	}
	return Updated, c.tx.Cut()
}

func (r *reencryption) tell(res result) {
	switch res.o {
	case Updated:
		r.done.Updated++
	case Current:
		r.done.Current++
	case Lost:
		r.done.Lost++
	default:
		return
	}
	if r.Each != nil {
		r.Each(res.name, res.o)
	}
}
