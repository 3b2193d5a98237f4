package tgs

import (
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/tests/kdctest"
)

// fuzzRealm is a realm where services may delegate to one another.
func fuzzRealm(tb testing.TB) *realm.Realm {
	r, db, _ := kdctest.Realm(tb, "A.TEST")
	r.RealmOf = realmOf
	set := func(name, key, value string) {
		db.Change(tb, name+"@A.TEST", func(p *dumpfmt.Principal) {
			if err := p.SetString(key, value); err != nil {
				tb.Fatal(err)
			}
		})
	}
	set("svc128", attrDelegateFrom, "HTTP/web.b.test@B.TEST service/impersonator")
	set("service/impersonator", attrDelegateTo, "svc128")
	return r
}

// FuzzS4U: whoever holds the keys of a neighbour or of a service may write into PACs, names and
// options what he likes. Nothing panics, nobody gets a TGT in the name of another, and no realm
// speaks for our users but where one of our services lets it delegate.
func FuzzS4U(f *testing.F) {
	r := fuzzRealm(f)
	home, from := tgsOf("A.TEST", "A.TEST"), inbound
	kdc := kdctest.Key(f, r, home)
	aliceInfo, _ := pac.ClientInfoRealm(alice.Name, alice.Realm, at-60)
	webInfo, _ := pac.ClientInfo(webB.Name, at-60)
	svcInfo, _ := pac.ClientInfo(homeSvc.Name, at-60)
	userInfo, _ := pac.ClientInfo(homeUsr.Name, at-60)
	deleg, _ := (&pac.Delegation{Target: "svc128", Via: []string{"HTTP/web.b.test@B.TEST"}}).Encode()
	f.Add("HTTP/web.b.test", "B.TEST", webInfo, aliceInfo, deleg, "", "", "svc128", int32(1), uint32(krbmsg.OptCNameInAddlTkt), true)
	f.Add("service/impersonator", "A.TEST", aliceInfo, aliceInfo, deleg, "alice", "B.TEST", "service/impersonator", int32(1), uint32(0), true)
	f.Add("HTTP/web.b.test", "B.TEST", webInfo, aliceInfo, deleg, "a256", "A.TEST", "HTTP/web.b.test@B.TEST", int32(10), uint32(krbmsg.OptCanonicalize), true)
	f.Add("service/impersonator", "A.TEST", svcInfo, userInfo, deleg, "", "", "svc128", int32(1), uint32(krbmsg.OptCNameInAddlTkt), false)
	f.Fuzz(func(t *testing.T, client, clientRealm string, headPAC, evidencePAC, delegation []byte, user, userRealm, server string, kind int32, options uint32, foreign bool) {
		parsed, err := dumpfmt.ParseName(client, clientRealm)
		if err != nil || len(headPAC)+len(evidencePAC)+len(delegation)+len(client)+len(user)+len(server) > 4096 {
			return
		}
		issuer, second := home, kdctest.Name("A.TEST", impersonatorName...)
		if foreign {
			issuer, second = from, from
		}
		who := exchange.Principal{Name: krbmsg.NewName(1, parsed.Components...), Realm: []byte(parsed.Realm)}
		forge := func(name exchange.Principal, info []byte, more ...pac.Buffer) *kdctest.Creds {
			return kdctest.Forge(t, r, name, func(p *krbmsg.EncTicketPart) {
				p.CName, p.CRealm = who.Name, who.Realm
				service := string(name.Name.Parts[0]) != "krbtgt"
				if service {
					p.CName, p.CRealm = homeUsr.Name, homeUsr.Realm
				}
				pac.Issue(p, append([]pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, more...), kdctest.Key(t, r, name), kdc, service)
			})
		}
		creds := forge(issuer, headPAC)
		evidence := forge(second, evidencePAC, pac.Buffer{Type: pac.TypeDelegation, Data: delegation})
		body := kdctest.TGSBody("A.TEST", "x")
		if n, err := dumpfmt.ParseName(server, "A.TEST"); err == nil && kind != krbmsg.NTEnterprise {
			body.SName = krbmsg.Some(krbmsg.NewName(kind, n.Components...))
		} else {
			body.SName = krbmsg.Some(krbmsg.NewName(kind, server))
		}
		body.Options, body.Tickets = options, []krbmsg.Ticket{evidence.Ticket}
		shown := kdctest.Shown{PAData: []krbmsg.PAData{{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})}}}
		if user != "" {
			x := x509User(creds, user, func(x *krbmsg.S4UX509User) { x.UserID.Realm = []byte(userRealm) })
			shown.PAData = append(shown.PAData, x)
		}
		msg := creds.TGSReq(body, shown)
		var q krbmsg.KDCReq
		if q.Parse(msg) != nil {
			return
		}
		out := Answer(r, &exchange.Request{Msg: msg, Now: time.Unix(at, 0)}, &q)
		var rep krbmsg.KDCRep
		if rep.Parse(out.Reply) != nil {
			return
		}
		got := exchange.Principal{Name: rep.CName, Realm: rep.CRealm}
		if got.String() == who.String() {
			return
		}
		switch proxied := options&krbmsg.OptCNameInAddlTkt != 0; {
		case realm.IsTGSName(rep.Ticket.SName):
			t.Errorf("%s got a TGT of %s", who, got)
		case foreign && string(got.Realm) == "A.TEST" && !(proxied && who.String() == webB.String() && rep.Ticket.SName.Is("svc128")):
			t.Errorf("%s got a ticket of %s for %s", who, got, rep.Ticket.SName.Unparse(nil))
		}
	})
}
