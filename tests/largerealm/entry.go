package largerealm

import (
	"math/rand/v2"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// maker makes records. It is used by one goroutine.
type maker struct {
	*Realm
	byMaster, byHistory *sealer
	now                 uint32
}

func newMaker(r *Realm) *maker {
	return &maker{Realm: r, byMaster: newSealer(r.master.Bytes()), byHistory: newSealer(r.history), now: uint32(r.o.Time.Unix())}
}

// lines prints the principals at these places of the file.
func (m *maker) lines(from, to int) ([]byte, error) {
	b := make([]byte, 0, (to-from)*600)
	for at := from; at < to; at++ {
		p, err := m.entry(at * m.stride % m.o.N)
		if err != nil {
			return nil, err
		}
		if b, err = p.AppendLine(b, dumpfmt.Current); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Lives in seconds.
const (
	day  = 86400
	week = 7 * day
)

func (m *maker) entry(n int) (*dumpfmt.Principal, error) {
	s := find(m.sections, n)
	i := n - s.first
	rnd := m.rand(n, 2)
	p := &dumpfmt.Principal{Name: m.name(s, i) + "@" + m.o.Realm, MaxLife: day}
	switch s.kind {
	case kindMaster:
		m.masterEntry(p, rnd)
	case kindTGT:
		p.Attributes = dumpfmt.AttrLockdownKeys
		p.Keys = m.keys(rnd, 1)
		p.SetModPrinc(m.now, "db_creation@"+m.o.Realm)
	case kindAdmin:
		p.Attributes, p.MaxLife = dumpfmt.AttrLockdownKeys|dumpfmt.AttrDisallowTGTBased, 3*3600
		m.common(p, m.now, "kdb5_util", dumpfmt.KadmData{HistKVNO: 2})
		p.Keys = m.keys(rnd, 1)
	case kindChangepw:
		p.Attributes, p.MaxLife = dumpfmt.AttrLockdownKeys|dumpfmt.AttrDisallowTGTBased|dumpfmt.AttrPwChangeService, 300
		m.common(p, m.now, "kdb5_util", dumpfmt.KadmData{HistKVNO: 2})
		p.Keys = m.keys(rnd, 1)
	case kindHistory:
		p.MaxLife = 64 // as MIT makes it
		m.common(p, m.now, "admin/admin", dumpfmt.KadmData{HistKVNO: 2})
		p.Keys = []dumpfmt.Key{m.sealed(rnd, m.byMaster, 2, krbcrypto.ETypeAES256SHA1, m.history)}
	case kindPeople:
		return p, m.person(p, i, rnd)
	default:
		m.server(p, rnd)
	}
	return p, nil
}

func (m *maker) masterEntry(p *dumpfmt.Principal, rnd *rand.Rand) {
	p.Attributes = dumpfmt.AttrLockdownKeys | dumpfmt.AttrDisallowAllTix
	p.Keys = []dumpfmt.Key{m.sealed(rnd, m.byMaster, 1, krbcrypto.ETypeAES256SHA1, m.master.Bytes())}
	p.SetModPrinc(m.now, "db_creation@"+m.o.Realm)
	p.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: 1}})
	p.SetMKVNO(1)
}

// common sets the tagged data that every entry of kadmin's has.
func (m *maker) common(p *dumpfmt.Principal, at uint32, by string, k dumpfmt.KadmData) {
	p.SetLastPwdChange(at)
	p.SetMKVNO(1)
	p.SetModPrinc(at, by+"@"+m.o.Realm)
	p.SetKadmData(k)
}

// past is a time within the last n seconds.
func (m *maker) past(rnd *rand.Rand, n uint32) uint32 { return m.now - rnd.Uint32N(n) }

func (m *maker) server(p *dumpfmt.Principal, rnd *rand.Rand) {
	p.MaxRenewLife = week
	kvno := 1 + uint16(rnd.ExpFloat64())
	m.common(p, m.past(rnd, 3*365*day), "admin/admin", dumpfmt.KadmData{HistKVNO: 2})
	p.Keys = m.keys(rnd, kvno)
	if kvno > 1 && rnd.IntN(4) == 0 {
		p.Keys = append(p.Keys, m.keys(rnd, kvno-1)...)
	}
	if rnd.IntN(100) == 0 {
		p.Attributes |= dumpfmt.AttrOKAsDelegate
	}
	if rnd.IntN(20) == 0 {
		m.strings(p, "session_enctypes", "aes256-cts-hmac-sha1-96,aes128-cts-hmac-sha1-96")
	}
}

func (m *maker) person(p *dumpfmt.Principal, i int, rnd *rand.Rand) error {
	p.MaxRenewLife = week
	p.Attributes = dumpfmt.AttrRequiresPreAuth | dumpfmt.AttrDisallowSvr
	changed := m.past(rnd, 2*365*day)
	kvno := 1 + uint16(3*rnd.ExpFloat64())
	k := dumpfmt.KadmData{HistKVNO: 2}
	if m.o.Policies > 0 && rnd.IntN(3) == 0 {
		k.SetPolicy(policyName(rnd.IntN(m.o.Policies)))
		for v := kvno - 1; v > 0 && v+4 > kvno && rnd.IntN(4) == 0; v-- {
			k.History = append(k.History, []dumpfmt.HistKey{
				m.sealed(rnd, m.byHistory, v, krbcrypto.ETypeAES256SHA1, bytesOf(rnd, 32)),
				m.sealed(rnd, m.byHistory, v, krbcrypto.ETypeAES128SHA1, bytesOf(rnd, 16)),
			})
		}
	}
	m.common(p, changed, "admin/admin", k)
	switch rnd.IntN(200) {
	case 0:
		p.Expire = m.now + rnd.Uint32N(5*365*day)
	case 1, 2, 3, 4:
		m.strings(p, "note", "moved from another realm")
	case 5:
		p.LastFailed = m.past(rnd, day)
		p.SetLastAdminUnlock(p.LastFailed + 1)
	case 6, 7:
		p.LastFailed, p.FailCount = m.past(rnd, day), 1+rnd.Uint32N(5)
	}
	if rnd.IntN(2) == 0 {
		p.LastSuccess = m.past(rnd, 30*day)
	}
	number, admin := person(i)
	if m.o.KnownEvery > 0 && number%m.o.KnownEvery == 0 && !admin {
		return m.knownKeys(p, rnd, kvno)
	}
	p.Keys = m.keys(rnd, kvno)
	return nil
}

func (m *maker) strings(p *dumpfmt.Principal, key, value string) {
	if err := p.SetString(key, value); err != nil {
		panic(err) // words of our own
	}
}

// keyTypes are the enctypes of every entry: MIT's default supported_enctypes.
var keyTypes = []krbcrypto.Enctype{krbcrypto.ETypeAES256SHA1, krbcrypto.ETypeAES128SHA1}

func (m *maker) keys(rnd *rand.Rand, kvno uint16) []dumpfmt.Key {
	list := make([]dumpfmt.Key, 0, 2*len(keyTypes))
	for _, e := range keyTypes {
		list = append(list, m.sealed(rnd, m.byMaster, kvno, e, bytesOf(rnd, krbcrypto.KeyBytes(e))))
	}
	return list
}

// knownKeys sets the keys of the password that Realm.Person tells.
func (m *maker) knownKeys(p *dumpfmt.Principal, rnd *rand.Rand, kvno uint16) error {
	name, err := dumpfmt.ParseName(p.Name, "")
	if err != nil {
		return err
	}
	salt, err := krbcrypto.Salt(krbcrypto.SaltNormal, name.Realm, name.Components, nil)
	if err != nil {
		return err
	}
	for _, e := range keyTypes {
		k, err := krbcrypto.StringToKey(e, []byte("pw-"+name.Components[0]), salt, nil)
		if err != nil {
			return err
		}
		p.Keys = append(p.Keys, m.sealed(rnd, m.byMaster, kvno, e, k.Bytes()))
	}
	return nil
}

func (m *maker) sealed(rnd *rand.Rand, by *sealer, kvno uint16, e krbcrypto.Enctype, key []byte) dumpfmt.Key {
	confounder := [confounderLen]byte(bytesOf(rnd, confounderLen))
	return dumpfmt.Key{Ver: 1, Kvno: kvno, Enctype: int16(e), Sealed: by.seal(confounder, key)}
}
