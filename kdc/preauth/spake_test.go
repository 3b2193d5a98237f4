package preauth

import (
	"testing"
	"time"

	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// FuzzSPAKE changes a client's message, and the state in a cookie that opens, in ways that a client
// who knows the realm's keys could. Nothing but the right answer to the challenge may pass.
func FuzzSPAKE(f *testing.F) {
	r, _, _ := kdctest.Realm(f, "A.TEST")
	r.SPAKEGroups = []spake.Group{spake.Edwards25519, spake.P256, spake.P384, spake.P521}
	name := kdctest.Name("A.TEST", "pre")
	client, ok := r.Lookup(name.Name, name.Realm)
	tgt, ok2 := r.LocalTGT()
	if !ok || !ok2 {
		f.Fatal("no such entries")
	}
	body := kdctest.ASBody(name, "krbtgt", "A.TEST")
	c := &Context{Realm: r, Client: client, Key: client.ClientKey(body.Etypes), TGT: tgt, Body: &body,
		RawBody: krbmsg.Marshal(&body), Now: time.Unix(kdctest.At, 0)}
	var messages, states [][]byte
	for _, g := range r.SPAKEGroups {
		_, cookie, err := spakeChallenge(c, g, nil)
		if err != nil {
			f.Fatal(err)
		}
		c.PAData = []krbmsg.PAData{cookie}
		state, err := c.openCookie(krbmsg.PASPAKE)
		if err != nil {
			f.Fatal(err)
		}
		states = append(states, krbmsg.Marshal(krbmsg.SecureCookie{
			Time: kdctest.At, Data: []krbmsg.PAData{{Type: krbmsg.PASPAKE, Value: state}},
		}))
		messages = append(messages, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{int32(g), 1}}))
	}
	for _, s := range kdcfixture.Scenarios(f) {
		for _, step := range s.Steps {
			var q krbmsg.KDCReq
			if q.Parse(step.Request) != nil {
				continue
			}
			if value, ok := krbmsg.FindPA(q.PAData, krbmsg.PASPAKE); ok {
				messages = append(messages, value)
			}
		}
	}
	for i := range messages {
		f.Add(uint8(i), []byte{}, uint8(i), []byte{})
		f.Add(uint8(i), []byte{0, byte(i), 3}, uint8(i), []byte{0, 2, byte(i)})
	}
	f.Fuzz(func(t *testing.T, m uint8, messageOps []byte, s uint8, stateOps []byte) {
		cookie, err := c.sealBytes(kdcfixture.Mutate(states[int(s)%len(states)], stateOps))
		if err != nil {
			t.Fatal(err)
		}
		ctx := *c
		ctx.PAData = []krbmsg.PAData{cookie, {Type: krbmsg.PASPAKE, Value: kdcfixture.Mutate(messages[int(m)%len(messages)], messageOps)}}
		res, _, refusal := Verify(&ctx, ctx.PAData)
		if res.PreAuth || res.ReplyKey != nil || refusal == nil {
			t.Fatalf("passed: %+v", res)
		}
		if refusal.Code != krbmsg.ErrPreauthFailed && refusal.Code != krbmsg.ErrMorePreauthData {
			t.Errorf("refused with %v", refusal)
		}
	})
}
