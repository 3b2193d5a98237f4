package mkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// Ring is the opened master key of a realm: all its versions, and which of them is active
// when. It is immutable and safe for concurrent use; K/M changes, so does the ring: open it
// again.
type Ring struct {
	master string
	keys   []Version         // newest first, at least one
	act    []dumpfmt.ActKVNO // ascending by time, versions in keys only; may be empty
}

// Open opens the master key entry with a stash file (ErrWrongStash if none of its keys does;
// ErrMaster if the entry is damaged; ErrUnsupported). The newest version is opened by itself
// or, in the K/M of a realm whose master key was rolled over, by an older version in the
// stash; it then opens all others.
func Open(st *Stash, km *dumpfmt.Principal) (*Ring, error) {
	if km.Name != st.Master {
		return nil, fmt.Errorf("stash file %q is of %q, the database's master key of %q: %w",
			st.Path, st.Master, km.Name, ErrWrongStash)
	}
	latest, aux, err := latestKey(km)
	if err != nil {
		return nil, err
	}
	var tried []string
	for _, k := range st.newestFirst() {
		if nk := openLatest(k, st.old, latest, aux); nk != nil {
			return newRing(km, nk)
		}
		tried = append(tried, fmt.Sprintf("version %d (%v)", k.Kvno, k.Key.Enctype()))
	}
	return nil, fmt.Errorf("stash file %q: its key of %s, %s, does not open the database's, version %d (%v): %w; "+
		"bring the realm's own stash file, or make one from the master password with \"kdb5_util stash\"",
		st.Path, st.Master, strings.Join(append(tried, st.unused...), ", "),
		latest.Kvno, krbcrypto.Enctype(latest.Enctype), ErrWrongStash)
}

// latestKey returns K/M's newest key, still sealed, and the copies of it sealed by older
// versions.
func latestKey(km *dumpfmt.Principal) (*dumpfmt.Key, []dumpfmt.MkeyAux, error) {
	if len(km.Keys) == 0 {
		return nil, nil, fmt.Errorf("%q has no key: %w", km.Name, ErrMaster)
	}
	latest := &km.Keys[0]
	for i := range km.Keys {
		if km.Keys[i].Kvno > latest.Kvno {
			latest = &km.Keys[i]
		}
	}
	if e := krbcrypto.Enctype(latest.Enctype); !krbcrypto.Supported(e) {
		return nil, nil, fmt.Errorf("%q version %d, enctype %d (%v): %w",
			km.Name, latest.Kvno, int32(e), e, ErrUnsupported)
	}
	aux, err := km.MkeyAux()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%q: %w", km.Name, ErrMaster), err)
	}
	return latest, aux, nil
}

// openLatest opens the newest master key with one key, of itself or of an older version.
// anyVersion is for a key without a known version: the old stash form, a password.
func openLatest(k Version, anyVersion bool, latest *dumpfmt.Key, aux []dumpfmt.MkeyAux) *krbcrypto.Key {
	e := krbcrypto.Enctype(latest.Enctype)
	if k.Key.Enctype() == e {
		// A key that opens itself is the newest, whatever version the stash gives it.
		if nk, err := OpenSealed(k.Key, latest.Sealed, e); err == nil && nk.Equal(k.Key) {
			return nk
		}
	}
	for _, a := range aux {
		if a.NewKvno != latest.Kvno || !anyVersion && a.OldKvno != k.Kvno {
			continue
		}
		if nk, err := OpenSealed(k.Key, a.Sealed, krbcrypto.Enctype(a.Enctype)); err == nil {
			return nk
		}
	}
	return nil
}

// newRing opens all versions of K/M with the newest.
func newRing(km *dumpfmt.Principal, latest *krbcrypto.Key) (*Ring, error) {
	r := &Ring{master: km.Name}
	for i := range km.Keys {
		dk := &km.Keys[i]
		e := krbcrypto.Enctype(dk.Enctype)
		k, err := OpenSealed(latest, dk.Sealed, e)
		switch {
		case errors.Is(err, krbcrypto.ErrUnsupported):
			return nil, fmt.Errorf("%q version %d, enctype %d (%v): %w", km.Name, dk.Kvno, int32(e), e, ErrUnsupported)
		case err != nil:
			return nil, errors.Join(fmt.Errorf("%q version %d (%v) does not open with the newest: %w",
				km.Name, dk.Kvno, e, ErrMaster), err)
		}
		r.keys = append(r.keys, Version{Kvno: dk.Kvno, Key: k})
	}
	slices.SortStableFunc(r.keys, func(a, b Version) int { return int(b.Kvno) - int(a.Kvno) })
	act, err := km.ActKVNO()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%q: %w", km.Name, ErrMaster), err)
	}
	for _, a := range act {
		if r.Key(a.Kvno) != nil {
			r.act = append(r.act, a)
		}
	}
	slices.SortStableFunc(r.act, func(a, b dumpfmt.ActKVNO) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		}
		return 0
	})
	return r, nil
}

// Master returns the principal of the master key.
func (r *Ring) Master() string { return r.master }

// Versions returns all versions, newest first: what a stash file should hold. The caller
// must not modify the slice.
func (r *Ring) Versions() []Version { return r.keys }

// Key returns one version, or nil.
func (r *Ring) Key(kvno uint16) *krbcrypto.Key {
	for _, v := range r.keys {
		if v.Kvno == kvno {
			return v.Key
		}
	}
	return nil
}

// Active returns the version that seals keys at the given time: the last one whose time has
// come; before all times the first of the list; without a list the lowest.
func (r *Ring) Active(now time.Time) Version {
	kvno := r.keys[len(r.keys)-1].Kvno
	for i, a := range r.act {
		if i == 0 || int64(a.Time) <= now.Unix() {
			kvno = a.Kvno
		}
	}
	return Version{Kvno: kvno, Key: r.Key(kvno)}
}

// open opens a key of an entry as bytes, with the version the entry names, then with all
// others, and says which version it was.
func (r *Ring) open(p *dumpfmt.Principal, k *dumpfmt.Key) ([]byte, uint16, error) {
	claimed, ok := p.MKVNO()
	if !ok {
		claimed = r.keys[len(r.keys)-1].Kvno
	}
	if mk := r.Key(claimed); mk != nil {
		if b, err := openBytes(mk, k.Sealed); err == nil {
			return b, claimed, nil
		}
	}
	for _, v := range r.keys {
		if v.Kvno == claimed {
			continue
		}
		if b, err := openBytes(v.Key, k.Sealed); err == nil {
			return b, v.Kvno, nil
		}
	}
	return nil, 0, fmt.Errorf("%q version %d (%v), said to be sealed by master key version %d: %w",
		p.Name, k.Kvno, krbcrypto.Enctype(k.Enctype), claimed, ErrSealed)
}

// OpenKey opens one key of an entry: with the version of the master key that the entry names,
// then with all others. It fails with ErrSealed, or with krbcrypto.ErrUnsupported or
// ErrKeySize if what it opened is no key that can be used.
func (r *Ring) OpenKey(p *dumpfmt.Principal, k *dumpfmt.Key) (*krbcrypto.Key, error) {
	key, _, err := r.OpenKeyVersion(p, k)
	return key, err
}

// OpenKeyVersion is OpenKey, and says which version of the master key had sealed the key.
func (r *Ring) OpenKeyVersion(p *dumpfmt.Principal, k *dumpfmt.Key) (*krbcrypto.Key, uint16, error) {
	b, kvno, err := r.open(p, k)
	if err != nil {
		return nil, 0, err
	}
	defer clear(b)
	key, err := krbcrypto.NewKey(krbcrypto.Enctype(k.Enctype), b)
	if err != nil {
		return nil, 0, fmt.Errorf("%q version %d: %w", p.Name, k.Kvno, err)
	}
	return key, kvno, nil
}

// Seal seals a key with the active version and returns that version's number, which belongs
// in the entry (dumpfmt.Principal.SetMKVNO). An entry that keeps other keys needs
// SealPrincipal: the number stands for them all.
func (r *Ring) Seal(k *krbcrypto.Key, now time.Time) (sealed []byte, mkvno uint16) {
	v := r.Active(now)
	return SealUnder(v.Key, k), v.Kvno
}

// SealPrincipal seals all keys of an entry anew with the active version and records it in
// the entry. Keys of enctypes that we cannot use are carried over too. If one of them does not
// open (ErrSealed), or the entry is K/M (ErrMaster), the entry is left as it was.
func (r *Ring) SealPrincipal(p *dumpfmt.Principal, now time.Time) error {
	return r.SealPrincipalWith(p, r.Active(now).Kvno)
}

// SealPrincipalWith is SealPrincipal with a version of the caller's choice (ErrVersion).
func (r *Ring) SealPrincipalWith(p *dumpfmt.Principal, kvno uint16) error {
	if p.Name == r.master {
		return fmt.Errorf("%q is not sealed like other entries: %w", p.Name, ErrMaster)
	}
	v := Version{Kvno: kvno, Key: r.Key(kvno)}
	if v.Key == nil {
		return fmt.Errorf("%q version %d: %w", r.master, kvno, ErrVersion)
	}
	sealed := make([][]byte, len(p.Keys))
	for i := range p.Keys {
		if len(p.Keys[i].Sealed) == 0 {
			continue // a key without data, as MIT allows
		}
		b, _, err := r.open(p, &p.Keys[i])
		if err != nil {
			return err
		}
		sealed[i] = sealBytes(v.Key, b)
		clear(b)
	}
	for i := range p.Keys {
		if sealed[i] != nil {
			p.Keys[i].Sealed = sealed[i]
		}
	}
	p.SetMKVNO(v.Kvno)
	return nil
}
