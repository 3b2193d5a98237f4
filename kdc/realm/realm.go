package realm

import (
	"bytes"
	"sync"
	"sync/atomic"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// Database is what the KDC needs of the realm database: kdb.View. All methods answer from one
// memory image and may be called concurrently.
type Database interface {
	// Ref returns a number that changes when the entry does; false if there is none.
	Ref(name string) (uint64, bool)
	// Principal returns the entry; it is not modified by either side.
	Principal(name string) (*dumpfmt.Principal, bool)
	Policy(name string) (*dumpfmt.Policy, bool)
	// Lockout returns an entry's lockout fields as they are now.
	Lockout(name string) (dumpfmt.Lockout, bool)
}

// KeyOpener opens the keys of entries with the master key: mkey.Ring.
type KeyOpener interface {
	OpenKey(p *dumpfmt.Principal, k *dumpfmt.Key) (*krbcrypto.Key, error)
}

// maxCached is how many decoded entries are kept.
const maxCached = 16384

// Realm answers questions about the realm. It is safe for concurrent use.
type Realm struct {
	Settings
	db Database

	keys    KeyOpener
	cached  atomic.Int64
	entries sync.Map // string -> *Entry
}

// New returns the realm over a database and its master key.
func New(s Settings, db Database, keys KeyOpener) *Realm {
	return &Realm{Settings: s, db: db, keys: keys}
}

// Lookup finds the entry of a name. It does not follow aliases. A name that is too long for any entry is
// not written out to be looked for: it comes from a client, who may send a million octets.
func (r *Realm) Lookup(name krbmsg.PrincipalName, realm []byte) (*Entry, bool) {
	size := len(realm) + len(name.Parts)
	for _, p := range name.Parts {
		size += len(p)
	}
	if size > dumpfmt.MaxName {
		return nil, false
	}
	return r.entry(name.Unparse(realm))
}

// Named finds the entry with a canonical name in text form.
func (r *Realm) Named(name string) (*Entry, bool) { return r.entry(name) }

// LocalTGT finds krbtgt/REALM@REALM, the entry whose keys make the realm's tickets.
func (r *Realm) LocalTGT() (*Entry, bool) {
	return r.Lookup(krbmsg.NewName(krbmsg.NTSrvInst, "krbtgt", r.Name), []byte(r.Name))
}

func (r *Realm) entry(name string) (*Entry, bool) {
	ref, ok := r.db.Ref(name)
	if !ok {
		if _, loaded := r.entries.LoadAndDelete(name); loaded {
			r.cached.Add(-1)
		}
		return nil, false
	}
	if e, ok := r.entries.Load(name); ok && e.(*Entry).ref == ref {
		return e.(*Entry), true
	}
	p, ok := r.db.Principal(name)
	if !ok {
		return nil, false // deleted in between
	}
	e := r.newEntry(p, ref)
	if r.cached.Load() >= maxCached {
		r.entries.Clear()
		r.cached.Store(0)
	}
	if _, loaded := r.entries.Swap(name, e); !loaded {
		r.cached.Add(1)
	}
	return e, true
}

// maxAliases is how many aliases in a row are followed, as in MIT krb5.
const maxAliases = 10

// Resolve finds the entry of a name and follows aliases inside the realm. An alias to another
// realm gives an entry without keys that is Foreign.
func (r *Realm) Resolve(name krbmsg.PrincipalName, realm []byte) (*Entry, bool) {
	e, ok := r.Lookup(name, realm)
	for range maxAliases + 1 {
		if !ok {
			return nil, false
		}
		target, isAlias := e.AliasTarget()
		if !isAlias {
			return e, true
		}
		n, err := dumpfmt.ParseName(target, r.Name)
		if err != nil {
			return nil, false
		}
		if n.Realm != r.Name {
			return r.foreign(n), true
		}
		e, ok = r.entry(n.String())
	}
	return nil, false
}

// Enterprise returns the principal that an enterprise name spells: a single component that looks
// like an address (section 3.1). ok is false for other names.
func Enterprise(name krbmsg.PrincipalName, ours string) (n dumpfmt.Name, ok bool) {
	if name.Type != krbmsg.NTEnterprise || len(name.Parts) != 1 || !bytes.ContainsRune(name.Parts[0], '@') {
		return n, false
	}
	n, err := dumpfmt.ParseName(string(name.Parts[0]), ours)
	return n, err == nil
}

func (r *Realm) foreign(n dumpfmt.Name) *Entry {
	e := r.newEntry(&dumpfmt.Principal{Name: n.String()}, 0)
	e.Foreign = true
	return e
}

// Policy returns the password policy of an entry, if it has one.
func (r *Realm) Policy(e *Entry) (*dumpfmt.Policy, bool) {
	if e.policy == "" {
		return nil, false
	}
	return r.db.Policy(e.policy)
}

// Lockout returns an entry's lockout fields as they are now; an Entry may hold old ones.
func (r *Realm) Lockout(e *Entry) dumpfmt.Lockout {
	l, _ := r.db.Lockout(e.Principal.Name)
	return l
}

// Cached returns how many decoded entries are kept.
func (r *Realm) Cached() int64 { return r.cached.Load() }
