package mkey

import (
	"errors"
	"fmt"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// creator is who MIT names as the modifier of the entries that make a new database.
const creator = "db_creation"

// PasswordKey computes a master key from the master password: string-to-key with the normal
// salt of the master principal and the enctype's own number of iterations.
func PasswordKey(e krbcrypto.Enctype, master string, password []byte) (*krbcrypto.Key, error) {
	name, err := dumpfmt.ParseName(master, "")
	if err != nil {
		return nil, err
	}
	salt, err := krbcrypto.Salt(krbcrypto.SaltNormal, name.Realm, name.Components, nil)
	if err != nil {
		return nil, err
	}
	return krbcrypto.StringToKey(e, password, salt, nil)
}

// FromPassword opens the master key entry with the master password of the newest version or,
// as Open does, of an older one. The error is ErrWrongPassword, ErrMaster or ErrUnsupported.
func FromPassword(km *dumpfmt.Principal, password []byte) (*Ring, error) {
	latest, aux, err := latestKey(km)
	if err != nil {
		return nil, err
	}
	tried := make(map[krbcrypto.Enctype]bool)
	for i := range km.Keys { // the enctypes of all versions; the newest comes first
		e := krbcrypto.Enctype(km.Keys[i].Enctype)
		if tried[e] || !krbcrypto.Supported(e) {
			continue
		}
		tried[e] = true
		k, err := PasswordKey(e, km.Name, password)
		if err != nil {
			continue // a password that this enctype cannot express
		}
		if nk := openLatest(Version{Key: k}, true, latest, aux); nk != nil {
			return newRing(km, nk)
		}
	}
	return nil, fmt.Errorf("%q version %d (%v): %w", km.Name, latest.Kvno, krbcrypto.Enctype(latest.Enctype), ErrWrongPassword)
}

// NewMaster makes the K/M entry of a new database, with one version of the master key that
// is active from the beginning of time, and its ring. Lives and further flags are the
// caller's to add.
func NewMaster(master string, kvno uint16, k *krbcrypto.Key, now time.Time) (*dumpfmt.Principal, *Ring, error) {
	name, err := dumpfmt.ParseName(master, "")
	if err != nil {
		return nil, nil, err
	}
	if kvno == 0 {
		return nil, nil, errors.New("mkey: version 0 of the master key")
	}
	by := dumpfmt.Name{Realm: name.Realm, Components: []string{creator}}
	km := &dumpfmt.Principal{
		Name:       name.String(),
		Attributes: dumpfmt.AttrDisallowAllTix | dumpfmt.AttrLockdownKeys,
		Keys:       []dumpfmt.Key{{Ver: 1, Kvno: kvno, Enctype: int16(k.Enctype()), Sealed: SealUnder(k, k)}},
	}
	km.SetModPrinc(uint32(now.Unix()), by.String())
	km.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: kvno}})
	km.SetMKVNO(kvno)
	r, err := newRing(km, k)
	if err != nil {
		return nil, nil, err
	}
	return km, r, nil
}
