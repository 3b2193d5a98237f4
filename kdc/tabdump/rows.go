package tabdump

import (
	"errors"
	"fmt"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// ErrModifier: the entry does not say who changed it last, or says it in no valid form.
var ErrModifier = errors.New("no valid record of who changed the entry")

func keydata(w *writer, p *dumpfmt.Principal) error { return keys(w, p, true) }

func keyinfo(w *writer, p *dumpfmt.Principal) error { return keys(w, p, false) }

// keys prints a row for each key, the newest first; a key without a salt of its own has the normal
// one. Sorting them changes p.
func keys(w *writer, p *dumpfmt.Principal, withKey bool) error {
	p.SortKeys()
	for i := range p.Keys {
		k := &p.Keys[i]
		w.text(p.Name)
		w.int(int64(i))
		w.int(int64(k.Kvno))
		e := krbcrypto.Enctype(k.Enctype)
		w.named(e.String(), e.Known(), int64(k.Enctype))
		if withKey {
			w.bytes(k.Sealed)
		}
		t := krbcrypto.SaltType(k.SaltType)
		_, err := krbcrypto.ParseSaltType(t.String())
		w.named(t.String(), err == nil, int64(k.SaltType))
		w.bytes(k.Salt)
		w.end()
	}
	return nil
}

// flags prints a row for each bit that has a name, and for each of the others that is set; with
// numbers for each of all bits.
func flags(w *writer, p *dumpfmt.Principal) error {
	for i := range 32 {
		bit := uint32(1) << i
		name, set := dumpfmt.AttrName(bit), p.Attributes&bit != 0
		if name == "" && !set && !w.o.Numeric {
			continue
		}
		if name == "" || w.o.Numeric {
			name = fmt.Sprintf("0x%08x", bit)
		}
		w.text(p.Name)
		w.text(name)
		if set {
			w.int(1)
		} else {
			w.int(0)
		}
		w.end()
	}
	return nil
}

func lockout(w *writer, p *dumpfmt.Principal) error {
	w.text(p.Name)
	w.time(p.LastSuccess)
	w.time(p.LastFailed)
	w.int(int64(int32(p.FailCount)))
	w.end()
	return nil
}

// meta prints who changed the entry. Data of kadmin's that cannot be read count as absent.
func meta(w *writer, p *dumpfmt.Principal) error {
	when, by, ok := p.ModPrinc()
	if !ok {
		return ErrModifier
	}
	self, err := dumpfmt.ParseName(p.Name, "")
	if err != nil {
		return err
	}
	name, err := dumpfmt.ParseName(by, self.Realm)
	if err != nil {
		return ErrModifier
	}
	mkvno, ok := p.MKVNO()
	if !ok {
		mkvno = w.o.MKVNO
	}
	var kadm dumpfmt.KadmData
	if data, _ := p.FindTL(dumpfmt.TLKadmData); len(data) > 0 {
		if k, err := p.KadmData(); err == nil {
			kadm = k
		}
	}
	w.text(p.Name)
	w.text(name.String())
	w.time(when)
	w.time(p.LastPwdChange())
	w.text(kadm.Policy)
	w.int(int64(mkvno))
	w.int(int64(int32(kadm.HistKVNO)))
	w.end()
	return nil
}

// stringAttrs prints a row for each attribute; an entry whose attributes cannot be read has none.
func stringAttrs(w *writer, p *dumpfmt.Principal) error {
	list, err := p.Strings()
	if err != nil {
		return nil
	}
	for _, a := range list {
		w.text(p.Name)
		w.text(a.Key)
		w.text(a.Value)
		w.end()
	}
	return nil
}

func ticketPolicy(w *writer, p *dumpfmt.Principal) error {
	w.text(p.Name)
	w.time(p.Expire)
	w.time(p.PwExpire)
	w.int(int64(p.MaxLife))
	w.int(int64(p.MaxRenewLife))
	w.end()
	return nil
}

func alias(w *writer, p *dumpfmt.Principal) error {
	target, ok := p.AliasTarget()
	if !ok {
		return nil
	}
	w.text(p.Name)
	w.text(target)
	w.end()
	return nil
}
