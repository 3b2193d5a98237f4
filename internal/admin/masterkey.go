package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// MasterKey is one version of the master key.
type MasterKey struct {
	Kvno    uint16
	Enctype krbcrypto.Enctype
	Active  bool      // seals keys at present
	From    time.Time // sealed or seals keys from then on; zero: not to be used so far
}

// MasterKeys lists the versions of the master key, newest first.
func (a *Admin) MasterKeys(ctx context.Context) ([]MasterKey, error) {
	km, err := a.master(ctx)
	if err != nil {
		return nil, err
	}
	ring, err := a.ringOf(km)
	if err != nil {
		return nil, err
	}
	act, err := km.ActKVNO()
	if err != nil {
		return nil, err
	}
	active := ring.Active(a.opts.Clock()).Kvno
	if len(act) == 0 {
		act = []dumpfmt.ActKVNO{{Kvno: active}} // what an absent list means
	}
	var out []MasterKey
	for _, v := range ring.Versions() {
		m := MasterKey{Kvno: v.Kvno, Enctype: v.Key.Enctype(), Active: v.Kvno == active}
		if i := slices.IndexFunc(act, func(a dumpfmt.ActKVNO) bool { return a.Kvno == v.Kvno }); i >= 0 {
			m.From = time.Unix(int64(act[i].Time), 0)
		}
		out = append(out, m)
	}
	return out, nil
}

// master returns the K/M entry.
func (a *Admin) master(ctx context.Context) (*dumpfmt.Principal, error) {
	km, err := a.db.Principal(ctx, a.conf.MasterPrincipal)
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, ErrNoMasterKey
	}
	return km, err
}

// changeMaster replaces K/M by what fn makes of it, and returns the ring of the new one.
func (a *Admin) changeMaster(ctx context.Context, fn func(c *change, ring *mkey.Ring, km *dumpfmt.Principal) (*dumpfmt.Principal, *mkey.Ring, error)) (*mkey.Ring, error) {
	var ring *mkey.Ring
	err := a.update(ctx, "", func(c *change) error {
		km, err := c.tx.Principal(c.conf.MasterPrincipal)
		if errors.Is(err, kdb.ErrNotFound) {
			return ErrNoMasterKey
		}
		if err != nil {
			return err
		}
		old, err := c.ringOf(km)
		if err != nil {
			return err
		}
		if km, ring, err = fn(c, old, km); err != nil {
			return err
		}
		return c.tx.PutPrincipal(km)
	})
	return ring, err
}

// AddMasterKey adds a version of the master key, one above the newest. Nothing is sealed with
// it before it is activated. The ring with all versions is returned: what a new stash file
// should hold.
func (a *Admin) AddMasterKey(ctx context.Context, k *krbcrypto.Key) (*mkey.Ring, error) {
	return a.changeMaster(ctx, func(c *change, ring *mkey.Ring, km *dumpfmt.Principal) (*dumpfmt.Principal, *mkey.Ring, error) {
		return ring.AddVersion(km, k, c.at)
	})
}

// UseMasterKey makes a version the one that seals keys from a time on; the zero time is now.
// mkey.ErrVersion if there is no such version, mkey.ErrNoneActive if none would be active now.
func (a *Admin) UseMasterKey(ctx context.Context, kvno uint16, from time.Time) error {
	_, err := a.changeMaster(ctx, func(c *change, ring *mkey.Ring, km *dumpfmt.Principal) (*dumpfmt.Principal, *mkey.Ring, error) {
		if from.IsZero() {
			from = c.at
		}
		return ring.Activate(km, kvno, from, c.at)
	})
	return err
}

const (
	// scanPage is how many entries a pass over the database reads at once.
	scanPage = 1024
	// maxMissed is how many changes made during a pass are looked at afterwards; when there
	// were more the pass is made again.
	maxMissed = 10000
	// maxPasses is how often a pass is made before giving up.
	maxPasses = 5
)

// errMoved means that too much changed while the entries were looked through.
var errMoved = errors.New("the database changes too fast to see which master keys are in use")

// PurgeMasterKeys removes the versions of the master key that nothing needs: no key of an entry,
// whatever the entry says of itself, no entry's word, not the present and not the future. It
// returns their numbers, newest first; with dryRun it changes nothing. st, if not nil, is the
// stash file, which must still open the realm afterwards (mkey.ErrStashOld).
//
// The entries are looked through without holding up anyone; what was changed meanwhile is
// looked at again in the transaction that removes the versions.
func (a *Admin) PurgeMasterKeys(ctx context.Context, st *mkey.Stash, dryRun bool) ([]uint16, error) {
	for range maxPasses {
		state, used, err := a.masterKeysUsed(ctx)
		if err != nil {
			return nil, err
		}
		gone, err := a.purge(ctx, state, used, st, dryRun)
		if !errors.Is(err, errMoved) {
			return gone, err
		}
	}
	return nil, errMoved
}

// masterKeysUsed returns the versions that the entries need, and a state of the database: what
// was changed after it may be missing.
func (a *Admin) masterKeysUsed(ctx context.Context) (deltafile.State, []uint16, error) {
	state, err := a.db.State(ctx)
	if err != nil {
		return state, nil, err
	}
	km, err := a.master(ctx)
	if err != nil {
		return state, nil, err
	}
	ring, err := a.ringOf(km)
	if err != nil {
		return state, nil, err
	}
	var used []uint16
	err = a.each(ctx, func(p *dumpfmt.Principal) error {
		if !a.isMaster(p.Name) {
			used = merge(used, ring.Uses(p))
		}
		return nil
	})
	return state, used, err
}

// merge adds to a short set.
func merge(set, more []uint16) []uint16 {
	for _, v := range more {
		if !slices.Contains(set, v) {
			set = append(set, v)
		}
	}
	return set
}

// each goes over all entries in bytewise order, page by page: it sees each entry as it is when
// its page is read.
func (a *Admin) each(ctx context.Context, fn func(p *dumpfmt.Principal) error) error {
	for after := ""; ; {
		page, err := a.db.PrincipalsAfter(ctx, after, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if err := fn(p); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Name
	}
}

// errDry ends the transaction of a dry run.
var errDry = errors.New("dry run")

func (a *Admin) purge(ctx context.Context, seen deltafile.State, used []uint16, st *mkey.Stash, dryRun bool) ([]uint16, error) {
	var gone []uint16
	_, err := a.changeMaster(ctx, func(c *change, ring *mkey.Ring, km *dumpfmt.Principal) (*dumpfmt.Principal, *mkey.Ring, error) {
		missed, err := c.usedSince(ctx, seen, ring)
		if err != nil {
			return nil, nil, err
		}
		km, ring, gone, err = ring.Purge(km, append(used, missed...), st, c.at)
		if err == nil && dryRun {
			err = errDry
		}
		return km, ring, err
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return gone, err
}

// usedSince returns the versions that entries need which were changed after a state. It runs
// under the write lock, so that the database stays as it finds it.
func (c *change) usedSince(ctx context.Context, seen deltafile.State, ring *mkey.Ring) ([]uint16, error) {
	now, err := c.db.State(ctx)
	switch {
	case err != nil:
		return nil, err
	case now.Epoch != seen.Epoch || now.Serial-seen.Serial > maxMissed:
		return nil, errMoved
	case now.Serial == seen.Serial:
		return nil, nil
	}
	css, err := c.db.Changes(ctx, seen.Serial, maxMissed)
	switch {
	case errors.Is(err, kdb.ErrPruned):
		return nil, errMoved
	case err != nil:
		return nil, err
	case len(css) == 0 || css[len(css)-1].Serial != now.Serial:
		return nil, errMoved
	}
	var used []uint16
	for _, cs := range css {
		for line := range bytes.Lines(cs.Lines) {
			kind, name, err := dumpfmt.LineName(line)
			if err != nil {
				return nil, fmt.Errorf("admin: change %d: %w", cs.Serial, err)
			}
			if kind != dumpfmt.KindPrincipal || c.isMaster(name) {
				continue
			}
			p, err := c.tx.Principal(name)
			if errors.Is(err, kdb.ErrNotFound) {
				continue // deleted
			}
			if err != nil {
				return nil, err
			}
			used = merge(used, ring.Uses(p))
		}
	}
	return used, nil
}

// AddRandomKeys gives an entry random keys, one version above the highest, and keeps those of
// that one as the only others, as MIT's kdb5_util ark does. Policies are not asked. ErrUnkPrinc;
// ErrProtected for K/M and kadmin/history.
func (a *Admin) AddRandomKeys(ctx context.Context, name string, salts []realmconf.KeySalt) error {
	if a.isMaster(name) || name == a.historyName() {
		return fmt.Errorf("%w", ErrProtected)
	}
	k := Keys{KeySalts: salts, KeepOld: true}
	maker, err := a.newMaker(name, k)
	if err != nil {
		return err
	}
	return a.update(ctx, a.principalName("kdb5_util"), func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		ring, err := c.masterRing()
		if err != nil {
			return err
		}
		current := p.CurrentKvno()
		p.Keys = slices.DeleteFunc(p.Keys, func(k dumpfmt.Key) bool { return k.Kvno != current })
		if err := c.setKeys(p, ring, maker, nil, k, dumpfmt.MaxKvnoNext(p)); err != nil {
			return err
		}
		p.SetLastPwdChange(c.now)
		p.SetModPrinc(c.now, c.by)
		return c.tx.PutPrincipal(p)
	})
}
