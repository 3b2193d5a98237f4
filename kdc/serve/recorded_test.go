package serve

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/kdc/as"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/tgs"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// recordedOtherwise are the recorded exchanges that this KDC answers otherwise, and why.
var recordedOtherwise = map[string]struct {
	code int32
	text string
	why  string
}{
	"as-times step 4":                     {11, "NEVER_VALID", "3.3 D: till in the past"},
	"tgs-forward-proxy-validate step 4":   {10, "POSTDATE NOT ALLOWED", "3.3 D: postdated to a time in the past"},
	"mit-1.23-kinit-pkinit step 1":        {25, "NEEDED_PREAUTH", "4.8: PKINIT is not there, padata 16 is ignored"},
	"mit-1.23-kinit-anonymous-otp step 1": {25, "NEEDED_PREAUTH", "4.8: anonymous PKINIT is not there"},
	"mit-1.23-kinit-anonymous-otp step 3": {25, "NEEDED_PREAUTH", "4.9: OTP is not there, padata 142 is ignored"},
}

// recordedRealm is the realm of a step, with the configuration of the KDC that was recorded.
func recordedRealm(t *testing.T, step kdcfixture.Step) *realm.Realm {
	t.Helper()
	if step.Realm == "T.TEST" {
		return kdctest.ModuleRealm(t)
	}
	r, _, _ := kdctest.Realm(t, step.Realm)
	r.RealmOf = func(host string) string {
		for _, name := range []string{"A.TEST", "B.TEST"} {
			if strings.HasSuffix(host, strings.ToLower("."+name)) {
				return name
			}
		}
		return ""
	}
	if strings.Contains(step.KDC, "1.23") {
		r.SPAKEGroups = []spake.Group{spake.Edwards25519, spake.P256, spake.P384, spake.P521}
	}
	if strings.Contains(step.KDC, "indicators configured") {
		r.ECIndicator = "ec"
	}
	return r
}

// TestEveryRecordedExchange answers every request of every recorded conversation and compares with
// what MIT krb5kdc answered: code, text and hints of an error; name, flags, times, enctypes, padata
// and authorization data of a reply and its ticket. None is left out; recordedOtherwise are those
// that get another answer.
func TestEveryRecordedExchange(t *testing.T) {
	const all = 149
	n, used := 0, map[string]bool{}
	for _, sc := range kdcfixture.Scenarios(t) {
		for i, step := range sc.Steps {
			n++
			name := fmt.Sprintf("%s step %d", sc.File, i)
			t.Run(name, func(t *testing.T) {
				r := recordedRealm(t, step)
				ask := func(msg []byte, at int64) exchange.Outcome {
					var q krbmsg.KDCReq
					if err := q.Parse(msg); err != nil {
						t.Fatal(err)
					}
					req := &exchange.Request{Msg: msg, Now: time.Unix(at, 0), From: netip.MustParseAddr("127.0.0.1")}
					if q.AS {
						return as.Answer(r, req, &q)
					}
					return tgs.Answer(r, req, &q)
				}
				want, other := recordedOtherwise[name]
				if !other {
					kdctest.Replay(t, ask, step)
					return
				}
				used[name] = true
				if code, text := kdctest.Code(t, ask(step.Request, step.Time)); code != want.code || text != want.text {
					t.Errorf("%d %s, want %d %s (%s)", code, text, want.code, want.text, want.why)
				}
			})
		}
	}
	if n != all || len(used) != len(recordedOtherwise) {
		t.Errorf("%d exchanges, %d of them otherwise; want %d and %d", n, len(used), all, len(recordedOtherwise))
	}
}
