package as

import (
	"fmt"
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/kdc/exchange"
	"krealm/tests/kdctest"
)

var allGroups = []spake.Group{spake.Edwards25519, spake.P256, spake.P384, spake.P521}

// spakeWorld is a realm with SPAKE in all groups.
func spakeWorld(t *testing.T) *world {
	w := newWorld(t)
	w.r.SPAKEGroups = allGroups
	return w
}

func supportOf(groups ...int32) krbmsg.PAData {
	return krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Support: groups})}
}

// errorData is what an error says, and the padata in it.
func errorData(t testing.TB, out exchange.Outcome) (code int32, md krbmsg.MethodData) {
	t.Helper()
	var e krbmsg.KRBError
	if err := e.Parse(out.Reply); err != nil {
		t.Fatal(err)
	}
	if err := md.Parse(e.EData); err != nil {
		t.Fatal(err)
	}
	return e.Code, md
}

func types(list []krbmsg.PAData) (out []int32) {
	for _, p := range list {
		out = append(out, p.Type)
	}
	return out
}

// spakeClient is a client that has got a challenge.
type spakeClient struct {
	t       testing.TB
	key     *krbcrypto.Key
	support []byte // nil: the challenge came unasked
	group   int32
	public  []byte // the KDC's
	message []byte // the challenge as sent
	cookie  krbmsg.PAData
	reply   *krbcrypto.Key // K'[0], after respond
	factor  krbmsg.SPAKEFactor
	spoil   func(m *krbmsg.SPAKEResponse)
	usage   uint32
}

// challenged reads the challenge and the cookie of an error.
func challenged(t testing.TB, key *krbcrypto.Key, support []byte, md krbmsg.MethodData) *spakeClient {
	t.Helper()
	value, _ := krbmsg.FindPA(md, krbmsg.PASPAKE)
	cookie, _ := krbmsg.FindPA(md, krbmsg.PAFXCookie)
	var m krbmsg.SPAKE
	if err := m.Parse(value); err != nil || m.Challenge == nil {
		t.Fatalf("no challenge in %v: %v", types(md), err)
	}
	if f := m.Challenge.Factors; len(f) != 1 || f[0].Type != krbmsg.SPAKEFactorNone || f[0].Data != nil {
		t.Errorf("factors %+v", f)
	}
	return &spakeClient{
		t: t, key: key, support: support, group: m.Challenge.Group, public: m.Challenge.Public, message: value,
		cookie: krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: cookie},
		factor: krbmsg.SPAKEFactor{Type: krbmsg.SPAKEFactorNone}, usage: krbcrypto.UsageSPAKE,
	}
}

// respond makes the response of RFC 9588 section 4.4 for a request with the given body.
func (c *spakeClient) respond(body krbmsg.KDCReqBody) krbmsg.PAData {
	c.t.Helper()
	e, err := spake.New(spake.Group(c.group), c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	private, public, err := e.Generate(spake.Client)
	if err != nil {
		c.t.Fatal(err)
	}
	shared, err := e.Agree(spake.Client, private, c.public)
	if err != nil {
		c.t.Fatal(err)
	}
	th := e.Transcript(e.Transcript(nil, c.support, c.message), public)
	raw := krbmsg.Marshal(&body)
	k1, err := e.Key(1, shared, th, raw)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.reply, err = e.Key(0, shared, th, raw); err != nil {
		c.t.Fatal(err)
	}
	m := krbmsg.SPAKEResponse{Public: public, Factor: krbmsg.EncryptedData{
		Etype: int32(k1.Enctype()), Cipher: k1.Encrypt(nil, c.usage, krbmsg.Marshal(c.factor)),
	}}
	if c.spoil != nil {
		c.spoil(&m)
	}
	return krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Response: &m})}
}

// askSPAKE sends a support message and returns the client with the challenge.
func (w *world) askSPAKE(name string, key *krbcrypto.Key, groups ...int32) *spakeClient {
	w.t.Helper()
	support := supportOf(groups...)
	code, md := errorData(w.t, answer(w.t, w.r, kdctest.ASReq(request(name), support), at))
	if code != krbmsg.ErrMorePreauthData || !slices.Equal(types(md), []int32{151, 19, 133}) {
		w.t.Fatalf("code %d, %v", code, types(md))
	}
	return challenged(w.t, key, support.Value, md)
}

// TestSPAKE logs in in every group, asked for and unasked (section 4.7).
func TestSPAKE(t *testing.T) {
	for _, g := range allGroups {
		for _, unasked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v unasked %v", g, unasked), func(t *testing.T) {
				w := spakeWorld(t)
				w.r.SPAKEIndicators = []string{"spake", "strong"}
				w.setString("krbtgt/A.TEST", "require_auth", "strong")
				var c *spakeClient
				if unasked {
					w.r.SPAKEChallenge = g
					code, md := errorData(t, answer(t, w.r, kdctest.ASReq(request("pre")), at))
					if code != krbmsg.ErrPreauthRequired || !slices.Equal(types(md), []int32{136, 19, 151, 2, 133}) {
						t.Fatalf("code %d, %v", code, types(md))
					}
					c = challenged(t, w.key("pre"), nil, md)
				} else {
					c = w.askSPAKE("pre", w.key("pre"), 99, int32(g), 1)
				}
				if c.group != int32(g) {
					t.Fatalf("group %d", c.group)
				}
				body := request("pre")
				out := answer(t, w.r, kdctest.ASReq(body, c.cookie, c.respond(body)), at)
				rep := kdctest.Open(t, out, c.reply, krbcrypto.UsageASRepEncPart)
				if rep.Part.Flags&krbmsg.FlagPreAuth == 0 || !slices.Equal(types(rep.Rep.PAData), []int32{19}) {
					t.Errorf("flags %08x, padata %v", rep.Part.Flags, types(rep.Rep.PAData))
				}
				if out.Note == nil || out.Note.Failure {
					t.Errorf("bookkeeping %+v", out.Note)
				}
			})
		}
	}
}

// TestSPAKERefused: each case spoils one thing; all end in 24 with a new list of hints, and count
// as a failure.
func TestSPAKERefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(w *world, c *spakeClient, body *krbmsg.KDCReqBody)
		at    int64 // of the response
		code  int32
	}{
		{"nothing", func(*world, *spakeClient, *krbmsg.KDCReqBody) {}, at, 0},
		{"the last second of the cookie", func(*world, *spakeClient, *krbmsg.KDCReqBody) {}, at + 600, 0},
		{"a cookie too old", func(*world, *spakeClient, *krbmsg.KDCReqBody) {}, at + 601, 24},
		{"a cookie of the future", func(*world, *spakeClient, *krbmsg.KDCReqBody) {}, at - 301, 24},
		{"wrong password", func(w *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.key = w.key("user") }, at, 24},
		{"no state in the cookie", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.cookie.Value = []byte("MIT") }, at, 24},
		{"a cookie cut short", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.cookie.Value = c.cookie.Value[:9] }, at, 24},
		{"a damaged cookie", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.cookie.Value[30] ^= 1 }, at, 24},
		{"a cookie under an unknown key version", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.cookie.Value[7]++ }, at, 24},
		{"another client's cookie", func(w *world, c *spakeClient, _ *krbmsg.KDCReqBody) {
			c.cookie = w.askSPAKE("user", w.key("user"), 1).cookie
		}, at, 24},
		{"the cookie of another challenge", func(w *world, c *spakeClient, _ *krbmsg.KDCReqBody) {
			c.cookie = w.askSPAKE("pre", w.key("pre"), 1).cookie
		}, at, 24},
		{"a support message that was not sent", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.support = nil }, at, 24},
		{"a request changed on the way", func(_ *world, _ *spakeClient, body *krbmsg.KDCReqBody) { body.Till += 3600 }, at, 24},
		{"a second factor", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.factor.Type = 2 }, at, 24},
		{"another key usage", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) { c.usage = 1 }, at, 24},
		{"no point", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) {
			c.spoil = func(m *krbmsg.SPAKEResponse) { m.Public = m.Public[1:] }
		}, at, 24},
		{"a factor of another enctype", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) {
			c.spoil = func(m *krbmsg.SPAKEResponse) { m.Factor.Etype = 17 }
		}, at, 24},
		{"an empty factor", func(_ *world, c *spakeClient, _ *krbmsg.KDCReqBody) {
			c.spoil = func(m *krbmsg.SPAKEResponse) { m.Factor.Cipher = []byte{} }
		}, at, 24},
		{"krbtgt rolled over in between", func(w *world, _ *spakeClient, _ *krbmsg.KDCReqBody) {
			w.keys.Add(w.t, w.db, "krbtgt/A.TEST@A.TEST", 7, krbcrypto.ETypeAES256SHA1)
		}, at, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := spakeWorld(t)
			cl := w.askSPAKE("pre", w.key("pre"), 1)
			body := request("pre")
			sent := body
			c.spoil(w, cl, &sent)
			out := answer(t, w.r, kdctest.ASReq(sent, cl.cookie, cl.respond(body)), c.at)
			if code, text := kdctest.Code(t, out); code != c.code {
				t.Fatalf("%d %s (%v), want %d", code, text, out.Event.Err, c.code)
			}
			if c.code == 0 {
				return
			}
			_, md := errorData(t, out)
			if !slices.Equal(types(md), []int32{136, 19, 151, 2, 133}) || out.Note == nil || !out.Note.Failure || out.Event.Err == nil {
				t.Errorf("hints %v, bookkeeping %+v, cause %v", types(md), out.Note, out.Event.Err)
			}
		})
	}
}

// TestSPAKEMessages: what a client may not send, and what it gets for what it may.
func TestSPAKEMessages(t *testing.T) {
	raw := func(b ...byte) krbmsg.PAData { return krbmsg.PAData{Type: krbmsg.PASPAKE, Value: b} }
	of := func(m krbmsg.SPAKE) krbmsg.PAData {
		return krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&m)}
	}
	plain := krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: []byte("MIT")}
	keyless := func(_ *world, b *krbmsg.KDCReqBody) { b.CName = krbmsg.Some(client("nokey").Name) }
	for _, c := range []struct {
		name    string
		prepare func(w *world, body *krbmsg.KDCReqBody)
		padata  []krbmsg.PAData
		code    int32
		hints   []int32
	}{
		{"support", nil, []krbmsg.PAData{supportOf(1)}, 91, []int32{151, 19, 133}},
		{"support with a cookie", nil, []krbmsg.PAData{plain, supportOf(1)}, 91, []int32{151, 133}},
		{"support, the cookie behind", nil, []krbmsg.PAData{supportOf(1), plain}, 91, []int32{151, 133}},
		{"no group", nil, []krbmsg.PAData{supportOf()}, 24, []int32{136, 19, 151, 2, 133}},
		{"no common group", nil, []krbmsg.PAData{supportOf(0, 5, -1)}, 24, []int32{136, 19, 151, 2, 133}},
		{"a group that is not permitted", func(w *world, _ *krbmsg.KDCReqBody) { w.r.SPAKEGroups = allGroups[:1] },
			[]krbmsg.PAData{supportOf(2, 3)}, 24, []int32{136, 19, 151, 2, 133}},
		{"a challenge", nil, []krbmsg.PAData{of(krbmsg.SPAKE{Challenge: &krbmsg.SPAKEChallenge{Group: 1}})}, 24, []int32{136, 19, 151, 2, 133}},
		{"encrypted data", nil, []krbmsg.PAData{of(krbmsg.SPAKE{EncData: &krbmsg.EncryptedData{Etype: 18}})}, 24, []int32{136, 19, 151, 2, 133}},
		{"a response to nothing", nil, []krbmsg.PAData{of(krbmsg.SPAKE{Response: &krbmsg.SPAKEResponse{}})}, 24, []int32{136, 19, 151, 2, 133}},
		{"empty", nil, []krbmsg.PAData{raw()}, 24, []int32{136, 19, 151, 2, 133}},
		{"garbage", nil, []krbmsg.PAData{raw(0xa0, 3, 1)}, 24, []int32{136, 19, 151, 2, 133}},
		{"no key", keyless, []krbmsg.PAData{supportOf(1)}, 14, nil},
		{"no key, no common group", keyless, []krbmsg.PAData{supportOf(9)}, 24, []int32{136, 133}},
		{"no key, a response to nothing", keyless,
			[]krbmsg.PAData{of(krbmsg.SPAKE{Response: &krbmsg.SPAKEResponse{}})}, 24, []int32{136, 133}},
		{"only the first of several", nil, []krbmsg.PAData{supportOf(9), supportOf(1)}, 24, []int32{136, 19, 151, 2, 133}},
		{"hardware only", func(w *world, _ *krbmsg.KDCReqBody) { w.attr("pre", dumpfmt.AttrRequiresHWAuth) }, nil, 25, []int32{136, 19, 133}},
		{"off", func(w *world, _ *krbmsg.KDCReqBody) { w.r.SPAKEGroups = nil }, []krbmsg.PAData{supportOf(1)}, 25, []int32{136, 19, 2, 133}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := spakeWorld(t)
			body := request("pre")
			if c.prepare != nil {
				c.prepare(w, &body)
			}
			out := answer(t, w.r, kdctest.ASReq(body, c.padata...), at)
			code, text := kdctest.Code(t, out)
			if code != c.code || code == 14 && text != "PREAUTH_FAILED" {
				t.Fatalf("%d %s (%v), want %d", code, text, out.Event.Err, c.code)
			}
			if c.hints != nil {
				if _, md := errorData(t, out); !slices.Equal(types(md), c.hints) {
					t.Errorf("padata %v, want %v", types(md), c.hints)
				}
			}
			if failure := out.Note != nil && out.Note.Failure; failure != (code == 24) {
				t.Errorf("bookkeeping %+v", out.Note)
			}
		})
	}
}

// BenchmarkSPAKE is both messages of a login in the default group.
func BenchmarkSPAKE(b *testing.B) {
	r, _, _ := kdctest.Realm(b, "A.TEST")
	r.SPAKEGroups = allGroups
	key := kdctest.Key(b, r, client("pre"))
	support := supportOf(1)
	first := kdctest.ASReq(request("pre"), support)
	_, md := errorData(b, answer(b, r, first, at))
	c := challenged(b, key, support.Value, md)
	body := request("pre")
	second := kdctest.ASReq(body, c.cookie, c.respond(body))
	b.ReportAllocs()
	for b.Loop() {
		answer(b, r, first, at)
		if out := answer(b, r, second, at); out.Event.Status != exchange.StatusIssue {
			b.Fatal(out.Event.Err)
		}
	}
}
