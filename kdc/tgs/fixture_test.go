package tgs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbmsg"
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

// realmOf is the [domain_realm] of the recorded realms.
func realmOf(host string) string {
	for _, r := range []string{"A.TEST", "B.TEST", "T.TEST"} {
		if strings.HasSuffix(host, strings.ToLower("."+r)) {
			return r
		}
	}
	return ""
}

// TestRecordedExchanges answers every recorded TGS request and compares with MIT krb5kdc's
// answer field by field.
func TestRecordedExchanges(t *testing.T) {
	done := 0
	for _, sc := range kdcfixture.Scenarios(t) {
		for i, step := range sc.Steps {
			if step.Request[0] != 0x6c || step.Realm == "T.TEST" || step.Response == nil {
				continue
			}
			name := fmt.Sprintf("%s step %d", sc.File, i)
			done++
			t.Run(name, func(t *testing.T) {
				r, _, _ := kdctest.Realm(t, step.Realm)
				r.RealmOf = realmOf
				kdctest.Replay(t, func(msg []byte, at int64) exchange.Outcome { return answer(t, r, msg, at) }, step)
			})
		}
	}
	if done < 45 {
		t.Errorf("only %d exchanges", done)
	}
}
