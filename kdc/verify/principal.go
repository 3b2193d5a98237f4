package verify

import (
	"errors"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

// Principal takes an entry. It does not keep p.
func (c *Checker) Principal(p *dumpfmt.Principal, line int) {
	c.sum.Principals++
	if c.o.Progress != nil {
		c.o.Progress(c.sum.Principals)
	}
	c.names = append(c.names, c.hash(p.Name))
	a := at{c, line, p.Name}
	if len(p.Name) > dumpfmt.MaxLMDBName {
		a.warning("the name has %d bytes: MIT's LMDB database takes %d", len(p.Name), dumpfmt.MaxLMDBName)
	}
	name, err := dumpfmt.ParseName(p.Name, "")
	if err == nil && name.Realm != c.realm && name.Components[0] != "krbtgt" && name.Components[0] != "WELLKNOWN" {
		a.warning("is of another realm than %q", c.o.Master)
	}
	c.tagged(a, p)
	c.kadmData(a, p)
	c.alias(a, p)
	if p.Name == c.o.Master {
		c.master = true
		c.masterEntry(a, p)
		return
	}
	c.keys(a, p)
	if err == nil && len(name.Components) == 2 && name.Components[0] == "krbtgt" && name.Components[1] == name.Realm {
		c.tgt = true
		if len(p.Keys) == 0 {
			a.error("has no key: no KDC can issue tickets")
		}
	}
}

// tagged looks at the elements that have one simple form.
func (c *Checker) tagged(a at, p *dumpfmt.Principal) {
	if _, by, ok := p.ModPrinc(); !ok || by == "" || !validName(by) {
		a.error("does not say in a readable form who changed it last: MIT's kadmin and tabdump refuse it")
	}
	for _, e := range []struct {
		kind   int16
		size   int
		what   string
		result string
	}{
		{dumpfmt.TLLastPwdChange, 4, "the time of the last password change", "it counts as never"},
		{dumpfmt.TLMKVNO, 2, "the version of the master key", "MIT's programs cannot work with the entry"},
		{dumpfmt.TLLastAdminUnlock, 4, "the time of the last unlock", "it counts as never"},
	} {
		if data, ok := p.FindTL(e.kind); ok && len(data) != e.size {
			a.warning("%s has %d bytes, not %d: %s", e.what, len(data), e.size, e.result)
		}
	}
	if _, err := p.Strings(); err != nil {
		a.error("its string attributes cannot be read")
	}
}

// validName reports whether a name is well-formed; one without a realm is of the default realm.
func validName(s string) bool {
	_, err := dumpfmt.ParseName(s, "X")
	return err == nil
}

// kadmData looks at the data of kadmin's: policy and remembered keys.
func (c *Checker) kadmData(a at, p *dumpfmt.Principal) {
	k, err := p.KadmData()
	if err != nil {
		a.error("kadmin's data (policy and password history) cannot be read")
		return
	}
	if k.Policy != "" {
		c.refer(c.policyOf, k.Policy, p.Name, a.line)
	}
	if k.Policy == "" && len(k.History) > 0 {
		a.warning("remembers old keys without a policy")
	}
	lost, total := 0, 0
	for _, entry := range k.History {
		for i := range entry {
			total++
			if c.openHistory(&entry[i]) {
				c.sum.RememberedOpened++
			} else {
				lost++
			}
		}
	}
	c.sum.Remembered += total
	switch {
	case lost == 0 || len(c.history) == 0:
	case k.HistKVNO != uint32(c.histNo):
		a.warning("its %d remembered keys are sealed by version %d of kadmin/history, which is at %d: they are dropped at the next change",
			total, k.HistKVNO, c.histNo)
	default:
		a.warning("%d of its %d remembered keys do not open: those passwords can be used again", lost, total)
	}
}

func (c *Checker) openHistory(k *dumpfmt.HistKey) bool {
	for _, h := range c.history {
		_, err := mkey.OpenSealed(h, k.Sealed, krbcrypto.Enctype(k.Enctype))
		if err == nil || errors.Is(err, krbcrypto.ErrUnsupported) {
			return true
		}
	}
	return false
}

func (c *Checker) alias(a at, p *dumpfmt.Principal) {
	if _, ok := p.FindTL(dumpfmt.TLAliasTarget); !ok {
		return
	}
	target, ok := p.AliasTarget()
	if !ok || !validName(target) {
		a.error("is an alias of something that is no name")
		return
	}
	c.refer(c.aliases, target, p.Name, a.line)
}

// masterEntry looks at K/M. Its keys were opened when the ring was made, or could not be.
func (c *Checker) masterEntry(a at, p *dumpfmt.Principal) {
	c.sum.Keys += len(p.Keys)
	if len(p.Keys) == 0 {
		a.error("has no key")
	}
	if c.o.Ring != nil {
		c.sum.KeysOpened += len(p.Keys)
	}
	act, err := p.ActKVNO()
	if err != nil {
		a.error("its list of active versions cannot be read")
	}
	for _, e := range act {
		if !hasKvno(p, e.Kvno) {
			a.error("says that version %d is active, which does not exist", e.Kvno)
		}
	}
	if _, err := p.MkeyAux(); err != nil {
		a.error("its list of keys for older stash files cannot be read")
	}
}

func hasKvno(p *dumpfmt.Principal, kvno uint16) bool {
	for i := range p.Keys {
		if p.Keys[i].Kvno == kvno {
			return true
		}
	}
	return false
}

// keys opens the keys of an entry.
func (c *Checker) keys(a at, p *dumpfmt.Principal) {
	c.sum.Keys += len(p.Keys)
	said, names := p.MKVNO()
	var wrong []string // sealed by another version than the entry says
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Kvno == 0 {
			a.warning("has a key of version 0, which no program makes")
		}
		if len(k.Sealed) == 0 {
			a.warning("key %s has no data", keyName(k))
			continue
		}
		if c.o.Ring == nil {
			continue
		}
		_, version, err := c.o.Ring.OpenKeyVersion(p, k)
		switch {
		case errors.Is(err, krbcrypto.ErrUnsupported):
			c.sum.KeysOpened++
			a.warning("key %s is of a type that this program cannot use: it is kept", keyName(k))
			continue
		case err != nil:
			a.error("key %s: %s", keyName(k), keyError(err))
			continue
		}
		c.sum.KeysOpened++
		if names && version != said {
			wrong = append(wrong, keyName(k))
		}
	}
	if len(wrong) > 0 {
		a.warning("says that version %d of the master key seals it, but another seals key %s: "+
			"MIT's purge_mkeys would lose it; change the password or run update_princ_encryption here", said, strings.Join(wrong, ", "))
	}
}
