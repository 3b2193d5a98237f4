package admin

import (
	"context"
	"fmt"

	"krealm/dumpfmt"
)

// ChangePassword gives an entry keys from a new password (k.Password), one version above the
// highest there is. It clears the demand for a change and the failure count, and sets the
// password's expiration as the policy says. self marks a change by the principal itself, which
// the policy's minimum life may forbid (ErrTooSoon).
//
// It refuses with ErrUnkPrinc, ErrProtected (K/M, kadmin/history), ErrTooShort, ErrClasses,
// ErrDictionary, ErrReuse, ErrBadKeySalts.
func (a *Admin) ChangePassword(ctx context.Context, by, name string, k Keys, self bool) error {
	if a.isMaster(name) || name == a.historyName() {
		return fmt.Errorf("%w", ErrProtected)
	}
	if k.Password == nil {
		return fmt.Errorf("%w", errEmptyPassword)
	}
	maker, err := a.newMaker(name, k)
	if err != nil {
		return err
	}
	// A first pass outside the transaction finds most refusals and makes the keys.
	p, err := a.Principal(ctx, name)
	if err != nil {
		return err
	}
	get := func(n string) (*dumpfmt.Policy, error) { return a.db.Policy(ctx, n) }
	if _, _, err := a.checkChange(get, p, maker, k); err != nil {
		return err
	}
	return a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		return c.changePassword(p, maker, k, self)
	})
}

// checkChange checks key types and password quality and leaves the keys in maker.
func (a *Admin) checkChange(get func(string) (*dumpfmt.Policy, error), p *dumpfmt.Principal, maker *keyMaker, k Keys) (*dumpfmt.Policy, dumpfmt.KadmData, error) {
	pol, data, err := policyOf(get, p)
	if err != nil {
		return nil, data, err
	}
	list, err := a.keySalts(pol, k.KeySalts)
	if err != nil {
		return nil, data, err
	}
	if err := a.checkQuality(k.Password, pol, maker.name); err != nil {
		return nil, data, err
	}
	_, err = maker.make(list)
	return pol, data, err
}

func (c *change) changePassword(p *dumpfmt.Principal, maker *keyMaker, k Keys, self bool) error {
	pol, data, err := c.checkChange(c.tx.Policy, p, maker, k)
	if err != nil {
		return err
	}
	if self {
		if err := c.checkMinLife(p, pol); err != nil {
			return err
		}
	}
	ring, err := c.masterRing()
	if err != nil {
		return err
	}
	old := p.Clone()
	kvno := dumpfmt.MaxKvnoNext(p)
	if err := c.setKeys(p, ring, maker, pol, k, kvno); err != nil {
		return err
	}
	if pol != nil {
		fresh, err := openKeys(ring, p, ofKvno(kvno))
		if err != nil {
			return err
		}
		if err := c.checkHistory(ring, old, fresh, pol, &data); err != nil {
			return err
		}
	}
	c.keysChanged(p, pol)
	p.SetKadmData(data)
	return c.put(p)
}

// keysChanged does the bookkeeping that new keys bring.
func (c *change) keysChanged(p *dumpfmt.Principal, pol *dumpfmt.Policy) {
	p.Attributes &^= dumpfmt.AttrRequiresPwChange
	p.FailCount = 0
	p.PwExpire = 0
	if pol != nil && pol.MaxLife != 0 {
		p.PwExpire = c.now + pol.MaxLife
	}
	p.SetLastPwdChange(c.now)
}

// checkMinLife refuses a change that comes before the policy's minimum life is over, unless
// the change was demanded.
func (c *change) checkMinLife(p *dumpfmt.Principal, pol *dumpfmt.Policy) error {
	if pol == nil || p.Attributes&dumpfmt.AttrRequiresPwChange != 0 {
		return nil
	}
	if last := p.LastPwdChange(); int64(c.now) < int64(last)+int64(pol.MinLife) {
		return fmt.Errorf("%w", ErrTooSoon)
	}
	return nil
}

// RandomizeKeys gives an entry random keys, one version above the highest there is, and
// returns them. Quality and history do not apply. self as in ChangePassword. It refuses with
// ErrUnkPrinc, ErrBadKeySalts, ErrTooSoon, and ErrProtected for K/M, and for kadmin/history
// with KeepOld.
func (a *Admin) RandomizeKeys(ctx context.Context, by, name string, k Keys, self bool) ([]PlainKey, error) {
	k.Password = nil
	if a.isMaster(name) || (name == a.historyName() && k.KeepOld) {
		return nil, fmt.Errorf("%w", ErrProtected)
	}
	maker, err := a.newMaker(name, k)
	if err != nil {
		return nil, err
	}
	var out []PlainKey
	err = a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		pol, _, err := policyOf(c.tx.Policy, p)
		if err != nil {
			return err
		}
		if self {
			if err := c.checkMinLife(p, pol); err != nil {
				return err
			}
		}
		ring, err := c.masterRing()
		if err != nil {
			return err
		}
		kvno := dumpfmt.MaxKvnoNext(p)
		if err := c.setKeys(p, ring, maker, pol, k, kvno); err != nil {
			return err
		}
		c.keysChanged(p, pol)
		if err := c.put(p); err != nil {
			return err
		}
		out, err = openKeys(ring, p, ofKvno(kvno))
		return err
	})
	return out, err
}

// policyOf returns the policy that an entry names, nil if that does not exist, and the data
// that names it.
func policyOf(get func(string) (*dumpfmt.Policy, error), p *dumpfmt.Principal) (*dumpfmt.Policy, dumpfmt.KadmData, error) {
	data, err := p.KadmData()
	if err != nil {
		return nil, data, err
	}
	pol, err := policy(get, data.Policy)
	return pol, data, err
}
