package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// uncheckedTransit lets tickets come by any way, so that lists are seen that are off the path.
const uncheckedTransit = "[realms]\n    A.TEST = {\n        reject_bad_transit = false\n    }\n"

// fromB is a TGT of realm B.TEST's KDC for a client, come by a list of realms.
func fromB(realm, list string) tweak {
	return allOf(func(c *crafted) { c.server, c.sign = kdctest.Name("B.TEST", home...), signTGT }, partly(func(p *krbmsg.EncTicketPart) {
		p.CName, p.CRealm, p.Transited.Contents = krbmsg.NewName(1, "alice"), []byte(realm), []byte(list)
		p.Flags |= krbmsg.FlagTransitChecked // whoever issued it looked
	}))
}

// TestDifferentialTransit is section 5.7: the transited lists that both KDCs write, octet for
// octet, and what they think of them.
func TestDifferentialTransit(t *testing.T) {
	x := newTwins(t, nil, uncheckedTransit)
	realms := []string{"X.B.TEST", "Y.X.B.TEST", "C.TEST", "D.C.TEST", "TEST", "EDU", "MIT.EDU", "ATHENA.MIT.EDU", "/COM", "/COM/HP", "/COM/HP/LAB", "X.A.TEST"}
	lists := []string{"", "B.TEST", "TEST", "X.B.TEST", "Y.X.B.TEST", "TEST,C.", "TEST,C.,D.", "TEST,C.TEST", "C.TEST", "EDU,MIT.,ATHENA.", "EDU,MIT.,TEST",
		"/COM", "/COM,/HP", "EDU, /COM,/HP", "/COM/HP, /COM", "TEST,X.B.", "X.B.TEST,Y.", "X.B.TEST,EDU", "EDU,X.B.TEST", "X.B.TEST,Y.,EDU", "C.TEST,X.B.TEST,TEST",
		"A.TEST", "X.A.TEST", "EDU,TEST,X.B."}
	for _, realm := range []string{"B.TEST", "X.B.TEST", "C.TEST", "D.C.TEST", "EDU", "MIT.EDU", "/COM/HP", "A.B.C.TEST", "TEST"} {
		var cases []craftedCase
		for _, list := range lists {
			cases = append(cases, craftedCase{name: fmt.Sprintf("%q", list), change: fromB(realm, list)})
		}
		t.Run(realm, func(t *testing.T) { x.runCrafted(t, cases) })
	}
	t.Run("random", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		var cases []craftedCase
		for range 300 {
			var list []string
			for range r.IntN(5) {
				list = append(list, shorten(realms[r.IntN(len(realms))], list, r))
			}
			text := strings.Join(list, ",")
			cases = append(cases, craftedCase{name: fmt.Sprintf("%q", text), change: fromB(realms[r.IntN(len(realms))], text)})
		}
		x.runCrafted(t, cases)
	})
	// Lists that MIT krb5 loses part of: it takes an empty element for the end, drops backslashes, and
	// shortens AB.TEST behind B.TEST to "A", which means another realm.
	for list, want := range map[string]string{
		"TEST,,X.B.TEST": "TEST,,X.B.TEST", `a\,b`: `a\,b,B.TEST`, "AB.TEST": "AB.TEST,B.TEST",
	} {
		t.Run(fmt.Sprintf("ours %q", list), func(t *testing.T) {
			x.t = t
			our, mit := x.both(craftedCase{change: fromB("C.TEST", list), our: "-"})
			if text := strings.Join(our, "\n"); !strings.Contains(text, fmt.Sprintf("transited 1 %q", want)) || slices.Equal(our, mit) {
				t.Errorf("want %q in\n%s\nstock\n%s", want, text, strings.Join(mit, "\n"))
			}
		})
	}
}

// shorten writes a realm as a list may have it behind another.
func shorten(realm string, before []string, r *rand.Rand) string {
	if len(before) == 0 || r.IntN(3) == 0 {
		return realm
	}
	last := before[len(before)-1]
	if strings.HasPrefix(realm, "/") {
		if short, ok := strings.CutPrefix(realm, last); ok && last != "" && last[0] == '/' && short != "" {
			return short
		}
		return " " + realm
	}
	if head, ok := strings.CutSuffix(realm, "."+last); ok {
		return head + "."
	}
	return realm
}

// shownBy makes a client and a server of the ticket that is shown, and its PAC; none without buffers.
func shownBy(client exchange.Principal, server exchange.Principal, buffers ...pac.Buffer) tweak {
	return allOf(partly(func(p *krbmsg.EncTicketPart) { p.CName, p.CRealm = client.Name, client.Realm }), func(c *crafted) {
		c.server, c.sign = server, nil
		if buffers != nil {
			c.sign = withBuffers(buffers...)
		}
	})
}

// withBuffers signs a PAC with the given buffers; the time in CLIENT_INFO becomes the ticket's.
func withBuffers(buffers ...pac.Buffer) func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
	return func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
		var list []pac.Buffer
		for _, b := range buffers {
			if b.Type == pac.TypeClientInfo {
				now, _ := pac.ClientInfo(krbmsg.NewName(1), p.AuthTime)
				b.Data = append(slices.Clone(now[:8]), b.Data[8:]...)
			}
			list = append(list, b)
		}
		pac.Issue(p, list, server, home, false)
	}
}

func aboutUser(x *twins, user exchange.Principal, withRealm bool) pac.Buffer {
	if withRealm {
		return pac.Buffer{Type: pac.TypeClientInfo, Data: must(pac.ClientInfoRealm(user.Name, user.Realm, x.now))(x.t)}
	}
	return pac.Buffer{Type: pac.TypeClientInfo, Data: must(pac.ClientInfo(user.Name, x.now))(x.t)}
}

func delegated(x *twins, target string, via ...string) pac.Buffer {
	return pac.Buffer{Type: pac.TypeDelegation, Data: must((&pac.Delegation{Target: target, Via: via}).Encode())(x.t)}
}

// TestDifferentialS4UAcrossRealms is sections 5.9 and 5.10 with tickets of another realm, as far
// as the stock KDC's database goes: it knows services of other realms as hosts only, and has no
// rule that would allow a delegation.
func TestDifferentialS4UAcrossRealms(t *testing.T) {
	x := newTwins(t, nil)
	x.now = time.Now().Unix()
	inbound, outbound, own := kdctest.Name("B.TEST", home...), kdctest.Name("A.TEST", "krbtgt", "B.TEST"), kdctest.Name("A.TEST", home...)
	alice, web := kdctest.Name("B.TEST", "alice"), exchange.Principal{Name: krbmsg.NewName(krbmsg.NTSrvHst, "host", "web.b.test"), Realm: []byte("B.TEST")}
	svc, user := kdctest.Name("A.TEST", "service", "impersonator"), craftedUser{name: "a256"}
	at := func(n krbmsg.PrincipalName) tweak { return func(c *crafted) { c.body.SName = krbmsg.Some(n) } }
	canon := withOptions(krbmsg.OptCanonicalize | krbmsg.OptForwardable)
	self := func(u craftedUser, more ...tweak) tweak {
		return allOf(func(c *crafted) {
			c.padata = func(k *kdctest.Creds, key *krbcrypto.Key) []krbmsg.PAData { return u.padata(c, k.Session, key) }
		}, canon, allOf(more...))
	}
	foreign := craftedUser{name: "alice", realm: "B.TEST"}
	atHome := allOf(shownBy(web, inbound, aboutUser(x, web, false)), at(web.Name))
	final := allOf(shownBy(svc, inbound, aboutUser(x, alice, true)), at(svc.Name))
	cases := []craftedCase{
		{name: "self, user's realm", change: self(user, atHome)},
		{name: "self, user's realm, forwardable forbidden", change: self(craftedUser{name: "nofwd"}, atHome)},
		{name: "self, user's realm, unknown user", change: self(craftedUser{name: "nosuch"}, atHome)},
		{name: "self, user's realm, expired user", change: self(craftedUser{name: "expired"}, atHome)},
		{name: "self, user's realm, locked user", change: self(craftedUser{name: "lockedout"}, atHome)},
		{name: "self, user's realm, password expired", change: self(craftedUser{name: "pwexpired"}, atHome)},
		{name: "self, user's realm, no PAC", change: self(user, atHome, shownBy(web, inbound))},
		{name: "self, user's realm, PAC of the user", change: self(user, atHome, shownBy(web, inbound, aboutUser(x, kdctest.Name("A.TEST", "a256"), true)))},
		{name: "self, user's realm, by for-user", change: self(craftedUser{name: "a256", without: "130"}, atHome)},
		{name: "self, user's realm, own TGT", change: self(user, at(web.Name), shownBy(svc, own, aboutUser(x, svc, false)))},
		{name: "self, on the way, no further", change: self(foreign, shownBy(web, inbound, aboutUser(x, alice, true)), at(web.Name))},
		{name: "self, final", change: self(foreign, final)},
		{name: "self, final, by for-user", change: self(craftedUser{name: "alice", realm: "B.TEST", without: "130"}, final)},
		{name: "self, final, under FAST", change: self(foreign, final, withArmor(0))},
		{name: "self, final, enterprise user", change: self(craftedUser{name: "alice@x.y", realm: "B.TEST", nameType: 10}, at(svc.Name),
			shownBy(svc, inbound, aboutUser(x, exchange.Principal{Name: krbmsg.NewName(10, "alice@x.y"), Realm: []byte("B.TEST")}, true)))},
		{name: "self, final, PAC without realm", change: self(foreign, final, shownBy(svc, inbound, aboutUser(x, alice, false)))},
		{name: "self, final, PAC of the service", change: self(foreign, final, shownBy(svc, inbound, aboutUser(x, svc, false)))},
		{name: "self, final, no PAC", change: self(foreign, final, shownBy(svc, inbound))},
		{name: "self, final, own user", change: self(user, final)},
		{name: "self, final, another service", change: self(foreign, final, serverNamed("svc128"))},
		{name: "self, final, not forwardable header", change: self(foreign, final, withFlags(0, krbmsg.FlagForwardable))},
		{name: "self, final, service is gone", change: self(foreign, final, shownBy(kdctest.Name("A.TEST", "gone"), inbound, aboutUser(x, alice, true)))},
		{name: "self, final, delegation before", change: self(foreign, final, shownBy(svc, inbound, aboutUser(x, alice, true), delegated(x, "x", "y@B.TEST")))},
		{name: "self, final, certificate ignored", change: self(craftedUser{name: "alice", realm: "B.TEST", without: "129", x509: func(u *krbmsg.S4UX509User, _ *krbcrypto.Key) { u.UserID.Cert = []byte{1} }}, final)},
		{name: "self, final, certificate alone", change: self(craftedUser{name: "alice", realm: "B.TEST", without: "129", x509: func(u *krbmsg.S4UX509User, _ *krbcrypto.Key) {
			u.UserID.Cert, u.UserID.Name.V.Parts = []byte{1}, [][]byte{}
		}}, final)},
		{name: "self, foreign user, own TGT", change: self(foreign, at(svc.Name), shownBy(svc, own, aboutUser(x, svc, false)))},
		{name: "self, user to user", change: self(foreign, final, withOptions(krbmsg.OptEncTktInSkey))},
		{name: "self, TGT of ours for B", change: self(user, at(svc.Name), shownBy(svc, outbound, aboutUser(x, svc, false)))},
	}
	x.runCrafted(t, append(cases, x.proxyAcrossRealms(inbound, outbound, own, alice, web, svc)...))
	x.comparePACs(t, map[string]tweak{"self, user's realm": self(user, atHome), "self, final": self(foreign, final)})
}

// proxyAcrossRealms is S4U2Proxy with tickets of another realm.
func (x *twins) proxyAcrossRealms(inbound, outbound, own, alice, web, svc exchange.Principal) []craftedCase {
	rbcd := withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})})
	evidence := func(server, client exchange.Principal, buffers ...pac.Buffer) tweak {
		return func(c *crafted) {
			var sign func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key)
			if buffers != nil {
				sign = withBuffers(buffers...)
			}
			k := x.forge(server, sign, func(p *krbmsg.EncTicketPart) { p.CName, p.CRealm = client.Name, client.Realm })
			c.body.Tickets = []krbmsg.Ticket{k.Ticket}
		}
	}
	who, by := aboutUser(x, alice, true), delegated(x, "svc128", "host/web.b.test@B.TEST")
	proxy := func(more ...tweak) tweak {
		return allOf(shownBy(web, inbound, aboutUser(x, web, false)), serverNamed("svc128"), withOptions(krbmsg.OptCNameInAddlTkt), rbcd, evidence(inbound, web, who, by), allOf(more...))
	}
	transit := func(buffers ...pac.Buffer) tweak {
		return allOf(shownBy(web, inbound, buffers...), serverNamed("krbtgt", "B.TEST"))
	}
	const row9 = "error 13 RBCD_PAC_PRINC"
	return []craftedCase{
		{name: "proxy, no rule", change: proxy()},
		{name: "proxy, no rule, classic", change: proxy(withPA())},
		{"proxy, no PAC", proxy(evidence(inbound, web)), row9, "error 41 S4U2PROXY_NO_STKT_PAC", "5.1 row 9 came with 1.21"},
		{"proxy, PAC without realm", proxy(evidence(inbound, web, aboutUser(x, alice, false), by)), row9, "error 13 UNSUPPORTED_S4U2PROXY_REQUEST", "5.1 row 9 came with 1.21"},
		{name: "proxy, own PAC is the user's", change: proxy(shownBy(web, inbound, who, by))},
		{name: "proxy, no own PAC", change: proxy(shownBy(web, inbound))},
		{name: "proxy, evidence of another", change: proxy(evidence(inbound, alice, who, by))},
		{name: "proxy, evidence is our TGT", change: proxy(evidence(own, web, who, by))},
		{name: "proxy, evidence is for B", change: proxy(evidence(outbound, web, who, by))},
		{name: "proxy, no delegation", change: proxy(evidence(inbound, web, who))},
		{name: "proxy, another target", change: proxy(evidence(inbound, web, who, delegated(x, "svc", "host/web.b.test@B.TEST")))},
		{name: "proxy, by another", change: proxy(evidence(inbound, web, who, delegated(x, "svc128", "x@B.TEST")))},
		{name: "proxy, by nobody", change: proxy(evidence(inbound, web, who, delegated(x, "svc128")))},
		{name: "proxy, garbage delegation", change: proxy(evidence(inbound, web, who, pac.Buffer{Type: pac.TypeDelegation, Data: []byte{1}}))},
		{name: "proxy, chain", change: proxy(evidence(inbound, web, who, delegated(x, "svc128", "x@B.TEST", "host/web.b.test@B.TEST")))},
		{name: "proxy, to the krbtgt", change: proxy(serverNamed(home...))},
		{name: "proxy, to a host of B", change: proxy(withOptions(krbmsg.OptCanonicalize), func(c *crafted) { c.body.SName = krbmsg.Some(krbmsg.NewName(3, "host", "x.b.test")) })},
		{name: "proxy, user to user", change: proxy(withOptions(krbmsg.OptEncTktInSkey))},
		{name: "on the way, ordinary PAC", change: transit(aboutUser(x, web, false))},
		{name: "on the way", change: transit(who, by)},
		{name: "on the way, by another", change: transit(who, delegated(x, "svc128", "x@B.TEST"))},
		{name: "on the way, no delegation", change: transit(who)},
		{name: "on the way, to a service", change: allOf(transit(who, by), serverNamed("svc128"))},
		{name: "on the way, own TGT", change: allOf(shownBy(svc, own, who, delegated(x, "svc128", "service/impersonator@A.TEST")), serverNamed("krbtgt", "B.TEST"))},
	}
}

// comparePACs compares what PACs say in tickets of both KDCs.
func (x *twins) comparePACs(t *testing.T, cases map[string]tweak) {
	for name, change := range cases {
		t.Run("PAC, "+name, func(t *testing.T) {
			x.t, x.now = t, time.Now().Unix()
			var texts []string
			for _, addr := range []string{x.our, x.mit} {
				c := x.craft()
				change(c)
				q := c.question()
				var rep krbmsg.KDCRep
				check(t, rep.Parse(ask(t, "tcp", addr, q.msg)))
				key := x.key(rep.Ticket.SName.Unparse(rep.Ticket.Realm), rep.Ticket.EncPart.Kvno.V, rep.Ticket.EncPart.Etype)
				var part krbmsg.EncTicketPart
				check(t, part.Parse(must(key.Decrypt(nil, krbcrypto.UsageTicket, rep.Ticket.EncPart.Cipher))(t)))
				p := must(pac.Contained(part.AuthData))(t)
				check(t, p.VerifyServer(key))
				text, at, err := p.Client()
				check(t, err)
				texts = append(texts, fmt.Sprintf("%q %d", text, at-part.AuthTime))
			}
			if texts[0] != texts[1] {
				t.Errorf("ours %s, stock %s", texts[0], texts[1])
			}
		})
	}
}
