package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// peers is where tests/deps.sh unpacks programs that must not be installed.
func peers(t *testing.T) string {
	t.Helper()
	dir := must(filepath.Abs("../out/peers"))(t)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal("Heimdal's client and Apache are not unpacked (make deps)")
	}
	return dir
}

// libraries is where their libraries are.
func libraries(t *testing.T) string {
	t.Helper()
	return strings.Join(must(filepath.Glob(filepath.Join(peers(t), "usr/lib/*-linux-*")))(t), ":")
}

// peer runs an unpacked program with its own libraries.
func peer(ctx context.Context, t *testing.T, c *testrealm.Client, stdin, program string, args ...string) (testrealm.Result, error) {
	t.Helper()
	args = append([]string{"LD_LIBRARY_PATH=" + libraries(t), filepath.Join(peers(t), program)}, args...)
	return c.Run(ctx, stdin, "env", args...)
}

// newPeerSites is two realms of ours that trust each other, with alice and a service in each.
func newPeerSites(t *testing.T) (context.Context, *site, *site, string) {
	t.Helper()
	ctx, sites := newSites(t, "A.TEST", "B.TEST")
	a, b := sites[0], sites[1]
	for _, s := range sites {
		s.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice",
			"addprinc -pw between-b krbtgt/B.TEST@A.TEST", "addprinc -pw between-a krbtgt/A.TEST@B.TEST",
			"addprinc -randkey host/svc."+strings.ToLower(s.realm))
	}
	keytab := a.keytab(ctx, t, "HTTP/localhost", "HTTP/back.a.test")
	a.kadmin(ctx, t, "setstr HTTP/localhost allowed_to_delegate_to HTTP/localhost")
	for _, s := range sites {
		s.start(ctx, t)
	}
	return ctx, a, b, keytab
}

// TestHeimdalClient: login, renewal, service tickets of both realms, user to user, with Heimdal's
// programs over both transports.
func TestHeimdalClient(t *testing.T) {
	ctx, a, _, _ := newPeerSites(t)
	for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			c := a.client(t, "heimdal-"+string(transport), transport)
			if transport == testrealm.TCP { // Heimdal chooses by the address
				file := filepath.Join(c.Dir, "krb5.conf")
				writeFile(t, file, []byte(strings.ReplaceAll(string(readFile(t, file)), "kdc = ", "kdc = tcp/")))
			}
			password := filepath.Join(c.Dir, "password")
			writeFile(t, password, []byte("wrong\n"))
			result, err := peer(ctx, t, c, "", "usr/bin/kinit.heimdal", "--password-file="+password, "alice")
			fails(t, result, err, "Password incorrect")
			writeFile(t, password, []byte("pw-alice\n"))
			result, err = peer(ctx, t, c, "", "usr/bin/kinit.heimdal", "--password-file="+password, "--forwardable", "--renewable", "-l", "1h", "alice")
			succeeds(t, result, err)
			for _, service := range []string{"host/svc.a.test@A.TEST", "host/svc.b.test@B.TEST"} {
				result, err = peer(ctx, t, c, "", "usr/bin/kgetcred", service)
				succeeds(t, result, err)
			}
			result, err = peer(ctx, t, c, "", "usr/bin/kinit.heimdal", "--renew")
			succeeds(t, result, err)
			result, err = peer(ctx, t, c, "", "usr/bin/kgetcred", "--forward", "--forwardable", "krbtgt/A.TEST@A.TEST")
			succeeds(t, result, err)
			if out := run(ctx, t, c, "klist", "-f"); !strings.Contains(out, "krbtgt/A.TEST@A.TEST") {
				t.Errorf("klist said %s", out)
			}
		})
	}
}

// TestJavaClient: Java's own Kerberos logs in and gets service tickets of both realms.
func TestJavaClient(t *testing.T) {
	ctx, a, _, _ := newPeerSites(t)
	c := a.client(t, "java", testrealm.UDP)
	result, err := c.Run(ctx, "", "javac", "-d", c.Dir, must(filepath.Abs("testdata/Login.java"))(t))
	succeeds(t, result, err)
	java := func(password, service string) (testrealm.Result, error) {
		return c.Run(ctx, "", "java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", c.Dir,
			"-Djava.security.krb5.conf="+filepath.Join(c.Dir, "krb5.conf"), "Login", "alice", password, service)
	}
	for _, realm := range []string{"A.TEST", "B.TEST"} {
		result, err := java("pw-alice", "host@svc."+strings.ToLower(realm))
		if out := succeeds(t, result, err); !strings.HasPrefix(out, "alice@A.TEST to host@svc."+strings.ToLower(realm)) {
			t.Errorf("said %s", out)
		}
	}
	result, err = java("wrong", "host@svc.a.test")
	fails(t, result, err, "(24)") // KDC_ERR_PREAUTH_FAILED
}

// httpdConf takes directory, modules, port and keytab. User and Group count when root starts it.
const httpdConf = `ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/httpd.pid
User nobody
Group nogroup
Mutex pthread
ErrorLog %[1]s/error.log
Listen 127.0.0.1:%[3]d
ServerName localhost
LoadModule mpm_event_module %[2]s/mod_mpm_event.so
LoadModule authn_core_module %[2]s/mod_authn_core.so
LoadModule authz_core_module %[2]s/mod_authz_core.so
LoadModule authz_user_module %[2]s/mod_authz_user.so
LoadModule headers_module %[2]s/mod_headers.so
LoadModule auth_gssapi_module %[2]s/mod_auth_gssapi.so
DocumentRoot %[1]s/www
<Location />
    AuthType GSSAPI
    AuthName test
    GssapiCredStore keytab:%[4]s
    GssapiCredStore client_keytab:%[4]s
    GssapiCredStore ccache:FILE:%[1]s/httpd.ccache
    GssapiDelegCcacheDir %[1]s/delegated
    GssapiUseS4U2Proxy On
    GssapiLocalName Off
    Require valid-user
    Header set X-User expr=%%{REMOTE_USER}
</Location>
`

// TestHTTPService: Apache with mod_auth_gssapi lets curl in with tickets of ours, takes a forwarded
// TGT and uses it, and goes on in the user's name by constrained delegation.
func TestHTTPService(t *testing.T) {
	ctx, a, _, keytab := newPeerSites(t)
	web := a.client(t, "web", testrealm.UDP)
	for _, d := range []string{"www", "delegated"} {
		check(t, os.Mkdir(filepath.Join(web.Dir, d), 0o700))
	}
	writeFile(t, filepath.Join(web.Dir, "www", "index.html"), []byte("let in\n"))
	own := filepath.Join(web.Dir, "keytab")
	check(t, testrealm.CopyFile(own, keytab))
	if os.Getuid() == 0 { // Apache gives up root
		for _, d := range []string{a.Realm().Dir, a.Dir} {
			check(t, os.Chmod(d, 0o711))
		}
		result, err := web.Run(ctx, "", "chown", "-R", "nobody:nogroup", web.Dir)
		succeeds(t, result, err)
	}
	host := must(a.Realm().AddHost("httpd"))(t)
	conf := filepath.Join(web.Dir, "httpd.conf")
	writeFile(t, conf, fmt.Appendf(nil, httpdConf, web.Dir, filepath.Join(peers(t), "usr/lib/apache2/modules"), host.KDCPort, own))
	command := fmt.Sprintf("echo httpd: starting... >&2; KRB5_CONFIG=%s LD_LIBRARY_PATH=%s exec %s -f %s -DFOREGROUND",
		filepath.Join(web.Dir, "krb5.conf"), libraries(t), filepath.Join(peers(t), "usr/sbin/apache2"), conf)
	httpd := must(host.Start(ctx, "sh", "-c", command))(t)
	defer func() {
		httpd.Stop()
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(web.Dir, "error.log"))
			t.Logf("Apache: %s", b)
		}
	}()
	url := fmt.Sprintf("http://localhost:%d/index.html", host.KDCPort)
	alice := a.client(t, "alice", testrealm.UDP)
	curl := func(c *testrealm.Client, cache string, options ...string) string {
		t.Helper()
		args := append([]string{"KRB5CCNAME=FILE:" + cache, "curl", "-s", "-i", "--negotiate", "-u", ":", "--noproxy", "*",
			"--retry-connrefused", "--retry", "20", "--retry-delay", "1"}, options...)
		result, err := c.Run(ctx, "", "env", append(args, url)...)
		return succeeds(t, result, err)
	}
	tickets, delegated := filepath.Join(alice.Dir, "ccache"), filepath.Join(web.Dir, "delegated", "alice@A.TEST")
	if out := curl(alice, tickets); !strings.HasPrefix(out, "HTTP/1.1 401") {
		t.Fatalf("without a ticket: %s", out)
	}
	login(ctx, t, alice, "alice", "-f")
	if out := curl(alice, tickets); !strings.Contains(out, "let in") || !strings.Contains(out, "X-User: alice@A.TEST") {
		t.Fatalf("with a ticket: %s", out)
	}
	t.Run("constrained delegation", func(t *testing.T) {
		// What Apache stored is no ticket of the user but the right to ask for some in his name.
		out := curl(web, delegated)
		if !strings.Contains(out, "let in") || !strings.Contains(out, "X-User: alice@A.TEST") {
			t.Errorf("with the service's right to delegate: %s", out)
		}
		if log := a.kdc.Log(); !strings.Contains(log, `"s4u_client":"alice@A.TEST","s4u_proxy":true`) {
			t.Errorf("the KDC was not asked for a ticket by delegation:\n%s", log)
		}
	})
	t.Run("forwarded", func(t *testing.T) {
		if out := curl(alice, tickets, "--delegation", "always"); !strings.Contains(out, "let in") {
			t.Fatal(out)
		}
		if out := run(ctx, t, web, "klist", "-f", "FILE:"+delegated); !strings.Contains(out, "FfA") {
			t.Errorf("klist said %s", out)
		}
		out := run(ctx, t, web, "kvno", "-c", "FILE:"+delegated, "-k", keytab, "HTTP/back.a.test")
		if !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno said %s", out)
		}
	})
}
