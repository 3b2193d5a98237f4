package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"krealm/dumpfmt"
)

// Fields are what an operation sets on a principal; nil leaves a field as it is, or at its
// default in a new entry.
type Fields struct {
	Expire       *uint32 // Unix seconds, 0 = never
	PwExpire     *uint32
	MaxLife      *int32 // seconds
	MaxRenewLife *int32
	Attributes   *uint32
	Kvno         *uint16      // of all keys; 0 in a new entry counts as 1
	Policy       *string      // need not exist
	ClearPolicy  bool         // not together with Policy
	FailCount    *uint32      // only 0, and not in a new entry
	Unlock       bool         // reset FailCount and record the time of it; not in a new entry
	TL           []dumpfmt.TL // types from 256 on
}

func (f *Fields) check() error {
	if f.Policy != nil && f.ClearPolicy {
		return fmt.Errorf("%w", ErrBadMask)
	}
	for _, tl := range f.TL {
		if tl.Type < 256 {
			return fmt.Errorf("%w", ErrBadTL)
		}
	}
	return nil
}

// policyName is the name asked for, "" for none.
func (f *Fields) policyName() string {
	if f.Policy == nil {
		return ""
	}
	return *f.Policy
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

// CreatePrincipal makes a new entry. name is the whole principal name in its string form.
// Fields that are not set come from the configuration. It refuses with ErrDup, ErrBadMask,
// ErrBadKeySalts, and for a password as ChangePassword does, but for reuse.
func (a *Admin) CreatePrincipal(ctx context.Context, by, name string, f Fields, k Keys) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.FailCount != nil || f.Unlock {
		return fmt.Errorf("%w", ErrBadMask)
	}
	// The refusals that need no key come before the long computation of one.
	if _, err := a.db.Principal(ctx, name); err == nil {
		return fmt.Errorf("%w", ErrDup)
	}
	pol, err := a.policyNow(ctx, f.policyName())
	if err != nil {
		return err
	}
	maker, err := a.newMaker(name, k)
	if err != nil {
		return err
	}
	if err := a.checkNew(maker, pol, k); err != nil {
		return err
	}
	return a.update(ctx, by, func(c *change) error {
		if _, err := c.tx.Principal(name); err == nil {
			return fmt.Errorf("%w", ErrDup)
		}
		return c.create(name, f, k, maker)
	})
}

// checkNew is what create checks of password and key types; it leaves the keys in maker.
func (a *Admin) checkNew(maker *keyMaker, pol *dumpfmt.Policy, k Keys) error {
	if k.None {
		return nil
	}
	if k.Password != nil {
		if err := a.checkQuality(k.Password, pol, maker.name); err != nil {
			return err
		}
	}
	list, err := a.keySalts(pol, k.KeySalts)
	if err != nil {
		return err
	}
	_, err = maker.make(list)
	return err
}

func (c *change) create(name string, f Fields, k Keys, maker *keyMaker) error {
	pol, err := policy(c.tx.Policy, f.policyName())
	if err != nil {
		return err
	}
	if err := c.checkNew(maker, pol, k); err != nil {
		return err
	}
	ring, err := c.masterRing()
	if err != nil {
		return err
	}
	p := &dumpfmt.Principal{
		Name:         name,
		Attributes:   c.conf.DefaultFlags,
		MaxLife:      seconds(c.conf.MaxLife),
		MaxRenewLife: seconds(c.conf.NewMaxRenewLife),
		Expire:       c.conf.DefaultExpire,
	}
	if pol != nil && pol.MaxLife != 0 {
		p.PwExpire = c.now + pol.MaxLife
	}
	f.apply(p)
	p.SetLastPwdChange(c.now) // the order of the tagged data is MIT's: this first, policy last
	kvno := uint16(1)
	if f.Kvno != nil && *f.Kvno != 0 {
		kvno = *f.Kvno
	}
	if k.None {
		p.SetMKVNO(ring.Active(c.at).Kvno)
	} else if err := c.setKeys(p, ring, maker, pol, k, kvno); err != nil {
		return err
	}
	for _, tl := range f.TL {
		p.SetTL(tl.Type, tl.Data)
	}
	p.SetModPrinc(c.now, c.by)
	data, err := p.KadmData()
	if err != nil {
		return err
	}
	data.SetPolicy(f.policyName())
	p.SetKadmData(data)
	return c.put(p)
}

// apply sets the plain fields.
func (f *Fields) apply(p *dumpfmt.Principal) {
	set(&p.Expire, f.Expire)
	set(&p.PwExpire, f.PwExpire)
	set(&p.MaxLife, f.MaxLife)
	set(&p.MaxRenewLife, f.MaxRenewLife)
	set(&p.Attributes, f.Attributes)
}

// ModifyPrincipal changes fields of an entry. Setting a policy moves the password's expiration
// to what the policy says, unless Fields says otherwise; clearing the one that an entry has
// removes it. It refuses with ErrUnkPrinc, ErrBadMask, ErrBadParams (FailCount not 0), and
// ErrProtected for the kvno of K/M.
func (a *Admin) ModifyPrincipal(ctx context.Context, by, name string, f Fields) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.FailCount != nil && *f.FailCount != 0 {
		return fmt.Errorf("%w", ErrBadParams)
	}
	if f.Kvno != nil && a.isMaster(name) {
		return fmt.Errorf("%w", ErrProtected)
	}
	return a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		if err := c.modify(p, f); err != nil {
			return err
		}
		return c.put(p)
	})
}

func (c *change) modify(p *dumpfmt.Principal, f Fields) error {
	data, err := p.KadmData()
	if err != nil {
		return err
	}
	hadPolicy := data.Policy != ""
	if f.Policy != nil {
		pol, err := policy(c.tx.Policy, *f.Policy)
		if err != nil {
			return err
		}
		if pol != nil {
			p.PwExpire = 0
			if pol.MaxLife != 0 {
				p.PwExpire = p.LastPwdChange() + pol.MaxLife
			}
		}
		data.SetPolicy(*f.Policy)
	}
	f.apply(p)
	if f.ClearPolicy && hadPolicy {
		p.PwExpire = 0
		data.SetPolicy("")
	}
	if f.Kvno != nil {
		for i := range p.Keys {
			p.Keys[i].Kvno = *f.Kvno
		}
	}
	if f.FailCount != nil || f.Unlock {
		p.FailCount = 0
	}
	for _, tl := range f.TL {
		p.SetTL(tl.Type, tl.Data)
	}
	if f.Unlock {
		p.SetLastAdminUnlock(c.now)
	}
	p.SetModPrinc(c.now, c.by)
	p.SetKadmData(data)
	return nil
}

// DeletePrincipal removes an entry. It refuses with ErrUnkPrinc, and ErrProtected for K/M.
func (a *Admin) DeletePrincipal(ctx context.Context, name string) error {
	return a.update(ctx, "", func(c *change) error {
		if _, err := c.principal(name); err != nil {
			return err
		}
		if c.isMaster(name) {
			return fmt.Errorf("%w", ErrProtected)
		}
		return c.tx.DeletePrincipal(name)
	})
}

// RenamePrincipal gives an entry a new name. Salts that came from the old name become explicit,
// so that passwords go on working. It refuses with ErrDup when the new name is taken, ErrNoEntry
// when the old one is not there, and ErrProtected for K/M.
func (a *Admin) RenamePrincipal(ctx context.Context, by, from, to string) error {
	old, err := dumpfmt.ParseName(from, "")
	if err != nil {
		return err
	}
	return a.update(ctx, by, func(c *change) error {
		if _, err := c.tx.Principal(to); err == nil {
			return fmt.Errorf("%w", ErrDup)
		}
		p, err := c.principal(from)
		if errors.Is(err, ErrUnkPrinc) {
			return fmt.Errorf("%w", ErrNoEntry)
		}
		if err != nil {
			return err
		}
		if c.isMaster(from) {
			return fmt.Errorf("%w", ErrProtected)
		}
		if err := fixSalts(p, old); err != nil {
			return err
		}
		p.Name = to
		if err := c.tx.DeletePrincipal(from); err != nil {
			return err
		}
		return c.put(p)
	})
}

// Principal returns an entry, or ErrUnkPrinc.
func (a *Admin) Principal(ctx context.Context, name string) (*dumpfmt.Principal, error) {
	return found(a.db.Principal(ctx, name))
}

// ListPrincipals yields the names that match a pattern (ErrPattern if it is none), in the order
// of the database. In a pattern * stands for any text, ? for one character and […] for one of a
// set; one without @ takes any realm.
func (a *Admin) ListPrincipals(ctx context.Context, pattern string) (iter.Seq2[string, error], error) {
	g, err := compileGlob(pattern, true)
	if err != nil {
		return nil, err
	}
	return func(yield func(string, error) bool) {
		for name, err := range a.db.Names(ctx) {
			if (err != nil || g.match(name)) && !yield(name, err) {
				return
			}
		}
	}, nil
}
