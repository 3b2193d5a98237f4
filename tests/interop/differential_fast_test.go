package interop

import (
	"crypto/sha1"
	"fmt"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdctest"
)

// armored is an AS request under FAST.
type armored struct {
	outer, inner func(b *krbmsg.KDCReqBody)
	server       []string // of the armor ticket
	realm        string
	part         func(x *twins, p *krbmsg.EncTicketPart)
	auth         func(x *twins, a *krbmsg.Authenticator)
	ticket       func(t *krbmsg.Ticket)
	ap           func(b []byte) []byte
	noSubkey     bool
	options      uint32
	padata       func(x *twins, armor *krbcrypto.Key) []krbmsg.PAData
	areq         func(a *krbmsg.FastArmoredReq, armor *krbcrypto.Key, covered []byte)
	beside       []krbmsg.PAData // outer padata beside FAST
	twice        bool
}

// fast makes the question.
func fast(client string, f armored) func(x *twins) *question {
	return func(x *twins) *question {
		outer, inner := x.body("nonsense"), x.body(client)
		if f.outer != nil {
			f.outer(&outer)
		}
		if f.inner != nil {
			f.inner(&inner)
		}
		if f.server == nil {
			f.server = []string{"krbtgt", "A.TEST"}
		}
		if f.realm == "" {
			f.realm = "A.TEST"
		}
		creds := kdctest.Forge(x.t, x.r, kdctest.Name(f.realm, f.server...), func(p *krbmsg.EncTicketPart) {
			p.AuthTime, p.EndTime = x.now-60, x.now+36000
			if f.part != nil {
				f.part(x, p)
			}
		})
		if f.ticket != nil {
			f.ticket(&creds.Ticket)
		}
		sub := must(krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1))(x.t)
		armor := must(krbcrypto.CF2(sub, creds.Session, "subkeyarmor", "ticketarmor"))(x.t)
		how := kdctest.Shown{Subkey: sub, Auth: func(a *krbmsg.Authenticator) {
			a.CTime = x.now
			if f.auth != nil {
				f.auth(x, a)
			}
		}}
		if f.noSubkey {
			how.Subkey, armor = nil, creds.Session
		}
		req := krbmsg.FastReq{Options: f.options, Body: inner}
		if f.padata != nil {
			req.PAData = f.padata(x, armor)
		}
		covered := krbmsg.Marshal(&outer)
		a := krbmsg.FastArmoredReq{
			Armor:    krbmsg.Some(krbmsg.FastArmor{Type: 1, Value: creds.APReq(nil, krbcrypto.UsageAPReqAuth, how)}),
			Checksum: krbmsg.Checksum{Type: armor.ChecksumType(), Sum: armor.Checksum(nil, krbcrypto.UsageFASTReqChecksum, covered)},
			EncFastReq: krbmsg.EncryptedData{Etype: int32(armor.Enctype()),
				Cipher: armor.Encrypt(nil, krbcrypto.UsageFASTEnc, krbmsg.Marshal(&req))},
		}
		if f.ap != nil {
			a.Armor.V.Value = f.ap(a.Armor.V.Value)
		}
		if f.areq != nil {
			f.areq(&a, armor, covered)
		}
		value := krbmsg.PAData{Type: krbmsg.PAFXFast, Value: krbmsg.Marshal(&a)}
		list := append([]krbmsg.PAData{value}, f.beside...)
		if f.twice {
			list = append([]krbmsg.PAData{{Type: krbmsg.PAFXFast, Value: []byte{}}}, list...)
		}
		q := &question{usage: krbcrypto.UsageASRepEncPart, body: inner, armor: armor, msg: kdctest.ASReq(outer, list...)}
		q.reply = func(etype int32) *krbcrypto.Key { return x.find(client+"@A.TEST", 0, etype) }
		return q
	}
}

// apReq changes the AP-REQ of an armor.
func apReq(change func(a *krbmsg.APReq)) func([]byte) []byte {
	return func(b []byte) []byte {
		var a krbmsg.APReq
		if err := a.Parse(b); err != nil {
			panic(err)
		}
		change(&a)
		return krbmsg.Marshal(&a)
	}
}

// asFAST is section 4.6.
func asFAST() []twinCase {
	challenge := func(of string, off int64) func(x *twins, armor *krbcrypto.Key) []krbmsg.PAData {
		return func(x *twins, armor *krbcrypto.Key) []krbmsg.PAData {
			return []krbmsg.PAData{kdctest.Challenge(x.t, armor, x.key(of+"@A.TEST", 0, 18), x.now+off)}
		}
	}
	stamp := func(x *twins, _ *krbcrypto.Key) []krbmsg.PAData {
		return []krbmsg.PAData{timestamp("pre", 18, 0)(x)}
	}
	inner := func(list ...krbmsg.PAData) func(*twins, *krbcrypto.Key) []krbmsg.PAData {
		return func(*twins, *krbcrypto.Key) []krbmsg.PAData { return list }
	}
	type areq = *krbmsg.FastArmoredReq
	spoil := func(fn func(a areq)) func(areq, *krbcrypto.Key, []byte) {
		return func(a areq, _ *krbcrypto.Key, _ []byte) { fn(a) }
	}
	list := []twinCase{
		{"4.6 good", fast("user", armored{}), ""},
		{"4.6 preauthentication needed", fast("pre", armored{}), ""},
		{"4.6 challenge", fast("pre", armored{padata: challenge("pre", 0)}), ""},
		{"4.6 challenge, wrong key", fast("pre", armored{padata: challenge("user", 0)}), ""},
		{"4.6 challenge, skew", fast("pre", armored{padata: challenge("pre", 400)}), ""},
		{"4.6 challenge, garbage", fast("pre", armored{padata: inner(krbmsg.PAData{Type: 138, Value: []byte{1}})}), ""},
		{"4.6 challenge where none is required", fast("user", armored{padata: challenge("user", 0)}), ""},
		{"4.6 challenge, reply in another etype", fast("multi", armored{inner: etypes(17, 18), padata: challenge("multi", 0)}), ""},
		{"4.6 challenge of an etype not in the list", fast("multi", armored{inner: etypes(17), padata: challenge("multi", 0)}), ""},
		{"4.5 timestamp inside FAST", fast("pre", armored{padata: stamp}), ""},
		{"4.6 no common etype", fast("pre", armored{inner: etypes(19)}), ""},
		{"4.6 hardware", fast("hw", armored{}), ""},
		{"4.6 no keys", fast("nokey", armored{}), ""},
		{"4.6 unknown client", fast("nobody", armored{}), ""},
		{"4.6 unknown server", fast("user", armored{inner: service("nosuch")}), ""},
		{"4.6 no client inside", fast("user", armored{inner: func(b *krbmsg.KDCReqBody) { b.CName.Set = false }}), ""},
		{"4.1 row 4 no server inside", fast("user", armored{inner: func(b *krbmsg.KDCReqBody) { b.SName.Set = false }}), ""},
		{"4.6 no client outside", fast("user", armored{outer: func(b *krbmsg.KDCReqBody) { b.CName.Set = false }}), ""},
		{"4.6 no server outside, as Heimdal", fast("user", armored{outer: func(b *krbmsg.KDCReqBody) { b.SName.Set = false }}), "AS-REP"},
		{"4.6 no server outside, error", fast("user", armored{outer: func(b *krbmsg.KDCReqBody) { b.SName.Set = false }, areq: spoil(func(a areq) { a.Checksum.Sum[0] ^= 1 })}), ""},
		{"4.6 other nonce outside", fast("user", armored{outer: func(b *krbmsg.KDCReqBody) { b.Nonce = 5 }}), ""},
		{"4.6 checksum of the request asked inside", fast("user", armored{padata: inner(krbmsg.PAData{Type: 149})}), ""},
		{"4.6 checksum of the request asked outside", fast("user", armored{beside: []krbmsg.PAData{{Type: 149}}}), "AS-REP"}, // inner or outer
		{"4.6 PAC declined outside", fast("user", armored{beside: []krbmsg.PAData{{Type: 128, Value: krbmsg.Marshal(krbmsg.PACRequest{})}}}), ""},
		{"4.6 names hidden", fast("user", armored{options: krbmsg.FastHideClientNames}), ""},
		{"4.6 names hidden, error", fast("pre", armored{options: krbmsg.FastHideClientNames}), ""},
		{"4.6 names hidden, no client", fast("pre", armored{options: krbmsg.FastHideClientNames, inner: func(b *krbmsg.KDCReqBody) { b.CName.Set = false }}), ""},
		{"4.6 armor missing", fast("user", armored{areq: spoil(func(a areq) { a.Armor.Set = false })}), ""},
		{"4.6 armor type 2", fast("user", armored{areq: spoil(func(a areq) { a.Armor.V.Type = 2 })}), ""},
		{"4.6 armor garbage", fast("user", armored{areq: spoil(func(a areq) { a.Armor.V.Value = []byte{1} })}), ""},
		{"4.6 service ticket", fast("user", armored{server: []string{"svc128"}}), ""},
		{"4.6 service ticket without subkey", fast("user", armored{server: []string{"svc128"}, noSubkey: true}), ""},
		{"4.6 service ticket and skew", fast("user", armored{server: []string{"svc128"}, auth: func(x *twins, a *krbmsg.Authenticator) { a.CTime = x.now + 400 }}), ""},
		{"4.6 ticket for a locked service", fast("user", armored{server: []string{"svclocked"}}), ""},
		{"4.6 ticket for who is no service", fast("user", armored{server: []string{"nosvr"}}), ""},
		{"4.6 ticket for an expired service", fast("user", armored{server: []string{"svcexpired"}}), ""},
		{"4.6 TGT for another realm", fast("user", armored{server: []string{"krbtgt", "B.TEST"}}), ""},
		{"4.6 TGT of another realm", fast("user", armored{realm: "B.TEST", server: []string{"krbtgt", "A.TEST"}}), ""},
		{"4.6 ticket expired", fast("user", armored{part: func(x *twins, p *krbmsg.EncTicketPart) { p.EndTime = x.now - 400 }}), ""},
		{"4.6 ticket expired within the skew", fast("user", armored{part: func(x *twins, p *krbmsg.EncTicketPart) { p.EndTime = x.now - 200 }}), ""},
		{"4.6 ticket not yet valid", fast("user", armored{part: func(x *twins, p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some(x.now + 400) }}), ""},
		{"4.6 ticket invalid", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid }}), ""},
		{"4.6 ticket with addresses", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.CAddr = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 9, 8, 7}}}
		}}), ""},
		{"4.6 ticket with armor data", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.AuthData = krbmsg.AuthorizationData{{Type: krbmsg.ADFXArmor, Data: []byte{}}}
		}}), ""},
		{"4.6 session key of an unknown type", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Key.Etype = 99 }}), ""},
		{"4.6 session key of the wrong length", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Key.Value = p.Key.Value[:5] }}), ""},
		{"4.6 transited list in the ticket", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte("EVIL.TEST") }}), ""},
		{"4.6 transited list of another type", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.Transited = krbmsg.Transited{Type: 9, Contents: []byte("X")}
		}}), ""},
		{"4.6 transited list of a stranger", fast("user", armored{realm: "B.TEST", part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.CRealm, p.Transited.Contents = []byte("B.TEST"), []byte("EVIL.TEST")
		}}), ""},
		{"4.6 transited list of a third realm's client", fast("user", armored{realm: "B.TEST", part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.CRealm, p.Transited.Contents = []byte("C.TEST"), []byte("EVIL.TEST")
		}, auth: func(_ *twins, a *krbmsg.Authenticator) { a.CRealm = []byte("C.TEST") }}), ""},
		{"4.6 transited list that was checked", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) {
			p.Transited.Contents, p.Flags = []byte("EVIL.TEST"), p.Flags|krbmsg.FlagTransitChecked
		}}), ""},
		{"4.6 transited list of a zero octet", fast("user", armored{part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte{0} }}), ""},
		{"4.6 unknown key version", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Kvno.V = 77 }}), ""},
		{"4.6 no key version", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Kvno.Set = false }}), ""},
		{"4.6 key version 0", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Kvno.V = 0 }}), ""},
		{"4.6 ticket in another etype", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Etype = 17 }}), ""},
		{"4.6 ticket in an unknown etype", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Etype = 99 }}), ""},
		{"4.6 ticket damaged", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Cipher[20] ^= 1 }}), ""},
		{"4.6 ticket short", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.EncPart.Cipher = t.EncPart.Cipher[:9] }}), ""},
		{"4.6 ticket for nobody", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.SName = krbmsg.NewName(1, "nobody") }}), ""},
		{"4.6 ticket of an unknown realm", fast("user", armored{ticket: func(t *krbmsg.Ticket) { t.Realm = []byte("X.TEST") }}), ""},
		{"4.6 AP-REQ cut short", fast("user", armored{ap: func(b []byte) []byte { return b[:len(b)-5] }}), ""},
		{"4.6 AP-REQ with octets behind", fast("user", armored{ap: func(b []byte) []byte { return append(b, 1, 2) }}), ""},
		{"4.6 armor empty", fast("user", armored{ap: func([]byte) []byte { return nil }}), ""},
		{"4.6 AP-REQ of another tag", fast("user", armored{ap: func(b []byte) []byte { b[0] = 0x6f; return b }}), ""},
		{"4.6 AP-REQ garbage", fast("user", armored{ap: func([]byte) []byte { return []byte{0x6e, 1, 2} }}), ""},
		{"4.6 authenticator in another etype", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Authenticator.Etype = 17 })}), ""},
		{"4.6 authenticator in an unknown etype", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Authenticator.Etype = 99 })}), ""},
		{"4.6 authenticator damaged", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Authenticator.Cipher[20] ^= 1 })}), ""},
		{"4.6 authenticator short", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Authenticator.Cipher = a.Authenticator.Cipher[:9] })}), ""},
		{"4.6 AP options", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Options = krbmsg.APMutualRequired })}), ""},
		{"4.6 AP options, session key", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Options = krbmsg.APUseSessionKey })}), ""},
		{"4.6 AP options, all", fast("user", armored{ap: apReq(func(a *krbmsg.APReq) { a.Options = 0xffffffff })}), ""},
		{"4.6 no subkey", fast("user", armored{noSubkey: true}), ""},
		{"4.6 subkey of an unknown type", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) { a.Subkey.V.Etype = 99 }}), ""},
		{"4.6 subkey of the wrong length", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) { a.Subkey.V.Value = a.Subkey.V.Value[:5] }}), ""},
		{"4.6 authenticator without a checksum", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) { a.Cksum.Set = false }}), ""},
		{"4.6 authenticator with armor data", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) {
			a.AuthData = krbmsg.AuthorizationData{{Type: krbmsg.ADFXArmor, Data: []byte{}}}
		}}), ""},
		{"4.6 authenticator skew", fast("user", armored{auth: func(x *twins, a *krbmsg.Authenticator) { a.CTime = x.now + 400 }}), ""},
		{"4.6 authenticator of somebody else", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) { a.CName = krbmsg.NewName(1, "pre") }}), ""},
		{"4.6 authenticator of another realm", fast("user", armored{auth: func(_ *twins, a *krbmsg.Authenticator) { a.CRealm = []byte("X") }}), ""},
		{"4.6 expired ticket and skew", fast("user", armored{
			part: func(x *twins, p *krbmsg.EncTicketPart) { p.EndTime = x.now - 400 },
			auth: func(x *twins, a *krbmsg.Authenticator) { a.CTime = x.now + 400 }}), ""},
		{"4.6 invalid ticket and skew", fast("user", armored{
			part: func(_ *twins, p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid },
			auth: func(x *twins, a *krbmsg.Authenticator) { a.CTime = x.now + 400 }}), ""},
		{"4.6 inside does not decrypt", fast("user", armored{areq: spoil(func(a areq) { a.EncFastReq.Cipher[20] ^= 1 })}), ""},
		{"4.6 inside too short", fast("user", armored{areq: spoil(func(a areq) { a.EncFastReq.Cipher = a.EncFastReq.Cipher[:5] })}), ""},
		{"4.6 inside in another etype", fast("user", armored{areq: spoil(func(a areq) { a.EncFastReq.Etype = 17 })}), ""},
		{"4.6 inside garbage", fast("user", armored{areq: func(a areq, k *krbcrypto.Key, _ []byte) {
			a.EncFastReq.Cipher = k.Encrypt(nil, krbcrypto.UsageFASTEnc, []byte("garbage"))
		}}), ""},
		{"4.6 checksum wrong", fast("user", armored{areq: spoil(func(a areq) { a.Checksum.Sum[0] ^= 1 })}), ""},
		{"4.6 checksum empty", fast("user", armored{areq: spoil(func(a areq) { a.Checksum.Sum = nil })}), ""},
		{"4.6 checksum of unknown type", fast("user", armored{areq: spoil(func(a areq) { a.Checksum.Type = 999 })}), ""},
		{"4.6 checksum type of another etype", fast("user", armored{areq: spoil(func(a areq) { a.Checksum.Type = 15 })}), ""},
		{"4.6 checksum rc4 with an aes key", fast("user", armored{areq: spoil(func(a areq) { a.Checksum.Type = -138 })}), ""},
		{"4.6 checksum unkeyed, right", fast("user", armored{areq: func(a areq, _ *krbcrypto.Key, covered []byte) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumSHA1NIST, Sum: sha1Of(covered)}
		}}), ""},
		{"4.6 checksum unkeyed, wrong", fast("user", armored{areq: spoil(func(a areq) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumSHA1NIST, Sum: make([]byte, 20)}
		})}), ""},
		{"4.6 checksum SHA-1 as RFC 3961 numbers it", fast("user", armored{areq: func(a areq, _ *krbcrypto.Key, covered []byte) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumSHA1, Sum: sha1Of(covered)}
		}}), ""},
		{"4.6 twice, the first empty", fast("user", armored{twice: true}), ""},
		{"4.6 FAST inside FAST", fast("user", armored{padata: inner(krbmsg.PAData{Type: 136, Value: []byte{}})}), ""},
		{"4.6 empty", as("user", nil, pa(136)), ""},
		{"4.6 garbage", as("user", nil, pa(136, 1, 2, 3)), ""},
		{"4.6 an empty choice", as("user", nil, pa(136, 0xa0, 2, 0x30, 0)), ""},
		{"4.7 support inside FAST", fast("pre", armored{padata: inner(krbmsg.PAData{Type: 151, Value: krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})})}), ""},
	}
	for i := range 32 {
		list = append(list, twinCase{fmt.Sprintf("4.6 FAST option %08x", uint32(1)<<i), fast("pre", armored{options: 1 << i}), ""})
	}
	return list
}

func sha1Of(b []byte) []byte {
	s := sha1.Sum(b)
	return s[:]
}
