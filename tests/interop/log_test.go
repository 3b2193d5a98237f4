package interop

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// logHead is how a line of a log file begins; the severity is kept.
var logHead = regexp.MustCompile(`(?m)^[A-Z][a-z]{2} [ 0-3][0-9] [0-9:]{8} \S+ krb5kdc\[[0-9]+\](\([A-Za-z]+\): )`)

// moments differ from run to run.
var moments = regexp.MustCompile(`authtime [0-9]+`)

// later are what 1.20.1 wrote otherwise than its successors, or does not know when a request is refused; and the one
// text of a module.
var later = strings.NewReplacer(
	"authtime T, etypes {rep=UNSUPPORTED:(0)} ", "authtime T,  ",
	"2nd tkt client <unknown>", "2nd tkt client bob@A.TEST",
	"CONSTRAINED-DELEGATION s4u-client=<unknown>", "CONSTRAINED-DELEGATION s4u-client=alice@A.TEST",
	"Incorrect password in encrypted challenge", "Preauthentication failed")

// ownLines begins lines that one of the two has no counterpart for: what each says while it starts and ends.
var ownLines = regexp.MustCompile(`^\([A-Za-z]+\): (setting up|set up|listening on|preauth spake|Loaded|commencing|shutting down|closing down|DISPATCH: repeated|debug)`)

// TestLogLines: the same conversations of stock clients leave the same lines in both KDCs' log files, and
// those that watchers of logs ban by.
func TestLogLines(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST", "MIT.TEST")
	var lines [2][]string
	for i, s := range sites {
		log := dumpFile(s.Host, "kdc.log")
		addLines(t, s.KDCConf, "[logging]\n\tkdc = FILE:"+log+"\n[kdcdefaults]\n\tlog_format = mit\n")
		converse(ctx, t, s)
		s.kdc.Stop()
		text := string(readFile(t, log))
		if whole := len(logHead.FindAllString(text, -1)); whole != strings.Count(text, "\n") || whole == 0 {
			t.Errorf("%s: %d lines, of which %d begin as they should:\n%s", s.realm, strings.Count(text, "\n"), whole, text)
		}
		for line := range strings.Lines(logHead.ReplaceAllString(text, "$1")) {
			line = moments.ReplaceAllString(strings.ReplaceAll(strings.TrimSpace(line), "MIT.TEST", "A.TEST"), "authtime T")
			line = strings.ReplaceAll(line, "mit.test", "a.test")
			if !ownLines.MatchString(line) {
				lines[i] = append(lines[i], later.Replace(line))
			}
		}
	}
	identical(t, "log", []byte(strings.Join(lines[0], "\n")), []byte(strings.Join(lines[1], "\n")))
	for _, ban := range []string{
		`^\(info\): AS_REQ \(.*\) 127\.0\.0\.1: PREAUTH_FAILED: alice@A\.TEST for krbtgt/A\.TEST@A\.TEST, Preauthentication failed$`,
		`^\(info\): AS_REQ .* 127\.0\.0\.1: (PREAUTH_FAILED|CLIENT_NOT_FOUND|LOCKED_OUT): nobody@A\.TEST `,
		`^\(info\): AS_REQ .* 127\.0\.0\.1: LOCKED_OUT: locked@A\.TEST `,
		`^\(info\): TGS_REQ .* 127\.0\.0\.1: ISSUE: authtime T, etypes \{rep=.*, tkt=.*, ses=.*\}, alice@A\.TEST for host/svc\.a\.test@A\.TEST$`,
		`^\(info\): \.\.\. PROTOCOL-TRANSITION s4u-client=alice@A\.TEST$`,
	} {
		if !slices.ContainsFunc(lines[0], regexp.MustCompile(ban).MatchString) {
			t.Errorf("no line matches %s", ban)
		}
	}
}

// converse has stock clients ask a site's KDC for everything that leaves a line of its own.
func converse(ctx context.Context, t *testing.T, s *site) {
	t.Helper()
	domain := strings.ToLower(s.realm)
	s.kadmin(ctx, t, "addpol -maxfailure 2 strict", "addprinc -pw pw-alice +requires_preauth alice", "addprinc -pw pw-bob +requires_preauth bob",
		"addprinc -pw pw-locked -policy strict +requires_preauth locked", "addprinc -pw pw-gone -expire 2020-01-01 gone",
		"addprinc -pw pw-stale -pwexpire 2020-01-01 stale", "addprinc -pw pw-off -allow_tix off", "addprinc -randkey -allow_svr nosvr",
		"addprinc -randkey -expire 2020-01-01 host/old."+domain)
	keytab := s.keytab(ctx, t, "host/svc."+domain, "HTTP/web."+domain)
	s.kadmin(ctx, t, "modprinc +ok_to_auth_as_delegate HTTP/web."+domain)
	s.start(ctx, t)
	client := func(name string) *testrealm.Client {
		c := s.client(t, name, testrealm.TCP) // no line is repeated
		writeFile(t, filepath.Join(c.Dir, "krb5.conf"), append(readFile(t, filepath.Join(c.Dir, "krb5.conf")),
			"[libdefaults]\n\tpreferred_preauth_types = 138,2\n\tcanonicalize = false\n"...))
		return c
	}
	any := func(c *testrealm.Client, stdin, program string, args ...string) {
		t.Helper()
		_, err := c.Run(ctx, stdin, program, args...)
		check(t, err)
	}
	alice, bob, web := client("alice"), client("bob"), client("web")
	for _, who := range []string{"alice", "nobody", "locked", "locked", "locked"} {
		any(alice, "wrong\n", "kinit", who)
	}
	for _, who := range []string{"gone", "stale", "off"} {
		any(alice, "pw-"+who+"\n", "kinit", who)
	}
	any(alice, "pw-alice\n", "kinit", "-S", "nosvr", "alice")
	any(alice, "pw-alice\n", "kinit", "-S", "no/such", "alice")
	login(ctx, t, alice, "alice", "-r", "2d", "-f")
	login(ctx, t, bob, "bob")
	armored := filepath.Join(alice.Dir, "armored")
	login(ctx, t, alice, "alice", "-c", armored, "-T", filepath.Join(bob.Dir, "ccache"))
	any(alice, "wrong\n", "kinit", "-c", armored, "-T", filepath.Join(bob.Dir, "ccache"), "alice")
	for _, service := range []string{"host/svc." + domain, "no/such", "nosvr", "host/old." + domain} {
		any(alice, "", "kvno", service)
	}
	any(alice, "", "kinit", "-R")
	any(bob, "", "kinit", "-R") // not renewable
	any(alice, "", "kvno", "--u2u", filepath.Join(bob.Dir, "ccache"), "bob")
	any(alice, "", "kvno", "--u2u", filepath.Join(bob.Dir, "ccache"), "nosvr")
	run(ctx, t, web, "kinit", "-k", "-t", keytab, "HTTP/web."+domain)
	any(web, "", "kvno", "-U", "alice", "HTTP/web."+domain)
	any(web, "", "kvno", "-U", "nobody", "HTTP/web."+domain)
	any(web, "", "kvno", "-U", "alice", "-P", "host/svc."+domain)
}
