package realmconf

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/profile"
)

const (
	kdcConf = `[kdcdefaults]
	kdc_ports = 750,88
	host_based_services = host http
[realms]
	EXAMPLE.ORG = {
		database_name = /srv/principal
		key_stash_file = /srv/stash
		max_life = 10h 0m 0s
		max_renewable_life = 7d
		supported_enctypes = aes256-sha2:normal bogus aes128-cts:special,aes256-sha2:normal
		default_principal_flags = +preauth, -forwardable
		default_principal_expiration = 20300102030405
		kdc_tcp_listen = 127.0.0.1:8888 [::1] ::1
		host_based_services = imap
		master_key_type = aes128-cts
		dict_file = /srv/words
	}
[krep]
	slave_list = /srv/slaves
	EXAMPLE.ORG = {
		delta_file = /srv/delta
		allow = krep/a@EXAMPLE.ORG, krep/b@EXAMPLE.ORG
		allow = krep/c@EXAMPLE.ORG
	}
[dbmodules]
	mod = {
		database_name = /srv/module
		disable_lockout = yes
	}
`
	krb5Conf = `[libdefaults]
	default_realm = EXAMPLE.ORG
	permitted_enctypes = aes
	clockskew = 1m
[realms]
	EXAMPLE.ORG = {
		kdc = k1:88
		kdc = k2
		max_life = 1h
	}
	SMALL = {
		database_module = mod
	}
`
)

// load reads kdc.conf and krb5.conf with these texts.
func load(t *testing.T, kdc, krb5 string, o Options) (*Conf, error) {
	t.Helper()
	dir := t.TempDir()
	o.KDCProfile, o.Config = filepath.Join(dir, "kdc.conf"), filepath.Join(dir, "krb5.conf")
	for name, text := range map[string]string{o.KDCProfile: kdc, o.Config: krb5} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(o)
}

func mustRealm(t *testing.T, c *Conf, name string) *Realm {
	t.Helper()
	r, err := c.Realm(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRealm(t *testing.T) {
	c, err := load(t, kdcConf, krb5Conf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.DefaultRealm != "EXAMPLE.ORG" || c.ClockSkew != time.Minute || len(c.PermittedEnctypes) != 4 {
		t.Errorf("conf %+v", c)
	}
	if got := c.KDCs("EXAMPLE.ORG"); !slices.Equal(got, []string{"k1:88", "k2"}) {
		t.Errorf("kdcs %q", got)
	}
	got := *mustRealm(t, c, "")
	got.settings = nil
	want := Realm{
		Name: "EXAMPLE.ORG", DatabaseName: "/srv/principal", Database: "/srv/principal.sqlite",
		StashFile: "/srv/stash", MasterKeyName: "K/M", MasterPrincipal: "K/M@EXAMPLE.ORG",
		MasterKeyType: krbcrypto.ETypeAES128SHA1, KeepChanges: 1000,
		MaxLife: 10 * time.Hour, MaxRenewLife: 168 * time.Hour, NewMaxRenewLife: 168 * time.Hour,
		SupportedEnctypes: []KeySalt{{krbcrypto.ETypeAES256SHA2, krbcrypto.SaltNormal},
			{krbcrypto.ETypeAES128SHA1, krbcrypto.SaltSpecial}},
		DefaultFlags:  dumpfmt.AttrRequiresPreAuth | dumpfmt.AttrDisallowForwardable,
		DefaultExpire: uint32(time.Date(2030, 1, 2, 3, 4, 5, 0, time.Local).Unix()),
		DictFile:      "/srv/words", ACLFile: defaultACL,
		KDCListen:     []string{":750", ":88"},
		KDCTCPListen:  []string{"127.0.0.1:8888", "[::1]:88", "[::1]:88"},
		MaxDgramReply: 65536,
		KadmindListen: []string{":749"}, KpasswdListen: []string{":464"},
		HostBased:        []string{"imap", "host", "http"},
		RejectBadTransit: true,
		Krep: Krep{DeltaFile: "/srv/delta", SlaveList: "/srv/slaves", WaitTimeout: 5 * time.Second,
			Allow: []string{"krep/a@EXAMPLE.ORG", "krep/b@EXAMPLE.ORG", "krep/c@EXAMPLE.ORG"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDefaults(t *testing.T) {
	c, err := load(t, kdcConf, krb5Conf, Options{Realm: "OTHER"})
	if err != nil {
		t.Fatal(err)
	}
	r := mustRealm(t, c, "")
	if r.Name != "OTHER" || r.Database != "/var/lib/krb5kdc/principal.sqlite" || r.StashFile != "/etc/krb5kdc/.k5.OTHER" {
		t.Errorf("names %+v", r)
	}
	if r.MaxLife != 24*time.Hour || r.MaxRenewLife != 168*time.Hour || r.NewMaxRenewLife != 0 {
		t.Errorf("lives %v %v %v", r.MaxLife, r.MaxRenewLife, r.NewMaxRenewLife)
	}
	if len(r.SupportedEnctypes) != 2 || r.SupportedEnctypes[0].String() != "aes256-cts-hmac-sha1-96:normal" {
		t.Errorf("enctypes %v", r.SupportedEnctypes)
	}
	if !slices.Equal(r.KDCTCPListen, r.KDCListen) {
		t.Errorf("listen %q, %q", r.KDCListen, r.KDCTCPListen)
	}
	small := mustRealm(t, c, "SMALL")
	if small.DatabaseName != "/srv/module" || !small.DisableLockout {
		t.Errorf("database module: %+v", small)
	}
}

func TestDatabaseOption(t *testing.T) {
	c, err := load(t, kdcConf, krb5Conf, Options{Database: "./mine"})
	if err != nil {
		t.Fatal(err)
	}
	r := mustRealm(t, c, "")
	if r.Database != "./mine.sqlite" {
		t.Errorf("database %q", r.Database)
	}
	i := slices.IndexFunc(r.Settings(), func(s Setting) bool { return s.Name == "database_name" })
	if i < 0 || r.Settings()[i] != (Setting{"database_name", "./mine", "command line"}) {
		t.Errorf("settings %v", r.Settings())
	}
}

func TestSettingsSources(t *testing.T) {
	c, err := load(t, kdcConf, krb5Conf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"max_life": "kdc.conf:8", "kdc_listen": "kdc.conf:2", "acl_file": "default",
		"krep slave_list": "kdc.conf:19", "krep delta_file": "kdc.conf:21", "krep spool": "default",
	}
	for _, s := range mustRealm(t, c, "").Settings() {
		if w, ok := want[s.Name]; ok {
			if !strings.HasSuffix(s.Source, w) {
				t.Errorf("%s from %s, want %s", s.Name, s.Source, w)
			}
			delete(want, s.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("no setting for %v", want)
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range []struct {
		name, relation string
	}{
		{"life", "max_life = 1 day"},
		{"negative life", "max_life = -5"},
		{"flag", "default_principal_flags = +nosuch"},
		{"enctypes", "supported_enctypes = bogus:normal"},
		{"master key type", "master_key_type = bogus"},
		{"expiration", "default_principal_expiration = tomorrow"},
		{"boolean", "disable_pac = perhaps"},
		{"listen", "kdc_listen = 1.2.3.4:port"},
		{"ulog size", "iprop_ulogsize = 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, err := load(t, "[realms]\nR = {\n"+c.relation+"\n}\n", krb5Conf, Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = conf.Realm("R")
			var ve *profile.ValueError
			if !errors.As(err, &ve) || !strings.HasSuffix(ve.Source, "kdc.conf:3") {
				t.Errorf("got %v, want a ValueError with the line", err)
			}
		})
	}
	if _, err := load(t, "", "[libdefaults]\npermitted_enctypes = bogus\n", Options{}); !errors.Is(err, krbcrypto.ErrName) {
		t.Errorf("permitted_enctypes: %v", err)
	}
	c, err := load(t, "", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Realm(""); !errors.Is(err, ErrNoRealm) {
		t.Errorf("no realm: %v", err)
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"88": ":88", "1.2.3.4": "1.2.3.4:88", "1.2.3.4:99": "1.2.3.4:99", "kdc:99": "kdc:99", "kdc": "kdc:88",
		"[::1]:99": "[::1]:99", "[::1]": "[::1]:88", "::1": "[::1]:88", "/run/kdc": "/run/kdc", "*:99": "*:99",
		"70000.example.org": "70000.example.org:88", "70000": "", "1.2.3.4:70000": "", "300.1.2.3": "", "300.1.2.3:88": "",
		"a:b": "", "[::1": "", "[]": "", "1.2.3.4:": "", "x:y:z": "",
	} {
		got, err := ParseListen(in, "88")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestParseFlag(t *testing.T) {
	for _, c := range []struct {
		word      string
		from, to  uint32
		wantError bool
	}{
		{"+allow_tix", 0x40, 0, false},
		{"-allow-tix", 0, 0x40, false},
		{"+DISALLOW_ALL_TIX", 0, 0x40, false},
		{"requires_preauth", 0, 0x80, false},
		{"-preauth", 0xff, 0x7f, false},
		{"+0x80000001", 0, 0x80000001, false},
		{"-0x1", 3, 2, false},
		{"+nosuch", 5, 5, true},
		{"+0x", 5, 5, true},
		{"", 5, 5, true},
	} {
		got, ok := ParseFlag(c.word, c.from)
		if got != c.to || ok == c.wantError {
			t.Errorf("%q: %#x %v, want %#x", c.word, got, ok, c.to)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	want := uint32(time.Date(2031, 12, 24, 18, 5, 6, 0, time.Local).Unix())
	for _, s := range []string{"20311224180506", "2031.12.24.18.05.06", "311224180506", "31.12.24.18.05.06", "24-Dec-2031:18:05:06"} {
		if got, err := ParseTimestamp(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	if got, err := ParseTimestamp("0"); got != 0 || err != nil {
		t.Errorf("0: %d %v", got, err)
	}
	if _, err := ParseTimestamp("never"); err == nil {
		t.Error("never was accepted")
	}
}

// TestSettingsAreDocumented holds docs/ops/administration.md to the settings there are.
func TestSettingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ops/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "", "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range mustRealm(t, c, "R").Settings() {
		if name := strings.TrimPrefix(s.Name, "krep "); !strings.Contains(string(doc), name) {
			t.Errorf("docs/ops/administration.md does not name %s", name)
		}
	}
}

func TestParseWaitTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "700ms": 700 * time.Millisecond, "0.5s": time.Second / 2, "7": 7 * time.Second, "0:30": 30 * time.Minute, "1:30": 0,
		" 1h ": time.Hour, "60m": time.Hour, "": 0, "0": 0, "-1s": 0, "61m": 0, "2d": 0, "soon": 0, "9223372036854775808s": 0,
	} {
		got, err := ParseWaitTimeout(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}
