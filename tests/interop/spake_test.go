package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// addLines appends lines to a configuration file.
func addLines(t *testing.T, file, lines string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	_, err = f.WriteString(lines)
	check(t, err)
	check(t, f.Close())
}

// preauthenticated is the flag of that name in klist's output.
var preauthenticated = regexp.MustCompile(`Flags: [A-Za-z]*A`)

// TestSPAKE logs in with the stock client and SPAKE, in each group that it knows, with a challenge
// asked for, unasked, and under FAST, over both transports.
func TestSPAKE(t *testing.T) {
	const all = "edwards25519 P-256 P-384 P-521"
	for _, c := range []struct {
		name, kdc, client string // groups
		unasked           string // group
		group             string // number of the group in use
		fast              bool
	}{
		{"by default", all, "", "", "1", false},
		{"P-256", all, "P-256", "", "2", false},
		{"P-384", all, "P-384", "", "3", false},
		{"P-521", all, "P-521", "", "4", false},
		{"the client's order", all, "P-384 edwards25519", "", "3", false},
		{"unasked", all, "", "edwards25519", "1", false},
		{"unasked in a group the client has not", all, "P-256", "edwards25519", "2", false},
		{"FAST", all, "", "", "1", true},
		{"FAST, unasked", all, "P-521", "P-521", "4", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, r, f := newLoadedRealm(t)
			conf := "\n[libdefaults]\n\tspake_preauth_groups = " + c.kdc + "\n"
			if c.unasked != "" {
				conf += "[kdcdefaults]\n\tspake_preauth_kdc_challenge = " + c.unasked + "\n"
			}
			addLines(t, r.Master.KDCConf, conf)
			must(r.Master.StartKDC(ctx))(t)
			anna, armor := must(f.Entry("anna.albers"))(t), must(f.Entry("lax"))(t)
			for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
				client := must(r.Master.NewClient(string(transport), transport))(t)
				if c.client != "" {
					addLines(t, filepath.Join(client.Dir, "krb5.conf"), "\n[libdefaults]\n\tspake_preauth_groups = "+c.client+"\n")
				}
				var options []string
				if c.fast {
					cache := filepath.Join(client.Dir, "armor")
					result, err := client.Kinit(ctx, armor.Principal, armor.Password, "-c", cache)
					succeeds(t, result, err)
					options = []string{"-T", cache}
				}
				result, err := client.Kinit(ctx, anna.Principal, "nonsense", options...)
				fails(t, result, err, "Password incorrect")
				result, err = client.Kinit(ctx, anna.Principal, anna.Password, options...)
				succeeds(t, result, err)
				trace := string(readFile(t, client.Trace))
				if !strings.Contains(trace, "SPAKE challenge received with group "+c.group) || strings.Contains(trace, "Encrypted timestamp (for") {
					t.Errorf("the client did not use SPAKE with group %s:\n%s", c.group, trace)
				}
				result, err = client.Kvno(ctx, "host/h01.example.org")
				succeeds(t, result, err)
				result, err = client.Klist(ctx)
				if out := succeeds(t, result, err); !preauthenticated.MatchString(out) {
					t.Errorf("not marked as preauthenticated: %s", out)
				}
			}
		})
	}
}
