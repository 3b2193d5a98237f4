package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestPACOrNone: the stock client with and without a PAC in its TGT: both are good for services, and only the one with
// is good for S4U; and so it is where the realm makes none.
func TestPACOrNone(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "B.TEST")
	a, b := sites[0], sites[1]
	addLines(t, b.KDCConf, "[realms]\n\tB.TEST = {\n\t\tdisable_pac = true\n\t}\n")
	keytabs := map[*site]string{}
	for _, s := range sites {
		s.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
		keytabs[s] = s.keytab(ctx, t, "HTTP/web."+strings.ToLower(s.realm), "host/svc."+strings.ToLower(s.realm))
		s.start(ctx, t)
	}
	for _, c := range []struct {
		name   string
		site   *site
		option string
		pac    bool
	}{{"default", a, "-A", true}, {"asked for", a, "--request-pac", true}, {"declined", a, "--no-request-pac", false}, {"disable_pac", b, "--request-pac", false}} {
		for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
			t.Run(c.name+" "+string(transport), func(t *testing.T) {
				domain := strings.ToLower(c.site.realm)
				client := c.site.client(t, strings.ReplaceAll("pac-"+c.name+"-"+string(transport), " ", "-"), transport)
				login(ctx, t, client, "alice", c.option, "-r", "2d")
				if out := run(ctx, t, client, "kvno", "-k", keytabs[c.site], "host/svc."+domain); !strings.Contains(out, "keytab entry valid") {
					t.Errorf("kvno said %s", out)
				}
				run(ctx, t, client, "kinit", "-R")
				run(ctx, t, client, "kinit", c.option, "-k", "-t", keytabs[c.site], "HTTP/web."+domain)
				result, err := client.Kvno(ctx, "-U", "alice", "HTTP/web."+domain)
				if c.pac {
					succeeds(t, result, err)
				} else {
					fails(t, result, err, "TGT has been revoked")
				}
			})
		}
	}
}

// TestKeysOfEachKind: users and services with one key each, of every encryption type that the stock client knows.
func TestKeysOfEachKind(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	kinds := []string{"aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96", "aes256-cts-hmac-sha384-192", "aes128-cts-hmac-sha256-128",
		"camellia256-cts-cmac", "camellia128-cts-cmac", "arcfour-hmac"}
	keytab := dumpFile(a.Host, "services.keytab")
	for _, kind := range kinds {
		a.kadmin(ctx, t, fmt.Sprintf("addprinc -e %s:normal -pw pw-%s +requires_preauth %s", kind, kind, kind),
			fmt.Sprintf("addprinc -e %s:normal -randkey host/%s", kind, kind), fmt.Sprintf("ktadd -norandkey -k %s host/%s", keytab, kind))
	}
	a.start(ctx, t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := a.client(t, kind, testrealm.UDP)
			login(ctx, t, c, kind)
			if out := run(ctx, t, c, "kvno", "-k", keytab, "host/"+kind); !strings.Contains(out, "keytab entry valid") {
				t.Errorf("kvno said %s", out)
			}
			want := ", " + kind
			if kind == "arcfour-hmac" {
				want = ", DEPRECATED:" + kind
			}
			result, err := c.Klist(ctx)
			if out := succeeds(t, result, err); !strings.Contains(out, want) || strings.Contains(out, "(skey, tkt): DEPRECATED:") {
				t.Errorf("klist said %s", out)
			}
		})
	}
}

// TestKrbtgtRollover: TGTs under the old key stay good while it is kept, and new ones are under the new one.
func TestKrbtgtRollover(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	keytab := a.keytab(ctx, t, "host/svc.a.test", "host/more.a.test")
	a.start(ctx, t)
	c := a.client(t, "old", testrealm.UDP)
	login(ctx, t, c, "alice", "-r", "2d")
	kept := filepath.Join(c.Dir, "kept")
	check(t, testrealm.CopyFile(kept, filepath.Join(c.Dir, "ccache")))
	for round := range 2 {
		a.kadmin(ctx, t, "cpw -randkey -keepold krbtgt/A.TEST")
		for _, args := range [][]string{{"-c", kept}, {}} {
			out := run(ctx, t, c, "kvno", append(args, "-k", keytab, "host/svc.a.test", "host/more.a.test")...)
			if strings.Count(out, "keytab entry valid") != 2 {
				t.Errorf("round %d: kvno said %s", round, out)
			}
		}
		run(ctx, t, c, "kinit", "-R")
		run(ctx, t, c, "kdestroy", "-c", kept)
		check(t, testrealm.CopyFile(kept, filepath.Join(c.Dir, "ccache")))
	}
	login(ctx, t, c, "alice")
	if out := run(ctx, t, c, "kvno", "krbtgt/A.TEST"); !strings.Contains(out, "kvno = 3") {
		t.Errorf("kvno said %s", out)
	}
	a.kadmin(ctx, t, "cpw -randkey krbtgt/A.TEST") // without the old ones
	result, err := c.Kvno(ctx, "-c", kept, "host/more.a.test", "krbtgt/A.TEST")
	check(t, err)
	if result.Status == 0 {
		t.Errorf("a TGT under a key that is gone was good: %s", result.Stdout)
	}
}

// TestHeimdalOptions: what Heimdal's programs can ask for beyond a login. FAST of 7.8 works with no MIT KDC: its outer
// request names neither realm nor server. Ours answers it, but that client does not open the reply.
func TestHeimdalOptions(t *testing.T) {
	ctx, a, _, keytab := newPeerSites(t)
	a.kadmin(ctx, t, "addprinc -pw pw-bob bob")
	c := a.client(t, "heimdal-options", testrealm.UDP)
	password := filepath.Join(c.Dir, "password")
	kinit := func(who string, options ...string) {
		t.Helper()
		writeFile(t, password, []byte("pw-"+who+"\n"))
		result, err := peer(ctx, t, c, "", "usr/bin/kinit.heimdal", append(options, "--password-file="+password, who)...)
		succeeds(t, result, err)
	}
	kinit("bob")
	kinit("alice", "--canonicalize")
	kinit("alice", "--request-pac", "--proxiable", "-l", "10m", "--renewable-life=1d")
	kinit("alice", "--enctypes=aes128-cts-hmac-sha1-96")
	if out := run(ctx, t, c, "klist", "-e"); !strings.Contains(out, "(skey, tkt): aes128-cts-hmac-sha1-96, aes256-cts-hmac-sha1-96") {
		t.Errorf("klist said %s", out)
	}
	result, err := peer(ctx, t, c, "", "usr/bin/kinit.heimdal", "--use-keytab", "-t", keytab, "HTTP/localhost")
	succeeds(t, result, err)
	result, err = peer(ctx, t, c, "", "usr/bin/kgetcred", "--impersonate=alice", "HTTP/localhost")
	succeeds(t, result, err)
	if out := run(ctx, t, c, "klist"); !strings.Contains(out, "for client alice@A.TEST") && !strings.Contains(out, "HTTP/localhost@A.TEST") {
		t.Errorf("klist said %s", out)
	}
}
