package realm

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
)

// ErrNoKey means that an entry has no key of the wanted version and enctype that may be used.
var ErrNoKey = errors.New("no matching key in entry")

// Entry is a principal with its keys, opened when first used. It is shared and must not be
// modified. The lockout fields of the embedded Principal may be old: ask Realm.Lockout.
type Entry struct {
	*dumpfmt.Principal
	CName   krbmsg.PrincipalName // the canonical name
	CRealm  []byte
	Foreign bool // stands for a name in another realm; nothing but the name is known

	ref     uint64
	opener  KeyOpener
	visible []*Key // newest version first
	attrs   []dumpfmt.StringAttr
	policy  string // "" for none
}

// Key is one key of an entry.
type Key struct {
	Kvno  uint32
	Etype krbcrypto.Enctype
	Salt  []byte // what the password was hashed with; never nil

	data   *dumpfmt.Key
	owner  *Entry
	opened atomic.Pointer[krbcrypto.Key]
}

func (r *Realm) newEntry(p *dumpfmt.Principal, ref uint64) *Entry {
	e := &Entry{Principal: p, ref: ref, opener: r.keys}
	name, err := dumpfmt.ParseName(p.Name, r.Name)
	if err != nil {
		// The database holds canonical names only; this one cannot be asked for.
		name = dumpfmt.Name{Realm: r.Name, Components: []string{p.Name}}
	}
	e.CName = krbmsg.NewName(krbmsg.NTPrincipal, name.Components...)
	switch { // as MIT krb5 types them
	case IsTGSName(e.CName):
		e.CName.Type = krbmsg.NTSrvInst
	case len(e.CName.Parts) > 1 && string(e.CName.Parts[0]) == "WELLKNOWN":
		e.CName.Type = krbmsg.NTWellKnown
	}
	e.CRealm = []byte(name.Realm)
	e.attrs, _ = p.Strings() // damaged attributes count as none
	if kd, err := p.KadmData(); err == nil {
		e.policy = kd.Policy
	}
	for i := range p.Keys {
		k := &p.Keys[i]
		et := krbcrypto.Enctype(k.Enctype)
		if !r.Allows(et) {
			continue
		}
		salt := k.Salt
		saltType := krbcrypto.SaltType(k.SaltType)
		if k.Ver < 2 {
			saltType = krbcrypto.SaltNormal
		}
		if s, err := krbcrypto.Salt(saltType, name.Realm, name.Components, k.Salt); err == nil {
			salt = s
		}
		if salt == nil {
			salt = []byte{}
		}
		e.visible = append(e.visible, &Key{Kvno: uint32(k.Kvno), Etype: et, Salt: salt, data: k, owner: e})
	}
	slices.SortStableFunc(e.visible, func(a, b *Key) int { return int(b.Kvno) - int(a.Kvno) })
	return e
}

// Open returns the key itself. An error means that the master key does not open it; it is not
// remembered, since the master key may be replaced.
func (k *Key) Open() (*krbcrypto.Key, error) {
	if key := k.opened.Load(); key != nil {
		return key, nil
	}
	key, err := k.owner.opener.OpenKey(k.owner.Principal, k.data)
	if err != nil {
		return nil, fmt.Errorf("%s, key version %d (%v): %w", k.owner.Name, k.Kvno, k.Etype, err)
	}
	// Whoever is first decides: the derived keys are remembered in one place.
	if !k.opened.CompareAndSwap(nil, key) {
		key = k.opened.Load()
	}
	return key, nil
}

// Has reports whether all the given attribute bits are set.
func (e *Entry) Has(attr uint32) bool { return e.Attributes&attr == attr }

// Attr returns a string attribute, "" if it is absent.
func (e *Entry) Attr(key string) string {
	for _, a := range e.attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// Current returns the visible keys of the newest version, in the entry's order. A newest
// version that may not be used hides the older ones.
func (e *Entry) Current() []*Key {
	newest := uint32(e.CurrentKvno())
	for i, k := range e.visible {
		if k.Kvno != newest {
			return e.visible[:i]
		}
	}
	return e.visible
}

// First returns the key that seals tickets for the entry: the first visible key of the newest
// version, whatever the client asked for. The error is ErrNoKey.
func (e *Entry) First() (*Key, error) {
	if current := e.Current(); len(current) > 0 {
		return current[0], nil
	}
	return nil, fmt.Errorf("%s: %w", e.Name, ErrNoKey)
}

// FirstOf returns the first visible key of one version. The error is ErrNoKey.
func (e *Entry) FirstOf(kvno uint32) (*Key, error) {
	for _, k := range e.visible {
		if k.Kvno == kvno {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s, key version %d: %w", e.Name, kvno, ErrNoKey)
}

// Find returns the visible key of one version and enctype. The error is ErrNoKey.
func (e *Entry) Find(kvno uint32, et krbcrypto.Enctype) (*Key, error) {
	for _, k := range e.visible {
		if k.Kvno == kvno && k.Etype == et {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%s, key version %d (%v): %w", e.Name, kvno, et, ErrNoKey)
}

// ClientKey walks a client's list of enctypes and returns the first for which there is a
// current key, or nil.
func (e *Entry) ClientKey(etypes []int32) *Key {
	current := e.Current()
	for _, want := range etypes {
		for _, k := range current {
			if int32(k.Etype) == want {
				return k
			}
		}
	}
	return nil
}

// IsTGS reports whether the entry is krbtgt/X.
func (e *Entry) IsTGS() bool { return IsTGSName(e.CName) }

// IsLocalTGS reports whether the entry is krbtgt/X@X.
func (e *Entry) IsLocalTGS() bool {
	return IsTGSName(e.CName) && string(e.CName.Parts[1]) == string(e.CRealm)
}

// IsCrossTGS reports whether the entry is krbtgt/X@Y.
func (e *Entry) IsCrossTGS() bool { return e.IsTGS() && !e.IsLocalTGS() }

// IsTGSName reports whether a name is that of a ticket granting service.
func IsTGSName(n krbmsg.PrincipalName) bool {
	return len(n.Parts) == 2 && string(n.Parts[0]) == "krbtgt"
}
