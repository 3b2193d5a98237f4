package heimdal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
	"krealm/kdc/verify"
)

const (
	testdata = "../../dumpfmt/heimdal/testdata/"
	master   = "K/M@EXAMPLE.COM"
)

var now = time.Unix(1800000000, 0)

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// target is a realm to move into.
func target(t *testing.T) (*dumpfmt.Principal, *mkey.Ring) {
	t.Helper()
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		t.Fatal(err)
	}
	km, ring, err := mkey.NewMaster(master, 7, k, now)
	if err != nil {
		t.Fatal(err)
	}
	return km, ring
}

func heimdalKeys(t *testing.T, path string) []mkey.StashKey {
	t.Helper()
	st, err := mkey.ReadStashOf(path, master)
	if err != nil {
		t.Fatal(err)
	}
	return st.Keys
}

// moved is a dump that was converted, read again.
type moved struct {
	list     map[string]*dumpfmt.Principal
	ring     *mkey.Ring
	warnings []string
}

func (m *moved) warn(line int, name, text string) {
	m.warnings = append(m.warnings, fmt.Sprintf("%d %s: %s", line, name, text))
}

func convert(t *testing.T, path string, keys []mkey.StashKey) *moved {
	t.Helper()
	km, ring := target(t)
	m := &moved{list: make(map[string]*dumpfmt.Principal), ring: ring}
	o := Options{Ring: ring, Now: now, Heimdal: keys, Master: km, Warn: m.warn}
	in := bytes.NewReader(readFile(t, path))
	r := Own(in, o)
	if strings.HasSuffix(path, "mit.dump") {
		var err error
		if r, err = MIT(in, o); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := verify.File(bytes.NewReader(text), verify.Options{Master: master, Ring: ring, Report: func(f verify.Finding) {
		if f.Severity == verify.Error {
			t.Errorf("%s: %v", path, f)
		}
	}})
	if err != nil || sum.Keys != sum.KeysOpened {
		t.Errorf("%s: %+v, %v", path, sum, err)
	}
	in2, err := dumpfmt.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := in2.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		m.list[rec.(*dumpfmt.Principal).Name] = rec.(*dumpfmt.Principal)
	}
}

// password checks that the keys of a version are those of a password.
func (m *moved) password(t *testing.T, name string, kvno uint16, password string) {
	t.Helper()
	p := m.list[name+"@EXAMPLE.COM"]
	if p == nil {
		t.Errorf("no entry %q", name)
		return
	}
	n, err := dumpfmt.ParseName(p.Name, "")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for i := range p.Keys {
		k := &p.Keys[i]
		if k.Kvno != kvno {
			continue
		}
		tried++
		got, err := m.ring.OpenKey(p, k)
		if err != nil {
			t.Fatal(err)
		}
		salt, err := krbcrypto.Salt(krbcrypto.SaltType(k.SaltType), n.Realm, n.Components, k.Salt)
		if err != nil {
			t.Fatal(err)
		}
		want, err := krbcrypto.StringToKey(krbcrypto.Enctype(k.Enctype), []byte(password), salt, nil)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s, version %d, %v: not the key of its password (%v)", name, kvno, krbcrypto.Enctype(k.Enctype), err)
		}
		if k.Ver != 1 {
			t.Errorf("%s: a salt that nobody gave is stored: %+v", name, k)
		}
	}
	if tried != 3 {
		t.Errorf("%s: %d keys of version %d, want 3", name, tried, kvno)
	}
}

// TestMove: realms with master keys of two types, dumped in three ways, open here with the same
// passwords.
func TestMove(t *testing.T) {
	for _, dir := range []string{"des3/", "aes/"} {
		keys := heimdalKeys(t, testdata+dir+"m-key")
		for _, file := range []string{"native.dump", "decrypted.dump", "mit.dump"} {
			m := convert(t, testdata+dir+file, keys)
			for name, password := range map[string]string{"joe user": "pw-joe", "flags": "pw-flags", "expires": "pw-exp", "odd\\/na\\@me\\\\x": "pw-odd", "üser": "pw-utf8"} {
				m.password(t, name, 1, password)
			}
			m.password(t, "bob", 5, "pw-bob")
			m.password(t, "alice", 3, "pw-alice-3")
			m.password(t, "alice", 2, "pw-alice-2")
			m.password(t, "alice", 1, "pw-alice-1")
			entries := 20 // with K/M and two aliases
			if file == "mit.dump" {
				entries = 18
			} else if target, _ := m.list["robert@EXAMPLE.COM"].AliasTarget(); target != "bob@EXAMPLE.COM" {
				t.Errorf("%s: robert is an alias of %q", dir+file, target)
			}
			if len(m.list) != entries || len(m.warnings) > 0 {
				t.Errorf("%s: %d entries, %q", dir+file, len(m.list), m.warnings)
			}
		}
	}
}

// TestWithoutHeimdalsMasterKey: what is not sealed can be had; what is and is old is left out.
func TestWithoutHeimdalsMasterKey(t *testing.T) {
	m := convert(t, testdata+"aes/decrypted.dump", nil)
	m.password(t, "alice", 3, "pw-alice-3")
	if len(m.warnings) != 6 || !strings.Contains(m.warnings[0], "alice@EXAMPLE.COM: left out: old key version 1 (aes256-cts-hmac-sha1-96): sealed by Heimdal's master key") {
		t.Errorf("%q", m.warnings)
	}
	for _, c := range []struct {
		path string
		keys []mkey.StashKey
	}{
		{"aes/native.dump", nil},
		{"aes/native.dump", heimdalKeys(t, testdata+"des3/m-key")},
		{"aes/mit.dump", nil},
	} {
		_, ring := target(t)
		o := Options{Ring: ring, Now: now, Heimdal: c.keys, Warn: func(int, string, string) {}}
		in := bytes.NewReader(readFile(t, testdata+c.path))
		r := Own(in, o)
		line := 1
		if c.path == "aes/mit.dump" {
			line = 2
			r, _ = MIT(in, o)
		}
		_, err := io.ReadAll(r)
		var syntax *dumpfmt.SyntaxError
		if !errors.Is(err, ErrSealed) || !errors.As(err, &syntax) || syntax.Line != line {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}

func TestClearDump(t *testing.T) {
	m := convert(t, testdata+"clear.dump", nil)
	m.password(t, "alice", 2, "pw-alice-2")
	m.password(t, "alice", 1, "pw-alice-1")
	m = convert(t, "../../dumpfmt/testdata/heimdal/heimdal-7.8-mit.dump", nil)
	m.password(t, "alice", 2, "pw-alice-2")
	if when := m.list["alice@EXAMPLE.COM"].LastPwdChange(); when != 0x6b021ed0 {
		t.Errorf("password changed at %#x", when)
	}
}

// Lines of Heimdal's own form that only a hand writes.
func TestOddEntries(t *testing.T) {
	const rest = " - - - - - - - 126 - -\n"
	key := strings.Repeat("00", 32)
	for _, c := range []struct {
		line     string
		warnings []string
		keys     int
		fails    string
	}{
		{"a@EXAMPLE.COM 1::18:" + key + ":-" + rest, nil, 1, ""},
		{"a@EXAMPLE.COM 1" + rest, nil, 0, ""},
		{"a@EXAMPLE.COM 1::3:0123456789ABCDEF:-" + rest, []string{"1 a@EXAMPLE.COM: left out: key version 1 of enctype 3 (des-cbc-md5)",
			"1 a@EXAMPLE.COM: has no key left"}, 0, ""},
		{"a@EXAMPLE.COM 1::18:" + key + ":3/\"salt\"" + rest, nil, 1, ""},
		{"a@EXAMPLE.COM 1::18:" + key + ":10/\"cell\"" + rest, nil, 1, ""},
		{"a@EXAMPLE.COM 1::18:00:-" + rest, nil, 0, "line 1: key version 1 (aes256-cts-hmac-sha1-96) of \"a@EXAMPLE.COM\": aes256-cts-hmac-sha1-96 key of 1 bytes"},
		{"a@EXAMPLE.COM 1:1:18:" + key + ":-" + rest, nil, 0, "sealed by Heimdal's master key"},
		{"K/M@EXAMPLE.COM 1::18:" + key + ":-" + rest, []string{"1 K/M@EXAMPLE.COM: left out: the realm has its own master key"}, -1, ""},
		{"a@EXAMPLE.COM 1 - - 20300101000000 - - - - 62 - -\n", []string{"1 a@EXAMPLE.COM: left out: the time from which on it is valid",
			"1 a@EXAMPLE.COM: left out: that it may not be a client"}, 0, ""},
		{"nonsense\n", nil, 0, "line 1: 1 columns, not 12"},
	} {
		km, ring := target(t)
		m := &moved{}
		r := Own(iotest.OneByteReader(strings.NewReader(c.line)), Options{Ring: ring, Now: now, Master: km, Warn: m.warn})
		text, err := io.ReadAll(iotest.OneByteReader(r))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %s", c.line, err, c.fails)
			}
			continue
		}
		found, ferr := verify.Find(bytes.NewReader(text), "a@EXAMPLE.COM", master)
		if err != nil || ferr != nil {
			t.Errorf("%s: %v, %v", c.line, err, ferr)
			continue
		}
		keys := -1
		if p := found["a@EXAMPLE.COM"]; p != nil {
			keys = len(p.Keys)
			if v, _ := p.MKVNO(); v != 7 {
				t.Errorf("%s: sealed by version %d", c.line, v)
			}
		}
		if keys != c.keys || !slices.Equal(m.warnings, c.warnings) || len(found[master].Keys) != 1 {
			t.Errorf("%s: %d keys, %q", c.line, keys, m.warnings)
		}
	}
	if _, err := MIT(strings.NewReader("nonsense\n"), Options{}); !errors.Is(err, dumpfmt.ErrHeader) {
		t.Errorf("MIT of nonsense: %v", err)
	}
}
