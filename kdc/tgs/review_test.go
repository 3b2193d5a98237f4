package tgs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// TestRepliesSuitClients is section 11: what an MIT client insists on in a reply, for requests of all
// kinds.
func TestRepliesSuitClients(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	options := []uint32{krbmsg.OptForwardable, krbmsg.OptProxiable, krbmsg.OptRenewable, krbmsg.OptRenewableOK, krbmsg.OptCanonicalize}
	servers := [][]string{{"svc128"}, {"host", "svc.a.test"}, {"krbtgt", "A.TEST"}, {"krbtgt", "B.TEST"}, {"krbtgt", "C.B.TEST"}, {"host", "x.b.test"}, {"svcshort"}}
	issued := 0
	for n := range 400 {
		w := newWorld(t)
		for _, o := range options {
			if r.IntN(2) == 0 {
				w.body.Options |= o
			}
		}
		w.ask4(servers[r.IntN(len(servers))]...)
		w.body.SName.V.Type = []int32{krbmsg.NTPrincipal, krbmsg.NTSrvHst}[r.IntN(2)]
		w.body.Nonce = int64(int32(r.Uint32()))
		if w.body.Till = at + int64(r.IntN(200000)+1); r.IntN(4) == 0 {
			w.body.Till = 0
		}
		if r.IntN(2) == 0 {
			w.body.RTime = krbmsg.Some(at + int64(r.IntN(900000)+1))
		}
		w.part = func(p *krbmsg.EncTicketPart) {
			p.Flags |= krbmsg.FlagRenewable
			p.RenewTill = krbmsg.Some[int64](at + 500000)
		}
		out, c := w.ask()
		if out.Event.Code != 0 {
			continue
		}
		issued++
		rep := kdctest.Open(t, out, c.Session, krbcrypto.UsageTGSRepSession)
		for _, fault := range clientFaults(&w.body, c, rep) {
			t.Errorf("request %d, %+v: %s", n, w.body, fault)
		}
	}
	if issued < 250 {
		t.Errorf("only %d tickets", issued)
	}
}

// clientFaults is what a client would not accept in a reply.
func clientFaults(q *krbmsg.KDCReqBody, c *kdctest.Creds, rep *kdctest.Reply) (faults []string) {
	p, tkt := &rep.Part, &rep.Rep.Ticket
	insist := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	bothTGS := len(q.SName.V.Parts) == 2 && string(q.SName.V.Parts[0]) == "krbtgt" && len(p.SName.Parts) == 2 && string(p.SName.Parts[0]) == "krbtgt"
	insist(tkt.SName.Equal(p.SName) && bytes.Equal(tkt.Realm, p.SRealm), "ticket for %s, reply for %s", tkt.SName.Unparse(tkt.Realm), p.SName.Unparse(p.SRealm))
	insist(p.SName.Equal(q.SName.V) || q.Options&krbmsg.OptCanonicalize != 0 || bothTGS, "server %s", p.SName.Unparse(p.SRealm))
	insist(rep.Rep.CName.Equal(c.Client.Name) && bytes.Equal(rep.Rep.CRealm, c.Client.Realm), "client %s", rep.Rep.CName.Unparse(rep.Rep.CRealm))
	insist(p.Nonce == q.Nonce, "nonce %d", p.Nonce)
	insist(q.Till == 0 || p.EndTime <= q.Till, "end %d", p.EndTime)
	if p.RenewTill.Set && q.Options&krbmsg.OptRenewable != 0 {
		insist(!q.RTime.Set || p.RenewTill.V <= q.RTime.V, "renew-till %d", p.RenewTill.V)
	} else if p.RenewTill.Set {
		insist(q.Options&krbmsg.OptRenewableOK != 0 && (q.Till == 0 || p.RenewTill.V <= q.Till), "renew-till %d by renewable-ok", p.RenewTill.V)
	}
	insist((p.Flags&krbmsg.FlagRenewable != 0) == p.RenewTill.Set, "flags %08x, renew-till %v", p.Flags, p.RenewTill)
	start := p.StartTime.Or(p.AuthTime)
	insist(start >= at-300 && start <= at+300, "start %d", start)
	insist(p.Key.Etype == int32(krbcrypto.ETypeAES256SHA1), "session enctype %d", p.Key.Etype)
	return faults
}

// TestHiddenNameInErrors is section 4.6 in the TGS: the error outside the armor names nobody, the one
// inside the client; the armor holds as soon as its key is known.
func TestHiddenNameInErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		options uint32
		server  string
		code    int32
		hidden  bool
	}{
		{"name shown", 0, "nosuch", 7, false},
		{"name hidden", krbmsg.FastHideClientNames, "nosuch", 7, true},
		{"critical option", 0x20000000, "svc128", 93, false},
		{"critical option, name hidden", 0x20000000 | krbmsg.FastHideClientNames, "svc128", 93, true},
	} {
		w := newWorld(t)
		w.ask4(c.server)
		creds := w.forge()
		sub := kdctest.NewKey(t, 18, bytes.Repeat([]byte{7}, 32))
		armor, err := krbcrypto.CF2(sub, creds.Session, "subkeyarmor", "ticketarmor")
		if err != nil {
			t.Fatal(err)
		}
		raw := krbmsg.Marshal(&w.body)
		ap := creds.APReq(raw, krbcrypto.UsageTGSReqAuth, kdctest.Shown{Subkey: sub})
		inner := krbmsg.FastReq{Options: c.options, Body: w.body}
		areq := krbmsg.FastArmoredReq{
			Checksum:   krbmsg.Checksum{Type: armor.ChecksumType(), Sum: armor.Checksum(nil, krbcrypto.UsageFASTReqChecksum, ap)},
			EncFastReq: krbmsg.EncryptedData{Etype: int32(armor.Enctype()), Cipher: armor.Encrypt(nil, krbcrypto.UsageFASTEnc, krbmsg.Marshal(&inner))},
		}
		out := w.answer(krbmsg.Marshal(&krbmsg.KDCReq{MsgType: krbmsg.MsgTGSReq, RawBody: raw, PAData: []krbmsg.PAData{
			{Type: krbmsg.PATGSReq, Value: ap}, {Type: krbmsg.PAFXFast, Value: krbmsg.Marshal(&areq)},
		}}))
		outer, in := armoredError(t, armor, out)
		if outer.Code != c.code || in.Code != c.code {
			t.Errorf("%s: error %d, inside %d, want %d", c.name, outer.Code, in.Code, c.code)
		}
		if hidden := outer.CName.V.Is("WELLKNOWN", "ANONYMOUS") && string(outer.CRealm) == "WELLKNOWN:ANONYMOUS"; hidden != c.hidden {
			t.Errorf("%s: outside %s", c.name, outer.CName.V.Unparse(outer.CRealm))
		}
		if !in.CName.V.Is("user") {
			t.Errorf("%s: inside %s", c.name, in.CName.V.Unparse(in.CRealm))
		}
	}
}

// armoredError opens an error under FAST.
func armoredError(t *testing.T, armor *krbcrypto.Key, out exchange.Outcome) (outer, inner krbmsg.KRBError) {
	t.Helper()
	var md krbmsg.MethodData
	var rep krbmsg.FastArmoredRep
	var resp krbmsg.FastResponse
	if err := outer.Parse(out.Reply); err != nil {
		t.Fatal(err)
	}
	if err := md.Parse(outer.EData); err != nil || len(md) != 1 || md[0].Type != krbmsg.PAFXFast {
		t.Fatalf("e-data %x, %v", outer.EData, err)
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
	value, ok := krbmsg.FindPA(resp.PAData, krbmsg.PAFXError)
	if !ok {
		t.Fatal("no error inside")
	}
	if err := inner.Parse(value); err != nil {
		t.Fatal(err)
	}
	return outer, inner
}

// TestSecondTicketsEnctype is row 29: a second ticket whose session key may not be used seals nothing.
func TestSecondTicketsEnctype(t *testing.T) {
	for _, e := range []krbcrypto.Enctype{krbcrypto.ETypeRC4Exp, krbcrypto.ETypeCamellia128} {
		for _, wanted := range []bool{false, true} {
			w := newWorld(t)
			w.r.Permitted = []krbcrypto.Enctype{18, 17}
			key, err := krbcrypto.RandomKey(e)
			if err != nil {
				t.Fatal(err)
			}
			w.ask4("a256")
			w.body.Options |= krbmsg.OptEncTktInSkey
			w.body.Etypes = []int32{18}
			if wanted {
				w.body.Etypes = []int32{int32(e), 18}
			}
			w.body.Tickets = []krbmsg.Ticket{kdctest.Forge(t, w.r, tgsOf("A.TEST", "A.TEST"), func(p *krbmsg.EncTicketPart) {
				p.CName, p.Key = krbmsg.NewName(1, "a256"), krbmsg.EncryptionKey{Etype: int32(e), Value: key.Bytes()}
			}).Ticket}
			out, _ := w.ask()
			if code, text := kdctest.Code(t, out); code != 14 || text != "BAD_ETYPE_IN_2ND_TKT" {
				t.Errorf("%v, wanted %v: %d %s", e, wanted, code, text)
			}
		}
	}
}

// TestDelegationChain goes on with delegation from service to service until the PAC holds no more
// (CVE-2024-26462 is about the encoder of what it holds; a loop of services must end too).
func TestDelegationChain(t *testing.T) {
	w := newWorld(t)
	services := []string{"svc128", "svcdeleg"}
	for i, name := range services {
		w.attribute(name, attrDelegateTo, services[1-i])
		w.attr(name, dumpfmt.AttrOKToAuthAsDelegate)
	}
	evidence := w.evidence([]string{"svc128"}, nil)
	home := kdctest.Key(t, w.r, tgsOf("A.TEST", "A.TEST"))
	for n := range 100 {
		via, target := services[n%2], services[(n+1)%2]
		w.part = func(p *krbmsg.EncTicketPart) {
			p.CName = krbmsg.NewName(1, via)
			info, err := pac.ClientInfo(p.CName, p.AuthTime)
			if err != nil {
				t.Fatal(err)
			}
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, home, home, false)
		}
		w.ask4(target)
		w.body.Options = krbmsg.OptCNameInAddlTkt | krbmsg.OptForwardable
		w.body.Tickets = []krbmsg.Ticket{evidence}
		out, c := w.ask()
		if code, text := kdctest.Code(t, out); code != 0 {
			if n < 60 || code != krbmsg.ErrGeneric || text != "HANDLE_AUTHDATA" {
				t.Errorf("step %d: %d %s (%v)", n, code, text, out.Event.Err)
			}
			return
		}
		rep := kdctest.Open(t, out, c.Session, krbcrypto.UsageTGSRepSession)
		evidence = rep.Rep.Ticket
	}
	t.Error("the chain has no end")
}

// TestSelfHasNoIndicators is row 10: those of the service are not the user's, and are not even read.
func TestSelfHasNoIndicators(t *testing.T) {
	w := impersonator(t)
	part := w.part
	w.part = func(p *krbmsg.EncTicketPart) {
		in := krbmsg.AuthorizationData{{Type: krbmsg.ADCAMMAC, Data: []byte{1}}}
		p.AuthData = append(p.AuthData, krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(in)})
		part(p)
	}
	creds := w.forge()
	out := w.answer(creds.TGSReq(w.body, kdctest.Shown{PAData: []krbmsg.PAData{forUser(creds, "a256", nil)}}))
	if code, text := kdctest.Code(t, out); code != 0 {
		t.Errorf("%d %s (%v)", code, text, out.Event.Err)
	}
}

// TestCheckedOnce is row 28 with 5.4: RENEW and VALIDATE keep the flag that says the way was checked, and
// with it need no other check; no other option does.
func TestCheckedOnce(t *testing.T) {
	home := []string{"krbtgt", "A.TEST"}
	check(t, []rule{
		{"renewed, checked before", checkedBefore(krbmsg.OptRenew, krbmsg.FlagTransitChecked, home...), 0, ""},
		{"validated, checked before", checkedBefore(krbmsg.OptValidate, krbmsg.FlagTransitChecked|krbmsg.FlagInvalid, home...), 0, ""},
		{"renewed, checked before, not now", checkedBefore(krbmsg.OptRenew|krbmsg.OptDisableTransCheck, krbmsg.FlagTransitChecked, home...), 0, ""},
		{"renewed, never checked", checkedBefore(krbmsg.OptRenew|krbmsg.OptDisableTransCheck, 0, home...), 12, "BAD_TRANSIT"},
		{"forwarded, checked before", checkedBefore(krbmsg.OptForwarded|krbmsg.OptDisableTransCheck, krbmsg.FlagTransitChecked, home...), 12, "BAD_TRANSIT"},
		{"another ticket, checked before", checkedBefore(krbmsg.OptDisableTransCheck, krbmsg.FlagTransitChecked, "svc128"), 12, "BAD_TRANSIT"},
	})
}

func checkedBefore(options, flag uint32, server ...string) func(w *world) {
	return func(w *world) {
		w.ask4(server...)
		w.body.Options = options
		w.part = func(p *krbmsg.EncTicketPart) {
			p.Flags |= flag | krbmsg.FlagRenewable
			p.RenewTill = krbmsg.Some[int64](at + 90000)
		}
	}
}
