package interop

import (
	"fmt"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestLogins asks our KDC, with the fixture loaded, as the stock client does.
func TestLogins(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	for _, c := range []struct {
		name, user string
		transport  testrealm.Transport
		service    string
	}{
		{"udp", "anna.albers", testrealm.UDP, "host/h01.example.org"},
		{"tcp", "anna.albers", testrealm.TCP, "host/h01.example.org"},
		{"old master key", "bela.berg", testrealm.UDP, "host/h02.example.org"},
		{"new master key", "tilda.jansen", testrealm.UDP, "HTTP/h30.example.org"},
		{"admin instance", "karl.berg/admin", testrealm.TCP, "ldap/srv.example.org"},
		{"aes256-sha2", "user-aes256-sha2", testrealm.UDP, "service/aes256-sha2.example.org"},
		{"aes128-sha2", "user-aes128-sha2", testrealm.TCP, "service/aes128-sha2.example.org"},
		{"aes256-sha1", "user-aes256-sha1", testrealm.UDP, "service/aes256-sha1.example.org"},
		{"aes128-sha1", "user-aes128-sha1", testrealm.UDP, "service/aes128-sha1.example.org"},
		{"salt norealm", "salt-norealm", testrealm.UDP, "host/h03.example.org"},
		{"salt onlyrealm", "salt-onlyrealm", testrealm.UDP, "host/h03.example.org"},
		{"salt special", "salt-special", testrealm.UDP, "host/h03.example.org"},
		{"renamed", "renamed", testrealm.UDP, "host/h03.example.org"},
		{"no preauthentication", "lax", testrealm.UDP, "web/gate.example.org"},
		{"maximum password life", "centenarian", testrealm.UDP, "host/h03.example.org"},
		{"unlocked", "forgiven", testrealm.UDP, "host/h03.example.org"},
		{"two failures before", "warned", testrealm.UDP, "host/h03.example.org"},
		{"short tickets", "intern", testrealm.UDP, "host/h03.example.org"},
		{"blank inside", "two words", testrealm.UDP, "host/h03.example.org"},
		{"at sign", `joe\@mail.example`, testrealm.UDP, "host/h03.example.org"},
		{"slashes", `slash\/in\/side`, testrealm.UDP, "host/h03.example.org"},
		{"empty component", "x//y", testrealm.UDP, "host/h03.example.org"},
		{"utf-8", "søren.åkesson", testrealm.UDP, "host/h03.example.org"},
		{"four key versions", "david.dahl", testrealm.UDP, "nfs/h01.example.org"},
		{"delegation flags", "david.dahl", testrealm.UDP, "web/gate.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := must(r.Master.NewClient(strings.ReplaceAll(c.name, " ", "-"), c.transport))(t)
			entry := must(f.Entry(c.user))(t)
			result, err := client.Kinit(ctx, c.user, entry.Password)
			succeeds(t, result, err)
			result, err = client.Kvno(ctx, c.service)
			out := succeeds(t, result, err)
			if !strings.HasPrefix(out, c.service+"@"+testrealm.RealmName+": kvno = ") {
				t.Errorf("kvno said %q", out)
			}
			trace := string(readFile(t, client.Trace))
			if tcp := strings.Contains(trace, "TCP request"); tcp != (c.transport == testrealm.TCP) ||
				tcp == strings.Contains(trace, "UDP request") {
				t.Errorf("asked for %s, the client's trace:\n%s", c.transport, trace)
			}
		})
	}
}

// TestRefusedLogins: what MIT's KDC refuses, ours refuses, and the stock client says the same of both.
func TestRefusedLogins(t *testing.T) {
	ctx, _, our, mit := newPair(t)
	for _, c := range []struct{ name, user, password, service, want string }{
		{"wrong password", "anna.albers", "nonsense", "", "Password incorrect"},
		{"previous password", "anna.albers", "anna-of-albers-24", "", "Password incorrect"},
		{"unknown user", "nobody.at.all", "nonsense", "", "not found in Kerberos database"},
		{"expired", "gone", "left-the-house", "", "expired"},
		{"password expired", "stale", "out-of-date", "", ""},
		{"must change the password", "newcomer", "changeme", "", ""},
		{"disabled", "disabled", "disabled-now", "", "revoked"},
		{"locked out", "out", "three-strikes", "", "revoked"},
		{"hardware only", "token", "hardware-only", "", ""},
		{"unknown service", "anna.albers", "third-Word-3", "host/nowhere.example.org", "not found in Kerberos database"},
		{"not a server", "anna.albers", "third-Word-3", "noserver", ""},
		{"disabled service", "anna.albers", "third-Word-3", "disabled", ""},
		{"no preauthentication, but the service wants it", "lax", "without-preauth", "host/h03.example.org", "NO PREAUTH"},
		{"no keys", "keyless", "nonsense", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said [2]string
			for i, h := range []*pairHost{our, mit} {
				client := must(h.NewClient(strings.ReplaceAll("no-"+c.name, " ", "-"), testrealm.UDP))(t)
				result, err := client.Kinit(ctx, c.user, c.password)
				check(t, err)
				if c.service != "" {
					check(t, result.Err())
					result, err = client.Kvno(ctx, c.service)
					check(t, err)
				}
				if result.Status == 0 {
					t.Fatalf("%s: succeeded", h.Name)
				}
				said[i] = result.Stdout + result.Stderr
			}
			if said[0] != said[1] || !strings.Contains(said[0], c.want) {
				t.Errorf("ours: %q\nMIT's: %q\nwanted: %q", said[0], said[1], c.want)
			}
		})
	}
}

// TestLockout: the same row of wrong and right passwords, the same counters, the same lock.
func TestLockout(t *testing.T) {
	ctx, f, our, mit := newPair(t)
	var said [2]string
	for i, h := range []*pairHost{our, mit} {
		client := must(h.NewClient("lockout", testrealm.UDP))(t)
		for _, try := range []struct {
			user  string
			right bool
		}{
			{"warned", false}, {"warned", true}, {"warned", false}, // the right one sets the count to 0
			{"forgiven", false}, {"forgiven", false}, {"forgiven", false}, {"forgiven", false}, {"forgiven", false},
			{"forgiven", true}, // locked by now
			{"out", true},
		} {
			password := "nonsense"
			if try.right {
				password = must(f.Entry(try.user))(t).Password
			}
			result, err := client.Kinit(ctx, try.user, password)
			check(t, err)
			said[i] += fmt.Sprintf("%s %v: %d %s", try.user, try.right, result.Status, result.Stderr)
		}
		h.kdc.Stop() // ours writes counters down in batches, and what is left when it ends
		out := queries(ctx, t, h.Host, h.kadmin, "getprinc -terse warned\ngetprinc -terse forgiven\ngetprinc -terse out\n")
		for line := range strings.Lines(out) {
			fields := strings.Split(line, "\t")
			if len(fields) < 15 {
				t.Fatalf("%s: getprinc -terse said %q", h.Name, line)
			}
			// Last success and last failure are moments of this test: only whether there was one.
			said[i] += fmt.Sprintf("%s %v %v %s\n", fields[0], fields[12] != "0", fields[13] != "0", fields[14])
		}
	}
	if said[0] != said[1] {
		t.Errorf("ours:\n%sMIT's:\n%s", said[0], said[1])
	}
}

// TestTicketsOpenWithStockKeytab: the tickets we issue open under the keys that MIT exported.
func TestTicketsOpenWithStockKeytab(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	keytab := dumpFile(r.Master, "services.keytab")
	check(t, testrealm.CopyFile(keytab, f.Services))
	client := must(r.Master.NewClient("keytab", testrealm.UDP))(t)
	result, err := client.Kinit(ctx, "david.dahl", must(f.Entry("david.dahl"))(t).Password)
	succeeds(t, result, err)
	result, err = client.Kvno(ctx, "-k", keytab, "host/h01.example.org", "host/h30.example.org")
	if out := succeeds(t, result, err); strings.Count(out, "keytab entry valid") != 2 {
		t.Errorf("kvno -k: %s", out)
	}
	t.Run("kinit -k", func(t *testing.T) {
		client := must(r.Master.NewClient("machine", testrealm.UDP))(t)
		result, err := client.Run(ctx, "", "kinit", "-k", "-t", keytab, "host/h07.example.org")
		succeeds(t, result, err)
	})
	t.Run("service ticket straight from AS", func(t *testing.T) {
		client := must(r.Master.NewClient("straight", testrealm.UDP))(t)
		result, err := client.Kinit(ctx, "david.dahl", must(f.Entry("david.dahl"))(t).Password, "-S", "host/h01.example.org")
		succeeds(t, result, err)
	})
}

// TestFlagsAndLives: what was asked for, cut to what the entries and the realm allow, as MIT does.
func TestFlagsAndLives(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	for _, c := range []struct {
		name, user string
		options    []string
		want       []string
		not        []string
	}{
		{"plain", "emil.faro", nil, []string{"Flags: IA"}, []string{"renew until"}},
		{"forwardable, proxiable", "emil.faro", []string{"-f", "-p"}, []string{"Flags: FPIA"}, nil},
		{"renewable", "emil.faro", []string{"-r", "3d"}, []string{"Flags: RIA", "renew until"}, nil},
		{"not allowed", "intern", []string{"-f", "-p", "-r", "3d"}, []string{"Flags: IA"}, []string{"renew until"}},
		{"postdated", "emil.faro", []string{"-s", "1h"}, []string{"i"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := must(r.Master.NewClient(strings.NewReplacer(" ", "-", ",", "").Replace(c.name), testrealm.UDP))(t)
			result, err := client.Kinit(ctx, c.user, must(f.Entry(c.user))(t).Password, c.options...)
			succeeds(t, result, err)
			result, err = client.Klist(ctx)
			out := succeeds(t, result, err)
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("klist lacks %q:\n%s", w, out)
				}
			}
			for _, w := range c.not {
				if strings.Contains(out, w) {
					t.Errorf("klist has %q:\n%s", w, out)
				}
			}
		})
	}
}

func TestRenew(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	client := must(r.Master.NewClient("renew", testrealm.TCP))(t)
	result, err := client.Kinit(ctx, "emil.faro", must(f.Entry("emil.faro"))(t).Password, "-r", "2d", "-l", "1h")
	succeeds(t, result, err)
	result, err = client.Run(ctx, "", "kinit", "-R")
	succeeds(t, result, err)
	result, err = client.Kvno(ctx, "host/h01.example.org")
	succeeds(t, result, err)

	plain := must(r.Master.NewClient("no-renew", testrealm.UDP))(t)
	result, err = plain.Kinit(ctx, "emil.faro", must(f.Entry("emil.faro"))(t).Password)
	succeeds(t, result, err)
	result, err = plain.Run(ctx, "", "kinit", "-R")
	fails(t, result, err, "KDC can't fulfill requested option")
}

// TestGokrb5Login is the client of machines without the stock programs.
func TestGokrb5Login(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	must(r.Master.StartKDC(ctx))(t)
	e := must(f.Entry("anna.albers"))(t)
	tgt, service, err := r.Master.GoLogin(e.Principal, e.Password, "host/h01.example.org")
	check(t, err)
	if tgt != 2 || service != 1 {
		t.Errorf("kvno of krbtgt %d, of the service %d; want 2 and 1", tgt, service)
	}
	if _, _, err := r.Master.GoLogin(e.Principal, "nonsense", "host/h01.example.org"); err == nil {
		t.Error("a wrong password logged in")
	}
}

// TestStockKDCOverOurDump: changes made by our kadmin.local hold under MIT's KDC.
func TestStockKDCOverOurDump(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t)
	keytab := dumpFile(r.Master, "new.keytab")
	kadmin(ctx, t, r,
		"addprinc -policy staff -pw hello-World-1 maria.neu",
		"cpw -pw just-Changed-7 anna.albers",
		"addprinc -clearpolicy -randkey host/new.example.org",
		"ktadd -k "+keytab+" host/new.example.org",
		"addprinc -clearpolicy -e aes256-sha2:normal -pw sha-Two-22 sha2",
		"delprinc -force bela.berg",
	)
	must(r.Master.Dump(ctx, "out.dump"))(t)
	stock(ctx, t, r.Master, "kdb5_util", "load", dumpFile(r.Master, "out.dump"))
	must(r.Master.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	for _, c := range []struct{ user, password string }{
		{"maria.neu", "hello-World-1"}, {"anna.albers", "just-Changed-7"}, {"sha2", "sha-Two-22"},
	} {
		client := must(r.Master.NewClient(c.user, testrealm.UDP))(t)
		result, err := client.Kinit(ctx, c.user, c.password)
		succeeds(t, result, err)
		result, err = client.Kvno(ctx, "-k", keytab, "host/new.example.org")
		if out := succeeds(t, result, err); !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno -k: %s", out)
		}
	}
	client := must(r.Master.NewClient("deleted", testrealm.UDP))(t)
	result, err := client.Kinit(ctx, "bela.berg", "kept-Word-1")
	fails(t, result, err, "not found in Kerberos database")
}
