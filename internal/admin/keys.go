package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/mkey"
)

// Keys says what keys to make.
type Keys struct {
	Password []byte              // nil: random keys; empty is a password, and refused
	None     bool                // make no keys at all (new entries only)
	KeySalts []realmconf.KeySalt // types and salts; nil: the policy's, else the configured ones
	KeepOld  bool                // the keys there are stay behind the new ones
}

// PlainKey is a key out of its seal.
type PlainKey struct {
	Kvno     uint16
	Key      *krbcrypto.Key
	SaltType krbcrypto.SaltType
	Salt     []byte
}

// madeKey is a new key and how its salt is recorded.
type madeKey struct {
	key      *krbcrypto.Key
	ver      int16 // 1: normal salt, nothing recorded
	saltType krbcrypto.SaltType
	salt     []byte
}

// keyMaker makes keys from one password, or at random, and remembers those it made.
type keyMaker struct {
	name     dumpfmt.Name
	password []byte
	made     map[realmconf.KeySalt]madeKey
}

func (a *Admin) newMaker(name string, k Keys) (*keyMaker, error) {
	n, err := dumpfmt.ParseName(name, "")
	if err != nil {
		return nil, fmt.Errorf("%w", ErrBadPrincipal)
	}
	return &keyMaker{name: n, password: k.Password, made: map[realmconf.KeySalt]madeKey{}}, nil
}

// make returns the keys of a list. Of a password there is one key for each type and salt, at
// random one for each type, whose salt does not matter.
func (m *keyMaker) make(list []realmconf.KeySalt) ([]madeKey, error) {
	var out []madeKey
	var done []realmconf.KeySalt
	for _, ks := range list {
		if m.password == nil {
			ks.Salt = krbcrypto.SaltNormal
		}
		if slices.ContainsFunc(done, func(d realmconf.KeySalt) bool {
			return d.Salt == ks.Salt && sameCipher(d.Enctype, ks.Enctype)
		}) {
			continue
		}
		done = append(done, ks)
		mk, ok := m.made[ks]
		if !ok {
			var err error
			if mk, err = m.one(ks); err != nil {
				return nil, err
			}
			m.made[ks] = mk
		}
		out = append(out, mk)
	}
	return out, nil
}

// sameCipher reports whether keys of two types come out the same: RC4 and its export kind.
func sameCipher(a, b krbcrypto.Enctype) bool {
	rc4 := func(e krbcrypto.Enctype) bool { return e == krbcrypto.ETypeRC4 || e == krbcrypto.ETypeRC4Exp }
	return a == b || (rc4(a) && rc4(b))
}

func (m *keyMaker) one(ks realmconf.KeySalt) (madeKey, error) {
	mk := madeKey{ver: 1}
	var err error
	if m.password == nil {
		mk.key, err = krbcrypto.RandomKey(ks.Enctype)
		return mk, err
	}
	if ks.Salt != krbcrypto.SaltNormal {
		mk.ver, mk.saltType = 2, ks.Salt
	}
	var special []byte
	if ks.Salt == krbcrypto.SaltSpecial {
		special = randomSalt()
	}
	salt, err := krbcrypto.Salt(ks.Salt, m.name.Realm, m.name.Components, special)
	if err != nil {
		return mk, err
	}
	if mk.ver == 2 {
		mk.salt = salt
	}
	mk.key, err = krbcrypto.StringToKey(ks.Enctype, m.password, salt, nil)
	return mk, err
}

// randomSalt is 16 characters from @ to O, as MIT draws them.
func randomSalt() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = '@' + b[i]&15
	}
	return b
}

// keySalts returns the types to make under a policy, which may be nil. ErrBadKeySalts if the
// policy forbids one that was asked for, or if none is left.
func (a *Admin) keySalts(pol *dumpfmt.Policy, asked []realmconf.KeySalt) ([]realmconf.KeySalt, error) {
	list := asked
	switch {
	case pol != nil && pol.KeySalts != "" && pol.KeySalts != "-":
		allowed, _ := realmconf.ParseKeySalts(pol.KeySalts)
		for _, ks := range asked {
			if !slices.Contains(allowed, ks) {
				return nil, fmt.Errorf("%w", ErrBadKeySalts)
			}
		}
		list = allowed
		if len(asked) > 0 {
			list = slices.DeleteFunc(slices.Clone(allowed), func(ks realmconf.KeySalt) bool { return !slices.Contains(asked, ks) })
		}
	case len(asked) == 0:
		list = a.opts.KeySalts
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w", ErrBadKeySalts)
	}
	return list, nil
}

// setKeys gives an entry new keys of one kvno, sealed with the active master key.
func (c *change) setKeys(p *dumpfmt.Principal, ring *mkey.Ring, maker *keyMaker, pol *dumpfmt.Policy, k Keys, kvno uint16) error {
	list, err := c.keySalts(pol, k.KeySalts)
	if err != nil {
		return err
	}
	if p.Name == c.historyName() {
		list = list[:1] // MIT: never more than one key
	}
	made, err := maker.make(list)
	if err != nil {
		return err
	}
	if !k.KeepOld {
		p.Keys = nil
	} else if err := ring.SealPrincipal(p, c.at); err != nil {
		return err
	}
	keys := make([]dumpfmt.Key, 0, len(made)+len(p.Keys))
	for _, mk := range made {
		sealed, mkvno := ring.Seal(mk.key, c.at)
		p.SetMKVNO(mkvno)
		keys = append(keys, dumpfmt.Key{Ver: mk.ver, Kvno: kvno, Enctype: int16(mk.key.Enctype()),
			Sealed: sealed, SaltType: int16(mk.saltType), Salt: mk.salt})
	}
	p.Keys = append(keys, p.Keys...)
	p.SortKeys()
	return nil
}

// ofKvno selects the keys of one version.
func ofKvno(kvno uint16) func(*dumpfmt.Key) bool {
	return func(k *dumpfmt.Key) bool { return k.Kvno == kvno }
}

// fixSalts writes down the salt of each key as it is under the present name.
func fixSalts(p *dumpfmt.Principal, name dumpfmt.Name) error {
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Ver == 0 {
			continue
		}
		salt := krbcrypto.SaltNormal
		if k.Ver == 2 {
			salt = krbcrypto.SaltType(k.SaltType)
		}
		b, err := krbcrypto.Salt(salt, name.Realm, name.Components, k.Salt)
		if err != nil {
			return err
		}
		k.Ver, k.SaltType, k.Salt = 2, int16(krbcrypto.SaltSpecial), b
	}
	return nil
}

// ExtractKeys returns the keys of an entry in the clear: those of one kvno, or with 0 all.
func (a *Admin) ExtractKeys(ctx context.Context, name string, kvno uint16) ([]PlainKey, error) {
	p, err := a.Principal(ctx, name)
	if err != nil {
		return nil, err
	}
	km, err := a.Principal(ctx, a.conf.MasterPrincipal)
	if err != nil {
		return nil, err
	}
	ring, err := a.ringOf(km)
	if err != nil {
		return nil, err
	}
	return openKeys(ring, p, func(k *dumpfmt.Key) bool { return kvno == 0 || k.Kvno == kvno })
}

func openKeys(ring *mkey.Ring, p *dumpfmt.Principal, want func(*dumpfmt.Key) bool) ([]PlainKey, error) {
	var out []PlainKey
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Ver == 0 || !want(k) {
			continue
		}
		key, err := ring.OpenKey(p, k)
		if err != nil {
			return nil, err
		}
		pk := PlainKey{Kvno: k.Kvno, Key: key}
		if k.Ver == 2 {
			pk.SaltType, pk.Salt = krbcrypto.SaltType(k.SaltType), k.Salt
		}
		out = append(out, pk)
	}
	return out, nil
}

// AllKeys as PurgeKeys' keep removes every key.
const AllKeys = math.MaxInt32

// PurgeKeys removes the keys of versions below keep, or with keep <= 0 all but the highest
// version. The entry is written even if no key goes.
func (a *Admin) PurgeKeys(ctx context.Context, by, name string, keep int32) error {
	if a.isMaster(name) {
		return fmt.Errorf("%w", ErrProtected)
	}
	return a.update(ctx, by, func(c *change) error {
		p, err := c.principal(name)
		if err != nil {
			return err
		}
		limit := keep
		if limit <= 0 {
			limit = int32(p.CurrentKvno())
		}
		p.Keys = slices.DeleteFunc(p.Keys, func(k dumpfmt.Key) bool { return int32(k.Kvno) < limit })
		return c.put(p)
	})
}

// seconds turns a life of the configuration into the database's unit.
func seconds(d time.Duration) int32 {
	return int32(min(int64(d/time.Second), math.MaxInt32))
}
