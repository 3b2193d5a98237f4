package as

import (
	"crypto/sha1"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

// TestTimestamps is sections 4.3 and 4.5.
func TestTimestamps(t *testing.T) {
	good := func(w *world) krbmsg.PAData { return kdctest.Timestamp(w.key("pre"), at) }
	bad := func(w *world) krbmsg.PAData { return kdctest.Timestamp(w.key("user"), at) }
	shifted := func(by int64) func(w *world) krbmsg.PAData {
		return func(w *world) krbmsg.PAData { return kdctest.Timestamp(w.key("pre"), at+by) }
	}
	raw := func(b ...byte) func(w *world) krbmsg.PAData {
		return func(*world) krbmsg.PAData { return krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: b} }
	}
	short := func(w *world) krbmsg.PAData {
		return krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: krbmsg.Marshal(krbmsg.EncryptedData{Etype: 18, Cipher: []byte{1, 2, 3}})}
	}
	for _, c := range []struct {
		name   string
		padata []func(w *world) krbmsg.PAData
		code   int32
	}{
		{"right", []func(*world) krbmsg.PAData{good}, 0},
		{"wrong", []func(*world) krbmsg.PAData{bad}, 24},
		{"wrong, then right", []func(*world) krbmsg.PAData{bad, good}, 0},
		{"right, then wrong", []func(*world) krbmsg.PAData{good, bad}, 0},
		{"4.3 without e-data the last failure is reported, skew", []func(*world) krbmsg.PAData{bad, shifted(1000)}, 37},
		{"4.3 without e-data the last failure is reported", []func(*world) krbmsg.PAData{shifted(1000), bad}, 24},
		{"300 s ahead", []func(*world) krbmsg.PAData{shifted(300)}, 0},
		{"300 s behind", []func(*world) krbmsg.PAData{shifted(-300)}, 0},
		{"301 s ahead", []func(*world) krbmsg.PAData{shifted(301)}, 37},
		{"301 s behind", []func(*world) krbmsg.PAData{shifted(-301)}, 37},
		{"empty", []func(*world) krbmsg.PAData{raw()}, 24},
		{"garbage", []func(*world) krbmsg.PAData{raw(0x30, 1, 2, 3)}, 24},
		{"short cipher", []func(*world) krbmsg.PAData{short}, 24},
		{"unknown types around", []func(*world) krbmsg.PAData{
			func(*world) krbmsg.PAData { return krbmsg.PAData{Type: -7, Value: []byte{}} }, good,
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var padata []krbmsg.PAData
			for _, f := range c.padata {
				padata = append(padata, f(w))
			}
			out := answer(t, w.r, kdctest.ASReq(request("pre"), padata...), at)
			code, text := kdctest.Code(t, out)
			if code != c.code {
				t.Fatalf("%d %s, want %d", code, text, c.code)
			}
			var e krbmsg.KRBError
			if code == 0 {
				rep := kdctest.Open(t, out, w.key("pre"), krbcrypto.UsageASRepEncPart)
				if rep.Part.Flags&krbmsg.FlagPreAuth == 0 {
					t.Errorf("flags %08x", rep.Part.Flags)
				}
				return
			}
			if err := e.Parse(out.Reply); err != nil || text != "PREAUTH_FAILED" || (e.EData != nil) != (code == 24) {
				t.Errorf("%s with %d octets of e-data, %v", text, len(e.EData), err)
			}
		})
	}
}

// TestAmplificationIsBounded: one request cannot buy hundreds of decryptions; what is behind the
// bound counts as not sent.
func TestAmplificationIsBounded(t *testing.T) {
	w := newWorld(t)
	var padata []krbmsg.PAData
	for range 16 {
		padata = append(padata, kdctest.Timestamp(w.key("user"), at))
	}
	padata = append(padata, kdctest.Timestamp(w.key("pre"), at))
	if code, _ := kdctest.Code(t, answer(t, w.r, kdctest.ASReq(request("pre"), padata...), at)); code != 24 {
		t.Errorf("code %d", code)
	}
}

// TestTimestampInAnotherEtype: the timestamp may be in any current key, the reply follows the
// list.
func TestTimestampInAnotherEtype(t *testing.T) {
	w := newWorld(t)
	b := request("pre")
	b.Etypes = []int32{17, 18}
	out := answer(t, w.r, kdctest.ASReq(b, kdctest.Timestamp(w.key("pre"), at)), at)
	if out.Event.RepEtype != 17 || out.Event.Status != exchange.StatusIssue {
		t.Errorf("%+v", out.Event)
	}
}

// TestHints is the list of section 4.3 for principals of several kinds.
func TestHints(t *testing.T) {
	types := func(out exchange.Outcome) (list []int32) {
		var e krbmsg.KRBError
		var md krbmsg.MethodData
		if err := e.Parse(out.Reply); err != nil {
			t.Fatal(err)
		}
		if err := md.Parse(e.EData); err != nil {
			t.Fatal(err)
		}
		for _, pa := range md {
			list = append(list, pa.Type)
		}
		return list
	}
	for _, c := range []struct {
		name, client string
		etypes       []int32
		want         []int32
	}{
		{"new enctypes", "pre", []int32{18, 17}, []int32{136, 19, 2, 133}},
		{"old list, a key that fits", "rc4pre", []int32{23}, []int32{136, 11, 19, 2, 133}},
		{"no common enctype", "pre", []int32{20}, []int32{136, 133}},
		{"no key at all", "nokey", []int32{18}, []int32{136, 133}},
		{"hardware only", "hw", []int32{18}, []int32{136, 19, 133}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.client == "rc4pre" {
				w.keys.Add(t, w.db, "pre@A.TEST", 5, krbcrypto.ETypeRC4)
				w.keys.Add(t, w.db, "krbtgt/A.TEST@A.TEST", 5, krbcrypto.ETypeRC4)
				c.client = "pre"
			}
			w.setString("krbtgt/A.TEST", "session_enctypes", "aes aes256-sha2 rc4")
			b := request(c.client)
			b.Etypes = c.etypes
			out := answer(t, w.r, kdctest.ASReq(b), at)
			got := types(out)
			if len(got) != len(c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
		})
	}
}

// fastReq armors an AS request; change may spoil anything on the way.
type fastReq struct {
	armor  *kdctest.Creds
	shown  kdctest.Shown
	opts   uint32
	sum    func(key *krbcrypto.Key, body []byte) krbmsg.Checksum
	areq   func(a *krbmsg.FastArmoredReq)
	padata func(armor *krbcrypto.Key) []krbmsg.PAData
}

func (f *fastReq) encode(t *testing.T, outer, inner krbmsg.KDCReqBody) ([]byte, *krbcrypto.Key) {
	t.Helper()
	if f.shown.Subkey == nil && f.shown.Auth == nil {
		sub, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
		if err != nil {
			t.Fatal(err)
		}
		f.shown.Subkey = sub
	}
	key := f.armor.Session
	if f.shown.Subkey != nil {
		var err error
		if key, err = krbcrypto.CF2(f.shown.Subkey, f.armor.Session, "subkeyarmor", "ticketarmor"); err != nil {
			t.Fatal(err)
		}
	}
	req := krbmsg.FastReq{Options: f.opts, Body: inner}
	if f.padata != nil {
		req.PAData = f.padata(key)
	}
	body := krbmsg.Marshal(&outer)
	a := krbmsg.FastArmoredReq{
		Armor:    krbmsg.Some(krbmsg.FastArmor{Type: 1, Value: f.armor.APReq(nil, krbcrypto.UsageAPReqAuth, f.shown)}),
		Checksum: krbmsg.Checksum{Type: key.ChecksumType(), Sum: key.Checksum(nil, krbcrypto.UsageFASTReqChecksum, body)},
		EncFastReq: krbmsg.EncryptedData{Etype: int32(key.Enctype()),
			Cipher: key.Encrypt(nil, krbcrypto.UsageFASTEnc, krbmsg.Marshal(&req))},
	}
	if f.sum != nil {
		a.Checksum = f.sum(key, body)
	}
	if f.areq != nil {
		f.areq(&a)
	}
	return kdctest.ASReq(outer, krbmsg.PAData{Type: krbmsg.PAFXFast, Value: krbmsg.Marshal(&a)}), key
}

// armoredBy changes the AP-REQ of an armor.
func armoredBy(change func(ap *krbmsg.APReq)) fastReq {
	return fastReq{areq: func(a *krbmsg.FastArmoredReq) {
		var ap krbmsg.APReq
		if err := ap.Parse(a.Armor.V.Value); err != nil {
			panic(err)
		}
		change(&ap)
		a.Armor.V.Value = krbmsg.Marshal(&ap)
	}}
}

// TestFASTErrors is the table of section 4.6.
func TestFASTErrors(t *testing.T) {
	home := kdctest.Name("A.TEST", "krbtgt", "A.TEST")
	forge := func(change func(p *krbmsg.EncTicketPart)) func(w *world) *kdctest.Creds {
		return func(w *world) *kdctest.Creds { return kdctest.Forge(w.t, w.r, home, change) }
	}
	plain := forge(nil)
	for _, c := range []struct {
		name  string
		creds func(w *world) *kdctest.Creds
		req   fastReq
		code  int32
	}{
		{"good", plain, fastReq{}, 0},
		{"armor missing", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Armor.Set = false }}, 24},
		{"armor type 2", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Armor.V.Type = 2 }}, 24},
		{"armor is no AP-REQ", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Armor.V.Value = []byte{1} }}, 40},
		{"armor empty", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Armor.V.Value = nil }}, 40},
		{"armor garbage", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Armor.V.Value = []byte{0x6e, 1, 2} }}, 60},
		{"service ticket", func(w *world) *kdctest.Creds { return kdctest.Forge(w.t, w.r, kdctest.Name("A.TEST", "svc128"), nil) }, fastReq{}, 26},
		{"cross-realm TGT", func(w *world) *kdctest.Creds {
			return kdctest.Forge(w.t, w.r, kdctest.Name("B.TEST", "krbtgt", "A.TEST"), nil)
		}, fastReq{}, 0},
		{"ticket expired", forge(func(p *krbmsg.EncTicketPart) { p.EndTime = at - 301 }), fastReq{}, 32},
		{"ticket not yet valid", forge(func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some[int64](at + 301) }), fastReq{}, 33},
		{"ticket invalid", forge(func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid }), fastReq{}, 60},
		{"ticket times before the clock", forge(func(p *krbmsg.EncTicketPart) { p.EndTime = at - 301 }),
			fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.CTime = at + 301 }}}, 32},
		{"the clock before an invalid ticket", forge(func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid }),
			fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.CTime = at + 301 }}}, 37},
		{"ticket of our client that came from abroad", forge(func(p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte("C.TEST") }), fastReq{}, 60},
		{"ticket that took a way nobody trusts", func(w *world) *kdctest.Creds {
			return kdctest.Forge(w.t, w.r, kdctest.Name("B.TEST", "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
				p.CRealm, p.Transited.Contents = []byte("B.TEST"), []byte("EVIL.TEST")
			})
		}, fastReq{}, 60},
		{"a way that nobody trusts, of a third realm's client", func(w *world) *kdctest.Creds {
			return kdctest.Forge(w.t, w.r, kdctest.Name("B.TEST", "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
				p.CRealm, p.Transited.Contents = []byte("C.TEST"), []byte("EVIL.TEST")
			})
		}, fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.CRealm = []byte("C.TEST") }}}, 43},
		{"a way nobody was on", forge(func(p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte{0} }), fastReq{}, 0},
		{"ticket for nobody", func(w *world) *kdctest.Creds {
			c := plain(w)
			c.Ticket.SName = client("nosuch").Name
			return c
		}, fastReq{}, 35},
		{"ticket for who is no service", func(w *world) *kdctest.Creds { return kdctest.Forge(w.t, w.r, kdctest.Name("A.TEST", "nosvr"), nil) }, fastReq{}, 35},
		{"ticket for a locked service", func(w *world) *kdctest.Creds {
			return kdctest.Forge(w.t, w.r, kdctest.Name("A.TEST", "svclocked"), nil)
		}, fastReq{}, 35},
		{"expired before service ticket", func(w *world) *kdctest.Creds {
			return kdctest.Forge(w.t, w.r, kdctest.Name("A.TEST", "svc128"), func(p *krbmsg.EncTicketPart) { p.EndTime = at - 301 })
		}, fastReq{}, 32},
		{"service ticket before subkey", func(w *world) *kdctest.Creds { return kdctest.Forge(w.t, w.r, kdctest.Name("A.TEST", "svc128"), nil) },
			fastReq{shown: kdctest.Shown{Auth: func(*krbmsg.Authenticator) {}}}, 26},
		{"ticket in a type that is no key's", func(w *world) *kdctest.Creds {
			c := plain(w)
			c.Ticket.EncPart.Etype = 17
			return c
		}, fastReq{}, 60},
		{"a way that was checked", forge(func(p *krbmsg.EncTicketPart) {
			p.Transited.Contents, p.Flags = []byte("C.TEST"), p.Flags|krbmsg.FlagTransitChecked
		}), fastReq{}, 0},
		{"ticket does not decrypt", func(w *world) *kdctest.Creds {
			c := plain(w)
			c.Ticket.EncPart.Cipher[20] ^= 1
			return c
		}, fastReq{}, 31},
		{"unknown key version", func(w *world) *kdctest.Creds {
			c := plain(w)
			c.Ticket.EncPart.Kvno.V = 77
			return c
		}, fastReq{}, 44},
		{"no subkey", plain, fastReq{shown: kdctest.Shown{Auth: func(*krbmsg.Authenticator) {}}}, 12},
		{"authenticator skew", plain, fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.CTime = at + 301 }}}, 37},
		{"authenticator of somebody else", plain, fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.CName = client("pre").Name }}}, 36},
		{"session key of an unknown type", forge(func(p *krbmsg.EncTicketPart) { p.Key.Etype = 99 }), fastReq{}, 60},
		{"subkey of an unknown type", plain, fastReq{shown: kdctest.Shown{Auth: func(a *krbmsg.Authenticator) {
			a.Subkey = krbmsg.Some(krbmsg.EncryptionKey{Etype: 99, Value: make([]byte, 16)})
		}}}, 60},
		{"authenticator in another enctype", plain, armoredBy(func(ap *krbmsg.APReq) { ap.Authenticator.Etype = 17 }), 60},
		{"authenticator damaged", plain, armoredBy(func(ap *krbmsg.APReq) { ap.Authenticator.Cipher[20] ^= 1 }), 31},
		{"authenticator short", plain, armoredBy(func(ap *krbmsg.APReq) { ap.Authenticator.Cipher = []byte{1} }), 60},
		{"AP options", plain, armoredBy(func(ap *krbmsg.APReq) { ap.Options = krbmsg.APUseSessionKey | krbmsg.APMutualRequired }), 0},
		{"inner request does not decrypt", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.EncFastReq.Cipher[20] ^= 1 }}, 31},
		{"inner request in another enctype", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.EncFastReq.Etype = 17 }}, 60},
		{"inner request too short", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.EncFastReq.Cipher = a.EncFastReq.Cipher[:27] }}, 60},
		{"checksum wrong", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Checksum.Sum[0] ^= 1 }}, 41},
		{"checksum of another type", plain, fastReq{areq: func(a *krbmsg.FastArmoredReq) { a.Checksum.Type = 15 }}, 60},
		{"checksum unkeyed", plain, fastReq{sum: func(_ *krbcrypto.Key, body []byte) krbmsg.Checksum {
			return krbmsg.Checksum{Type: krbcrypto.SumSHA1, Sum: sha1Sum(body)}
		}}, 12},
		{"critical option", plain, fastReq{opts: 0x80000000}, 93},
		{"option that is not critical", plain, fastReq{opts: 0x00000001}, 0},
		{"hidden name", plain, fastReq{opts: krbmsg.FastHideClientNames}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.req.armor = c.creds(w)
			outer, inner := request("nobody"), request("user") // the outer body is ignored
			msg, _ := c.req.encode(t, outer, inner)
			out := answer(t, w.r, msg, at)
			code, text := kdctest.Code(t, out)
			if code != c.code || code != 0 && text != "FIND_FAST" {
				t.Errorf("%d %s, want %d (%v)", code, text, c.code, out.Event.Err)
			}
			var rep krbmsg.KDCRep
			if code == 0 && rep.Parse(out.Reply) == nil && rep.CName.Is("WELLKNOWN", "ANONYMOUS") != (c.req.opts == krbmsg.FastHideClientNames) {
				t.Errorf("reply for %s", rep.CName.Unparse(rep.CRealm))
			}
		})
	}
}

// TestArmorGarbage: what stands in padata 136 need not be anything.
func TestArmorGarbage(t *testing.T) {
	w := newWorld(t)
	for _, value := range [][]byte{{}, {1, 2, 3}, {0xa0, 2, 0x30, 0}} {
		out := answer(t, w.r, kdctest.ASReq(request("user"), krbmsg.PAData{Type: krbmsg.PAFXFast, Value: value}), at)
		if code, text := kdctest.Code(t, out); code != 60 || text != "FIND_FAST" {
			t.Errorf("%x: %d %s", value, code, text)
		}
	}
}

// TestHiddenNameInErrors: outside the armor the client is anonymous, inside it is not.
func TestHiddenNameInErrors(t *testing.T) {
	w := newWorld(t)
	f := fastReq{armor: kdctest.Forge(t, w.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil), opts: krbmsg.FastHideClientNames}
	msg, armor := f.encode(t, request("user"), request("pre"))
	var e, fx krbmsg.KRBError
	var md krbmsg.MethodData
	var rep krbmsg.FastArmoredRep
	var resp krbmsg.FastResponse
	out := answer(t, w.r, msg, at)
	for _, err := range []error{e.Parse(out.Reply), md.Parse(e.EData)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := rep.Parse(md[0].Value); err != nil {
		t.Fatal(err)
	}
	plain, err := armor.Decrypt(nil, krbcrypto.UsageFASTRep, rep.EncFastRep.Cipher)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Parse(plain); err != nil {
		t.Fatal(err)
	}
	if err := fx.Parse(resp.PAData[len(resp.PAData)-1].Value); err != nil {
		t.Fatal(err)
	}
	if e.Code != 25 || !e.CName.V.Is("WELLKNOWN", "ANONYMOUS") || !fx.CName.V.Is("pre") {
		t.Errorf("outer %s, inner %s", e.CName.V.Unparse(nil), fx.CName.V.Unparse(nil))
	}
	// Inside FAST the challenge is offered in place of the timestamp.
	var got []int32
	for _, pa := range resp.PAData {
		got = append(got, pa.Type)
	}
	if want := []int32{136, 19, 138, 133, 137}; len(got) != len(want) || got[2] != 138 {
		t.Errorf("hints %v, want %v", got, want)
	}
}

// TestEncryptedChallenge is section 4.6; failures count like those of a timestamp.
func TestEncryptedChallenge(t *testing.T) {
	for _, c := range []struct {
		name string
		key  string
		at   int64
		code int32
	}{
		{"right", "pre", at, 0}, {"wrong key", "user", at, 24}, {"skew", "pre", at + 301, 37},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.r.ECIndicator = "hardened"
			f := fastReq{armor: kdctest.Forge(t, w.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), nil)}
			f.padata = func(armor *krbcrypto.Key) []krbmsg.PAData {
				return []krbmsg.PAData{kdctest.Challenge(t, armor, w.key(c.key), c.at)}
			}
			inner := request("pre")
			inner.SName = krbmsg.Some(client("svcind2").Name)
			w.setString("svcind2", "require_auth", "other hardened")
			msg, _ := f.encode(t, inner, inner)
			out := answer(t, w.r, msg, at)
			if code, text := kdctest.Code(t, out); code != c.code {
				t.Errorf("%d %s, want %d", code, text, c.code)
			}
		})
	}
}

func sha1Sum(b []byte) []byte {
	s := sha1.Sum(b)
	return s[:]
}
