package exchange

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"krealm/internal/krbmsg"
)

func principal(realm string, parts ...string) Principal {
	return Principal{Name: krbmsg.NewName(krbmsg.NTPrincipal, parts...), Realm: []byte(realm)}
}

// TestErrorReply is section 7: what a KRB-ERROR says, and what it keeps to itself.
func TestErrorReply(t *testing.T) {
	now := time.Unix(1795301671, 123456789)
	client, other, server := principal("A.TEST", "user"), principal("B.TEST", "else"), principal("A.TEST", "krbtgt", "A.TEST")
	secret := errors.New("secret cause")
	for _, c := range []struct {
		name    string
		refusal *Refusal
		client  *Principal
		want    *Principal // in the error
		data    bool
	}{
		{"bare", Refuse(52, ""), nil, nil, false},
		{"client known", Refuse(6, "CLIENT_NOT_FOUND").Because(secret), &client, &client, false},
		{"referral", &Refusal{Code: 68, Status: "REFERRAL", Client: &other}, &client, &other, false},
		{"hints", &Refusal{Code: 25, Status: "NEEDED_PREAUTH", PAData: krbmsg.MethodData{{Type: 2, Value: []byte{}}}}, &client, &client, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.refusal.ErrorReply(now, c.client, server)
			var e krbmsg.KRBError
			if err := e.Parse(b); err != nil {
				t.Fatal(err)
			}
			if e.Code != c.refusal.Code || string(e.EText) != c.refusal.Status || e.STime != now.Unix() || e.Susec != 123456 {
				t.Errorf("%+v", e)
			}
			if (e.EText != nil) != (c.refusal.Status != "") || (e.EData != nil) != c.data {
				t.Errorf("text %q, data %x", e.EText, e.EData)
			}
			if e.CName.Set != (c.want != nil) || c.want != nil && (!e.CName.V.Equal(c.want.Name) || !bytes.Equal(e.CRealm, c.want.Realm)) {
				t.Errorf("client %+v@%s", e.CName, e.CRealm)
			}
			if !e.SName.Equal(server.Name) || !bytes.Equal(e.Realm, server.Realm) {
				t.Errorf("server %+v@%s", e.SName, e.Realm)
			}
			if bytes.Contains(b, []byte("secret")) {
				t.Error("the cause went out")
			}
		})
	}
}

func TestRefusalIsAnError(t *testing.T) {
	cause := errors.New("cause")
	r := Refuse(60, "STATUS").Because(cause)
	if !errors.Is(r, cause) || r.Error() != "krb-error 60 (STATUS): cause" {
		t.Error(r)
	}
	if r := Refuse(60, "STATUS"); r.Error() != "krb-error 60 (STATUS)" || errors.Unwrap(r) != nil {
		t.Error(r)
	}
	if r := Refuse(1, "X").Becausef("%d %w", 7, cause); !errors.Is(r, cause) {
		t.Error(r)
	}
}

func TestNames(t *testing.T) {
	if got := principal("R", "a/b", "c@d").String(); got != `a\/b/c\@d@R` {
		t.Error(got)
	}
	for k, want := range map[Kind]string{AS: "AS_REQ", TGS: "TGS_REQ", Undecodable: "UNDECODABLE", 99: "UNDECODABLE"} {
		if k.String() != want {
			t.Errorf("%d: %s", k, k)
		}
	}
}
