package heimdal

import (
	"bytes"
	"encoding/binary"

	"krealm/dumpfmt"
)

// wideTime is how many bytes Heimdal gives to a time in MIT's form, on 64-bit machines.
const wideTime = 8

// LooksMIT reports whether an entry of a dump of version 5 was written by Heimdal: the time of the
// last password change has 8 bytes, which MIT never writes.
func LooksMIT(p *dumpfmt.Principal) bool {
	data, ok := p.FindTL(dumpfmt.TLLastPwdChange)
	return ok && len(data) == wideTime
}

// FromMIT puts right an entry that Heimdal wrote in MIT's form, and takes its keys apart. The time
// of the last password change is kept where the other four bytes are zero, as a machine with the
// least byte first writes it. The modifier is kept where there is a name behind the eight bytes.
// It may keep parts of p.
func FromMIT(p *dumpfmt.Principal) *Entry {
	q := *p
	q.TL = append([]dumpfmt.TL(nil), p.TL...)
	q.Keys = nil
	e := &Entry{Principal: &q}
	if data, ok := q.FindTL(dumpfmt.TLLastPwdChange); ok && len(data) != 4 {
		q.RemoveTL(dumpfmt.TLLastPwdChange)
		if len(data) == wideTime && binary.LittleEndian.Uint32(data[4:]) == 0 {
			q.SetLastPwdChange(binary.LittleEndian.Uint32(data))
		} else {
			e.lose("the time of its last password change")
		}
	}
	e.setModifier()
	for i := range p.Keys {
		e.Keys = append(e.Keys, fromMITKey(&p.Keys[i], q.Name, p.CurrentKvno()))
	}
	return e
}

func (e *Entry) setModifier() {
	q := e.Principal
	self, err := dumpfmt.ParseName(q.Name, "")
	if err != nil {
		return // no entry that a reader gave
	}
	data, _ := q.FindTL(dumpfmt.TLModPrinc)
	var when uint32
	by := importer(self.Realm)
	if len(data) >= 4 {
		when = binary.LittleEndian.Uint32(data)
	}
	if len(data) > wideTime && bytes.IndexByte(data[wideTime:], 0) == len(data)-wideTime-1 {
		if name, err := canonical(data[wideTime : len(data)-1]); err == nil {
			by = name
		}
	}
	q.SetModPrinc(when, by.String())
}

// fromMITKey takes a key apart: behind its length it stands in the clear, or sealed as in
// Heimdal's database.
func fromMITKey(mk *dumpfmt.Key, name string, current uint16) Key {
	k := Key{Kvno: mk.Kvno, Enctype: int32(mk.Enctype), MKVNO: -1, Old: mk.Kvno != current, Ver: 1}
	if len(mk.Sealed) >= 2 {
		k.Value = mk.Sealed[2:]
		k.Sealed = int(binary.LittleEndian.Uint16(mk.Sealed)) != len(k.Value)
	}
	if mk.Ver == 2 {
		n, err := dumpfmt.ParseName(name, "")
		if mk.SaltType != 0 || err != nil || !k.setSalt(n, saltPassword, mk.Salt) {
			k.Ver, k.SaltType, k.Salt = 2, mk.SaltType, mk.Salt
		}
	}
	return k
}
