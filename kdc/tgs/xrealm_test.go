package tgs

import (
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// inbound is the TGT that realm B.TEST issues for ours.
var inbound = tgsOf("A.TEST", "B.TEST")

var (
	alice   = kdctest.Name("B.TEST", "alice") // a user there
	webB    = kdctest.Name("B.TEST", "HTTP", "web.b.test")
	webC    = kdctest.Name("C.TEST", "HTTP", "web.c.test")
	homeSvc = kdctest.Name("A.TEST", impersonatorName...)
	homeUsr = kdctest.Name("A.TEST", "a256")
)

// signed puts a PAC into a ticket for a server, as a KDC with its key does.
func (w *world) signed(server exchange.Principal, buffers ...pac.Buffer) func(p *krbmsg.EncTicketPart) {
	w.t.Helper()
	key := kdctest.Key(w.t, w.r, server)
	kdc := kdctest.Key(w.t, w.r, tgsOf("A.TEST", "A.TEST"))
	service := string(server.Name.Parts[0]) != "krbtgt"
	return func(p *krbmsg.EncTicketPart) { pac.Issue(p, buffers, key, kdc, service) }
}

// named makes the client of a ticket.
func named(c exchange.Principal) func(p *krbmsg.EncTicketPart) {
	return func(p *krbmsg.EncTicketPart) { p.CName, p.CRealm = c.Name, c.Realm }
}

// info is the buffer for a client, with the realm or without.
func info(t *testing.T, c exchange.Principal, withRealm bool) pac.Buffer {
	t.Helper()
	b, err := pac.ClientInfo(c.Name, at-60)
	if withRealm {
		b, err = pac.ClientInfoRealm(c.Name, c.Realm, at-60)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pac.Buffer{Type: pac.TypeClientInfo, Data: b}
}

// chain is the buffer for a delegation.
func chain(t *testing.T, target string, via ...string) pac.Buffer {
	t.Helper()
	b, err := (&pac.Delegation{Target: target, Via: via}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return pac.Buffer{Type: pac.TypeDelegation, Data: b}
}

// trust makes realm C.TEST one that tickets are issued for.
func (w *world) trust() {
	w.t.Helper()
	p, ok := w.db.Principal("krbtgt/B.TEST@A.TEST")
	if !ok {
		w.t.Fatal("no trust to copy")
	}
	p = p.Clone()
	p.Name, p.Keys = "krbtgt/C.TEST@A.TEST", nil
	w.db.Put(p)
	w.keys.Add(w.t, w.db, p.Name, 1, krbcrypto.ETypeAES256SHA2)
}

// header shows a TGT of realm B.TEST's KDC.
func (w *world) header(client exchange.Principal, buffers ...pac.Buffer) {
	w.t.Helper()
	w.server = inbound
	w.parts = []func(*krbmsg.EncTicketPart){named(client)}
	if buffers != nil {
		w.parts = append(w.parts, w.signed(inbound, buffers...))
	}
}

// askEnterprise asks for a service as clients do in realms that are not its own.
func (w *world) askEnterprise(service string) {
	w.body.SName = krbmsg.Some(krbmsg.NewName(krbmsg.NTEnterprise, service))
	w.body.Options |= krbmsg.OptCanonicalize
}

// forSelf asks with both kinds of padata for a user.
func (w *world) forSelf(user exchange.Principal, cert ...byte) (exchange.Outcome, *kdctest.Creds) {
	w.t.Helper()
	creds := w.forge()
	x := x509User(creds, "", func(x *krbmsg.S4UX509User) {
		x.UserID.Name, x.UserID.Realm, x.UserID.Cert = krbmsg.Some(user.Name), user.Realm, cert
	})
	return w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: []krbmsg.PAData{x}})), creds
}

// TestS4U2SelfAcrossRealms is section 5.9: our realm as the user's, as one on the way, and as
// the service's.
func TestS4U2SelfAcrossRealms(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(w *world)
		user      exchange.Principal
		ticketFor exchange.Principal
		client    exchange.Principal // of the ticket
		pacText   string
		transited string
	}{
		{"the user's realm", func(w *world) {
			w.header(webB, info(t, webB, false))
			w.askEnterprise("HTTP/web.b.test@B.TEST")
		}, homeUsr, tgsOf("B.TEST", "A.TEST"), webB, "a256@A.TEST", ""},
		{"the user's realm, enterprise name", func(w *world) {
			w.header(webB, info(t, webB, false))
			w.askEnterprise("HTTP/web.b.test@B.TEST")
		}, exchange.Principal{Name: krbmsg.NewName(krbmsg.NTEnterprise, "a256@A.TEST"), Realm: []byte("A.TEST")},
			tgsOf("B.TEST", "A.TEST"), webB, "a256@A.TEST@A.TEST", ""},
		{"the user's realm, two realms off", func(w *world) {
			w.trust()
			w.header(webC, info(t, webC, false))
			w.askEnterprise("HTTP/web.c.test@C.TEST")
			w.r.TransitPath = func(client, server string) ([]string, bool) {
				return []string{"B.TEST"}, client == "C.TEST" && server == "A.TEST"
			}
		}, homeUsr, tgsOf("C.TEST", "A.TEST"), webC, "a256@A.TEST", "B.TEST"},
		{"on the way", func(w *world) {
			w.trust()
			w.header(webC, info(t, alice, true))
			w.askEnterprise("HTTP/web.c.test@C.TEST")
		}, alice, tgsOf("C.TEST", "A.TEST"), webC, "alice@B.TEST", "B.TEST"},
		{"the service's realm", func(w *world) {
			w.header(homeSvc, info(t, alice, true))
			w.ask4(impersonatorName...)
		}, alice, homeSvc, alice, "alice", ""},
		{"the service's realm, user two realms off", func(w *world) {
			far := kdctest.Name("C.TEST", "carol")
			w.header(homeSvc, info(t, far, true))
			w.ask4(impersonatorName...)
			w.r.TransitPath = func(client, server string) ([]string, bool) {
				return []string{"B.TEST"}, client == "C.TEST" && server == "A.TEST"
			}
		}, kdctest.Name("C.TEST", "carol"), homeSvc, kdctest.Name("C.TEST", "carol"), "carol", "B.TEST"},
		{"delegation so far stays", func(w *world) {
			w.header(homeSvc, info(t, alice, true), chain(t, "x", "y@B.TEST"))
			w.ask4(impersonatorName...)
		}, alice, homeSvc, alice, "alice", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.body.Options = krbmsg.OptForwardable
			c.change(w)
			out, creds := w.forSelf(c.user)
			rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
			got := rep.Creds(t, kdctest.Key(t, w.r, c.ticketFor))
			p := &got.Part
			if !rep.Part.SName.Equal(c.ticketFor.Name) || (exchange.Principal{Name: p.CName, Realm: p.CRealm}).String() != c.client.String() ||
				!rep.Rep.CName.Equal(c.client.Name) || p.AuthTime != at-60 {
				t.Errorf("ticket for %s of %s, reply to %s", rep.Part.SName.Unparse(nil), p.CName.Unparse(p.CRealm), rep.Rep.CName.Unparse(nil))
			}
			if string(p.Transited.Contents) != c.transited || p.Flags&krbmsg.FlagTransitChecked == 0 || p.Flags&krbmsg.FlagForwardable == 0 {
				t.Errorf("flags %08x, transited %q", p.Flags, p.Transited.Contents)
			}
			made, err := pac.Contained(p.AuthData)
			if err != nil || made == nil {
				t.Fatal(made, err)
			}
			if text, when, err := made.Client(); err != nil || text != c.pacText || when != at-60 {
				t.Errorf("PAC of %q at %d, %v; want %q", text, when, err, c.pacText)
			}
			if made.Has(pac.TypeDelegation) != (c.name == "delegation so far stays") {
				t.Error("delegation came or went")
			}
			if _, ok := krbmsg.FindPA(rep.Rep.PAData, krbmsg.PAS4UX509User); !ok || out.Event.Delegate != c.user.String() || out.Event.Proxy {
				t.Errorf("padata %v, event %+v", rep.Rep.PAData, out.Event)
			}
		})
	}
}

// TestS4U2SelfRules is section 5.9, its checks in order, most with a TGT of another realm.
func TestS4U2SelfRules(t *testing.T) {
	home := func(w *world) {
		w.header(webB, info(t, webB, false))
		w.askEnterprise("HTTP/web.b.test@B.TEST")
	}
	final := func(w *world) {
		w.header(homeSvc, info(t, alice, true))
		w.ask4(impersonatorName...)
	}
	local := func(w *world) {
		w.part = impersonator(w.t).part
		w.ask4(impersonatorName...)
	}
	and := func(fs ...func(w *world)) func(w *world) {
		return func(w *world) {
			for _, f := range fs {
				f(w)
			}
		}
	}
	option := func(o uint32) func(w *world) { return func(w *world) { w.body.Options |= o } }
	attr := func(name string, bits uint32) func(w *world) { return func(w *world) { w.attr(name, bits) } }
	nobody := exchange.Principal{Name: krbmsg.NewName(0), Realm: []byte("B.TEST")}
	for _, c := range []struct {
		name   string
		change func(w *world)
		user   exchange.Principal
		cert   []byte
		code   int32
		text   string
	}{
		{"not the TGT's client", and(final, func(w *world) { w.ask4("svc128") }), alice, nil, 36, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH"},
		{"not the TGT's client, before the options", and(final, func(w *world) { w.ask4("svc128") }, option(krbmsg.OptEncTktInSkey)), alice, nil, 36, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH"},
		{"the service is gone", and(final, func(w *world) { w.header(kdctest.Name("A.TEST", "gone"), info(t, alice, true)) }), alice, nil, 36, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH"},
		{"options of others", and(final, option(krbmsg.OptEncTktInSkey)), alice, nil, 13, "INVALID S4U2SELF OPTIONS"},
		{"renewal fails earlier", and(final, option(krbmsg.OptRenew)), alice, nil, 13, "TICKET NOT RENEWABLE"},
		{"own TGT, service abroad", and(local, func(w *world) { w.askEnterprise("HTTP/web.b.test@B.TEST") }), homeUsr, nil, 7, "LOOKING_UP_SERVER"},
		{"foreign TGT, own user and service", final, homeUsr, nil, 6, "NOT_CROSS_REALM_REQUEST"},
		{"own TGT, foreign user", local, alice, nil, 12, "S4U2SELF_CLIENT_NOT_OURS"},
		{"foreign user without a name", final, nobody, []byte{1}, 12, "INVALID_XREALM_S4U2SELF_REQUEST"},
		{"nobody at all", final, nobody, nil, 6, "INVALID_S4U2SELF_REQUEST"},
		{"no PAC, foreign user", and(final, func(w *world) { w.header(homeSvc) }), alice, nil, 20, "S4U2SELF_NO_PAC"},
		{"no PAC, own user", and(home, func(w *world) { w.header(webB) }), homeUsr, nil, 20, "S4U2SELF_NO_PAC"},
		{"PAC of the service instead of the user's", and(final, func(w *world) { w.header(homeSvc, info(t, homeSvc, false)) }), alice, nil, 13, "S4U2SELF_FOREIGN_PAC_CLIENT"},
		{"PAC of another user", and(final, func(w *world) { w.header(homeSvc, info(t, webB, true)) }), alice, nil, 13, "S4U2SELF_FOREIGN_PAC_CLIENT"},
		{"PAC of the user without realm", and(final, func(w *world) { w.header(homeSvc, info(t, alice, false)) }), alice, nil, 13, "S4U2SELF_FOREIGN_PAC_CLIENT"},
		{"PAC of the user instead of the service's", and(home, func(w *world) { w.header(webB, info(t, homeUsr, true)) }), homeUsr, nil, 13, "S4U2SELF_LOCAL_PAC_CLIENT"},
		{"unknown user, from abroad", home, kdctest.Name("A.TEST", "nosuch"), nil, 6, "UNKNOWN_S4U2SELF_PRINCIPAL"},
		{"unknown enterprise name", home, exchange.Principal{Name: krbmsg.NewName(10, "nosuch@A.TEST"), Realm: []byte("A.TEST")}, nil, 6, "UNKNOWN_S4U2SELF_PRINCIPAL"},
		{"enterprise name of another realm", home, exchange.Principal{Name: krbmsg.NewName(10, "alice@B.TEST"), Realm: []byte("A.TEST")}, nil, 6, "UNKNOWN_S4U2SELF_PRINCIPAL"},
		{"own user by certificate", home, exchange.Principal{Name: krbmsg.NewName(0), Realm: []byte("A.TEST")}, []byte{1}, 60, "LOOKING_UP_S4U2SELF_PRINCIPAL"},
		{"own user by name and certificate", local, homeUsr, []byte{1}, 60, "LOOKING_UP_S4U2SELF_PRINCIPAL"},
		{"foreign user by name, certificate ignored", final, alice, []byte{1}, 0, ""},
		{"expired user, from abroad", home, kdctest.Name("A.TEST", "expired"), nil, 1, "CLIENT EXPIRED"},
		{"the user's state comes last", and(local, func(w *world) { w.ask4("svc128") }), kdctest.Name("A.TEST", "expired"), nil, 36, "INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH"},
		{"locked user, from abroad", home, kdctest.Name("A.TEST", "lockedout"), nil, 18, "CLIENT LOCKED OUT"},
		{"user may not postdate", and(local, option(krbmsg.OptAllowPostdate), attr("a256", dumpfmt.AttrDisallowPostdated), func(w *world) {
			w.parts = []func(*krbmsg.EncTicketPart){flags(krbmsg.FlagMayPostdate, 0)}
		}), homeUsr, nil, 10, "POSTDATE NOT ALLOWED"},
		{"anonymous user (CVE-2016-3120)", and(local, func(w *world) {
			w.r.RestrictAnon = true
			p, _ := w.db.Principal("a256@A.TEST")
			p = p.Clone()
			p.Name = "WELLKNOWN/ANONYMOUS@A.TEST"
			w.db.Put(p)
		}), kdctest.Name("A.TEST", "WELLKNOWN", "ANONYMOUS"), nil, 12, "ANONYMOUS NOT ALLOWED"},
		{"a realm that is not on the way", and(final, func(w *world) {
			w.header(homeSvc, info(t, kdctest.Name("C.TEST", "carol"), true))
		}), kdctest.Name("C.TEST", "carol"), nil, 12, "BAD_TRANSIT"},
		{"service without canonical names asks from abroad", and(home, func(w *world) { w.body.Options = 0 }), homeUsr, nil, 7, "LOOKING_UP_SERVER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			out, _ := w.forSelf(c.user, c.cert...)
			if code, text := kdctest.Code(t, out); code != c.code || text != c.text {
				t.Errorf("%d %s, want %d %s (%v)", code, text, c.code, c.text, out.Event.Err)
			}
			// Section 8: the line about the user stands where he is found, or is another realm's.
			early := slices.Contains([]string{"UNKNOWN_S4U2SELF_PRINCIPAL", "LOOKING_UP_S4U2SELF_PRINCIPAL", "INVALID_S4U2SELF_REQUEST", "LOOKING_UP_SERVER"}, c.text)
			if named := out.Event.Delegate != ""; named == early && c.name != "own TGT, service abroad" {
				t.Errorf("logged for %q", out.Event.Delegate)
			}
		})
	}
}

// TestS4U2SelfAlias: a service may ask by another name of its own, and its entry may be used by
// its client's other name.
func TestS4U2SelfAlias(t *testing.T) {
	w := impersonator(t)
	w.db.Put(&dumpfmt.Principal{Name: "other@A.TEST"})
	w.change("other", func(p *dumpfmt.Principal) { p.SetAliasTarget("service/impersonator@A.TEST") })
	w.ask4("other")
	if out, _ := w.forSelf(homeUsr); out.Event.Code != 0 {
		t.Errorf("%d %s (%v)", out.Event.Code, out.Event.Status, out.Event.Err)
	}
}

// TestForwardableUserAbroad: what a user's entry and the service's forbid is decided where they
// are.
func TestForwardableUserAbroad(t *testing.T) {
	for _, c := range []struct {
		name     string
		user     uint32 // attributes
		withdraw uint32 // flags of the TGT
		want     bool
	}{
		{"user's realm, allowed", 0, 0, true},
		{"user's realm, user may not", dumpfmt.AttrDisallowForwardable, 0, false},
		{"user's realm, TGT is not", 0, krbmsg.FlagForwardable, false},
	} {
		w := newWorld(t)
		w.header(webB)
		w.parts = append(w.parts, flags(0, c.withdraw), w.signed(inbound, info(t, webB, false)))
		w.askEnterprise("HTTP/web.b.test@B.TEST")
		w.body.Options |= krbmsg.OptForwardable
		w.attr("a256", c.user)
		out, creds := w.forSelf(homeUsr)
		rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
		if got := rep.Part.Flags&krbmsg.FlagForwardable != 0; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for targets, want := range map[string]bool{"": true, "host/x": false} {
		w := newWorld(t)
		w.header(homeSvc, info(t, alice, true))
		w.ask4(impersonatorName...)
		w.body.Options |= krbmsg.OptForwardable
		w.attribute("service/impersonator", attrDelegateTo, targets)
		out, creds := w.forSelf(alice)
		rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
		if got := rep.Part.Flags&krbmsg.FlagForwardable != 0; got != want {
			t.Errorf("service's realm, targets %q: %v", targets, got)
		}
	}
}

// TestDelegationAcrossRealms is section 5.10: the service's realm, one on the way, the target's.
func TestDelegationAcrossRealms(t *testing.T) {
	const target = "HTTP/db.b.test"
	through := func(w *world, user exchange.Principal) []pac.Buffer {
		return []pac.Buffer{info(w.t, user, true), chain(w.t, "svc128", "HTTP/web.b.test@B.TEST")}
	}
	for _, c := range []struct {
		name      string
		change    func(w *world)
		ticketFor exchange.Principal
		client    exchange.Principal
		pacText   string
		want      pac.Delegation
		authTime  int64
	}{
		{"the service's realm", func(w *world) {
			proxy(resourceBased)(w)
			w.body.SName = krbmsg.Some(krbmsg.NewName(krbmsg.NTSrvHst, "HTTP", "db.b.test"))
			w.body.Options |= krbmsg.OptCanonicalize
		}, tgsOf("B.TEST", "A.TEST"), homeSvc, "a256@A.TEST", pac.Delegation{Target: target, Via: []string{"service/impersonator@A.TEST"}}, at - 60},
		{"the service's realm, target by enterprise name", func(w *world) {
			proxy(resourceBased)(w)
			w.askEnterprise(target + "@B.TEST")
		}, tgsOf("B.TEST", "A.TEST"), homeSvc, "a256@A.TEST", pac.Delegation{Target: target + "@B.TEST", Via: []string{"service/impersonator@A.TEST"}}, at - 60},
		{"on the way", func(w *world) {
			w.trust()
			w.header(webB, through(w, alice)...)
			w.ask4("krbtgt", "C.TEST")
		}, tgsOf("C.TEST", "A.TEST"), webB, "alice@B.TEST", pac.Delegation{Target: "svc128", Via: []string{"HTTP/web.b.test@B.TEST"}}, at - 60},
		{"the target's realm", func(w *world) {
			w.rbcd(through(w, alice)...)
		}, kdctest.Name("A.TEST", "svc128"), exchange.Principal{Name: krbmsg.NewName(krbmsg.NTMSPrincipal, "alice"), Realm: alice.Realm}, "alice",
			pac.Delegation{Target: "svc128", Via: []string{"HTTP/web.b.test@B.TEST"}}, at - 60},
		{"the target's realm, its own user", func(w *world) {
			w.rbcd(through(w, homeUsr)...)
		}, kdctest.Name("A.TEST", "svc128"), exchange.Principal{Name: krbmsg.NewName(krbmsg.NTMSPrincipal, "a256"), Realm: homeUsr.Realm}, "a256",
			pac.Delegation{Target: "svc128", Via: []string{"HTTP/web.b.test@B.TEST"}}, at - 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			out, creds := w.ask()
			rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
			got := rep.Creds(t, kdctest.Key(t, w.r, c.ticketFor))
			p := &got.Part
			if !rep.Part.SName.Equal(c.ticketFor.Name) || (exchange.Principal{Name: p.CName, Realm: p.CRealm}).String() != c.client.String() ||
				p.CName.Type != c.client.Name.Type && p.CName.Type != 1 || p.AuthTime != c.authTime {
				t.Errorf("ticket for %s of %+v, %+v", rep.Part.SName.Unparse(nil), p.CName, p)
			}
			made, err := pac.Contained(p.AuthData)
			if err != nil || made == nil {
				t.Fatal(made, err)
			}
			if text, _, err := made.Client(); err != nil || text != c.pacText {
				t.Errorf("PAC of %q, %v", text, err)
			}
			if d := delegationOf(t, made); d.Target != c.want.Target || !slices.Equal(d.Via, c.want.Via) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// rbcd is the last request of a delegation from realm B.TEST to svc128, with a PAC in the
// evidence.
func (w *world) rbcd(evidence ...pac.Buffer) {
	w.t.Helper()
	w.header(webB, info(w.t, webB, false))
	w.ask4("svc128")
	w.body.Options = krbmsg.OptCNameInAddlTkt
	w.attribute("svc128", attrDelegateFrom, "HTTP/web.b.test@B.TEST")
	resourceBased(w)
	w.evidenceOf(inbound, webB, evidence...)
}

// evidenceOf shows a second ticket.
func (w *world) evidenceOf(server, client exchange.Principal, buffers ...pac.Buffer) {
	w.t.Helper()
	c := kdctest.Forge(w.t, w.r, server, func(p *krbmsg.EncTicketPart) {
		named(client)(p)
		if buffers != nil {
			w.signed(server, buffers...)(p)
		}
	})
	w.body.Tickets = []krbmsg.Ticket{c.Ticket}
}

// TestDelegationAcrossRealmsRules is sections 5.1 rows 9, 18 and 23 and 5.10 for services of
// other realms.
func TestDelegationAcrossRealmsRules(t *testing.T) {
	user, by := info(t, alice, true), chain(t, "svc128", "HTTP/web.b.test@B.TEST")
	rbcd := func(fs ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.rbcd(user, by)
			for _, f := range fs {
				f(w)
			}
		}
	}
	with := func(b ...pac.Buffer) func(w *world) {
		return rbcd(func(w *world) { w.evidenceOf(inbound, webB, b...) })
	}
	later := pac.Buffer{Type: pac.TypeClientInfo, Data: slices.Clone(user.Data)}
	later.Data[3]++
	away := func(fs ...func(w *world)) func(w *world) {
		return func(w *world) {
			proxy(fs...)(w)
			w.askEnterprise("HTTP/db.b.test@B.TEST")
		}
	}
	const mismatch = "XREALM_EVIDENCE_TICKET_MISMATCH"
	check(t, []rule{
		{"good", rbcd(), 0, ""},
		{"9 evidence without PAC", with(), 13, "RBCD_PAC_PRINC"},
		{"9 PAC without realm", with(info(t, alice, false), by), 13, "RBCD_PAC_PRINC"},
		{"9 before 18", rbcd(func(w *world) { w.evidenceOf(inbound, webB); w.body.Options |= krbmsg.OptEncTktInSkey }), 13, "RBCD_PAC_PRINC"},
		{"18 no evidence", rbcd(func(w *world) { w.body.Tickets = nil }), 13, "NO_2ND_TKT"},
		{"18 own PAC is the user's", rbcd(func(w *world) { w.header(webB, user, by) }), 13, "S4U2PROXY_HEADER_PAC"},
		{"18 no own PAC", rbcd(func(w *world) { w.header(webB) }), 20, "S4U2PROXY_NO_HEADER_PAC"},
		{"18 evidence of another service", rbcd(func(w *world) { w.evidenceOf(inbound, alice, user, by) }), 13, mismatch},
		{"18 evidence is a service ticket", rbcd(func(w *world) {
			w.evidenceOf(kdctest.Name("A.TEST", "svc128"), webB, user, by)
		}), 13, mismatch},
		{"18 evidence is our own TGT", rbcd(func(w *world) { w.evidenceOf(tgsOf("A.TEST", "A.TEST"), webB, user, by) }), 13, mismatch},
		{"18 evidence is a TGT of ours for others", rbcd(func(w *world) { w.evidenceOf(tgsOf("B.TEST", "A.TEST"), webB, user, by) }), 13, mismatch},
		{"18 the target is abroad", rbcd(func(w *world) { w.trust(); w.askEnterprise("x@C.TEST") }), 13, mismatch},
		{"18 no delegation in the PAC", with(user), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 delegation to another target", with(user, chain(t, "svc", "HTTP/web.b.test@B.TEST")), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 delegation by another service", with(user, chain(t, "svc128", "HTTP/web.b.test@B.TEST", "x@B.TEST")), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 delegation by nobody", with(user, chain(t, "svc128")), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 delegation malformed", with(user, pac.Buffer{Type: pac.TypeDelegation, Data: []byte{1}}), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 PAC of another time", with(later, by), 13, "S4U2PROXY_CROSS_STKT_PAC"},
		{"18 a service before in the chain", with(user, chain(t, "svc128", "x@B.TEST", "HTTP/web.b.test@B.TEST")), 0, ""},
		{"18 evidence not forwardable", rbcd(func(w *world) {
			c := kdctest.Forge(w.t, w.r, inbound, func(p *krbmsg.EncTicketPart) {
				named(webB)(p)
				p.Flags &^= krbmsg.FlagForwardable
				w.signed(inbound, user, by)(p)
			})
			w.body.Tickets = []krbmsg.Ticket{c.Ticket}
		}), 13, "EVIDENCE_TKT_NOT_FORWARDABLE"},
		{"18 evidence expired (ours)", rbcd(func(w *world) {
			c := kdctest.Forge(w.t, w.r, inbound, func(p *krbmsg.EncTicketPart) {
				named(webB)(p)
				p.EndTime = at - 301
				w.signed(inbound, user, by)(p)
			})
			w.body.Tickets = []krbmsg.Ticket{c.Ticket}
		}), 32, "EVIDENCE_TKT_EXPIRED"},
		{"18 the PAC of a TGT on the way is good for TGTs only", func(w *world) { w.header(webB, user, by) }, 13, "HEADER_PAC"},
		{"18 a TGT on the way without delegation", func(w *world) { w.trust(); w.header(webB, user); w.ask4("krbtgt", "C.TEST") }, 13, "HEADER_PAC"},
		{"18 a TGT on the way, our own header", func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) {
				named(homeSvc)(p)
				w.signed(tgsOf("A.TEST", "A.TEST"), user, chain(t, "x", "service/impersonator@A.TEST"))(p)
			}
			w.ask4("krbtgt", "B.TEST")
		}, 13, "HEADER_PAC"},
		{"18 the target is a TGS by another name", func(w *world) {
			proxy(resourceBased)(w)
			w.askEnterprise("krbtgt/A.TEST@A.TEST")
		}, 12, "NOT_ALLOWED_TO_DELEGATE"},
		{"18 the target is a TGS abroad", func(w *world) { proxy(resourceBased)(w); w.ask4("krbtgt", "C.B.TEST") }, 12, "NOT_ALLOWED_TO_DELEGATE"},
		{"23 no rule", rbcd(func(w *world) { w.attribute("svc128", attrDelegateFrom, "") }), 13, "UNSUPPORTED_S4U2PROXY_REQUEST"},
		{"23 rule for another service", rbcd(func(w *world) { w.attribute("svc128", attrDelegateFrom, "HTTP/web.b.test") }), 13, "NOT_ALLOWED_TO_DELEGATE"},
		{"23 classic rules are not for services of other realms", rbcd(func(w *world) {
			w.how.PAData = nil
			w.db.Change(w.t, "krbtgt/A.TEST@B.TEST", func(p *dumpfmt.Principal) { _ = p.SetString(attrDelegateTo, "svc128") })
		}), 13, "UNSUPPORTED_S4U2PROXY_REQUEST"},
		{"23 from our realm, client does not know", away(), 13, "UNSUPPORTED_S4U2PROXY_REQUEST"},
		{"23 from our realm, classic rule only", away(delegateTo("HTTP/db.b.test@B.TEST")), 13, "UNSUPPORTED_S4U2PROXY_REQUEST"},
		{"23 from our realm, the target's decides", away(resourceBased), 0, ""},
		{"20 before 23", rbcd(func(w *world) {
			w.attr("svc128", dumpfmt.AttrDisallowAllTix)
			w.attribute("svc128", attrDelegateFrom, "")
		}), 7, "SERVER LOCKED OUT"},
	})
}
