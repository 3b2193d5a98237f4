package krbcrypto

import (
	"errors"
	"slices"
	"testing"
)

// The expectations of this file are the answers of MIT's libkrb5 1.20.1 to the same words.

func TestParseEnctype(t *testing.T) {
	for s, want := range map[string]Enctype{
		"aes256-cts": 18, "aes128-cts": 17, "aes256-sha1": 18, "aes128-sha1": 17,
		"aes256-sha2": 20, "aes128-sha2": 19, "AES256-CTS": 18,
		"aes256-cts-hmac-sha1-96": 18, "aes128-cts-hmac-sha1-96": 17,
		"aes256-cts-hmac-sha384-192": 20, "aes128-cts-hmac-sha256-128": 19,
		"des3-cbc-sha1": 16, "des3-hmac-sha1": 16, "des3-cbc-sha1-kd": 16, "des3-cbc-raw": 6,
		"rc4-hmac": 23, "arcfour-hmac": 23, "arcfour-hmac-md5": 23,
		"arcfour-hmac-exp": 24, "rc4-hmac-exp": 24, "arcfour-hmac-md5-exp": 24,
		"camellia128-cts": 25, "camellia256-cts": 26, "camellia128-cts-cmac": 25, "camellia256-cts-cmac": 26,
	} {
		got, err := ParseEnctype(s)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "aes", "des3", "rc4", "camellia", "des", "DEFAULT", "aes256", "aes128",
		"rc4-md5", "des-cbc-crc", "des-cbc-md5", "des-hmac-sha1", "null", "18", "#18", "0x12"} {
		if got, err := ParseEnctype(s); !errors.Is(err, ErrName) {
			t.Errorf("%q: %d, %v, want ErrName", s, got, err)
		}
	}
}

func TestEnctypeNames(t *testing.T) {
	for e, want := range map[Enctype]string{
		1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 6: "des3-cbc-raw", 8: "des-hmac-sha1",
		16: "des3-cbc-sha1", 17: "aes128-cts-hmac-sha1-96", 18: "aes256-cts-hmac-sha1-96",
		19: "aes128-cts-hmac-sha256-128", 20: "aes256-cts-hmac-sha384-192", 23: "arcfour-hmac",
		24: "arcfour-hmac-exp", 25: "camellia128-cts-cmac", 26: "camellia256-cts-cmac",
		0: "etype 0", -135: "etype -135",
	} {
		if e.String() != want {
			t.Errorf("%d: %q, want %q", int32(e), e, want)
		}
	}
	for _, s := range suites {
		if s.name != s.etype.String() {
			t.Errorf("suite %q is called %q", s.name, s.etype)
		}
	}
	for _, e := range []Enctype{1, 6, 16, 23, 24} {
		if !e.Deprecated() || !e.Known() {
			t.Errorf("%v: not deprecated", e)
		}
	}
	if ETypeAES128SHA1.Deprecated() || Enctype(99).Deprecated() || Enctype(99).Known() || ETypeRC4.Weak() || !ETypeRC4Exp.Weak() {
		t.Error("flags of names")
	}
}

func TestParseEnctypeList(t *testing.T) {
	def := []Enctype{18, 17, 20, 19, 16, 23, 25, 26}
	for _, c := range []struct {
		in   string
		want []Enctype
		bad  bool
	}{
		{in: "DEFAULT", want: def},
		{in: "default", want: def},
		{in: "DEFAULT -rc4", want: []Enctype{18, 17, 20, 19, 16, 25, 26}},
		{in: "aes", want: []Enctype{18, 17, 20, 19}},
		{in: "-aes DEFAULT", want: def},
		{in: "DEFAULT -aes", want: []Enctype{16, 23, 25, 26}},
		{in: "camellia rc4 des3", want: []Enctype{26, 25, 23, 16}},
		{in: "aes256-cts,aes128-sha2\tbogus", want: []Enctype{18, 19}, bad: true},
		{in: "+aes -aes256-cts", want: []Enctype{17, 20, 19}},
		{in: "DEFAULT,-camellia", want: []Enctype{18, 17, 20, 19, 16, 23}},
		{in: "rc4-hmac-exp aes", want: []Enctype{18, 17, 20, 19}},
		{in: "des aes", want: []Enctype{18, 17, 20, 19}},
		{in: "+rc4,+des3", want: []Enctype{23, 16}},
		{in: "aes aes rc4 aes", want: []Enctype{18, 17, 20, 19, 23}},
		{in: "-DEFAULT"},
		{in: ""},
		{in: "bogus", bad: true},
		{in: "DEFAULT +aes256-sha2 - aes", want: def, bad: true},
	} {
		got, err := ParseEnctypeList(c.in)
		if !slices.Equal(got, c.want) || (err != nil) != c.bad || c.bad && !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, %v, want %v", c.in, got, err, c.want)
		}
	}
}

func TestSalt(t *testing.T) {
	comps := []string{"host", "www.example.com"}
	for name, c := range map[string]struct {
		typ  SaltType
		want string
	}{
		"normal":    {SaltNormal, "EXAMPLE.COMhostwww.example.com"},
		"norealm":   {SaltNoRealm, "hostwww.example.com"},
		"onlyrealm": {SaltOnlyRealm, "EXAMPLE.COM"},
		"Special":   {SaltSpecial, "stored"},
	} {
		typ, err := ParseSaltType(name)
		if err != nil || typ != c.typ {
			t.Errorf("%q: %v, %v", name, typ, err)
		}
		got, err := Salt(typ, "EXAMPLE.COM", comps, []byte("stored"))
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %q, %v, want %q", typ, got, err, c.want)
		}
	}
	for _, s := range []string{"v4", "afs3", "certhash", "0", ""} {
		if _, err := ParseSaltType(s); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := Salt(5, "R", nil, nil); !errors.Is(err, ErrUnsupported) || SaltType(5).String() != "salt type 5" {
		t.Errorf("afs3: %v", err)
	}
}
