package command

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krealm/internal/realmconf"
	"krealm/internal/spake"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/serve"
)

// confLog keeps the lines of a log.
type confLog struct{ lines []string }

func (l *confLog) Exchange(*exchange.Event)          {}
func (l *confLog) Line(_ serve.Level, text string)   { l.lines = append(l.lines, text) }
func (l *confLog) Panic(string, int, string, []byte) {}
func (l *confLog) has(text string) bool              { return strings.Contains(strings.Join(l.lines, "\n"), text) }
func (c *configured) listens() (udp, tcp string) {
	return strings.Join(c.udp, " "), strings.Join(c.tcp, " ")
}

// configured is what a KDC has made of a configuration.
type configured struct {
	s        realm.Settings
	conf     *realmconf.Realm
	all      *realmconf.Conf
	udp, tcp []string
	https    serve.HTTPS
	kpasswd  []string
	log      *confLog
}

// configure reads lines of kdc.conf and of krb5.conf as `kdc serve` does for the realm A.TEST.
func configure(t *testing.T, kdcConf, krb5Conf string) (*configured, error) {
	t.Helper()
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "kdc.conf"), filepath.Join(dir, "krb5.conf")}
	for i, text := range []string{kdcConf, krb5Conf} {
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := realmconf.Load(realmconf.Options{Realm: "A.TEST", KDCProfile: files[0], Config: files[1]})
	if err != nil {
		return nil, err
	}
	conf, err := all.Realm("")
	if err != nil {
		return nil, err
	}
	c := &configured{all: all, conf: conf, log: new(confLog)}
	r := &servedRealm{opts: new(realmOptions), conf: conf, all: all, server: &server{log: &serveLog{Log: c.log}}}
	if c.s, err = r.settings(); err != nil {
		return nil, err
	}
	if c.udp, c.tcp, err = r.addresses(nil, nil); err != nil {
		return nil, err
	}
	if err := r.proxy(&c.https); err != nil {
		return nil, err
	}
	c.kpasswd = r.passwordServers()
	r.tellIgnored()
	return c, nil
}

// TestRelations is section 9.2: what each relation of kdc.conf and krb5.conf does, from either of the
// places it may stand in, or that the log says it does nothing.
func TestRelations(t *testing.T) {
	inRealm := func(lines string) string { return "[realms]\n\tA.TEST = {\n\t\t" + lines + "\n\t}\n" }
	inDefaults := func(lines string) string { return "[kdcdefaults]\n\t" + lines + "\n" }
	inLib := func(lines string) string { return "[libdefaults]\n\t" + lines + "\n" }
	inModule := func(lines string) string { return "[dbmodules]\n\tA.TEST = {\n\t\t" + lines + "\n\t}\n" }
	says := func(text string) func(*configured) bool { return func(c *configured) bool { return c.log.has(text) } }
	silent := func(c *configured) bool { return len(c.log.lines) == 0 }
	const realmOnly, both = 1, 2
	for _, c := range []struct {
		name  string
		lines string
		where int // 0: lines are whole
		holds func(*configured) bool
	}{
		{"nothing", "", 0, func(c *configured) bool {
			udp, tcp := c.listens()
			return udp == ":88" && tcp == ":88" && c.conf.MaxDgramReply == 65536 && c.s.MaxLife == 86400 && c.s.MaxRenewLife == 7*86400 &&
				c.s.RejectBadTransit && c.s.ClockSkew == 300 && !c.s.VagueErrors && !c.s.ASTag && silent(c)
		}},
		{"kdc_listen", "kdc_listen = 127.0.0.1:1 [::1]:2,3;/run/kdc", both, func(c *configured) bool {
			udp, tcp := c.listens()
			return udp == "127.0.0.1:1 [::1]:2 :3 /run/kdc" && tcp == udp
		}},
		{"kdc_ports", "kdc_ports = 750,88", both, func(c *configured) bool { udp, _ := c.listens(); return udp == ":750 :88" }},
		{"kdc_listen before kdc_ports", "kdc_ports = 1\n\tkdc_listen = 2", both, func(c *configured) bool { udp, _ := c.listens(); return udp == ":2" }},
		{"no UDP", `kdc_listen = ""` + "\n\tkdc_tcp_listen = 88", both, func(c *configured) bool { udp, tcp := c.listens(); return udp == "" && tcp == ":88" }},
		{"kdc_tcp_listen", "kdc_tcp_listen = 127.0.0.1:1", both, func(c *configured) bool {
			udp, tcp := c.listens()
			return udp == ":88" && tcp == "127.0.0.1:1"
		}},
		{"kdc_tcp_ports", "kdc_tcp_ports = 99", both, func(c *configured) bool { _, tcp := c.listens(); return tcp == ":99" }},
		{"kdc_max_dgram_reply_size", inDefaults("kdc_max_dgram_reply_size = 10"), 0, func(c *configured) bool { return c.conf.MaxDgramReply == 10 }},
		{"kdc_tcp_listen_backlog", inDefaults("kdc_tcp_listen_backlog = 7"), 0, func(c *configured) bool { return c.conf.TCPBacklog == 7 }},
		{"max_life", "max_life = 10h", realmOnly, func(c *configured) bool { return c.s.MaxLife == 36000 }},
		{"max_renewable_life", "max_renewable_life = 0", realmOnly, func(c *configured) bool { return c.s.MaxRenewLife == 0 }},
		{"host_based_services", inRealm("host_based_services = ftp") + inDefaults("host_based_services = imap, pop"), 0, func(c *configured) bool {
			return slices.Equal(c.s.HostBased, []string{"ftp", "imap", "pop"})
		}},
		{"no_host_referral", "no_host_referral = *", both, func(c *configured) bool { return slices.Equal(c.s.NoHostReferral, []string{"*"}) }},
		{"restrict_anonymous_to_tgt", "restrict_anonymous_to_tgt = yes", both, func(c *configured) bool { return c.s.RestrictAnon }},
		{"reject_bad_transit", "reject_bad_transit = no", realmOnly, func(c *configured) bool { return !c.s.RejectBadTransit }},
		{"disable_pac", "disable_pac = true", realmOnly, func(c *configured) bool { return c.s.DisablePAC }},
		{"encrypted_challenge_indicator", "encrypted_challenge_indicator = ec", realmOnly, func(c *configured) bool { return c.s.ECIndicator == "ec" }},
		{"spake_preauth_indicator", inRealm("spake_preauth_indicator = sp") + inLib("spake_preauth_groups = P-256"), 0, func(c *configured) bool {
			return slices.Equal(c.s.SPAKEIndicators, []string{"sp"})
		}},
		{"spake_preauth_groups", inLib("spake_preauth_groups = P-256 edwards25519"), 0, func(c *configured) bool { return len(c.s.SPAKEGroups) == 2 && silent(c) }},
		{"spake_preauth_groups, unknown", inLib("spake_preauth_groups = P-1 P-256"), 0, says(`spake_preauth_groups: unknown ["P-1"]`)},
		{"spake_preauth_kdc_challenge", inLib("spake_preauth_groups = P-256") + inDefaults("spake_preauth_kdc_challenge = P-256"), 0, func(c *configured) bool {
			g, err := spake.ParseGroup("P-256")
			return err == nil && c.s.SPAKEChallenge == g && silent(c)
		}},
		{"spake_preauth_kdc_challenge, not a group of the list", inLib("spake_preauth_groups = P-256") + inDefaults("spake_preauth_kdc_challenge = P-384"), 0,
			says(`"P-384" is not among spake_preauth_groups`)},
		{"master_key_name", "master_key_name = M/K", realmOnly, func(c *configured) bool { return c.conf.MasterPrincipal == "M/K@A.TEST" }},
		{"master_key_type", "master_key_type = aes128-sha2", realmOnly, func(c *configured) bool { return c.conf.MasterKeyType == 19 }},
		{"key_stash_file", "key_stash_file = /x/stash", realmOnly, func(c *configured) bool { return c.conf.StashFile == "/x/stash" }},
		{"database_name", "database_name = /x/db", realmOnly, func(c *configured) bool { return c.conf.Database == "/x/db.sqlite" }},
		{"database_module", inRealm("database_module = M\n\t\tdatabase_name = /y") + "[dbmodules]\n\tM = {\n\t\tdatabase_name = /x\n\t\tdisable_lockout = true\n\t}\n", 0,
			func(c *configured) bool {
				return c.conf.DatabaseName == "/x" && c.s.DisableLockout && !c.s.DisableSuccess
			}},
		{"disable_last_success", inModule("disable_last_success = true"), 0, func(c *configured) bool { return c.s.DisableSuccess && !c.s.DisableLockout }},
		{"db_library = db2 and its relations", inModule("db_library = db2\n\t\tunlockiter = true\n\t\tmapsize = 512\n\t\tmax_readers = 9\n\t\tnosync = true"), 0, silent},
		{"db_library = kldap", inModule("db_library = kldap"), 0, says(`kdc.conf:3: db_library = "kldap" has no effect: the realm is served from`)},
		{"pkinit_identity", "pkinit_identity = FILE:/x\n\tpkinit_anchors = FILE:/y", both, func(c *configured) bool {
			return c.log.has("pkinit_identity has no effect: PKINIT is not supported") && len(c.log.lines) == 1
		}},
		{"pkinit_indicator", "pkinit_indicator = pk", both, says("pkinit_indicator has no effect")},
		{"otp", "[otp]\n\tMYTYPE = {\n\t\tserver = /run/radius\n\t}\n", 0, says("kdc.conf:2: [otp] MYTYPE has no effect")},
		{"permitted_enctypes", inLib("permitted_enctypes = aes256-sha2 camellia rc4 des-cbc-crc"), 0, func(c *configured) bool {
			return fmt.Sprint(c.s.Permitted) == "[aes256-cts-hmac-sha384-192 camellia256-cts-cmac camellia128-cts-cmac arcfour-hmac]"
		}},
		{"allow_rc4, allow_des3", inLib("allow_rc4 = true\n\tallow_des3 = yes"), 0, func(c *configured) bool { return c.s.AllowRC4 && c.s.AllowDES3 }},
		{"allow_weak_crypto", inLib("allow_weak_crypto = true"), 0, says("allow_weak_crypto has no effect")},
		{"allow_weak_crypto = false", inLib("allow_weak_crypto = false"), 0, silent},
		{"clockskew", inLib("clockskew = 60"), 0, func(c *configured) bool { return c.s.ClockSkew == 60 }},
		{"domain_realm", "[domain_realm]\n\t.b.test = B.TEST\n", 0, func(c *configured) bool {
			return c.s.RealmOf("www.b.test") == "B.TEST" && c.s.RealmOf("b.test") == "" && c.s.RealmOf("a.test") == ""
		}},
		{"capaths", "[capaths]\n\tA.TEST = {\n\t\tC.TEST = B.TEST\n\t\tD.TEST = .\n\t}\n", 0, func(c *configured) bool {
			via, ok := c.s.TransitPath("A.TEST", "C.TEST")
			direct, ok2 := c.s.TransitPath("A.TEST", "D.TEST")
			_, ok3 := c.s.TransitPath("A.TEST", "E.TEST")
			return ok && slices.Equal(via, []string{"B.TEST"}) && ok2 && len(direct) == 0 && !ok3
		}},
		{"vague_errors", "vague_errors = true", both, func(c *configured) bool { return c.s.VagueErrors }},
		{"tgs_check_client", "tgs_check_client = yes", both, func(c *configured) bool { return c.s.StrictClients }},
		{"as_reply_tag", "as_reply_tag = 25", both, func(c *configured) bool { return c.s.ASTag }},
		{"as_reply_tag = 26", "as_reply_tag = 26", both, func(c *configured) bool { return !c.s.ASTag }},
		{"kkdcp_listen", "kkdcp_listen = 127.0.0.1\n\tkkdcp_certificate = /x/pem", both, func(c *configured) bool {
			return slices.Equal(c.https.Listen, []string{"127.0.0.1:443"}) && c.https.CertFile == "/x/pem" && c.https.KeyFile == "/x/pem"
		}},
		{"kpasswd_server", "admin_server = h0:749\n\t\tkpasswd_server = h1\n\t\tkpasswd_server = https://h2/KdcProxy\n\t\tkpasswd_server = [::1]:4640", realmOnly, func(c *configured) bool {
			return slices.Equal(c.kpasswd, []string{"h1:464", "[::1]:4640"})
		}},
		{"admin_server", "admin_server = h0:749", realmOnly, func(c *configured) bool { return slices.Equal(c.kpasswd, []string{"h0:464"}) && silent(c) }},
		{"max_life twice", inRealm("max_life = 1d\n\t\tmax_life = 2h"), 0, func(c *configured) bool {
			return c.s.MaxLife == 86400 && c.log.has(`:3: max_life stands there 2 times: "1d" counts here, "2h" with MIT's krb5kdc`)
		}},
		{"max_life twice the same", inRealm("max_life = 1d\n\t\tmax_life = 1d"), 0, silent},
		{"relations that nobody knows", "no_such_relation = 7", both, silent},
		{"relations of kadmind", "acl_file = /x\n\tdict_file = /y\n\tiprop_enable = true\n\tkadmind_port = 1\n\tkpasswd_listen = 2\n\tdefault_principal_flags = +preauth", realmOnly, silent},
	} {
		t.Run(c.name, func(t *testing.T) {
			var texts []string
			switch c.where {
			case realmOnly:
				texts = []string{inRealm(c.lines)}
			case both:
				texts = []string{inRealm(c.lines), inDefaults(c.lines), inRealm(c.lines) + inDefaults("kdc_listen = 9\n\tkdc_tcp_listen = 9\n\tvague_errors = false\n\tas_reply_tag = 26")}
				if strings.HasPrefix(c.name, "kdc_") || c.name == "no UDP" {
					texts = texts[:2]
				}
			default:
				texts = []string{c.lines}
			}
			for _, text := range texts {
				for _, files := range [][2]string{{text, ""}, {"", text}} { // MIT's programs read both as one
					got, err := configure(t, files[0], files[1])
					if err != nil {
						t.Fatalf("%s: %v", text, err)
					}
					if files[0] == "" && c.where == 0 && strings.Contains(c.name, "db_library = kldap") || files[0] == "" && c.name == "otp" {
						continue // the log names the other file
					}
					if !c.holds(got) {
						t.Errorf("%s\ngave %+v\nudp %q tcp %q https %+v\nlog %q", text, got.s, got.udp, got.tcp, got.https, got.log.lines)
					}
				}
			}
		})
	}
}

// TestBadRelations: a value that cannot be understood is refused with file and line.
func TestBadRelations(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"[kdcdefaults]\n\tvague_errors = perhaps\n", "kdc.conf:2: vague_errors"},
		{"[kdcdefaults]\n\tas_reply_tag = 27\n", `kdc.conf:2: as_reply_tag = "27": neither 25 nor 26`},
		{"[libdefaults]\n\tallow_rc4 = perhaps\n", "kdc.conf:2: allow_rc4"},
		{"[libdefaults]\n\tclockskew = soon\n", "kdc.conf:2: clockskew"},
		{"[kdcdefaults]\n\tkdc_listen = 99999\n", `kdc.conf:2: kdc_listen = "99999": not a port`},
		{"[realms]\n\tA.TEST = {\n\t\tmax_life = long\n\t}\n", "kdc.conf:3: max_life"},
		{"[realms]\n\tA.TEST = {\n\t\treject_bad_transit = perhaps\n\t}\n", "kdc.conf:3: reject_bad_transit"},
	} {
		if _, err := configure(t, c.lines, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngave %v, want %q", c.lines, err, c.want)
		}
	}
}

// TestPluginsAreTolerated: modules in krb5.conf or kdc.conf that this KDC does not have keep it from nothing; those
// of the KDC's own interfaces are named in the log, mechanisms that are switched off are off or named.
func TestPluginsAreTolerated(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		want        []string // in the log, one line each
	}{
		{"of clients and applications", "clpreauth = {\n module = x:/no/such.so\n }\n ccselect = {\n disable = k5identity\n }\n localauth = {\n module = sss:/usr/lib/sss.so\n enable_only = sss\n }\n hostrealm = {\n disable = dns\n }", nil},
		{"of kadmind", "pwqual = {\n module = strong:/no/such.so\n }\n kadm5_hook = {\n module = x:/y.so\n }\n kadm5_auth = {\n disable = acl\n }", nil},
		{"of nobody", "frobnicate = {\n module = x:y\n }", nil},
		{"kdcpolicy", "kdcpolicy = {\n module = xrealmauthz:xrealmauthz.so\n }", []string{`kdcpolicy: module = "xrealmauthz:xrealmauthz.so" is not loaded`}},
		{"kdcpreauth, two", "kdcpreauth = {\n module = a:b\n module = c:d\n }", []string{`kdcpreauth: module = "a:b"`, `kdcpreauth: module = "c:d"`}},
		{"certauth, audit, kdcauthdata", "certauth = {\n module = a:b\n }\n audit = {\n module = c:d\n }\n kdcauthdata = {\n module = e:f\n }",
			[]string{"kdcauthdata: module", "certauth: module", "audit: module"}},
		{"mechanisms that are not there", "kdcpreauth = {\n disable = pkinit\n disable = otp\n }", nil},
		{"SPAKE off", "kdcpreauth = {\n disable = spake\n }", nil},
		{"timestamp off", "kdcpreauth = {\n disable = encrypted_timestamp\n }", nil},
		{"only some", "kdcpreauth = {\n enable_only = encrypted_timestamp\n enable_only = encrypted_challenge\n }", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "[plugins]\n " + c.lines + "\n[libdefaults]\n spake_preauth_groups = P-256\n"
			for _, files := range [][2]string{{text, ""}, {"", text}} {
				got, err := configure(t, files[0], files[1])
				if err != nil {
					t.Fatal(err)
				}
				if len(got.log.lines) != len(c.want) {
					t.Errorf("log %q", got.log.lines)
				}
				for _, w := range c.want {
					if !got.log.has(w) {
						t.Errorf("log %q lacks %q", got.log.lines, w)
					}
				}
				if off := c.name == "timestamp off"; got.s.NoTimestamp != off || got.s.NoChallenge {
					t.Errorf("timestamps off %v, challenges off %v", got.s.NoTimestamp, got.s.NoChallenge)
				}
				if off := strings.Contains(c.name, "SPAKE") || c.name == "only some"; off != (len(got.s.SPAKEGroups) == 0) {
					t.Errorf("SPAKE groups %v", got.s.SPAKEGroups)
				}
			}
		})
	}
}
