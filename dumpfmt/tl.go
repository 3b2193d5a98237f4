package dumpfmt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// FindTL returns the data of the first element of type t. It is not a copy.
func (p *Principal) FindTL(t int16) ([]byte, bool) {
	for i := range p.TL {
		if p.TL[i].Type == t {
			return p.TL[i].Data, true
		}
	}
	return nil, false
}

// SetTL replaces the data of the first element of type t where it stands, or puts a new
// element in front, as MIT does. It keeps data.
func (p *Principal) SetTL(t int16, data []byte) {
	for i := range p.TL {
		if p.TL[i].Type == t {
			p.TL[i].Data = data
			return
		}
	}
	p.TL = slices.Insert(p.TL, 0, TL{Type: t, Data: data})
}

// RemoveTL removes all elements of type t.
func (p *Principal) RemoveTL(t int16) {
	p.TL = slices.DeleteFunc(p.TL, func(e TL) bool { return e.Type == t })
}

// tlTime reads an element that is one time; any length but 4 reads as 0, as in MIT.
func (p *Principal) tlTime(t int16) uint32 {
	data, _ := p.FindTL(t)
	if len(data) != 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(data)
}

func (p *Principal) setTLTime(t int16, when uint32) {
	p.SetTL(t, binary.LittleEndian.AppendUint32(nil, when))
}

// LastPwdChange returns the time of the last password change, 0 where there is none.
func (p *Principal) LastPwdChange() uint32 { return p.tlTime(TLLastPwdChange) }

// SetLastPwdChange sets the time of the last password change.
func (p *Principal) SetLastPwdChange(when uint32) { p.setTLTime(TLLastPwdChange, when) }

// LastAdminUnlock returns the time of the last unlock by an administrator, or 0.
func (p *Principal) LastAdminUnlock() uint32 { return p.tlTime(TLLastAdminUnlock) }

// SetLastAdminUnlock sets the time of the last unlock by an administrator.
func (p *Principal) SetLastAdminUnlock(when uint32) { p.setTLTime(TLLastAdminUnlock, when) }

// ModPrinc returns when the entry was last changed and by whom, in string form. ok is
// false where the element is missing or damaged; MIT's kadmin refuses such an entry.
func (p *Principal) ModPrinc() (when uint32, by string, ok bool) {
	data, _ := p.FindTL(TLModPrinc)
	if len(data) < 5 {
		return 0, "", false
	}
	by, ok = cString(data[4:])
	if !ok {
		return 0, "", false
	}
	return binary.LittleEndian.Uint32(data), by, true
}

// SetModPrinc sets when the entry was changed and by whom.
func (p *Principal) SetModPrinc(when uint32, by string) {
	data := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(by)+1), when)
	data = append(data, by...)
	p.SetTL(TLModPrinc, append(data, 0))
}

// MKVNO returns the version of the master key that seals the keys. Without one (ok false)
// it is the lowest version in K/M.
func (p *Principal) MKVNO() (kvno uint16, ok bool) {
	data, _ := p.FindTL(TLMKVNO)
	if len(data) != 2 {
		return 0, false
	}
	return binary.LittleEndian.Uint16(data), true
}

// SetMKVNO sets the version of the master key that seals the keys.
func (p *Principal) SetMKVNO(kvno uint16) {
	p.SetTL(TLMKVNO, binary.LittleEndian.AppendUint16(nil, kvno))
}

// AliasTarget returns the name, in string form, of the entry that p is an alias of.
func (p *Principal) AliasTarget() (target string, ok bool) {
	data, _ := p.FindTL(TLAliasTarget)
	return cString(data)
}

// SetAliasTarget makes p an alias of target.
func (p *Principal) SetAliasTarget(target string) {
	p.SetTL(TLAliasTarget, append([]byte(target), 0))
}

// cString reads a string that ends in the only NUL of data.
func cString(data []byte) (string, bool) {
	if i := bytes.IndexByte(data, 0); i < 0 || i != len(data)-1 {
		return "", false
	}
	return string(data[:len(data)-1]), true
}

// CurrentKvno returns the highest kvno, which is that of the keys in use; 0 without keys.
func (p *Principal) CurrentKvno() uint16 {
	var kvno uint16
	for i := range p.Keys {
		kvno = max(kvno, p.Keys[i].Kvno)
	}
	return kvno
}

// MaxKvnoNext returns the kvno of p's next keys: the highest and one, 1 after 65535.
func MaxKvnoNext(p *Principal) uint16 {
	if kvno := p.CurrentKvno(); kvno < 1<<16-1 {
		return kvno + 1
	}
	return 1
}

// SortKeys puts the keys into the order in which MIT writes them: by falling kvno, the
// order within a kvno kept.
func (p *Principal) SortKeys() {
	slices.SortStableFunc(p.Keys, func(a, b Key) int { return cmp.Compare(b.Kvno, a.Kvno) })
}
