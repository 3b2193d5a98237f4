package pac

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbmsg"
)

const at = 1795301671

// about is a PAC with nothing but a client.
func about(t *testing.T, info []byte, err error) *PAC {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return encode([]Buffer{{Type: TypeClientInfo, Data: info}})
}

// TestClient is section 6.3: how a PAC names its client, with and without the realm.
func TestClient(t *testing.T) {
	realm := []byte("B.TEST")
	for _, c := range []struct {
		name        krbmsg.PrincipalName
		plain, full string
		parsed      string // "" if it cannot be told from the text
	}{
		{krbmsg.NewName(1, "alice"), "alice", "alice@B.TEST", "alice@B.TEST"},
		{krbmsg.NewName(2, "host", "x"), "host/x", "host/x@B.TEST", "host/x@B.TEST"},
		{krbmsg.NewName(10, "alice@dom"), "alice@dom", "alice@dom@B.TEST", `alice\@dom@B.TEST`},
		{krbmsg.NewName(1, "a/b"), "a/b", `a\/b@B.TEST`, `a\/b@B.TEST`},
		{krbmsg.NewName(1, "a@b"), "a@b", `a\@b@B.TEST`, ""},
		{krbmsg.NewName(10, "a@b@c"), "a@b@c", "a@b@c@B.TEST", ""},
		{krbmsg.NewName(1, "é"), "é", "é@B.TEST", "é@B.TEST"},
	} {
		b, err := ClientInfo(c.name, at)
		p := about(t, b, err)
		text, when, err := p.Client()
		if err != nil || text != c.plain || when != at {
			t.Errorf("%q at %d, %v; want %q", text, when, err, c.plain)
		}
		if err := p.IsFor(c.name, at); err != nil {
			t.Errorf("%s: %v", c.plain, err)
		}
		if _, _, _, err := p.Principal(); err == nil && strings.Count(c.plain, "@") == 0 {
			t.Errorf("%s: a realm came from nowhere", c.plain)
		}
		b, err = ClientInfoRealm(c.name, realm, at)
		p = about(t, b, err)
		if text, _, err := p.Client(); err != nil || text != c.full {
			t.Errorf("%q, %v; want %q", text, err, c.full)
		}
		if err := p.IsForRealm(c.name, realm, at); err != nil {
			t.Errorf("%s: %v", c.full, err)
		}
		for what, err := range map[string]error{
			"another realm": p.IsForRealm(c.name, []byte("C.TEST"), at), "another time": p.IsForRealm(c.name, realm, at+1),
			"another user": p.IsForRealm(krbmsg.NewName(1, "eve"), realm, at), "without realm": p.IsFor(c.name, at),
		} {
			if !errors.Is(err, ErrClient) {
				t.Errorf("%s, %s: %v", c.full, what, err)
			}
		}
		name, r, when, err := p.Principal()
		switch {
		case c.parsed == "" && !errors.Is(err, ErrMalformed):
			t.Errorf("%s: read as %s, %v", c.full, name.Unparse(r), err)
		case c.parsed != "" && (err != nil || name.Unparse(r) != c.parsed || name.Type != krbmsg.NTMSPrincipal || when != at):
			t.Errorf("%s: read as %s, type %d, at %d, %v", c.full, name.Unparse(r), name.Type, when, err)
		}
	}
}

// TestClientOfOthers: other KDCs' times have fractions of a second, and MIT's names have escapes.
func TestClientOfOthers(t *testing.T) {
	b, err := ClientInfo(krbmsg.NewName(1, "alice"), at)
	b[0]++
	if err := about(t, b, err).IsFor(krbmsg.NewName(1, "alice"), at); err != nil {
		t.Error(err)
	}
	b, err = clientInfo([]byte(`a\@b`), at)
	if err := about(t, b, err).IsFor(krbmsg.NewName(10, "a@b"), at); err != nil {
		t.Error(err)
	}
	b, err = clientInfo([]byte("alice@"), at)
	if _, _, _, err := about(t, b, err).Principal(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	b, err = clientInfo([]byte("x@y@"), at)
	if _, _, _, err := about(t, b, err).Principal(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, make([]byte, 9), {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 'a'}, {0, 0, 0, 0, 0, 0, 0, 0, 2, 0}} {
		if _, _, err := about(t, bad, nil).Client(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", bad, err)
		}
	}
	if err := encode(nil).IsFor(krbmsg.NewName(1, "x"), at); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

// TestLongNames: the length of a name is written in 16 bits.
func TestLongNames(t *testing.T) {
	for n, ok := range map[int]bool{0x7fff: true, 0x8000: false} {
		b, err := ClientInfo(krbmsg.NewName(1, strings.Repeat("x", n)), at)
		if (err == nil) != ok {
			t.Errorf("%d characters: %v", n, err)
		}
		if text, _, err := about(t, b, nil).Client(); ok && (err != nil || len(text) != n) {
			t.Errorf("%d characters read as %d, %v", n, len(text), err)
		}
	}
}

// TestKDCKey is section 6.3: the key of the KDC's signatures, by the server's wish.
func TestKDCKey(t *testing.T) {
	tgt := longTerm(t, "krbtgt/A.TEST@A.TEST")
	for wanted, same := range map[string]bool{"": true, "aes256-cts-hmac-sha1-96": true, "aes128-cts": false, "aes256-sha2": false} {
		k, err := KDCKey(tgt, wanted)
		if err != nil || (k == tgt) != same {
			t.Errorf("%q: the realm's own %v, %v", wanted, k == tgt, err)
		}
	}
	if _, err := KDCKey(tgt, "nonsense"); err == nil {
		t.Error("an unknown enctype was taken")
	}
	if err := encode(nil).VerifyService(&krbmsg.EncTicketPart{}, tgt, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("a ticket without a PAC: %v", err)
	}
}

// TestParseTypes is section 6.2: which buffers may be passed on.
func TestParseTypes(t *testing.T) {
	for list, want := range map[string][]uint32{
		"": nil, "logon_info": {1}, "LOGON_INFO, 12\t13 1": {1, 12, 13}, "requestor attributes_info": {18, 17},
		"6 7 10 11 16 19": nil, "nonsense -1 4294967296 0x1": nil, "4294967295": {1<<32 - 1},
	} {
		if got := ParseTypes(list); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
	p := encode([]Buffer{{Type: 12, Data: []byte("u")}, {Type: 1, Data: []byte("l")}, {Type: 13, Data: []byte("c")}})
	if got, err := p.Passed([]uint32{1, 12, 14}); err != nil || len(got) != 2 || got[0].Type != 12 || string(got[1].Data) != "l" {
		t.Errorf("%v, %v", got, err)
	}
	p = encode([]Buffer{{Type: 1}, {Type: 1}})
	if _, err := p.Passed([]uint32{1}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func FuzzClient(f *testing.F) {
	f.Add([]byte("alice@B.TEST"))
	f.Add([]byte(`a\/b@c@R`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1000 {
			return
		}
		b, err := clientInfo(text, at)
		if err != nil {
			b = text
		}
		p := encode([]Buffer{{Type: TypeClientInfo, Data: b}})
		name, realm, _, err := p.Principal()
		if err != nil {
			return
		}
		if len(realm) == 0 {
			t.Errorf("%q: no realm", text)
		}
		// Whom a PAC names it is for. Escapes that nobody needs are read, but not written.
		written, when, err := p.Client()
		if err != nil || !strings.Contains(written, `\`) && p.IsForRealm(name, realm, when) != nil {
			t.Errorf("%q is not for %s, %v", text, name.Unparse(realm), err)
		}
	})
}
