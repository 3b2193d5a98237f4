package tgs

import (
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// withSecond adds a second ticket to the request.
func withSecond(client string, server []string, change func(c *kdctest.Creds)) func(w *world) {
	return func(w *world) {
		realmName := "A.TEST"
		c := kdctest.Forge(w.t, w.r, kdctest.Name(realmName, server...), func(p *krbmsg.EncTicketPart) {
			p.CName = krbmsg.NewName(1, client)
		})
		if change != nil {
			change(c)
		}
		w.body.Tickets = []krbmsg.Ticket{c.Ticket}
	}
}

// TestUserToUser is section 5.8.
func TestUserToUser(t *testing.T) {
	home := []string{"krbtgt", "A.TEST"}
	u2u := func(server string, fs ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.ask4(server)
			w.body.Options |= krbmsg.OptEncTktInSkey
			for _, f := range fs {
				f(w)
			}
		}
	}
	check(t, []rule{
		{"good", u2u("a256", withSecond("a256", home, nil)), 0, ""},
		{"service that may not be one", u2u("nosvr", withSecond("nosvr", home, nil)), 0, ""},
		{"no second ticket", u2u("a256"), 13, "NO_2ND_TKT"},
		{"second ticket of another user", u2u("a256", withSecond("a128", home, nil)), 26, "2ND_TKT_MISMATCH"},
		{"second ticket is no TGT", u2u("a256", withSecond("a256", []string{"svc128"}, nil)), 12, "2ND_TKT_NOT_TGS"},
		{"second ticket is for another realm", u2u("a256", withSecond("a256", []string{"krbtgt", "B.TEST"}, nil)), 12, "2ND_TKT_NOT_TGS"},
		{"second ticket of an unknown server", u2u("a256", withSecond("a256", home, func(c *kdctest.Creds) { c.Ticket.SName = krbmsg.NewName(1, "nosuch") })), 7, "2ND_TKT_SERVER"},
		{"second ticket changed", u2u("a256", withSecond("a256", home, func(c *kdctest.Creds) { c.Ticket.EncPart.Cipher[30] ^= 1 })), 31, "2ND_TKT_DECRYPT"},
		{"second ticket in another version", u2u("a256", withSecond("a256", home, func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno.V = 9 })), 60, "2ND_TKT_SERVER"},
		{"not allowed", u2u("nodup", withSecond("nodup", home, nil)), 12, "DUP_SKEY DISALLOWED"},
	})
}

// TestUserToUserTicket: the ticket is sealed in the second ticket's session key and names no
// version.
func TestUserToUserTicket(t *testing.T) {
	w := newWorld(t)
	w.ask4("a256")
	w.body.Options |= krbmsg.OptEncTktInSkey
	second := kdctest.Forge(t, w.r, tgsOf("A.TEST", "A.TEST"), func(p *krbmsg.EncTicketPart) {
		p.CName = krbmsg.NewName(1, "a256")
		p.EndTime = at - 100 // its expiry is not checked
	})
	w.body.Tickets = []krbmsg.Ticket{second.Ticket}
	w.body.Etypes = []int32{17, 18}
	out, c := w.ask()
	rep := kdctest.Open(t, out, c.Session, krbcrypto.UsageTGSRepSession)
	if rep.Rep.Ticket.EncPart.Kvno.Set || rep.Part.Key.Etype != 18 {
		t.Errorf("version %v, session enctype %d", rep.Rep.Ticket.EncPart.Kvno, rep.Part.Key.Etype)
	}
	rep.Creds(t, second.Session)
}

// TestUserToUserSession is section 3.2, and 5.1 row 29: the session key of a user-to-user ticket is of
// the type of the second ticket's, if the client takes it.
func TestUserToUserSession(t *testing.T) {
	for _, c := range []struct {
		name   string
		etype  int32 // of the second ticket's session key
		length int
		asked  []int32
		want   int32 // 0: refused
		text   string
	}{
		{"in the list", 17, 16, []int32{18, 17}, 17, ""},
		{"first in the list", 18, 32, []int32{18, 17}, 18, ""},
		{"not in the list", 17, 16, []int32{18, 20}, 18, ""},
		{"nothing else will do", 17, 16, []int32{999}, 0, "BAD_ENCRYPTION_TYPE"},
		{"not permitted", 24, 16, []int32{24, 18}, 0, "BAD_ETYPE_IN_2ND_TKT"},
		{"unknown", 99, 16, []int32{99, 18}, 0, "BAD_ETYPE_IN_2ND_TKT"},
		{"of the wrong length", 18, 5, []int32{18}, 0, "BAD_ETYPE_IN_2ND_TKT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.ask4("a256")
			w.body.Options |= krbmsg.OptEncTktInSkey
			w.body.Etypes = c.asked
			value := make([]byte, c.length)
			second := kdctest.Forge(t, w.r, tgsOf("A.TEST", "A.TEST"), func(p *krbmsg.EncTicketPart) {
				p.CName = krbmsg.NewName(1, "a256")
				p.Key = krbmsg.EncryptionKey{Etype: c.etype, Value: value}
			})
			w.body.Tickets = []krbmsg.Ticket{second.Ticket}
			out, creds := w.ask()
			if c.want == 0 {
				if code, text := kdctest.Code(t, out); code != 14 || text != c.text {
					t.Errorf("%d %s, want 14 %s", code, text, c.text)
				}
				return
			}
			rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
			rep.Creds(t, kdctest.NewKey(t, c.etype, value))
			if rep.Part.Key.Etype != c.want {
				t.Errorf("session key of type %d, want %d", rep.Part.Key.Etype, c.want)
			}
		})
	}
}

// forUser makes PA-FOR-USER and PA-S4U-X509-USER.
func forUser(c *kdctest.Creds, user string, change func(f *krbmsg.ForUser)) krbmsg.PAData {
	f := krbmsg.ForUser{Name: krbmsg.NewName(1, user), Realm: []byte("A.TEST"), AuthPackage: []byte("Kerberos")}
	f.Cksum = krbmsg.Checksum{Type: c.Session.ChecksumType(), Sum: c.Session.Checksum(nil, krbcrypto.UsageAppChecksum, f.Covered())}
	if change != nil {
		change(&f)
	}
	return krbmsg.PAData{Type: krbmsg.PAForUser, Value: krbmsg.Marshal(&f)}
}

func x509User(c *kdctest.Creds, user string, change func(x *krbmsg.S4UX509User)) krbmsg.PAData {
	x := krbmsg.S4UX509User{UserID: krbmsg.S4UUserID{Nonce: 4712, Name: krbmsg.Some(krbmsg.NewName(1, user)),
		Realm: []byte("A.TEST"), Options: krbmsg.Some[uint32](krbmsg.S4UReplyKeyUsage)}}
	if change != nil {
		change(&x)
	}
	if x.Cksum.Sum == nil {
		x.Cksum = krbmsg.Checksum{Type: c.Session.ChecksumType(),
			Sum: c.Session.Checksum(nil, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))}
	}
	return krbmsg.PAData{Type: krbmsg.PAS4UX509User, Value: krbmsg.Marshal(&x)}
}

// TestS4U2Self is section 5.9 for users of this realm.
func TestS4U2Self(t *testing.T) {
	type make = func(c *kdctest.Creds) []krbmsg.PAData
	both := func(user string) make {
		return func(c *kdctest.Creds) []krbmsg.PAData {
			return []krbmsg.PAData{x509User(c, user, nil), forUser(c, user, nil)}
		}
	}
	fu := func(change func(f *krbmsg.ForUser)) make {
		return func(c *kdctest.Creds) []krbmsg.PAData { return []krbmsg.PAData{forUser(c, "a256", change)} }
	}
	xu := func(change func(x *krbmsg.S4UX509User)) make {
		return func(c *kdctest.Creds) []krbmsg.PAData { return []krbmsg.PAData{x509User(c, "a256", change)} }
	}
	for _, c := range []struct {
		name   string
		pa     make
		change func(w *world)
		code   int32
		text   string
	}{
		{"good", both("a256"), nil, 0, ""},
		{"for-user alone", fu(nil), nil, 0, ""},
		{"password expired does not matter", both("pwexpired"), nil, 0, ""},
		{"must change does not matter", both("mustchange"), nil, 0, ""},
		{"garbage 129", func(*kdctest.Creds) []krbmsg.PAData { return []krbmsg.PAData{{Type: 129, Value: []byte{1}}} }, nil, 60, "DECODE_PA_FOR_USER"},
		{"garbage 130", func(*kdctest.Creds) []krbmsg.PAData { return []krbmsg.PAData{{Type: 130, Value: []byte{1}}} }, nil, 60, "DECODE_PA_S4U_X509_USER"},
		{"129 changed", fu(func(f *krbmsg.ForUser) { f.Name = krbmsg.NewName(1, "pre") }), nil, 41, "INVALID_S4U2SELF_CHECKSUM"},
		{"129 unkeyed", fu(func(f *krbmsg.ForUser) { f.Cksum.Type = krbcrypto.SumMD5 }), nil, 50, "INVALID_S4U2SELF_CHECKSUM"},
		{"129 CRC32", fu(func(f *krbmsg.ForUser) { f.Cksum.Type = 1 }), nil, 50, "INVALID_S4U2SELF_CHECKSUM"},
		{"130 nonce", xu(func(x *krbmsg.S4UX509User) { x.UserID.Nonce++ }), nil, 41, "INVALID_S4U2SELF_CHECKSUM"},
		{"130 unkeyed", xu(func(x *krbmsg.S4UX509User) { x.Cksum = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: []byte{1}} }), nil, 50, "INVALID_S4U2SELF_CHECKSUM"},
		{"129 of another enctype", fu(func(f *krbmsg.ForUser) { f.Cksum.Type = krbcrypto.SumAES128SHA1 }), nil, 60, "INVALID_S4U2SELF_CHECKSUM"},
		{"129 cut short", fu(func(f *krbmsg.ForUser) { f.Cksum.Sum = f.Cksum.Sum[:4] }), nil, 60, "INVALID_S4U2SELF_CHECKSUM"},
		{"130 of another enctype", xu(func(x *krbmsg.S4UX509User) { x.Cksum = krbmsg.Checksum{Type: krbcrypto.SumAES256SHA2, Sum: make24()} }), nil, 60, "INVALID_S4U2SELF_CHECKSUM"},
		{"130 wrong", xu(func(x *krbmsg.S4UX509User) { x.Cksum = krbmsg.Checksum{Type: 16, Sum: make12()} }), nil, 41, "INVALID_S4U2SELF_CHECKSUM"},
		{"130 nobody", xu(func(x *krbmsg.S4UX509User) { x.UserID.Name.Set = false }), nil, 6, "INVALID_S4U2SELF_REQUEST"},
		{"unknown user", both("nosuch"), nil, 6, "UNKNOWN_S4U2SELF_PRINCIPAL"},
		{"expired user", both("expired"), nil, 1, "CLIENT EXPIRED"},
		{"locked user", both("lockedout"), nil, 18, "CLIENT LOCKED OUT"},
		{"other service", both("a256"), func(w *world) { w.ask4("svc128") }, 36, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH"},
		{"user to user", both("a256"), func(w *world) { w.body.Options |= krbmsg.OptEncTktInSkey }, 13, "INVALID S4U2SELF OPTIONS"},
		{"foreign user", func(c *kdctest.Creds) []krbmsg.PAData {
			return []krbmsg.PAData{x509User(c, "x", func(x *krbmsg.S4UX509User) { x.UserID.Realm = []byte("B.TEST") })}
		}, nil, 12, "S4U2SELF_CLIENT_NOT_OURS"},
		{"no PAC", both("a256"), func(w *world) {
			w.parts = []func(*krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) { p.AuthData = nil }}
		}, 20, "S4U2SELF_NO_PAC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := impersonator(t)
			if c.change != nil {
				c.change(w)
			}
			creds := w.forge()
			out := w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: c.pa(creds)}))
			if code, text := kdctest.Code(t, out); code != c.code || text != c.text {
				t.Errorf("%d %s, want %d %s (%v)", code, text, c.code, c.text, out.Event.Err)
			}
		})
	}
}

func make12() []byte { return make([]byte, 12) }
func make24() []byte { return make([]byte, 24) }

// TestS4U2SelfReply is section 5.9: what confirms the user, in the type and with the usage that
// the request had.
func TestS4U2SelfReply(t *testing.T) {
	for _, c := range []struct {
		name    string
		options krbmsg.Opt[uint32]
		want    krbmsg.Opt[uint32]
		usage   uint32
	}{
		{"asked for", krbmsg.Some[uint32](krbmsg.S4UReplyKeyUsage), krbmsg.Some[uint32](krbmsg.S4UReplyKeyUsage), krbcrypto.UsageS4UX509Reply},
		{"with others", krbmsg.Some[uint32](0xffffffff), krbmsg.Some[uint32](krbmsg.S4UReplyKeyUsage), krbcrypto.UsageS4UX509Reply},
		{"others only", krbmsg.Some[uint32](0x40000000), krbmsg.Opt[uint32]{}, krbcrypto.UsageS4UX509Request},
		{"none", krbmsg.Opt[uint32]{}, krbmsg.Opt[uint32]{}, krbcrypto.UsageS4UX509Request},
	} {
		for _, sumType := range []int32{krbcrypto.SumAES256SHA1, krbcrypto.SumHMACMD5} {
			w := impersonator(t)
			creds := w.forge()
			pa := x509User(creds, "a256", func(x *krbmsg.S4UX509User) {
				x.UserID.Options = c.options
				sum, err := creds.Session.ChecksumAs(sumType, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))
				if err != nil {
					t.Fatal(err)
				}
				x.Cksum = krbmsg.Checksum{Type: sumType, Sum: sum}
			})
			out := w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: []krbmsg.PAData{pa}}))
			rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
			value, ok := krbmsg.FindPA(rep.Rep.PAData, krbmsg.PAS4UX509User)
			var got krbmsg.S4UX509User
			if !ok || got.Parse(value) != nil {
				t.Fatalf("%s: padata %v", c.name, rep.Rep.PAData)
			}
			if got.UserID.Options != c.want || got.UserID.Nonce != 4712 || !got.UserID.Name.V.Is("a256") || got.Cksum.Type != sumType {
				t.Errorf("%s: %+v", c.name, got)
			}
			if err := krbcrypto.VerifyAny(creds.Session, sumType, c.usage, got.RawUser, got.Cksum.Sum); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// impersonator is a world in which service/impersonator asks for a ticket to itself.
func impersonator(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.ask4("service", "impersonator")
	w.body.Options = krbmsg.OptForwardable
	key := kdctest.Key(t, w.r, tgsOf("A.TEST", "A.TEST"))
	w.part = func(p *krbmsg.EncTicketPart) {
		p.CName = krbmsg.NewName(1, "service", "impersonator")
		info, err := pac.ClientInfo(p.CName, p.AuthTime)
		if err != nil {
			t.Fatal(err)
		}
		pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, key, key, false)
	}
	return w
}

// TestS4U2SelfForwardable: a service with delegation rules of its own needs an attribute.
func TestS4U2SelfForwardable(t *testing.T) {
	for _, c := range []struct {
		targets string
		attr    uint32
		want    bool
	}{{"", 0, true}, {"host/x", 0, false}, {"host/x", dumpfmt.AttrOKToAuthAsDelegate, true}} {
		w := impersonator(t)
		w.attr("service/impersonator", c.attr)
		w.change("service/impersonator", func(p *dumpfmt.Principal) {
			if err := p.SetString("allowed_to_delegate_to", c.targets); err != nil {
				t.Fatal(err)
			}
		})
		creds := w.forge()
		out := w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: []krbmsg.PAData{forUser(creds, "a256", nil)}}))
		rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
		if got := rep.Part.Flags&krbmsg.FlagForwardable != 0; got != c.want || !rep.Rep.CName.Is("a256") {
			t.Errorf("%+v: forwardable %v for %s", c, got, rep.Rep.CName.Unparse(nil))
		}
	}
}
