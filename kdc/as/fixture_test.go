package as

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// answer feeds a request to a realm at a time.
func answer(t testing.TB, r *realm.Realm, msg []byte, at int64) exchange.Outcome {
	t.Helper()
	var q krbmsg.KDCReq
	if err := q.Parse(msg); err != nil {
		t.Fatalf("request: %v", err)
	}
	return Answer(r, &exchange.Request{Msg: msg, Now: time.Unix(at, 0)}, &q)
}

// TestRecordedExchanges answers every recorded AS request that needs no mechanism beyond this
// server's, and compares with MIT krb5kdc's answer field by field.
func TestRecordedExchanges(t *testing.T) {
	// Where this server answers better on purpose: specification section 3.3.
	deviations := map[string]int32{
		"as-times step 3":                   0,                        // postdated by an hour: as MIT
		"as-times step 4":                   krbmsg.ErrNeverValid,     // till in the past
		"tgs-forward-proxy-validate step 4": krbmsg.ErrCannotPostdate, // from in the past
	}
	foreign := []string{"pkinit", "otp", "referral"}
	done := 0
	for _, sc := range kdcfixture.Scenarios(t) {
		for i, step := range sc.Steps {
			if step.Request[0] != 0x6a || step.Realm == "T.TEST" || step.Response == nil ||
				strings.Contains(step.KDC, "test KDB module") ||
				slices.ContainsFunc(foreign, func(s string) bool { return strings.Contains(sc.File, s) && s != "referral" }) {
				continue
			}
			name := fmt.Sprintf("%s step %d", sc.File, i)
			done++
			t.Run(name, func(t *testing.T) {
				r, _, _ := kdctest.Realm(t, step.Realm)
				if strings.Contains(step.KDC, "1.23") {
					r.SPAKEGroups = []spake.Group{spake.Edwards25519, spake.P256, spake.P384, spake.P521}
				}
				if strings.Contains(step.KDC, "indicators configured") {
					r.ECIndicator = "ec"
				}
				if code, ok := deviations[name]; ok && code != 0 {
					var e krbmsg.KRBError
					out := answer(t, r, step.Request, step.Time)
					if err := e.Parse(out.Reply); err != nil || e.Code != code {
						t.Errorf("error %d, %v; want %d", e.Code, err, code)
					}
					return
				}
				kdctest.Replay(t, func(msg []byte, at int64) exchange.Outcome { return answer(t, r, msg, at) }, step)
			})
		}
	}
	if done < 60 {
		t.Errorf("only %d exchanges", done)
	}
}
