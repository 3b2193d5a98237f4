package tgs

import (
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

// TestEnterpriseServers is sections 3.1 and 5.3 for servers that are asked for by enterprise
// names: those of this realm are the principals they spell, others lead to their realms.
func TestEnterpriseServers(t *testing.T) {
	canon := uint32(krbmsg.OptCanonicalize)
	for _, c := range []struct {
		name     string
		nameType int32
		server   string
		options  uint32
		code     int32
		text     string
		issued   string // the name in the ticket
		logged   string
	}{
		{"ours", 10, "svc128@A.TEST", 0, 0, "", `svc128\@A.TEST`, "svc128@A.TEST"},
		{"ours, of two parts", 10, "host/svc.a.test@A.TEST", canon, 0, "", `host\/svc.a.test\@A.TEST`, "host/svc.a.test@A.TEST"},
		{"ours, unknown", 10, "nosuch@A.TEST", canon, 7, "LOOKING_UP_SERVER", "", ""},
		{"without realm", 10, "svc128", canon, 0, "", "svc128", "svc128@A.TEST"},
		{"of another realm", 10, "svc@B.TEST", canon, 0, "", "krbtgt/B.TEST", "krbtgt/B.TEST@A.TEST"},
		{"of a realm behind another", 10, "svc@C.B.TEST", canon, 0, "", "krbtgt/B.TEST", "krbtgt/B.TEST@A.TEST"},
		{"of another realm, not canonical", 10, "svc@B.TEST", 0, 7, "LOOKING_UP_SERVER", "", ""},
		{"of a realm without a way", 10, "svc@X.EXAMPLE", canon, 7, "UNKNOWN_SERVER", "", ""},
		{"of no realm", 10, "svc@", canon, 7, "LOOKING_UP_SERVER", "", ""},
		{"two realms", 10, "svc@B.TEST@C.TEST", canon, 7, "LOOKING_UP_SERVER", "", ""},
		{"plain principal", 1, "svc@B.TEST", canon, 7, "LOOKING_UP_SERVER", "", ""},
		{"user to user", 10, "svc@B.TEST", canon | krbmsg.OptEncTktInSkey, 7, "LOOKING_UP_SERVER", "", ""},
		{"renewal", 10, "svc@B.TEST", canon | krbmsg.OptRenew, 7, "LOOKING_UP_SERVER", "", ""},
		{"a TGT for another realm", 10, "krbtgt/B.TEST@A.TEST", 0, 0, "", "krbtgt/B.TEST", "krbtgt/B.TEST@A.TEST"},
		{"alias of a service", 1, "alias", 0, 0, "", "alias", "svc128@A.TEST"},
		{"alias of a TGT for another realm", 1, "way", 0, 0, "", "krbtgt/B.TEST", "krbtgt/B.TEST@A.TEST"},
		{"alias abroad", 1, "abroad", canon, 0, "", "krbtgt/B.TEST", "krbtgt/B.TEST@A.TEST"},
		{"alias abroad, not canonical", 1, "abroad", 0, 7, "LOOKING_UP_SERVER", "", ""},
		{"alias by an enterprise name", 10, "other@B.TEST", 0, 0, "", `other\@B.TEST`, "svc128@A.TEST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for name, target := range map[string]string{"alias": "svc128@A.TEST", "way": "krbtgt/B.TEST@A.TEST", "abroad": "svc@B.TEST", `other\@B.TEST`: "svc128@A.TEST"} {
				w.db.Put(&dumpfmt.Principal{Name: name + "@A.TEST"})
				w.change(name, func(p *dumpfmt.Principal) { p.SetAliasTarget(target) })
			}
			w.body.SName, w.body.Options = krbmsg.Some(krbmsg.NewName(c.nameType, c.server)), c.options
			out, creds := w.ask()
			if code, text := kdctest.Code(t, out); code != c.code || text != c.text {
				t.Fatalf("%d %s, want %d %s (%v)", code, text, c.code, c.text, out.Event.Err)
			}
			if c.code != 0 {
				return
			}
			rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
			if got := rep.Rep.Ticket.SName.Unparse(nil); got != c.issued+"@" || !rep.Part.SName.Equal(rep.Rep.Ticket.SName) || out.Event.Server != c.logged {
				t.Errorf("ticket for %s, logged as %s", got, out.Event.Server)
			}
		})
	}
}

// TestEncryptedPAData is sections 5.9 and 5.10: what the sealed part of a reply has beside the
// ticket's fields, in MIT's order.
func TestEncryptedPAData(t *testing.T) {
	checksum := krbmsg.PAData{Type: krbmsg.PAReqEncPARep, Value: []byte{}}
	rbcd := krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xf0000000})}
	other := krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xe0000000})}
	for _, c := range []struct {
		name string
		self krbcrypto.Enctype // of the subkey, for S4U2Self
		list []krbmsg.PAData
		want []int32
	}{
		{"nothing", 0, nil, nil},
		{"checksum", 0, []krbmsg.PAData{checksum}, []int32{krbmsg.PAReqEncPARep, krbmsg.PAFXFast}},
		{"PAC options", 0, []krbmsg.PAData{rbcd}, []int32{krbmsg.PAPACOptions}},
		{"other PAC options", 0, []krbmsg.PAData{other}, nil},
		{"both", 0, []krbmsg.PAData{rbcd, checksum}, []int32{krbmsg.PAReqEncPARep, krbmsg.PAFXFast, krbmsg.PAPACOptions}},
		{"S4U2Self with an AES key", krbcrypto.ETypeAES128SHA1, nil, nil},
		{"S4U2Self with an RC4 key", krbcrypto.ETypeRC4, []krbmsg.PAData{checksum}, []int32{krbmsg.PAS4UX509User, krbmsg.PAReqEncPARep, krbmsg.PAFXFast}},
		{"S4U2Self with a DES3 key", krbcrypto.ETypeDES3, nil, []int32{krbmsg.PAS4UX509User}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			shown, key, usage := kdctest.Shown{PAData: c.list}, (*krbcrypto.Key)(nil), krbcrypto.UsageTGSRepSession
			if c.self != 0 {
				w = impersonator(t)
				var err error
				if key, err = krbcrypto.RandomKey(c.self); err != nil {
					t.Fatal(err)
				}
				shown.Subkey, usage = key, krbcrypto.UsageTGSRepSubkey
			}
			creds := w.forge()
			var asked krbmsg.S4UX509User
			if key == nil {
				key = creds.Session
			} else {
				pa := x509User(creds, "a256", func(x *krbmsg.S4UX509User) {
					x.Cksum = krbmsg.Checksum{Type: key.ChecksumType(), Sum: key.Checksum(nil, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))}
					asked = *x
				})
				shown.PAData = append(shown.PAData, pa)
			}
			rep := kdctest.Open(t, w.answer(creds.TGSReq(w.body, shown)), key, usage)
			var got []int32
			for _, p := range rep.Part.PAData {
				got = append(got, p.Type)
				var o krbmsg.PACOptions
				switch p.Type {
				case krbmsg.PAPACOptions:
					if o.Parse(p.Value) != nil || o.Flags != krbmsg.PACOptionRBCD {
						t.Errorf("PAC options %x", p.Value)
					}
				case krbmsg.PAS4UX509User:
					var said krbmsg.S4UX509User
					value, _ := krbmsg.FindPA(rep.Rep.PAData, krbmsg.PAS4UX509User)
					if said.Parse(value) != nil || string(p.Value) != string(asked.Cksum.Sum)+string(said.Cksum.Sum) {
						t.Errorf("checksums %x", p.Value)
					}
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("padata %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("padata %v, want %v", got, c.want)
				}
			}
		})
	}
}

// TestRequestAuthDataKeys is section 5.5: which keys open the authorization data of a request, and
// what is said if none does.
func TestRequestAuthDataKeys(t *testing.T) {
	sub := kdctest.NewKey(t, 17, make([]byte, 16))
	plain := krbmsg.Marshal(krbmsg.AuthorizationData{{Type: 9999, Data: []byte("x")}})
	for _, c := range []struct {
		name   string
		subkey *krbcrypto.Key
		seal   func(session *krbcrypto.Key) krbmsg.EncryptedData
		code   int32
	}{
		{"session key", sub, sealed(nil, krbcrypto.UsageTGSReqADSession, plain), 0},
		{"session key, other usage, no subkey", nil, sealed(nil, krbcrypto.UsageTGSReqADSubkey, plain), 0},
		{"session key, other usage", sub, sealed(nil, krbcrypto.UsageTGSReqADSubkey, plain), 60},
		{"subkey", sub, sealed(sub, krbcrypto.UsageTGSReqADSubkey, plain), 0},
		{"subkey, other usage", sub, sealed(sub, krbcrypto.UsageTGSReqADSession, plain), 31},
		{"no list", nil, sealed(nil, krbcrypto.UsageTGSReqADSession, []byte{1}), 60},
		{"too short", nil, func(*krbcrypto.Key) krbmsg.EncryptedData { return krbmsg.EncryptedData{Etype: 18, Cipher: []byte{1}} }, 60},
		{"unknown enctype", nil, func(*krbcrypto.Key) krbmsg.EncryptedData {
			return krbmsg.EncryptedData{Etype: 99, Cipher: make([]byte, 60)}
		}, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			creds := w.forge()
			w.body.AuthData = krbmsg.Some(c.seal(creds.Session))
			out := w.answer(creds.TGSReq(w.body, kdctest.Shown{Subkey: c.subkey}))
			if code, text := kdctest.Code(t, out); code != c.code || code != 0 && text != statusAuthdata {
				t.Errorf("%d %s (%v)", code, text, out.Event.Err)
			}
			if c.code == 0 && out.Event.Status != exchange.StatusIssue {
				t.Errorf("event %+v", out.Event)
			}
		})
	}
}

// sealed encrypts with a key, nil for the session key.
func sealed(key *krbcrypto.Key, usage uint32, plain []byte) func(*krbcrypto.Key) krbmsg.EncryptedData {
	return func(session *krbcrypto.Key) krbmsg.EncryptedData {
		k := key
		if k == nil {
			k = session
		}
		return krbmsg.EncryptedData{Etype: int32(k.Enctype()), Cipher: k.Encrypt(nil, usage, plain)}
	}
}
