package spake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdcfixture"
)

// recorded is one SPAKE conversation between MIT's kinit and krb5kdc.
type recorded struct {
	support, challenge []byte // padata as sent
	response           krbmsg.SPAKE
	body               []byte // of the request with the response
	key                *krbcrypto.Key
	last               kdcfixture.Step
}

// readRecorded finds the messages of a scenario, inside FAST armor if there is any.
func readRecorded(t *testing.T, s kdcfixture.Scenario) (r recorded) {
	t.Helper()
	for _, step := range s.Steps {
		var q krbmsg.KDCReq
		if err := q.Parse(step.Request); err != nil {
			t.Fatal(err)
		}
		asked, body := q.PAData, q.RawBody
		if plain := step.Decrypted["fast_req"]; plain != nil {
			var f krbmsg.FastReq
			if err := f.Parse(plain); err != nil {
				t.Fatal(err)
			}
			asked, body = f.PAData, f.RawBody
		}
		value, ok := krbmsg.FindPA(asked, krbmsg.PASPAKE)
		if !ok {
			continue
		}
		var m krbmsg.SPAKE
		if err := m.Parse(value); err != nil {
			t.Fatal(err)
		}
		if m.Support != nil {
			r.support, r.challenge = value, challengeIn(t, step)
			continue
		}
		r.response, r.body, r.last = m, body, step
		k := step.Keys["client_key"]
		var err error
		if r.key, err = krbcrypto.NewKey(krbcrypto.Enctype(k.Etype), k.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func challengeIn(t *testing.T, step kdcfixture.Step) []byte {
	t.Helper()
	var list []krbmsg.PAData
	if plain := step.Decrypted["fast_response"]; plain != nil {
		var f krbmsg.FastResponse
		if err := f.Parse(plain); err != nil {
			t.Fatal(err)
		}
		list = f.PAData
	} else {
		var e krbmsg.KRBError
		var md krbmsg.MethodData
		if err := e.Parse(step.Response); err != nil {
			t.Fatal(err)
		}
		if err := md.Parse(e.EData); err != nil {
			t.Fatal(err)
		}
		list = md
	}
	value, _ := krbmsg.FindPA(list, krbmsg.PASPAKE)
	return value
}

// TestRecorded computes again what MIT's KDC and client computed, in four groups and under FAST:
// state in the cookie, transcript, shared element, and keys; and opens the factor.
func TestRecorded(t *testing.T) {
	var seen []Group
	for _, s := range kdcfixture.Scenarios(t) {
		if !strings.Contains(s.File, "spake") {
			continue
		}
		t.Run(s.File, func(t *testing.T) {
			r := readRecorded(t, s)
			var cookie krbmsg.SecureCookie
			if err := cookie.Parse(r.last.Decrypted["request_cookie_plain"]); err != nil {
				t.Fatal(err)
			}
			value, _ := krbmsg.FindPA(cookie.Data, krbmsg.PASPAKE)
			state, err := ParseState(value)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "state", state.Append(nil), value, nil)
			same(t, "private number", state.Private, r.last.Decrypted["spake_kdc_private"], nil)
			seen = append(seen, state.Group)
			e, err := New(state.Group, r.key)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "w", e.w, r.last.Decrypted["spake_wbytes"], nil)
			same(t, "hash in the cookie", state.Transcript, e.Transcript(nil, r.support, r.challenge), nil)
			public, err := e.params.math.public(KDC, e.w, state.Private)
			if err != nil || !bytes.Contains(r.challenge, public) {
				t.Errorf("public value %x, %v, is not in the challenge", public, err)
			}
			th := e.Transcript(state.Transcript, r.response.Response.Public)
			same(t, "transcript", th, r.last.Decrypted["spake_thash_after_response"], nil)
			shared, err := e.Agree(KDC, state.Private, r.response.Response.Public)
			same(t, "K", shared, r.last.Decrypted["spake_K"], err)
			for n, name := range []string{"spake_K0_reply_key", "spake_K1"} {
				k, err := e.Key(uint32(n), shared, th, r.body)
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("K'[%d]", n), k.Bytes(), r.last.Keys[name].Bytes, nil)
				if n == 1 {
					plain, err := k.Decrypt(nil, krbcrypto.UsageSPAKE, r.response.Response.Factor.Cipher)
					same(t, "factor", plain, r.last.Decrypted["spake_factor"], err)
				}
			}
		})
	}
	slices.Sort(seen)
	if !slices.Equal(seen, []Group{1, 1, 2, 3, 4}) {
		t.Errorf("groups recorded: %v", seen)
	}
}
