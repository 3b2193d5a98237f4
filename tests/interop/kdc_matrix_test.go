package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// site is a realm with a KDC on a host of its own: ours, or the stock krb5kdc.
type site struct {
	*testrealm.Host
	realm string
	stock bool
	kdc   *testrealm.Process
}

// siteConf takes realm, database name, stash file and port.
const siteConf = `[realms]
    %[1]s = {
        database_name = %[2]s
        key_stash_file = %[3]s
        kdc_listen = 127.0.0.1:%[4]d
        kdc_tcp_listen = 127.0.0.1:%[4]d
        max_life = 1d
        max_renewable_life = 7d
    }
`

// newSites creates realms that know of one another and have an empty database each. A name that
// begins with "MIT" is the stock KDC's.
func newSites(t *testing.T, realms ...string) (context.Context, []*site) {
	t.Helper()
	ctx, r := newRealm(t)
	var sites []*site
	for _, name := range realms {
		s := &site{Host: must(r.AddHost(strings.ToLower(name)))(t), realm: name, stock: strings.HasPrefix(name, "MIT")}
		writeFile(t, s.KDCConf, fmt.Appendf(nil, siteConf, name, s.Database, s.Stash, s.KDCPort))
		sites = append(sites, s)
	}
	for _, s := range sites {
		conf := fmt.Sprintf("[libdefaults]\n\tdefault_realm = %s\n\tdns_lookup_kdc = false\n\tdns_lookup_realm = false\n"+
			"\tdns_canonicalize_hostname = false\n\trdns = false\n\tforwardable = true\n[realms]\n", s.realm)
		domains := "[domain_realm]\n"
		for _, other := range sites {
			conf += fmt.Sprintf("\t%s = {\n\t\tkdc = 127.0.0.1:%d\n\t}\n", other.realm, other.KDCPort)
			domains += fmt.Sprintf("\t.%s = %s\n", strings.ToLower(other.realm), other.realm)
		}
		writeFile(t, s.KRB5Conf, []byte(conf+domains))
		s.tool(ctx, t, "kdb5_util", "-P", "master", "create", "-s")
	}
	return ctx, sites
}

// tool runs kdb5_util or kadmin.local on the site's database.
func (s *site) tool(ctx context.Context, t *testing.T, program string, args ...string) string {
	t.Helper()
	args = append([]string{"-r", s.realm}, args...)
	if s.stock {
		program = must(testrealm.Stock(program))(t)
	} else {
		program, args = "kdc", append([]string{program}, args...)
	}
	result, err := s.Run(ctx, "", program, args...)
	return succeeds(t, result, err)
}

func (s *site) kadmin(ctx context.Context, t *testing.T, queries ...string) {
	t.Helper()
	for _, q := range queries {
		s.tool(ctx, t, "kadmin.local", "-q", q)
	}
}

func (s *site) start(ctx context.Context, t *testing.T) {
	t.Helper()
	if s.stock {
		s.kdc = must(s.Start(ctx, "krb5kdc", "-n", "-r", s.realm))(t)
		return
	}
	s.kdc = must(s.Start(ctx, "kdc", "serve", "-n", "-r", s.realm))(t)
}

// keytab writes the keys of services to a new file.
func (s *site) keytab(ctx context.Context, t *testing.T, services ...string) string {
	t.Helper()
	file := dumpFile(s.Host, strings.ReplaceAll(services[0], "/", "_")+".keytab")
	for _, name := range services {
		s.kadmin(ctx, t, "addprinc -randkey "+name, "ktadd -k "+file+" "+name)
	}
	return file
}

// client makes a client of the site's realm that knows all realms.
func (s *site) client(t *testing.T, name string, transport testrealm.Transport) *testrealm.Client {
	t.Helper()
	c := must(s.NewClient(name, transport))(t)
	conf := string(readFile(t, s.KRB5Conf))
	if transport == testrealm.TCP {
		conf = strings.Replace(conf, "[libdefaults]", "[libdefaults]\n\tudp_preference_limit = 1", 1)
	}
	writeFile(t, filepath.Join(c.Dir, "krb5.conf"), []byte(conf))
	return c
}

// run runs a stock client program that has to succeed.
func run(ctx context.Context, t *testing.T, c *testrealm.Client, program string, args ...string) string {
	t.Helper()
	result, err := c.Run(ctx, "", program, args...)
	return succeeds(t, result, err)
}

func login(ctx context.Context, t *testing.T, c *testrealm.Client, user string, options ...string) {
	t.Helper()
	result, err := c.Kinit(ctx, user, "pw-"+strings.ToLower(strings.SplitN(user, "@", 2)[0]), options...)
	succeeds(t, result, err)
}

// TestClientMatrix: the stock client over both transports, with and without FAST, with SPAKE or
// the encrypted timestamp: login, service ticket, renewal, forwarded and proxiable tickets, user
// to user, both kinds of S4U, and a ticket for changing the password.
func TestClientMatrix(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	addLines(t, a.KDCConf, "[libdefaults]\n\tspake_preauth_groups = edwards25519\n")
	a.kadmin(ctx, t,
		"addprinc -pw pw-alice +requires_preauth alice", "addprinc -pw pw-bob bob",
		"addprinc -pw pw-stale +requires_preauth -pwexpire 2020-01-01 stale",
		"addprinc -randkey -allow_svr nosvr")
	keytab := a.keytab(ctx, t, "host/svc.a.test", "HTTP/web.a.test", "HTTP/back.a.test")
	a.kadmin(ctx, t, "setstr HTTP/web.a.test allowed_to_delegate_to host/svc.a.test", "modprinc +ok_to_auth_as_delegate HTTP/web.a.test",
		"setstr HTTP/back.a.test allowed_to_delegate_from HTTP/web.a.test")
	a.start(ctx, t)
	for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
		for _, how := range []string{"timestamp", "spake", "fast"} {
			t.Run(string(transport)+" "+how, func(t *testing.T) {
				matrixRow(ctx, t, a, transport, how, keytab)
			})
		}
	}
}

func matrixRow(ctx context.Context, t *testing.T, a *site, transport testrealm.Transport, how, keytab string) {
	client := func(who string) *testrealm.Client {
		c := a.client(t, strings.Join([]string{string(transport), how, who}, "-"), transport)
		if how == "spake" {
			return c
		}
		file := filepath.Join(c.Dir, "krb5.conf")
		writeFile(t, file, append(readFile(t, file), "[libdefaults]\n\tpreferred_preauth_types = 138,2\n"...))
		return c
	}
	c := client("alice")
	var options []string
	if how == "fast" {
		armor := filepath.Join(c.Dir, "armor")
		login(ctx, t, c, "bob", "-c", armor)
		options = []string{"-T", armor}
	}
	login(ctx, t, c, "alice", append(options, "-f", "-p", "-r", "2d", "-l", "1h")...)
	trace := string(readFile(t, c.Trace))
	if want := map[string]string{"timestamp": "encrypted_timestamp", "spake": "spake", "fast": "encrypted_challenge"}[how]; !strings.Contains(trace, "Preauth module "+want) || strings.Contains(trace, "UDP request") != (transport == testrealm.UDP) {
		t.Errorf("the client did not use %s:\n%s", want, trace)
	}
	checked := func(c *testrealm.Client, args ...string) {
		t.Helper()
		out := run(ctx, t, c, "kvno", append([]string{"-k", keytab}, args...)...)
		if !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno %v said %s", args, out)
		}
	}
	checked(c, "host/svc.a.test")
	run(ctx, t, c, "kinit", "-R")
	checked(c, "host/svc.a.test")
	if out := run(ctx, t, c, "klist", "-f"); !strings.Contains(out, "FPR") || !strings.Contains(out, "renew until") {
		t.Errorf("klist said %s", out)
	}
	t.Run("user to user", func(t *testing.T) {
		bob := client("bob")
		login(ctx, t, bob, "bob")
		out := run(ctx, t, c, "kvno", "--u2u", filepath.Join(bob.Dir, "ccache"), "bob@A.TEST")
		if !strings.HasPrefix(out, "bob@A.TEST: kvno = 0") { // no version: sealed in the session key
			t.Errorf("kvno said %s", out)
		}
		result, err := c.Kvno(ctx, "--u2u", filepath.Join(bob.Dir, "ccache"), "nosvr@A.TEST")
		fails(t, result, err, "don't match")
	})
	t.Run("S4U", func(t *testing.T) {
		web := client("web")
		run(ctx, t, web, "kinit", "-k", "-t", keytab, "HTTP/web.a.test")
		checked(web, "-U", "alice", "HTTP/web.a.test")
		checked(web, "-U", "alice", "-P", "host/svc.a.test")
		checked(web, "-U", "alice", "-P", "HTTP/back.a.test") // resource-based: the client asks for it always
		result, err := web.Kvno(ctx, "-U", "alice", "-P", "bob")
		fails(t, result, err, "KDC can't fulfill requested option")
		host := client("host")
		run(ctx, t, host, "kinit", "-k", "-t", keytab, "host/svc.a.test")
		result, err = host.Kvno(ctx, "-U", "alice", "-P", "HTTP/web.a.test")
		fails(t, result, err, "KDC can't fulfill requested option")
	})
	t.Run("changepw", func(t *testing.T) {
		stale := client("stale")
		login(ctx, t, stale, "stale", append(options, "-S", "kadmin/changepw")...)
		if out := run(ctx, t, stale, "klist", "-f"); !strings.Contains(out, "kadmin/changepw@A.TEST") || !strings.Contains(out, "I") {
			t.Errorf("klist said %s", out)
		}
	})
}

// TestCrossRealm: tickets for services of other realms, between two of ours and between ours and
// a stock KDC in both directions, and by way of a third realm.
func TestCrossRealm(t *testing.T) {
	names := []string{"A.TEST", "B.TEST", "MIT.TEST"}
	ctx, sites := newSites(t, names...)
	keytabs := map[string]string{}
	for _, s := range sites {
		host := "host/svc." + strings.ToLower(s.realm)
		keytabs[s.realm] = s.keytab(ctx, t, host)
		s.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
		for _, other := range names {
			if other == s.realm {
				continue
			}
			for _, tgt := range []string{other + "@" + s.realm, s.realm + "@" + other} {
				s.kadmin(ctx, t, "addprinc -pw between-"+tgt+" krbtgt/"+tgt)
			}
		}
		s.start(ctx, t)
	}
	for _, from := range sites {
		for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
			t.Run("from "+from.realm+" "+string(transport), func(t *testing.T) {
				for _, fast := range []bool{false, true} {
					c := from.client(t, fmt.Sprint("x-", transport, "-", fast), transport)
					var options []string
					if fast {
						armor := filepath.Join(c.Dir, "armor")
						login(ctx, t, c, "alice", "-c", armor)
						options = []string{"-T", armor}
					}
					login(ctx, t, c, "alice", options...)
					for _, to := range sites {
						service := "host/svc." + strings.ToLower(to.realm)
						for _, name := range []string{service + "@" + to.realm, service} {
							args := []string{"-k", keytabs[to.realm], name}
							if name == service {
								args = []string{"-k", keytabs[to.realm], "-S", "host", "svc." + strings.ToLower(to.realm)}
							}
							if out := run(ctx, t, c, "kvno", args...); !strings.Contains(out, service+"@") || !strings.Contains(out, "keytab entry valid") {
								t.Errorf("kvno %s said %s", name, out)
							}
						}
						result, err := c.Kvno(ctx, "host/none."+strings.ToLower(to.realm)+"@"+to.realm)
						fails(t, result, err, "not found in Kerberos database")
					}
				}
			})
		}
	}
}

// TestCapaths: two realms that have only a third in common, which [capaths] names: ours and the stock
// KDC in either place.
func TestCapaths(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "B.TEST", "MITC.TEST")
	a, c := sites[0], sites[2]
	for _, s := range sites {
		for _, tgt := range []string{"B.TEST@A.TEST", "A.TEST@B.TEST", "B.TEST@MITC.TEST", "MITC.TEST@B.TEST"} {
			if strings.HasPrefix(tgt, s.realm+"@") || strings.HasSuffix(tgt, "@"+s.realm) {
				s.kadmin(ctx, t, "addprinc -pw between-"+tgt+" krbtgt/"+tgt)
			}
		}
		s.kadmin(ctx, t, "addprinc -pw pw-alice alice")
	}
	const paths = "[capaths]\n\tA.TEST = {\n\t\tMITC.TEST = B.TEST\n\t}\n\tMITC.TEST = {\n\t\tA.TEST = B.TEST\n\t}\n"
	keytabs := map[*site]string{a: a.keytab(ctx, t, "host/svc.a.test"), c: c.keytab(ctx, t, "host/svc.mitc.test")}
	for _, s := range sites {
		addLines(t, s.KRB5Conf, paths)
		s.start(ctx, t)
	}
	for from, to := range map[*site]*site{a: c, c: a} {
		client := from.client(t, "capaths", testrealm.UDP)
		login(ctx, t, client, "alice")
		service := "host/svc." + strings.ToLower(to.realm) + "@" + to.realm
		if out := run(ctx, t, client, "kvno", "-k", keytabs[to], service); !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno said %s", out)
		}
		if out := run(ctx, t, client, "klist", "-f"); !strings.Contains(out, "krbtgt/"+to.realm+"@B.TEST") || !strings.Contains(out, "T") {
			t.Errorf("klist said %s", out)
		}
	}
}

// TestMixedKDCs: one realm, served by our KDC and by the stock one over the same database. A ticket
// of either is good at the other, PAC included: for service tickets, for renewal, as evidence.
func TestMixedKDCs(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	keytab := a.keytab(ctx, t, "host/svc.a.test")
	a.tool(ctx, t, "kdb5_util", "dump", dumpFile(a.Host, "dump"))
	a.start(ctx, t)
	h := must(a.Realm().AddHost("mit"))(t)
	mit := &site{Host: h, realm: a.realm, stock: true}
	writeFile(t, mit.KDCConf, fmt.Appendf(nil, siteConf, a.realm, mit.Database, mit.Stash, mit.KDCPort))
	writeFile(t, mit.KRB5Conf, []byte(strings.ReplaceAll(string(readFile(t, a.KRB5Conf)), fmt.Sprint(a.KDCPort), fmt.Sprint(mit.KDCPort))))
	check(t, testrealm.CopyFile(mit.Stash, a.Stash))
	mit.tool(ctx, t, "kdb5_util", "load", dumpFile(a.Host, "dump"))
	mit.start(ctx, t)
	for _, way := range []struct{ issuer, other *site }{{a, mit}, {mit, a}} {
		t.Run("issued by "+way.issuer.Name, func(t *testing.T) {
			first, second := way.issuer.client(t, "mixed-first", testrealm.UDP), way.other.client(t, "mixed-second", testrealm.UDP)
			cache := filepath.Join(second.Dir, "ccache")
			login(ctx, t, first, "alice", "-c", cache, "-r", "2d")
			run(ctx, t, second, "kvno", "-k", keytab, "host/svc.a.test")
			run(ctx, t, second, "kinit", "-R")
			run(ctx, t, second, "kvno", "-k", keytab, "host/svc.a.test")

			login(ctx, t, first, "alice", "-c", cache, "-r", "2d", "-S", "host/svc.a.test")
			result, err := second.Run(ctx, "", "kinit", "-R", "-S", "host/svc.a.test")
			if way.other == mit {
				succeeds(t, result, err) // the stock KDC verifies our signatures
			} else if check(t, err); result.Status == 0 {
				// 1.20.1 makes no signature over the whole PAC, without which ours renews nothing.
				t.Error("a service ticket without the full signature was renewed")
			}
		})
	}
}
