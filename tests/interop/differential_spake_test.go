package interop

import (
	"slices"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/tests/kdctest"
)

// spakeTalk is both messages of a SPAKE login of pre with one KDC; the second one may be spoiled.
type spakeTalk struct {
	key    string // whose key the client uses
	group  int32
	factor krbmsg.SPAKEFactor
	body   func(b *krbmsg.KDCReqBody)                           // of the request that is sent, not of that signed
	spoil  func(m *krbmsg.SPAKEResponse, cookie *krbmsg.PAData) //
	beside func(x *twins) []krbmsg.PAData                       // behind the response
	order  func(cookie, response krbmsg.PAData) []krbmsg.PAData // nil: as named
}

// hold has the conversation and describes its end.
func (s *spakeTalk) hold(x *twins, addr string) []string {
	x.t.Helper()
	support := krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{s.group}})}
	b := x.body("pre")
	var e krbmsg.KRBError
	var md krbmsg.MethodData
	check(x.t, e.Parse(ask(x.t, "tcp", addr, kdctest.ASReq(b, support))))
	check(x.t, md.Parse(e.EData))
	value, _ := krbmsg.FindPA(md, krbmsg.PASPAKE)
	state, _ := krbmsg.FindPA(md, krbmsg.PAFXCookie)
	var m krbmsg.SPAKE
	check(x.t, m.Parse(value))
	if e.Code != krbmsg.ErrMorePreauthData || m.Challenge == nil {
		x.t.Fatalf("%s: %d %s without a challenge", addr, e.Code, e.EText)
	}
	ex := must(spake.New(spake.Group(s.group), x.key(s.key+"@A.TEST", 0, 18)))(x.t)
	private, public, err := ex.Generate(spake.Client)
	check(x.t, err)
	shared := must(ex.Agree(spake.Client, private, m.Challenge.Public))(x.t)
	th := ex.Transcript(ex.Transcript(nil, support.Value, value), public)
	raw := krbmsg.Marshal(&b)
	k0, k1 := must(ex.Key(0, shared, th, raw))(x.t), must(ex.Key(1, shared, th, raw))(x.t)
	resp := krbmsg.SPAKEResponse{Public: public, Factor: krbmsg.EncryptedData{
		Etype: int32(k1.Enctype()), Cipher: k1.Encrypt(nil, krbcrypto.UsageSPAKE, krbmsg.Marshal(s.factor)),
	}}
	cookie := krbmsg.PAData{Type: krbmsg.PAFXCookie, Value: slices.Clone(state)}
	if s.spoil != nil {
		s.spoil(&resp, &cookie)
	}
	if s.body != nil {
		s.body(&b)
	}
	response := krbmsg.PAData{Type: krbmsg.PASPAKE, Value: krbmsg.Marshal(&krbmsg.SPAKE{Response: &resp})}
	list := []krbmsg.PAData{cookie, response}
	if s.order != nil {
		list = s.order(cookie, response)
	}
	if s.beside != nil {
		list = append(list, s.beside(x)...)
	}
	q := &question{body: b, usage: krbcrypto.UsageASRepEncPart, reply: func(int32) *krbcrypto.Key { return k0 }}
	return x.describe(q, ask(x.t, "tcp", addr, kdctest.ASReq(b, list...)))
}

// TestDifferentialSPAKE has whole SPAKE logins with both KDCs (section 4.7).
func TestDifferentialSPAKE(t *testing.T) {
	x := newTwins(t, nil)
	none := krbmsg.SPAKEFactor{Type: krbmsg.SPAKEFactorNone}
	type response = *krbmsg.SPAKEResponse
	for _, c := range []struct {
		name string
		talk spakeTalk
	}{
		{"right", spakeTalk{key: "pre", factor: none}},
		{"wrong password", spakeTalk{key: "multi", factor: none}},
		{"second factor", spakeTalk{key: "pre", factor: krbmsg.SPAKEFactor{Type: 2}}},
		{"factor with data", spakeTalk{key: "pre", factor: krbmsg.SPAKEFactor{Type: 1, Data: []byte("x")}}},
		{"request changed", spakeTalk{key: "pre", factor: none, body: func(b *krbmsg.KDCReqBody) { b.Till += 60 }}},
		{"another client", spakeTalk{key: "pre", factor: none, body: func(b *krbmsg.KDCReqBody) { b.CName.V = krbmsg.NewName(1, "multi") }}},
		{"cookie damaged", spakeTalk{key: "pre", factor: none, spoil: func(_ response, c *krbmsg.PAData) { c.Value[30] ^= 1 }}},
		{"cookie without state", spakeTalk{key: "pre", factor: none, spoil: func(_ response, c *krbmsg.PAData) { c.Value = []byte("MIT") }}},
		{"cookie empty", spakeTalk{key: "pre", factor: none, spoil: func(_ response, c *krbmsg.PAData) { c.Value = nil }}},
		{"cookie of another key version", spakeTalk{key: "pre", factor: none, spoil: func(_ response, c *krbmsg.PAData) { c.Value[7]++ }}},
		{"public value short", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Public = m.Public[1:] }}},
		{"public value zero", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Public = make([]byte, len(m.Public)) }}},
		{"public value no point", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Public[0] ^= 0xff }}},
		{"factor in another etype", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Factor.Etype = 17 }}},
		{"factor damaged", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Factor.Cipher[3] ^= 1 }}},
		{"factor empty", spakeTalk{key: "pre", factor: none, spoil: func(m response, _ *krbmsg.PAData) { m.Factor.Cipher = nil }}},
		{"response before the cookie", spakeTalk{key: "pre", factor: none, order: func(c, r krbmsg.PAData) []krbmsg.PAData { return []krbmsg.PAData{r, c} }}},
		{"no cookie", spakeTalk{key: "pre", factor: none, order: func(_, r krbmsg.PAData) []krbmsg.PAData { return []krbmsg.PAData{r} }}},
		{"checksum of the request", spakeTalk{key: "pre", factor: none, beside: func(*twins) []krbmsg.PAData { return []krbmsg.PAData{{Type: 149}} }}},
		{"and a timestamp", spakeTalk{key: "pre", factor: none, beside: func(x *twins) []krbmsg.PAData { return []krbmsg.PAData{timestamp("pre", 18, 0)(x)} }}},
		{"and a wrong timestamp", spakeTalk{key: "pre", factor: none, beside: func(x *twins) []krbmsg.PAData { return []krbmsg.PAData{timestamp("multi", 18, 0)(x)} }}},
		{"wrong, but a right timestamp", spakeTalk{key: "multi", factor: none, beside: func(x *twins) []krbmsg.PAData { return []krbmsg.PAData{timestamp("pre", 18, 0)(x)} }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.t, x.now = t, time.Now().Unix()
			c.talk.group = int32(spake.Edwards25519)
			our, mit := c.talk.hold(x, x.our), c.talk.hold(x, x.mit)
			if !slices.Equal(our, mit) {
				t.Errorf("answers differ\nours %s\nMIT  %s", only(our, mit), only(mit, our))
			}
			if c.name == "right" && (our[0] != "AS-REP" || slices.Contains(our, "reply does not open")) {
				t.Errorf("no login: %q", our)
			}
		})
	}
	x.t = t
}
