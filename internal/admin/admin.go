package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// Opener opens the master key of a K/M entry, with the stash file or the password that the
// program has.
type Opener func(km *dumpfmt.Principal) (*mkey.Ring, error)

// Options say how an Admin works; the zero value is usable.
type Options struct {
	Clock    func() time.Time    // time.Now
	KeySalts []realmconf.KeySalt // in place of supported_enctypes
	Warn     func(text string)   // told what does not stop an operation; nil: nobody
	// Committed is told the state behind each change that is committed; nil: nobody.
	Committed func(deltafile.State)
}

// Admin administers one realm. Its methods may be called concurrently.
type Admin struct {
	db   *kdb.DB
	conf *realmconf.Realm
	open Opener
	opts Options
	dict dictionary

	mu   sync.Mutex
	ring *mkey.Ring
	km   []byte // the line of the K/M entry that ring was opened from
}

// New opens the master key (the error is the Opener's, or ErrNoMasterKey) and returns an
// Admin for the database.
func New(ctx context.Context, db *kdb.DB, conf *realmconf.Realm, open Opener, o Options) (*Admin, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.KeySalts == nil {
		o.KeySalts = conf.SupportedEnctypes
	}
	a := &Admin{db: db, conf: conf, open: open, opts: o}
	a.dict.path, a.dict.warn = conf.DictFile, o.Warn
	km, err := db.Principal(ctx, conf.MasterPrincipal)
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, ErrNoMasterKey
	}
	if err != nil {
		return nil, err
	}
	if _, err := a.ringOf(km); err != nil {
		return nil, err
	}
	return a, nil
}

// ringOf returns the ring of a K/M entry, opening it anew when the entry has changed: with the
// keys at hand, which a rollover always allows, else as at the start.
func (a *Admin) ringOf(km *dumpfmt.Principal) (*mkey.Ring, error) {
	line, err := km.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ring != nil && bytes.Equal(line, a.km) {
		return a.ring, nil
	}
	var ring *mkey.Ring
	if a.ring != nil {
		ring, _ = a.ring.Reopen(km)
	}
	if ring == nil {
		if ring, err = a.open(km); err != nil {
			return nil, err
		}
	}
	a.ring, a.km = ring, line
	return ring, nil
}

// change is one operation: the transaction, who does it, and when.
type change struct {
	*Admin
	tx  *kdb.Tx
	by  string
	at  time.Time
	now uint32
}

// update runs fn as one transaction.
func (a *Admin) update(ctx context.Context, by string, fn func(c *change) error) error {
	st, err := a.db.Update(ctx, func(tx *kdb.Tx) error {
		at := a.opts.Clock()
		return fn(&change{Admin: a, tx: tx, by: by, at: at, now: uint32(at.Unix())})
	})
	if err == nil && a.opts.Committed != nil {
		a.opts.Committed(st)
	}
	return err
}

// masterRing returns the master key as the database has it now.
func (c *change) masterRing() (*mkey.Ring, error) {
	km, err := c.tx.Principal(c.conf.MasterPrincipal)
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, ErrNoMasterKey
	}
	if err != nil {
		return nil, err
	}
	return c.ringOf(km)
}

// principal returns an entry to be changed; ErrUnkPrinc if there is none.
func (c *change) principal(name string) (*dumpfmt.Principal, error) {
	return found(c.tx.Principal(name))
}

func found(p *dumpfmt.Principal, err error) (*dumpfmt.Principal, error) {
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, fmt.Errorf("%w", ErrUnkPrinc)
	}
	return p, err
}

// policy returns the policy of a name, or nil: a policy that does not exist is no policy.
func policy(get func(string) (*dumpfmt.Policy, error), name string) (*dumpfmt.Policy, error) {
	if name == "" {
		return nil, nil
	}
	p, err := get(name)
	if errors.Is(err, kdb.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// policyNow is policy outside a transaction, for what is prepared before one.
func (a *Admin) policyNow(ctx context.Context, name string) (*dumpfmt.Policy, error) {
	return policy(func(n string) (*dumpfmt.Policy, error) { return a.db.Policy(ctx, n) }, name)
}

// put stores an entry with its modifier. An entry without kadmin's data gets it, as in MIT's
// server, and in the same place.
func (c *change) put(p *dumpfmt.Principal) error {
	p.SetModPrinc(c.now, c.by)
	if _, ok := p.FindTL(dumpfmt.TLKadmData); !ok {
		data, err := p.KadmData()
		if err != nil {
			return err
		}
		p.SetKadmData(data)
	}
	return c.tx.PutPrincipal(p)
}

// isMaster reports whether name is the master key's entry, which no key operation may touch.
func (a *Admin) isMaster(name string) bool { return name == a.conf.MasterPrincipal }

// historyName is the principal whose key seals the password history.
func (a *Admin) historyName() string {
	return a.principalName("kadmin", "history")
}
