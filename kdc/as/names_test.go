package as

import (
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

// alias makes an entry that stands for another.
func (w *world) alias(name, target string) {
	p := &dumpfmt.Principal{Name: name + "@A.TEST"}
	p.SetAliasTarget(target)
	w.db.Put(p)
}

// TestNames is section 3.1: aliases, canonical names, enterprise names.
func TestNames(t *testing.T) {
	enterprise := func(s string) krbmsg.PrincipalName { return krbmsg.NewName(krbmsg.NTEnterprise, s) }
	for _, c := range []struct {
		name      string
		cname     krbmsg.PrincipalName
		canon     bool
		code      int32
		got       string
		enterType bool
	}{
		{"plain", client("user").Name, false, 0, "user@A.TEST", false},
		{"alias keeps the requested name", client("aka").Name, false, 0, "aka@A.TEST", false},
		{"alias, canonical", client("aka").Name, true, 0, "user@A.TEST", false},
		{"alias of an alias", client("aka2").Name, true, 0, "user@A.TEST", false},
		{"alias of itself", client("loop").Name, true, 6, "", false},
		{"dangling alias", client("dangling").Name, true, 6, "", false},
		{"alias abroad without canonicalize", client("abroad").Name, false, 6, "", false},
		{"alias abroad", client("abroad").Name, true, 68, "far@B.TEST", false},
		{"alias abroad, enterprise name", enterprise("abroad"), false, 68, "far@B.TEST", false},
		{"enterprise name of our realm", enterprise("user@A.TEST"), false, 0, `user\@A.TEST@A.TEST`, true},
		{"enterprise name, canonical", enterprise("user@A.TEST"), true, 0, "user@A.TEST", false},
		{"enterprise name of another realm", enterprise("user@C.TEST"), true, 6, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.alias("aka", "user@A.TEST")
			w.alias("aka2", "aka@A.TEST")
			w.alias("loop", "loop@A.TEST")
			w.alias("dangling", "nowhere@A.TEST")
			w.alias("abroad", "far@B.TEST")
			b := request("user")
			b.CName = krbmsg.Some(c.cname)
			if c.canon {
				b.Options = krbmsg.OptCanonicalize
			}
			out := answer(t, w.r, kdctest.ASReq(b), at)
			code, text := kdctest.Code(t, out)
			if code != c.code {
				t.Fatalf("%d %s, want %d", code, text, c.code)
			}
			switch code {
			case 0:
				rep := kdctest.Open(t, out, w.key("user"), krbcrypto.UsageASRepEncPart)
				if got := rep.Rep.CName.Unparse(rep.Rep.CRealm); got != c.got || (rep.Rep.CName.Type == krbmsg.NTEnterprise) != c.enterType {
					t.Errorf("client %s (type %d), want %s", got, rep.Rep.CName.Type, c.got)
				}
			case krbmsg.ErrWrongRealm:
				var e krbmsg.KRBError
				if err := e.Parse(out.Reply); err != nil || e.CName.V.Unparse(e.CRealm) != c.got || text != "REFERRAL" {
					t.Errorf("%+v, %v", e, err)
				}
			}
		})
	}
}

func TestServerNames(t *testing.T) {
	w := newWorld(t)
	w.alias("www", "host/svc.a.test@A.TEST")
	b := request("user")
	b.SName, b.Options = krbmsg.Some(client("www").Name), krbmsg.OptCanonicalize
	rep, _ := w.ask(b, "user")
	if !rep.Part.SName.Is("www") || !rep.Rep.Ticket.SName.Is("www") {
		t.Errorf("service %s", rep.Part.SName.Unparse(nil))
	}
}

// TestAddresses: AS copies the request's addresses into ticket and reply.
func TestAddresses(t *testing.T) {
	w := newWorld(t)
	b := request("user")
	b.Addresses = []krbmsg.HostAddress{{Type: krbmsg.AddrIPv4, Addr: []byte{10, 0, 0, 1}}}
	rep, creds := w.ask(b, "user")
	if len(rep.Part.CAddr) != 1 || len(creds.Part.CAddr) != 1 {
		t.Errorf("addresses %v and %v", rep.Part.CAddr, creds.Part.CAddr)
	}
}

// TestKeyExpiration is the field of section 4.10.
func TestKeyExpiration(t *testing.T) {
	for _, c := range []struct{ account, password, want uint32 }{
		{0, 0, 0}, {at + 100, 0, at + 100}, {0, at + 50, at + 50}, {at + 100, at + 50, at + 50}, {at + 20, at + 50, at + 20},
	} {
		w := newWorld(t)
		w.change("user", func(p *dumpfmt.Principal) { p.Expire, p.PwExpire = c.account, c.password })
		rep, _ := w.ask(request("user"), "user")
		if got := rep.Part.KeyExpiration; got.V != int64(c.want) || got.Set != (c.want != 0) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestEveryNonceIsEchoed: in the form it came in.
func TestEveryNonceIsEchoed(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int64{0, 1, -1, -1 << 31, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		b := request("user")
		b.Nonce = n
		if rep, _ := w.ask(b, "user"); rep.Part.Nonce != n {
			t.Errorf("nonce %d came back as %d", n, rep.Part.Nonce)
		}
	}
}

// TestPAC is section 6.2.
func TestPAC(t *testing.T) {
	request128 := func(include bool) krbmsg.PAData {
		return krbmsg.PAData{Type: krbmsg.PAPACRequest, Value: krbmsg.Marshal(krbmsg.PACRequest{Include: include})}
	}
	for _, c := range []struct {
		name   string
		change func(w *world, b *krbmsg.KDCReqBody) []krbmsg.PAData
		want   bool
	}{
		{"default", func(*world, *krbmsg.KDCReqBody) []krbmsg.PAData { return nil }, true},
		{"asked", func(*world, *krbmsg.KDCReqBody) []krbmsg.PAData { return []krbmsg.PAData{request128(true)} }, true},
		{"declined", func(*world, *krbmsg.KDCReqBody) []krbmsg.PAData { return []krbmsg.PAData{request128(false)} }, false},
		{"garbage", func(*world, *krbmsg.KDCReqBody) []krbmsg.PAData {
			return []krbmsg.PAData{{Type: 128, Value: []byte{1}}}
		}, true},
		{"off", func(w *world, _ *krbmsg.KDCReqBody) []krbmsg.PAData { w.r.DisablePAC = true; return nil }, false},
		{"server wants none", func(_ *world, b *krbmsg.KDCReqBody) []krbmsg.PAData {
			b.SName = krbmsg.Some(client("svcnopac").Name)
			return nil
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b := request("user")
			padata := c.change(w, &b)
			_, creds := w.ask(b, "user", padata...)
			if got := len(creds.Part.AuthData) > 0; got != c.want {
				t.Errorf("PAC: %v, want %v", got, c.want)
			}
		})
	}
}

func TestPACOptionsAreEchoed(t *testing.T) {
	w := newWorld(t)
	pa := krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xf0000000})}
	rep, _ := w.ask(request("user"), "user", pa)
	value, ok := krbmsg.FindPA(rep.Part.PAData, krbmsg.PAPACOptions)
	var got krbmsg.PACOptions
	if !ok || got.Parse(value) != nil || got.Flags != krbmsg.PACOptionRBCD {
		t.Errorf("%v %08x", ok, got.Flags)
	}
	out := answer(t, w.r, kdctest.ASReq(request("user"), krbmsg.PAData{Type: krbmsg.PAPACOptions, Value: []byte{4}}), at)
	if code, text := kdctest.Code(t, out); code != 60 || text != "KDC_RETURN_ENC_PADATA" {
		t.Errorf("garbage: %d %s", code, text)
	}
}

// TestNotes is section 4.11: what is written back, and for whom.
func TestNotes(t *testing.T) {
	for _, c := range []struct {
		name    string
		client  string
		padata  func(w *world) []krbmsg.PAData
		failure bool
		none    bool
	}{
		{"success with required preauthentication", "pre", func(w *world) []krbmsg.PAData { return []krbmsg.PAData{kdctest.Timestamp(w.key("pre"), at)} }, false, false},
		{"success without", "user", func(*world) []krbmsg.PAData { return nil }, false, true},
		{"hint", "pre", func(*world) []krbmsg.PAData { return nil }, false, true},
		{"wrong password", "pre", func(w *world) []krbmsg.PAData { return []krbmsg.PAData{kdctest.Timestamp(w.key("user"), at)} }, true, false},
		{"wrong password where none is required", "user", func(w *world) []krbmsg.PAData { return []krbmsg.PAData{kdctest.Timestamp(w.key("pre"), at)} }, true, false},
		{"clock skew", "pre", func(w *world) []krbmsg.PAData { return []krbmsg.PAData{kdctest.Timestamp(w.key("pre"), at-301)} }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			out := answer(t, w.r, kdctest.ASReq(request(c.client), c.padata(w)...), at)
			if (out.Note == nil) != c.none {
				t.Fatalf("note %+v after %s", out.Note, out.Event.Status)
			}
			if out.Note != nil && (*out.Note != exchange.Note{Name: c.client + "@A.TEST", Failure: c.failure, When: out.Note.When}) {
				t.Errorf("note %+v", out.Note)
			}
		})
	}
}
