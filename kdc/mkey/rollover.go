package mkey

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// The functions here change K/M the way MIT's kdb5_util add_mkey, use_mkey and purge_mkeys do.
// They take the entry and return a changed copy with the ring that opens it; storing it, and
// writing a new stash file, is the caller's part.

var (
	// ErrVersion means a version of the master key that does not exist or cannot be made.
	ErrVersion = errors.New("no such version of the master key")

	// ErrNoneActive means an activation after which no version would be active now.
	ErrNoneActive = errors.New("there must be one master key currently active")

	// ErrStashOld means a purge after which the stash file would open nothing.
	ErrStashOld = errors.New("the stash file holds only versions that would go; write a new one first")
)

// AddVersion adds a version of the master key to K/M: number, one above the newest, and all
// versions sealed anew by the added one. It is not active yet.
func (r *Ring) AddVersion(km *dumpfmt.Principal, k *krbcrypto.Key, now time.Time) (*dumpfmt.Principal, *Ring, error) {
	newest := r.keys[0].Kvno
	if newest == math.MaxUint16 {
		return nil, nil, fmt.Errorf("%q: version %d is the last that can be: %w", km.Name, newest, ErrVersion)
	}
	kvno := newest + 1
	out := km.Clone()
	out.Keys = []dumpfmt.Key{{Ver: 1, Kvno: kvno, Enctype: int16(k.Enctype()), Sealed: SealUnder(k, k)}}
	var aux []dumpfmt.MkeyAux
	for _, v := range r.keys {
		out.Keys = append(out.Keys, dumpfmt.Key{
			Ver: 1, Kvno: v.Kvno, Enctype: int16(v.Key.Enctype()), Sealed: SealUnder(k, v.Key),
		})
		aux = append(aux, dumpfmt.MkeyAux{
			OldKvno: v.Kvno, NewKvno: kvno, Enctype: int16(k.Enctype()), Sealed: SealUnder(v.Key, k),
		})
	}
	out.SetMKVNO(kvno)
	if err := out.SetMkeyAux(aux); err != nil {
		return nil, nil, err
	}
	out.SetModPrinc(uint32(now.Unix()), km.Name)
	ring, err := newRing(out, k)
	return out, ring, err
}

// Activate makes a version the one that seals keys from a time on (use_mkey). A version has
// one time: the one given replaces an earlier one. ErrVersion, or ErrNoneActive if the list
// would begin in the future.
func (r *Ring) Activate(km *dumpfmt.Principal, kvno uint16, from, now time.Time) (*dumpfmt.Principal, *Ring, error) {
	if r.Key(kvno) == nil {
		return nil, nil, fmt.Errorf("%q version %d: %w", km.Name, kvno, ErrVersion)
	}
	if from.Unix() < 0 || from.Unix() > math.MaxUint32 {
		return nil, nil, fmt.Errorf("activation time %v out of range: %w", from, ErrVersion)
	}
	act, err := km.ActKVNO()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%q: %w", km.Name, ErrMaster), err)
	}
	if len(act) == 0 {
		act = []dumpfmt.ActKVNO{{Kvno: r.keys[len(r.keys)-1].Kvno}} // what an absent list means
	}
	act = slices.DeleteFunc(act, func(a dumpfmt.ActKVNO) bool { return a.Kvno == kvno })
	at := slices.IndexFunc(act, func(a dumpfmt.ActKVNO) bool { return int64(a.Time) > from.Unix() })
	if at < 0 {
		at = len(act)
	}
	act = slices.Insert(act, at, dumpfmt.ActKVNO{Kvno: kvno, Time: uint32(from.Unix())})
	if int64(act[0].Time) > now.Unix() {
		return nil, nil, fmt.Errorf("%q: %w", km.Name, ErrNoneActive)
	}
	out := km.Clone()
	out.SetActKVNO(act)
	out.SetModPrinc(uint32(now.Unix()), km.Name)
	ring, err := newRing(out, r.keys[0].Key)
	return out, ring, err
}

// Reopen opens K/M as it is now with the keys at hand. All of them are in a K/M that add_mkey,
// use_mkey and purge_mkeys have made of the one before; ErrWrongStash if that is not so.
func (r *Ring) Reopen(km *dumpfmt.Principal) (*Ring, error) {
	return Open(&Stash{Path: "keys in memory", Master: r.master, Keys: r.keys}, km)
}

// SealedBy reports whether an entry names the given version and all its keys really are sealed
// by it.
func (r *Ring) SealedBy(p *dumpfmt.Principal, kvno uint16) bool {
	claimed, ok := p.MKVNO()
	mk := r.Key(kvno)
	if !ok || claimed != kvno || mk == nil {
		return false
	}
	for i := range p.Keys {
		if len(p.Keys[i].Sealed) == 0 {
			continue
		}
		b, err := openBytes(mk, p.Keys[i].Sealed)
		if err != nil {
			return false
		}
		clear(b)
	}
	return true
}

// Uses returns the versions of the master key that an entry needs: the one it names and those
// that really seal its keys, which need not be the same in databases written by MIT. A key
// that no version opens is passed over: nothing can be kept for it.
func (r *Ring) Uses(p *dumpfmt.Principal) []uint16 {
	claimed, ok := p.MKVNO()
	if !ok {
		claimed = r.keys[len(r.keys)-1].Kvno
	}
	list := []uint16{claimed}
	for i := range p.Keys {
		b, kvno, err := r.open(p, &p.Keys[i])
		if err == nil && !slices.Contains(list, kvno) {
			list = append(list, kvno)
		}
		clear(b)
	}
	return list
}

// Purge takes out of K/M the versions that nothing needs: not an entry (used, gathered with
// Uses over all of them), not the present or the future (the newest version, the active one,
// those to become active). It returns their numbers, newest first; without any, K/M is
// returned unchanged. st, if not nil, is the stash file: it must still open the realm
// afterwards (ErrStashOld).
//
// MIT trusts what entries say of themselves and would take the active version if no entry
// named it yet.
func (r *Ring) Purge(km *dumpfmt.Principal, used []uint16, st *Stash, now time.Time) (*dumpfmt.Principal, *Ring, []uint16, error) {
	keep := append([]uint16{r.keys[0].Kvno, r.Active(now).Kvno}, used...)
	for _, a := range r.act {
		if int64(a.Time) > now.Unix() {
			keep = append(keep, a.Kvno)
		}
	}
	var gone []uint16
	for _, v := range r.keys {
		if !slices.Contains(keep, v.Kvno) {
			gone = append(gone, v.Kvno)
		}
	}
	if len(gone) == 0 {
		return km, r, nil, nil
	}
	isGone := func(kvno uint16) bool { return slices.Contains(gone, kvno) }
	out := km.Clone()
	out.Keys = slices.DeleteFunc(out.Keys, func(k dumpfmt.Key) bool { return isGone(k.Kvno) })
	act, err := out.ActKVNO()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("%q: %w", km.Name, ErrMaster), err)
	}
	if len(act) > 0 {
		out.SetActKVNO(slices.DeleteFunc(act, func(a dumpfmt.ActKVNO) bool { return isGone(a.Kvno) }))
	}
	aux, err := out.MkeyAux()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("%q: %w", km.Name, ErrMaster), err)
	}
	aux = slices.DeleteFunc(aux, func(a dumpfmt.MkeyAux) bool { return isGone(a.OldKvno) })
	if len(aux) == 0 {
		out.RemoveTL(dumpfmt.TLMkeyAux)
	} else if err := out.SetMkeyAux(aux); err != nil {
		return nil, nil, nil, err
	}
	out.SetModPrinc(uint32(now.Unix()), km.Name)
	if st != nil {
		if _, err := Open(st, out); err != nil {
			return nil, nil, nil, fmt.Errorf("stash file %q: %w", st.Path, ErrStashOld)
		}
	}
	ring, err := newRing(out, r.keys[0].Key)
	return out, ring, gone, err
}
