package tgs

import (
	"crypto/md5"
	"crypto/sha1"
	"net/netip"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

const at = kdctest.At

// world is a realm, a ticket and a request that a case changes.
type world struct {
	t    *testing.T
	r    *realm.Realm
	db   *kdctest.Memory
	keys kdctest.Keys

	server exchange.Principal              // of the header ticket
	part   func(p *krbmsg.EncTicketPart)   // changes the header ticket
	body   krbmsg.KDCReqBody               // for host/svc.a.test unless changed
	how    kdctest.Shown                   // how the ticket is shown
	creds  func(c *kdctest.Creds)          // changes what is shown
	from   netip.Addr                      // of the client
	msg    func(msg []byte) []byte         // changes the message
	parts  []func(p *krbmsg.EncTicketPart) // more changes of the header ticket
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, db, keys := kdctest.Realm(t, "A.TEST")
	r.RealmOf = realmOf
	return &world{t: t, r: r, db: db, keys: keys, server: tgsOf("A.TEST", "A.TEST"),
		body: kdctest.TGSBody("A.TEST", "host", "svc.a.test")}
}

func tgsOf(target, issuer string) exchange.Principal { return kdctest.Name(issuer, "krbtgt", target) }

func (w *world) change(name string, fn func(p *dumpfmt.Principal)) {
	w.t.Helper()
	w.db.Change(w.t, name+"@A.TEST", fn)
}

func (w *world) attr(name string, bits uint32) {
	w.t.Helper()
	w.change(name, func(p *dumpfmt.Principal) { p.Attributes |= bits })
}

func (w *world) forge() *kdctest.Creds {
	w.t.Helper()
	c := kdctest.Forge(w.t, w.r, w.server, func(p *krbmsg.EncTicketPart) {
		if w.part != nil {
			w.part(p)
		}
		for _, f := range w.parts {
			f(p)
		}
	})
	if w.creds != nil {
		w.creds(c)
	}
	return c
}

// ask builds the request and answers it.
func (w *world) ask() (exchange.Outcome, *kdctest.Creds) {
	w.t.Helper()
	c := w.forge()
	msg := c.TGSReq(w.body, w.how)
	if w.msg != nil {
		msg = w.msg(msg)
	}
	var q krbmsg.KDCReq
	if err := q.Parse(msg); err != nil {
		w.t.Fatal(err)
	}
	return Answer(w.r, &exchange.Request{Msg: msg, Now: time.Unix(at, 0), From: w.from}, &q), c
}

// ticket asks and opens reply and ticket.
func (w *world) ticket() (*kdctest.Reply, *kdctest.Creds) {
	w.t.Helper()
	out, c := w.ask()
	key, usage := c.Session, krbcrypto.UsageTGSRepSession
	if w.how.Subkey != nil {
		key, usage = w.how.Subkey, krbcrypto.UsageTGSRepSubkey
	}
	rep := kdctest.Open(w.t, out, key, usage)
	name := exchange.Principal{Name: rep.Rep.Ticket.SName, Realm: rep.Rep.Ticket.Realm}
	e, ok := w.r.Resolve(name.Name, name.Realm)
	if !ok {
		w.t.Fatalf("ticket for %s", name)
	}
	return rep, rep.Creds(w.t, kdctest.Key(w.t, w.r, exchange.Principal{Name: e.CName, Realm: e.CRealm}))
}

// ask4 says what the ticket is for.
func (w *world) ask4(parts ...string) { w.body.SName = krbmsg.Some(kdctest.Name("", parts...).Name) }

func flags(set, clear uint32) func(*krbmsg.EncTicketPart) {
	return func(p *krbmsg.EncTicketPart) { p.Flags = p.Flags&^clear | set }
}

type rule struct {
	name   string
	change func(w *world)
	code   int32
	text   string
}

func check(t *testing.T, cases []rule) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			out, _ := w.ask()
			if code, text := kdctest.Code(t, out); code != c.code || text != c.text {
				t.Errorf("%d %q, want %d %q (%v)", code, text, c.code, c.text, out.Event.Err)
			}
			if c.code > 0 && (out.Event.Code != c.code || out.Event.Status != c.text) {
				t.Errorf("event %+v", out.Event)
			}
		})
	}
}

// TestHeader is the table of section 5.2.
func TestHeader(t *testing.T) {
	auth := func(fn func(a *krbmsg.Authenticator)) func(*world) {
		return func(w *world) { w.how.Auth = fn }
	}
	part := func(fn func(p *krbmsg.EncTicketPart)) func(*world) { return func(w *world) { w.part = fn } }
	swapPA := func(value []byte, paType int32) func(*world) {
		return func(w *world) {
			w.msg = func(msg []byte) []byte {
				var q krbmsg.KDCReq
				if err := q.Parse(msg); err != nil {
					w.t.Fatal(err)
				}
				q.PAData = []krbmsg.PAData{{Type: paType, Value: value}}
				return krbmsg.Marshal(&q)
			}
		}
	}
	const text = statusProcess
	check(t, []rule{
		{"good", func(*world) {}, 0, ""},
		{"1 no PA-TGS-REQ", swapPA(nil, 2), 16, text},
		{"2 garbage", swapPA([]byte{1, 2}, 1), 60, text},
		{"3 mutual authentication", func(w *world) { w.how.Options = krbmsg.APMutualRequired }, 12, text},
		{"3 session key", func(w *world) { w.how.Options = krbmsg.APUseSessionKey }, 12, text},
		{"4 unknown server", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.SName = krbmsg.NewName(1, "nosuch") } }, 7, text},
		{"4 server may not serve", func(w *world) { w.attr("krbtgt/A.TEST", dumpfmt.AttrDisallowSvr) }, 7, text},
		{"4 server is locked", func(w *world) { w.attr("krbtgt/A.TEST", dumpfmt.AttrDisallowAllTix) }, 7, text},
		{"5 key version", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno.V = 9 } }, 60, text},
		{"5 no key version: the current one", func(w *world) {
			w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno.Set, c.Ticket.EncPart.Kvno.V = false, 0 }
		}, 0, ""},
		{"5 key version 0: the current one", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno.V = 0 } }, 0, ""},
		{"6 ticket changed", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Cipher[30] ^= 1 } }, 31, text},
		{"6 ticket too short", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Cipher = []byte{1} } }, 60, text},
		{"6 ticket sealed in another usage", func(w *world) {
			w.creds = func(c *kdctest.Creds) {
				key := kdctest.Key(w.t, w.r, w.server)
				c.Ticket.EncPart.Cipher = key.Encrypt(nil, krbcrypto.UsageASRepEncPart, krbmsg.Marshal(&c.Part))
			}
		}, 31, text},
		{"6 garbage sealed", func(w *world) {
			w.creds = func(c *kdctest.Creds) {
				c.Ticket.EncPart.Cipher = kdctest.Key(w.t, w.r, w.server).Encrypt(nil, krbcrypto.UsageTicket, []byte("garbage"))
			}
		}, 60, text},
		{"7 authenticator in another key", func(w *world) {
			w.creds = func(c *kdctest.Creds) {
				c.Session = kdctest.NewKey(w.t, 18, make([]byte, 32))
			}
		}, 31, text},
		{"7 authenticator in the usage of another protocol", armorUsage, 31, text},
		{"7 authenticator too short", cutAuthenticator, 60, text},
		{"8 other client", auth(func(a *krbmsg.Authenticator) { a.CName = krbmsg.NewName(1, "pre") }), 36, text},
		{"8 other realm", auth(func(a *krbmsg.Authenticator) { a.CRealm = []byte("B.TEST") }), 36, text},
		{"9 address", func(w *world) {
			w.from = netip.MustParseAddr("192.0.2.1")
			w.part = func(p *krbmsg.EncTicketPart) { p.CAddr = []krbmsg.HostAddress{{Type: 2, Addr: []byte{192, 0, 2, 9}}} }
		}, 38, text},
		{"9 right address", func(w *world) {
			w.from = netip.MustParseAddr("::ffff:192.0.2.9")
			w.part = func(p *krbmsg.EncTicketPart) { p.CAddr = []krbmsg.HostAddress{{Type: 2, Addr: []byte{192, 0, 2, 9}}} }
		}, 0, ""},
		{"9 right IPv6 address", func(w *world) {
			w.from = netip.MustParseAddr("2001:db8::9%eth0")
			w.part = func(p *krbmsg.EncTicketPart) {
				p.CAddr = []krbmsg.HostAddress{{Type: 20, Addr: []byte("X")}, {Type: 24, Addr: netip.MustParseAddr("2001:db8::9").AsSlice()}}
			}
		}, 0, ""},
		{"9 one NetBIOS name counts as none", func(w *world) {
			w.from = netip.MustParseAddr("192.0.2.1")
			w.part = func(p *krbmsg.EncTicketPart) { p.CAddr = []krbmsg.HostAddress{{Type: 20, Addr: []byte("PC")}} }
		}, 0, ""},
		{"10 transited list that was not checked", part(func(p *krbmsg.EncTicketPart) { p.CRealm, p.Transited.Contents = []byte("C.TEST"), []byte("EVIL") }), 43, text},
		{"10 transited list of a client of the issuer", part(func(p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte("TEST") }), 60, text},
		{"11 just expired still works", part(func(p *krbmsg.EncTicketPart) { p.EndTime = at - 299 }), 0, ""},
		{"11 expired", part(func(p *krbmsg.EncTicketPart) { p.EndTime = at - 301 }), 32, text},
		{"11 not yet valid", part(func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some[int64](at + 301) }), 33, text},
		{"12 skew ahead", auth(func(a *krbmsg.Authenticator) { a.CTime = at + 301 }), 37, text},
		{"12 skew behind", auth(func(a *krbmsg.Authenticator) { a.CTime = at - 301 }), 37, text},
		{"13 session key not permitted", func(w *world) {
			w.r.Permitted = []krbcrypto.Enctype{18}
			w.part = func(p *krbmsg.EncTicketPart) { p.Key = krbmsg.EncryptionKey{Etype: 17, Value: make([]byte, 16)} }
			w.creds = func(c *kdctest.Creds) { c.Session = kdctest.NewKey(w.t, 17, make([]byte, 16)) }
		}, 60, text},
		{"13 subkey of the wrong length", auth(func(a *krbmsg.Authenticator) {
			a.Subkey = krbmsg.Some(krbmsg.EncryptionKey{Etype: 18, Value: []byte{1}})
		}), 60, text},
		{"14 armor in the ticket", part(func(p *krbmsg.EncTicketPart) {
			p.AuthData = krbmsg.AuthorizationData{{Type: krbmsg.ADFXArmor, Data: []byte{}}}
		}), 12, text},
		{"14 armor in the authenticator", auth(func(a *krbmsg.Authenticator) {
			a.AuthData = krbmsg.AuthorizationData{{Type: krbmsg.ADFXArmor, Data: []byte{}}}
		}), 12, text},
		{"15 no checksum", auth(func(a *krbmsg.Authenticator) { a.Cksum.Set = false }), 50, text},
		{"16 unknown checksum", auth(func(a *krbmsg.Authenticator) { a.Cksum.V.Type = 9999 }), 15, text},
		{"16 CRC32", auth(func(a *krbmsg.Authenticator) { a.Cksum.V = krbmsg.Checksum{Type: 1, Sum: []byte{1, 2, 3, 4}} }), 15, text},
		{"17 wrong checksum", auth(func(a *krbmsg.Authenticator) { a.Cksum.V.Sum[0] ^= 1 }), 31, text},
		{"16 SHA-1", plainSum(krbcrypto.SumSHA1), 0, ""},
		{"16 SHA-1 by MIT's other number", plainSum(krbcrypto.SumSHA1NIST), 0, ""},
		{"17 checksum cut", auth(func(a *krbmsg.Authenticator) { a.Cksum.V.Sum = a.Cksum.V.Sum[:4] }), 60, text},
		{"17 checksum of another enctype", auth(func(a *krbmsg.Authenticator) { a.Cksum.V.Type = krbcrypto.SumAES256SHA2 }), 60, text},
		{"17 plain checksum of another body", auth(func(a *krbmsg.Authenticator) {
			a.Cksum.V = krbmsg.Checksum{Type: krbcrypto.SumSHA1, Sum: make([]byte, 20)}
		}), 31, text},
		{"17 over another encoding of the body", reencoded, 0, ""},
		{"section 2: message type", func(w *world) {
			w.msg = func(msg []byte) []byte { return rebuilt(w.t, msg, func(q *krbmsg.KDCReq) { q.MsgType = 10 }) }
		}, -1, ""},
	})
}

// rebuilt changes a message; its body stays as it is.
func rebuilt(t *testing.T, msg []byte, change func(q *krbmsg.KDCReq)) []byte {
	t.Helper()
	var q krbmsg.KDCReq
	if err := q.Parse(msg); err != nil {
		t.Fatal(err)
	}
	change(&q)
	return krbmsg.Marshal(&q)
}

// newAP shows the ticket of a message anew.
func newAP(t *testing.T, q *krbmsg.KDCReq, change func(ap *krbmsg.APReq)) {
	t.Helper()
	var ap krbmsg.APReq
	if err := ap.Parse(q.PAData[0].Value); err != nil {
		t.Fatal(err)
	}
	change(&ap)
	q.PAData[0].Value = krbmsg.Marshal(&ap)
}

// armorUsage seals the authenticator as one for an application, which may be known to others.
func armorUsage(w *world) {
	w.creds = func(c *kdctest.Creds) {
		w.msg = func(msg []byte) []byte {
			return rebuilt(w.t, msg, func(q *krbmsg.KDCReq) { q.PAData[0].Value = c.APReq(q.RawBody, krbcrypto.UsageAPReqAuth, w.how) })
		}
	}
}

func cutAuthenticator(w *world) {
	w.msg = func(msg []byte) []byte {
		return rebuilt(w.t, msg, func(q *krbmsg.KDCReq) {
			newAP(w.t, q, func(ap *krbmsg.APReq) { ap.Authenticator.Cipher = ap.Authenticator.Cipher[:9] })
		})
	}
}

// plainSum puts SHA-1 in place of the keyed checksum.
func plainSum(sumType int32) func(w *world) {
	return func(w *world) {
		w.how.Auth = func(a *krbmsg.Authenticator) {
			sum := sha1.Sum(krbmsg.Marshal(&w.body))
			a.Cksum.V = krbmsg.Checksum{Type: sumType, Sum: sum[:]}
		}
	}
}

// reencoded sends a body with an unknown field that the checksum does not cover: a client may have
// taken the checksum of its own encoding.
func reencoded(w *world) {
	w.msg = func(msg []byte) []byte {
		return rebuilt(w.t, msg, func(q *krbmsg.KDCReq) {
			body := q.RawBody
			inner := append(append([]byte(nil), body[2:]...), 0xac, 3, 2, 1, 5) // [12] INTEGER 5
			if len(inner) > 0x7f {
				w.t.Fatalf("body of %d octets", len(inner))
			}
			q.RawBody = append([]byte{0x30, byte(len(inner))}, inner...)
		})
	}
}

// TestClientIsNamedOnceKnown: section 7, an error names the client as soon as the ticket is open.
func TestClientIsNamedOnceKnown(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world)
		named  bool
	}{
		{"ticket does not open", func(w *world) { w.creds = func(c *kdctest.Creds) { c.Ticket.EncPart.Cipher[30] ^= 1 } }, false},
		{"session key is not permitted", func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) { p.Key.Value = p.Key.Value[:31] }
		}, true},
		{"unknown server", func(w *world) { w.ask4("nosuch") }, true},
	} {
		w := newWorld(t)
		c.change(w)
		out, _ := w.ask()
		var e krbmsg.KRBError
		if err := e.Parse(out.Reply); err != nil || e.CName.Set != c.named {
			t.Errorf("%s: client %v, %v", c.name, e.CName, err)
		}
	}
}

// TestPlainChecksumsAreTaken: row 16 of section 5.2, unkeyed MD5.
func TestPlainChecksumsAreTaken(t *testing.T) {
	w := newWorld(t)
	raw := krbmsg.Marshal(&w.body)
	w.how.Auth = func(a *krbmsg.Authenticator) {
		sum := md5.Sum(raw)
		a.Cksum = krbmsg.Some(krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: sum[:]})
	}
	if out, _ := w.ask(); out.Event.Status != exchange.StatusIssue {
		t.Errorf("%+v", out.Event)
	}
}

// TestErrors is the table of section 5.1.
func TestErrors(t *testing.T) {
	opt := func(o uint32, change ...func(w *world)) func(*world) {
		return func(w *world) {
			w.body.Options |= o
			for _, f := range change {
				f(w)
			}
		}
	}
	header := func(set, clear uint32) func(*world) {
		return func(w *world) { w.parts = append(w.parts, flags(set, clear)) }
	}
	self := func(w *world) { w.ask4("krbtgt", "A.TEST") }
	svc := func(bits uint32) func(*world) { return func(w *world) { w.attr("host/svc.a.test", bits) } }
	both := func(fs ...func(*world)) func(*world) {
		return func(w *world) {
			for _, f := range fs {
				f(w)
			}
		}
	}
	check(t, []rule{
		{"3 no server: silence", func(w *world) { w.body.SName.Set = false }, -1, ""},
		{"4 server of another realm", func(w *world) { w.body.Realm = []byte("B.TEST") }, 60, "GET_LOCAL_TGT"},
		{"6 unknown server", func(w *world) { w.ask4("nosuch") }, 7, "LOOKING_UP_SERVER"},
		{"6 no way to the realm", func(w *world) { w.ask4("krbtgt", "C.EXAMPLE") }, 7, "UNKNOWN_SERVER"},
		{"12 forward", opt(krbmsg.OptForwarded, self, header(0, krbmsg.FlagForwardable)), 13, "TGT NOT FORWARDABLE"},
		{"12 proxy", opt(krbmsg.OptProxy, self, header(0, krbmsg.FlagProxiable)), 13, "TGT NOT PROXIABLE"},
		{"12 postdate", opt(krbmsg.OptPostdated), 13, "TGT NOT POSTDATABLE"},
		{"12 may postdate", opt(krbmsg.OptAllowPostdate), 13, "TGT NOT POSTDATABLE"},
		{"12 validate", opt(krbmsg.OptValidate, self), 13, "VALIDATE VALID TICKET"},
		{"12 renew", opt(krbmsg.OptRenew, self), 13, "TICKET NOT RENEWABLE"},
		{"13 invalid header", both(header(krbmsg.FlagInvalid, 0)), 33, "TICKET NOT VALID"},
		{"14 validate too early", opt(krbmsg.OptValidate, self, header(krbmsg.FlagInvalid, 0), func(w *world) {
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some[int64](at + 100) })
		}), 33, "NOT_YET_VALID"},
		{"14 renew too late", opt(krbmsg.OptRenew, self, header(krbmsg.FlagRenewable, 0), func(w *world) {
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) { p.RenewTill = krbmsg.Some[int64](at - 1) })
		}), 32, "TKT_EXPIRED"},
		{"15a other server", opt(krbmsg.OptForwarded), 26, "SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC"},
		{"15a proxy of a TGT", opt(krbmsg.OptProxy, self), 13, "CAN'T PROXY TGT"},
		{"15b service ticket shown", func(w *world) { w.server = kdctest.Name("A.TEST", "svc128") }, 35, "BAD TGS SERVER NAME"},
		{"15b TGT for another realm shown", func(w *world) { w.server = tgsOf("B.TEST", "A.TEST") }, 35, "BAD TGS SERVER INSTANCE"},
		{"16 lineage", func(w *world) { w.server = tgsOf("A.TEST", "B.TEST") }, 12, "INVALID LINEAGE"},
		{"17 user to user without a ticket", opt(krbmsg.OptEncTktInSkey), 13, "NO_2ND_TKT"},
		{"18 delegation without a ticket", opt(krbmsg.OptCNameInAddlTkt), 13, "NO_2ND_TKT"},
		{"19 renewable", opt(krbmsg.OptRenewable, svc(dumpfmt.AttrDisallowRenewable)), 12, "NON-RENEWABLE TICKET"},
		{"19 postdate", opt(krbmsg.OptAllowPostdate, header(krbmsg.FlagMayPostdate, 0), svc(dumpfmt.AttrDisallowPostdated)), 10, "NON-POSTDATABLE TICKET"},
		{"20 locked before 27, 2", both(svc(dumpfmt.AttrDisallowAllTix|dumpfmt.AttrDisallowSvr), func(w *world) {
			w.change("host/svc.a.test", func(p *dumpfmt.Principal) { p.Expire = 1 })
		}), 7, "SERVER LOCKED OUT"},
		{"20 no service", svc(dumpfmt.AttrDisallowSvr), 27, "SERVER NOT ALLOWED"},
		{"20 not by TGT", svc(dumpfmt.AttrDisallowTGTBased), 12, "TGT BASED NOT ALLOWED"},
		{"21 hardware", svc(dumpfmt.AttrRequiresHWAuth | dumpfmt.AttrRequiresPreAuth), 60, "NO HW PREAUTH"},
		{"21 preauthentication", svc(dumpfmt.AttrRequiresPreAuth), 60, "NO PREAUTH"},
		{"21 preauthenticated", both(svc(dumpfmt.AttrRequiresPreAuth), header(krbmsg.FlagPreAuth, 0)), 0, ""},
		{"22 expired", func(w *world) { w.change("host/svc.a.test", func(p *dumpfmt.Principal) { p.Expire = 1 }) }, 2, "SERVICE EXPIRED"},
		{"24 anonymous", func(w *world) {
			w.r.RestrictAnon = true
			w.part = func(p *krbmsg.EncTicketPart) {
				p.CName, p.CRealm = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"), []byte("WELLKNOWN:ANONYMOUS")
			}
		}, 12, "ANONYMOUS NOT ALLOWED"},
		{"26 indicators", func(w *world) { w.ask4("svcind") }, 12, "HIGHER_AUTHENTICATION_REQUIRED"},
		{"27 over before it begins", func(w *world) { w.body.Till = at - 1 }, 11, "NEVER_VALID"},
		{"28 transit not checked", opt(krbmsg.OptDisableTransCheck), 12, "BAD_TRANSIT"},
		{"28 transit not checked, accepted", opt(krbmsg.OptDisableTransCheck, func(w *world) { w.r.RejectBadTransit = false }), 0, ""},
		{"29 session enctype after 26", func(w *world) { w.body.Etypes = []int32{999} }, 14, "BAD_ENCRYPTION_TYPE"},
		{"30 server without key", func(w *world) { w.ask4("nokeynopre") }, 60, "FINDING_SERVER_KEY"},
		{"31 authorization data", func(w *world) {
			w.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: make([]byte, 40)})
		}, 31, "HANDLE_AUTHDATA"},
		{"32 PAC options", func(w *world) { w.how.PAData = []krbmsg.PAData{{Type: krbmsg.PAPACOptions, Value: []byte{1}}} }, 60, "KDC_RETURN_ENC_PADATA"},
	})
}

// TestClientState: tickets of clients that were locked since go on working, unless the realm is strict
// (section 3.5).
func TestClientState(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world)
		code   int32 // in a strict realm
		text   string
	}{
		{"nothing", func(*world) {}, 0, ""},
		{"locked", func(w *world) { w.attr("user", dumpfmt.AttrDisallowAllTix) }, 18, "CLIENT LOCKED OUT"},
		{"expired", func(w *world) { w.change("user", func(p *dumpfmt.Principal) { p.Expire = 1 }) }, 1, "CLIENT EXPIRED"},
		{"deleted", func(w *world) { w.db.Delete("user@A.TEST") }, 6, "CLIENT_NOT_FOUND"},
		{"must change", func(w *world) { w.attr("user", dumpfmt.AttrRequiresPwChange) }, 23, "REQUIRED PWCHANGE"},
		{"must change, for the service that does it", func(w *world) {
			w.attr("user", dumpfmt.AttrRequiresPwChange)
			w.attr("host/svc.a.test", dumpfmt.AttrPwChangeService)
		}, 0, ""},
		{"password expired", func(w *world) { w.change("user", func(p *dumpfmt.Principal) { p.PwExpire = 1 }) }, 0, ""},
		{"renewal", func(w *world) {
			w.attr("user", dumpfmt.AttrDisallowAllTix)
			w.ask4("krbtgt", "A.TEST")
			w.body.Options = krbmsg.OptForwarded
		}, 18, "CLIENT LOCKED OUT"},
		{"client of another realm", func(w *world) { w.header(kdctest.Name("B.TEST", "user")) }, 0, ""},
		{"user of the evidence locked", func(w *world) { proxy(delegateTo("svc128"))(w); w.attr("a256", dumpfmt.AttrDisallowAllTix) }, 18, "CLIENT LOCKED OUT"},
		{"user of the evidence must change", func(w *world) { proxy(delegateTo("svc128"))(w); w.attr("a256", dumpfmt.AttrRequiresPwChange) }, 0, ""},
		{"the server's state comes first", func(w *world) {
			w.attr("user", dumpfmt.AttrDisallowAllTix)
			w.attr("host/svc.a.test", dumpfmt.AttrDisallowSvr)
		}, 27, "SERVER NOT ALLOWED"},
	} {
		for _, strict := range []bool{false, true} {
			w := newWorld(t)
			w.r.StrictClients = strict
			c.change(w)
			out, _ := w.ask()
			code, text := kdctest.Code(t, out)
			want := c.code
			if !strict && c.code != 27 {
				want = 0
			}
			if code != want || want != 0 && text != c.text {
				t.Errorf("%s, strict %v: %d %s (%v)", c.name, strict, code, text, out.Event.Err)
			}
		}
	}
}
