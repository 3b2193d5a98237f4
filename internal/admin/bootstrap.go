package admin

import (
	"context"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// Lives of the administration's services, seconds, as MIT's kdb5_util sets them.
const (
	adminLife    = 3 * 60 * 60
	changepwLife = 5 * 60
)

// Bootstrap fills a database that was just created, in one change: the master key's entry with
// the given key and kvno, krbtgt, kadmin/admin and kadmin/changepw with random keys.
func Bootstrap(ctx context.Context, db *kdb.DB, conf *realmconf.Realm, kvno uint16, key *krbcrypto.Key, o Options) error {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.KeySalts == nil {
		o.KeySalts = conf.SupportedEnctypes
	}
	a := &Admin{db: db, conf: conf, opts: o}
	return a.update(ctx, a.principalName("kdb5_util"), func(c *change) error {
		km, ring, err := mkey.NewMaster(conf.MasterPrincipal, kvno, key, c.at)
		if err != nil {
			return err
		}
		km.Attributes |= conf.DefaultFlags
		km.MaxLife, km.MaxRenewLife = seconds(conf.MaxLife), seconds(conf.NewMaxRenewLife)
		_, creator, _ := km.ModPrinc()
		if err := c.tx.PutPrincipal(km); err != nil {
			return err
		}
		tgt, err := c.service(ring, a.principalName("krbtgt", conf.Name))
		if err != nil {
			return err
		}
		tgt.Attributes = dumpfmt.AttrLockdownKeys | conf.DefaultFlags
		tgt.MaxLife = seconds(conf.MaxLife)
		tgt.TL = nil // MIT gives this entry no more than its modifier
		tgt.SetModPrinc(c.now, creator)
		if err := c.tx.PutPrincipal(tgt); err != nil {
			return err
		}
		for _, s := range []struct {
			name  string
			attrs uint32
			life  int32
		}{
			{a.principalName("kadmin", "admin"), 0, adminLife},
			{a.principalName("kadmin", "changepw"), dumpfmt.AttrPwChangeService, changepwLife},
		} {
			p, err := c.service(ring, s.name)
			if err != nil {
				return err
			}
			p.Attributes = s.attrs | dumpfmt.AttrDisallowTGTBased | dumpfmt.AttrLockdownKeys
			p.MaxLife = s.life
			if err := c.put(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// service makes an entry with random keys of version 1; it is not stored yet.
func (c *change) service(ring *mkey.Ring, name string) (*dumpfmt.Principal, error) {
	p := &dumpfmt.Principal{Name: name, MaxRenewLife: seconds(c.conf.NewMaxRenewLife)}
	maker, err := c.newMaker(name, Keys{})
	if err != nil {
		return nil, err
	}
	p.SetLastPwdChange(c.now)
	return p, c.setKeys(p, ring, maker, nil, Keys{}, 1)
}

// principalName is the name of these components in the realm.
func (a *Admin) principalName(components ...string) string {
	return dumpfmt.Name{Realm: a.conf.Name, Components: components}.String()
}
