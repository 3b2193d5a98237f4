package tgs

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

var impersonatorName = []string{"service", "impersonator"}

// evidence is a ticket of user a256 to a service, with a PAC as the KDC makes it.
func (w *world) evidence(server []string, extra []pac.Buffer, changes ...func(p *krbmsg.EncTicketPart)) krbmsg.Ticket {
	w.t.Helper()
	name := kdctest.Name("A.TEST", server...)
	key, kdc := kdctest.Key(w.t, w.r, name), kdctest.Key(w.t, w.r, tgsOf("A.TEST", "A.TEST"))
	return kdctest.Forge(w.t, w.r, name, func(p *krbmsg.EncTicketPart) {
		p.CName = krbmsg.NewName(1, "a256")
		p.Flags = krbmsg.FlagForwardable | krbmsg.FlagPreAuth
		for _, f := range changes {
			f(p)
		}
		info, err := pac.ClientInfo(krbmsg.NewName(1, "a256"), at-60)
		if err != nil {
			w.t.Fatal(err)
		}
		pac.Issue(p, append([]pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, extra...), key, kdc, true)
	}).Ticket
}

func (w *world) attribute(name, key, value string) {
	w.t.Helper()
	w.change(name, func(p *dumpfmt.Principal) {
		if err := p.SetString(key, value); err != nil {
			w.t.Fatal(err)
		}
	})
}

// proxy is a world in which service/impersonator asks for a ticket to svc128 for user a256.
func proxy(fs ...func(w *world)) func(w *world) {
	return func(w *world) {
		imp := impersonator(w.t)
		w.part, w.body = imp.part, imp.body
		w.ask4("svc128")
		w.body.Options = krbmsg.OptCNameInAddlTkt | krbmsg.OptForwardable
		w.body.Tickets = []krbmsg.Ticket{w.evidence(impersonatorName, nil)}
		for _, f := range fs {
			f(w)
		}
	}
}

func delegateTo(list string) func(w *world) {
	return func(w *world) { w.attribute("service/impersonator", attrDelegateTo, list) }
}

func delegateFrom(list string) func(w *world) {
	return func(w *world) { w.attribute("svc128", attrDelegateFrom, list) }
}

func resourceBased(w *world) {
	w.how.PAData = []krbmsg.PAData{{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})}}
}

// TestS4U2Proxy is section 5.10: the tickets.
func TestS4U2Proxy(t *testing.T) {
	allowed := func(fs ...func(w *world)) func(w *world) {
		return proxy(append([]func(w *world){delegateTo("svc128")}, fs...)...)
	}
	with := func(changes ...func(p *krbmsg.EncTicketPart)) func(w *world) {
		return func(w *world) { w.body.Tickets = []krbmsg.Ticket{w.evidence(impersonatorName, nil, changes...)} }
	}
	check(t, []rule{
		{"good", allowed(), 0, ""},
		{"no evidence", allowed(func(w *world) { w.body.Tickets = nil }), 13, "NO_2ND_TKT"},
		{"evidence not forwardable", allowed(with(flags(0, krbmsg.FlagForwardable))), 13, "EVIDENCE_TKT_NOT_FORWARDABLE"},
		{"user to user", allowed(func(w *world) { w.body.Options |= krbmsg.OptEncTktInSkey }), 12, "2ND_TKT_NOT_TGS"},
		{"renewal", allowed(func(w *world) {
			w.body.Options |= krbmsg.OptRenew
			w.ask4("krbtgt", "A.TEST")
			w.parts = []func(*krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) {
				p.Flags |= krbmsg.FlagRenewable
				p.RenewTill = krbmsg.Some[int64](at + 90000)
			}}
		}), 13, "INVALID_S4U2PROXY_OPTIONS"},
		{"target is a TGS", allowed(func(w *world) { w.ask4("krbtgt", "A.TEST") }), 12, "NOT_ALLOWED_TO_DELEGATE"},
		{"header without PAC", allowed(func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, impersonatorName...) }
		}), 20, "S4U2PROXY_NO_HEADER_PAC"},
		{"header with the PAC of another", allowed(func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) { impersonator(w.t).part(p); p.CName = krbmsg.NewName(1, "svc128") }
		}), 13, "S4U2PROXY_HEADER_PAC"},
		{"evidence without PAC", allowed(withSecond("a256", impersonatorName, nil)), 41, "S4U2PROXY_NO_STKT_PAC"},
		{"evidence with the PAC of another", allowed(with(func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "pre") })), 13, "S4U2PROXY_LOCAL_STKT_PAC"},
		{"evidence for another service", allowed(func(w *world) { w.body.Tickets = []krbmsg.Ticket{w.evidence([]string{"svc128"}, nil)} }), 26, "EVIDENCE_TICKET_MISMATCH"},
		{"evidence expired (ours)", allowed(with(func(p *krbmsg.EncTicketPart) { p.EndTime = at - 301 })), 32, "EVIDENCE_TKT_EXPIRED"},
		{"evidence not valid yet (ours)", allowed(with(func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some[int64](at + 301) })), 33, "EVIDENCE_TKT_NOT_VALID"},
		{"evidence changed by the service (CVE-2020-17049)", allowed(func(w *world) {
			// Whoever has the service's key can seal other flags, but not sign them.
			name := kdctest.Name("A.TEST", impersonatorName...)
			w.body.Tickets = []krbmsg.Ticket{kdctest.Forge(w.t, w.r, name, func(p *krbmsg.EncTicketPart) {
				p.CName, p.Flags = krbmsg.NewName(1, "a256"), krbmsg.FlagPreAuth
				info, _ := pac.ClientInfo(p.CName, p.AuthTime)
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, kdctest.Key(w.t, w.r, name), kdctest.Key(w.t, w.r, tgsOf("A.TEST", "A.TEST")), true)
				p.Flags |= krbmsg.FlagForwardable
			}).Ticket}
		}), 41, "2ND_TKT_PAC"},
		{"chain too long", allowed(func(w *world) {
			long := pac.Delegation{Target: "x", Via: slices.Repeat([]string{"y@A.TEST"}, 64)}
			b, _ := long.Encode()
			w.body.Tickets = []krbmsg.Ticket{w.evidence(impersonatorName, []pac.Buffer{{Type: pac.TypeDelegation, Data: b}})}
		}), 60, "HANDLE_AUTHDATA"},
		{"malformed chain", allowed(func(w *world) {
			w.body.Tickets = []krbmsg.Ticket{w.evidence(impersonatorName, []pac.Buffer{{Type: pac.TypeDelegation, Data: []byte{1}}})}
		}), 60, "HANDLE_AUTHDATA"},
	})
}

// TestDelegationRules is row 23: who may delegate to whom.
func TestDelegationRules(t *testing.T) {
	const denied, none = "NOT_ALLOWED_TO_DELEGATE", "UNSUPPORTED_S4U2PROXY_REQUEST"
	check(t, []rule{
		{"no rules", proxy(), 13, none},
		{"no rules, resource-based", proxy(resourceBased), 13, none},
		{"classic", proxy(delegateTo("svc128")), 0, ""},
		{"classic, realm named", proxy(delegateTo("svc128@A.TEST")), 0, ""},
		{"classic, in a list", proxy(delegateTo("host/x  svc128\thost/y")), 0, ""},
		{"classic, resource-based asked", proxy(delegateTo("svc128"), resourceBased), 0, ""},
		{"classic, another target", proxy(delegateTo("host/svc.a.test")), 13, denied},
		{"classic, another realm", proxy(delegateTo("svc128@B.TEST")), 13, denied},
		{"classic, not a prefix", proxy(delegateTo("svc1 svc128/x svc1280")), 13, denied},
		{"classic, not a name", proxy(delegateTo(`\`)), 13, denied},
		{"resource", proxy(delegateFrom("service/impersonator"), resourceBased), 0, ""},
		{"resource, realm named", proxy(delegateFrom("service/impersonator@A.TEST"), resourceBased), 0, ""},
		{"resource, not asked for", proxy(delegateFrom("service/impersonator")), 13, none},
		{"resource, another service", proxy(delegateFrom("service"), resourceBased), 13, denied},
		{"resource denies, classic allows", proxy(delegateFrom("service"), delegateTo("svc128"), resourceBased), 0, ""},
		{"the target's own policy comes first", proxy(delegateTo("svc128"), func(w *world) { w.attr("svc128", dumpfmt.AttrDisallowAllTix) }), 7, "SERVER LOCKED OUT"},
		{"required indicators", proxy(delegateTo("svc128"), func(w *world) { w.attribute("svc128", "require_auth", "otp") }), 12, "HIGHER_AUTHENTICATION_REQUIRED"},
	})
}

// TestProxyTicket: whose name, times and flags the ticket has, and what its PAC says. A second
// service goes on with it.
func TestProxyTicket(t *testing.T) {
	w := newWorld(t)
	first := pac.Delegation{Target: "service/impersonator", Via: []string{"first@A.TEST"}}
	chain, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	proxy(delegateTo("svc128"), func(w *world) {
		w.body.Tickets = []krbmsg.Ticket{w.evidence(impersonatorName, []pac.Buffer{{Type: pac.TypeDelegation, Data: chain}},
			func(p *krbmsg.EncTicketPart) { p.EndTime = at + 10 })}
		w.parts = []func(*krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) { p.Flags &^= krbmsg.FlagProxiable; p.EndTime = at + 500 }}
	})(w)
	rep, got := w.ticket()
	p := &got.Part
	if !p.CName.Is("a256") || !rep.Rep.CName.Is("a256") || p.AuthTime != at-60 || p.EndTime != at+500 || p.Flags&krbmsg.FlagForwardable == 0 {
		t.Errorf("ticket %+v", p)
	}
	if out, _ := w.ask(); out.Event.Delegate != "a256@A.TEST" || !out.Event.Proxy || out.Event.Client != "service/impersonator@A.TEST" {
		t.Errorf("event %+v", out.Event)
	}
	key, kdc := kdctest.Key(t, w.r, kdctest.Name("A.TEST", "svc128")), kdctest.Key(t, w.r, tgsOf("A.TEST", "A.TEST"))
	made, err := pac.Contained(p.AuthData)
	if err != nil || made == nil {
		t.Fatal(made, err)
	}
	if err := made.VerifyService(p, key, []*krbcrypto.Key{kdc}); err != nil {
		t.Error(err)
	}
	info := delegationOf(t, made)
	if info.Target != "svc128" || !slices.Equal(info.Via, []string{"first@A.TEST", "service/impersonator@A.TEST"}) {
		t.Errorf("%+v", info)
	}
}

func delegationOf(t *testing.T, p *pac.PAC) *pac.Delegation {
	t.Helper()
	b, err := p.Find(pac.TypeDelegation)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pac.ParseDelegation(b.Data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDelegationStaysInThePAC: a renewed ticket says who delegated as the old one did.
func TestDelegationStaysInThePAC(t *testing.T) {
	w := newWorld(t)
	info := pac.Delegation{Target: "svc128", Via: []string{"first@A.TEST"}}
	b, err := info.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.server = kdctest.Name("A.TEST", "svc128")
	w.ask4("svc128")
	w.body.Options = krbmsg.OptRenew
	key, kdc := kdctest.Key(t, w.r, w.server), kdctest.Key(t, w.r, tgsOf("A.TEST", "A.TEST"))
	w.part = func(p *krbmsg.EncTicketPart) {
		p.Flags |= krbmsg.FlagRenewable
		p.RenewTill = krbmsg.Some[int64](at + 90000)
		client, _ := pac.ClientInfo(p.CName, p.AuthTime)
		pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: client}, {Type: pac.TypeDelegation, Data: b}}, key, kdc, true)
	}
	_, got := w.ticket()
	p, err := pac.Contained(got.Part.AuthData)
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	if d := delegationOf(t, p); d.Target != "svc128" || !slices.Equal(d.Via, info.Via) {
		t.Errorf("%+v", d)
	}
}

// TestS4U2SelfUserLimits: a user's entry limits flags and times of tickets in his name.
func TestS4U2SelfUserLimits(t *testing.T) {
	w := impersonator(t)
	w.attr("a256", dumpfmt.AttrDisallowForwardable)
	w.change("a256", func(p *dumpfmt.Principal) { p.MaxLife = 600 })
	creds := w.forge()
	out := w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: []krbmsg.PAData{forUser(creds, "a256", nil)}}))
	rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
	if rep.Part.Flags&krbmsg.FlagForwardable != 0 || rep.Part.EndTime != at+600 {
		t.Errorf("flags %x, end %d", rep.Part.Flags, rep.Part.EndTime-at)
	}
}

// delegationRealm is the recorded realm T.TEST: service/1 may delegate to service/2, service/3
// takes delegation from service/1.
func delegationRealm(t *testing.T) *realm.Realm {
	t.Helper()
	db, keys := kdctest.Load(t, []byte("kdb5_util load_dump version 7\n")), kdctest.PublishedKeys(t)
	for _, k := range kdcfixture.LongTermKeys(t) {
		if !strings.HasSuffix(k.Principal, "@T.TEST") {
			continue
		}
		p, ok := db.Principal(k.Principal)
		if !ok {
			p = &dumpfmt.Principal{Name: k.Principal}
		}
		p.Keys = append(p.Keys, dumpfmt.Key{Ver: 1, Kvno: uint16(k.Kvno), Enctype: int16(k.Etype), Sealed: []byte{0}})
		db.Put(p)
	}
	set := func(name, key, value string) {
		db.Change(t, name+"@T.TEST", func(p *dumpfmt.Principal) {
			if err := p.SetString(key, value); err != nil {
				t.Fatal(err)
			}
		})
	}
	set("service/1", attrDelegateTo, "service/2")
	set("service/3", attrDelegateFrom, "service/1")
	return realm.New(kdctest.Settings("T.TEST"), db, keys)
}

// TestRecordedDelegation answers the recorded requests and compares flags, names, times and the
// delegation in the PAC with MIT krb5kdc's. Its realm's database module adds more to PACs.
func TestRecordedDelegation(t *testing.T) {
	r, n := delegationRealm(t), 0
	for i, step := range kdcfixture.Load(t, "tgs-s4u2proxy").Steps {
		if step.Request[0] != 0x6c {
			continue
		}
		var want krbmsg.KDCRep
		if want.Parse(step.Response) != nil {
			kdctest.Replay(t, func(msg []byte, at int64) exchange.Outcome { return answer(t, r, msg, at) }, step)
			continue
		}
		n++
		subkey := kdctest.NewKey(t, step.Keys["authenticator_subkey"].Etype, step.Keys["authenticator_subkey"].Bytes)
		rep := kdctest.Open(t, answer(t, r, step.Request, step.Time), subkey, krbcrypto.UsageTGSRepSubkey)
		got := rep.Creds(t, kdctest.NewKey(t, step.Keys["ticket_key"].Etype, step.Keys["ticket_key"].Bytes))
		var tkt krbmsg.EncTicketPart
		if err := tkt.Parse(step.Decrypted["ticket_enc_part"]); err != nil {
			t.Fatal(err)
		}
		gotPAC, err := pac.Contained(got.Part.AuthData)
		if err != nil || gotPAC == nil {
			t.Fatal(gotPAC, err)
		}
		wantPAC, err := pac.Contained(tkt.AuthData)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := wantPAC.Find(pac.TypeDelegation); err == nil {
			if g, err := gotPAC.Find(pac.TypeDelegation); err != nil || !bytes.Equal(g.Data, b.Data) {
				t.Errorf("step %d: delegation %x, %v; want %x", i, g, err, b.Data)
			}
		}
		g := got.Part
		for _, p := range []*krbmsg.EncTicketPart{&g, &tkt} {
			p.AuthData, p.Key.Value = nil, nil
		}
		if a, b := krbmsg.Marshal(&g), krbmsg.Marshal(&tkt); !bytes.Equal(a, b) {
			t.Errorf("step %d: ticket\n %+v\nwant\n %+v", i, g, tkt)
		}
		if !rep.Rep.CName.Equal(want.CName) || !rep.Rep.Ticket.SName.Equal(want.Ticket.SName) {
			t.Errorf("step %d: reply for %v at %v", i, rep.Rep.CName, rep.Rep.Ticket.SName)
		}
	}
	if n != 3 {
		t.Errorf("%d tickets", n)
	}
}
