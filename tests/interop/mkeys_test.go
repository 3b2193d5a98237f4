package interop

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// dates is how list_mkeys prints a time of this run.
var dates = regexp.MustCompile(`Active on: \w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ 20\d\d`)

// util runs kdb5_util on one side of a pair. mit says which program.
func util(ctx context.Context, t *testing.T, h *pairHost, mit bool, stdin string, args ...string) testrealm.Result {
	t.Helper()
	program, args := "kdc", append([]string{"kdb5_util", "-r", testrealm.RealmName}, args...)
	if mit {
		program, args = must(testrealm.Stock("kdb5_util"))(t), args[1:]
	}
	result, err := h.Run(ctx, stdin, program, args...)
	check(t, err)
	result.Stdout = dates.ReplaceAllString(result.Stdout, "Active on: DATE")
	return result
}

// logsIn gets tickets from a host's KDC, which has run since before the master key changed.
func logsIn(ctx context.Context, t *testing.T, h *testrealm.Host, client, user, password string) {
	t.Helper()
	c := must(h.NewClient(client, testrealm.UDP))(t)
	result, err := c.Kinit(ctx, user, password)
	succeeds(t, result, err)
	result, err = c.Kvno(ctx, "host/h01.example.org")
	succeeds(t, result, err)
}

// TestRollover changes the master key of a realm under our programs, and of the same realm under
// the stock ones, while KDCs run: the same words and exit codes at each step, and logins all the
// time. What ours leaves behind, the stock programs then serve.
func TestRollover(t *testing.T) {
	ctx, f, our, mit := newPair(t)
	anna := must(f.Entry("anna.albers"))(t)
	for i, step := range []struct {
		stdin string
		args  string
	}{
		{"", "list_mkeys"},
		{"", "use_mkey 7"},
		{"", "use_mkey 1 nonsense"},
		{"one\nother\n", "add_mkey"},
		{"", "add_mkey -e nonsense"},
		{"a new one\na new one\n", "add_mkey -e aes256-sha2"},
		{"", "list_mkeys"},
		{"", "update_princ_encryption -n -v"},
		{"", "use_mkey 3"},
		{"", "list_mkeys"},
		{"no\n", "update_princ_encryption"},
		{"yes\n", "update_princ_encryption -v a*"},
		{"", "update_princ_encryption -f -v"},
		{"", "update_princ_encryption -f"},
		{"", "stash"},
		{"", "purge_mkeys -n"},
		{"no\n", "purge_mkeys"},
		{"yes\n", "purge_mkeys -v"},
		{"", "purge_mkeys -f"},
		{"", "list_mkeys"},
	} {
		args := strings.Fields(step.args)
		a, b := util(ctx, t, our, false, step.stdin, args...), util(ctx, t, mit, true, step.stdin, args...)
		if a.Status != b.Status || a.Stdout != b.Stdout || a.Stderr != b.Stderr {
			t.Errorf("%s\n ours %d\n%s%s\n MIT's %d\n%s%s", step.args, a.Status, a.Stdout, a.Stderr, b.Status, b.Stdout, b.Stderr)
		}
		switch i {
		case 8: // active, and nothing sealed with it yet: a change is
			must(our.Kadmin(ctx, "cpw -pw after-The-change-1 karl.berg"))(t)
			stock(ctx, t, mit.Host, "kadmin.local", "cpw", "-pw", "after-The-change-1", "karl.berg")
			logsIn(ctx, t, our.Host, "changed", "karl.berg", "after-The-change-1")
		case 11, 12, 18:
			logsIn(ctx, t, our.Host, fmt.Sprint("step", i), anna.Principal, anna.Password)
		}
	}
	served := moveToStock(ctx, t, our.Host)
	logsIn(ctx, t, served, "stock", anna.Principal, anna.Password)
	logsIn(ctx, t, served, "stock-changed", "karl.berg", "after-The-change-1")
	out := stock(ctx, t, served, "kdb5_util", "update_princ_encryption", "-n")
	if !strings.Contains(out, " 0 would be updated") {
		t.Errorf("the stock program would seal anew: %s", out)
	}
}

// moveToStock loads a dump and the stash file of one of our hosts into stock programs on a host
// of their own, whose KDC then runs.
func moveToStock(ctx context.Context, t *testing.T, from *testrealm.Host) *testrealm.Host {
	t.Helper()
	dump := dumpFile(from, "moved.dump")
	must(from.Dump(ctx, "moved.dump"))(t)
	h := must(from.Realm().AddHost("moved"))(t)
	check(t, testrealm.CopyFile(h.Stash, from.Stash))
	stock(ctx, t, h, "kdb5_util", "load", dump)
	must(h.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	return h
}

// TestWrongVersionMended loads an entry that MIT's programs damaged (it names a version of the
// master key that did not seal it), and rolls the master key over: MIT loses the entry's keys,
// ours keeps them, and the stock KDC then has them too.
func TestWrongVersionMended(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	h := r.Master
	// The damage: between use_mkey and stash the stock program seals random keys with the stash
	// file's version.
	damaged := must(r.AddHost("damaged"))(t)
	check(t, testrealm.CopyFile(damaged.Stash, f.Stash))
	stock(ctx, t, damaged, "kdb5_util", "load", f.Dump)
	result, err := damaged.Run(ctx, "k\nk\n", must(testrealm.Stock("kdb5_util"))(t), "-r", testrealm.RealmName, "add_mkey")
	succeeds(t, result, err)
	stock(ctx, t, damaged, "kdb5_util", "use_mkey", "3")
	stock(ctx, t, damaged, "kadmin.local", "addprinc", "-clearpolicy", "-randkey", "svc/damaged")
	stock(ctx, t, damaged, "kadmin.local", "ktadd", "-norandkey", "-k", dumpFile(h, "svc.keytab"), "svc/damaged")
	stock(ctx, t, damaged, "kdb5_util", "dump", dumpFile(h, "damaged.dump"))
	result, err = ours(ctx, h, "kdb5_util", "load", "-force", dumpFile(h, "damaged.dump"))
	succeeds(t, result, err)
	for _, command := range []string{"stash", "update_princ_encryption -f", "purge_mkeys -f"} {
		result, err = ours(ctx, h, "kdb5_util", strings.Fields(command)...)
		succeeds(t, result, err)
	}
	if !strings.Contains(result.Stdout, "2 key(s) purged") {
		t.Errorf("purge said %q", result.Stdout)
	}
	must(h.StartKDC(ctx))(t)
	for _, host := range []*testrealm.Host{h, moveToStock(ctx, t, h)} {
		client := must(host.NewClient("damaged", testrealm.UDP))(t)
		result, err := client.Run(ctx, "", must(testrealm.Stock("kinit"))(t), "-k", "-t", dumpFile(h, "svc.keytab"), "svc/damaged")
		succeeds(t, result, err)
	}
}

// TestRolloverReachesSlave: the master key changes while a slave's KDC runs with the old stash
// file. It serves what comes, through the purge; started anew it asks for the new file.
func TestRolloverReachesSlave(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave := x.Slaves[0]
	kdc := must(slave.StartKDC(ctx))(t)
	run := func(stdin string, args ...string) {
		t.Helper()
		result, err := x.Master.Run(ctx, stdin, "kdc", append([]string{"kdb5_util", "-r", testrealm.RealmName}, args...)...)
		succeeds(t, result, err)
		x.caughtUp(ctx, t)
	}
	run("k\nk\n", "add_mkey", "-s")
	run("", "use_mkey", "3")
	kadmin(ctx, t, x.Realm, "cpw -pw sealed-By-3 goran.dahl")
	x.caughtUp(ctx, t)
	logsIn(ctx, t, slave, "used", "goran.dahl", "sealed-By-3")
	run("", "update_princ_encryption", "-f")
	run("", "purge_mkeys", "-f")
	logsIn(ctx, t, slave, "purged", "goran.dahl", "sealed-By-3")
	kdc.Stop()
	if _, err := slave.StartKDC(ctx); err == nil {
		t.Error("the KDC started with a stash file of a purged version")
	} else if !strings.Contains(err.Error(), slave.Stash) {
		t.Errorf("the stash file is not named: %v", err)
	}
	check(t, testrealm.CopyFile(slave.Stash, x.Master.Stash))
	must(slave.StartKDC(ctx))(t)
	logsIn(ctx, t, slave, "restarted", "goran.dahl", "sealed-By-3")
	x.equal(ctx, t)
}

// TestDumpMkeyConvert: a dump sealed with a new master key, which the stock program opens with the
// password that was typed.
func TestDumpMkeyConvert(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	dump := dumpFile(r.Master, "converted.dump")
	result, err := r.Master.Run(ctx, "the next one\nthe next one\n", "kdc", "kdb5_util", "-r", testrealm.RealmName, "dump", "-mkey_convert", dump)
	succeeds(t, result, err)
	h := must(r.AddHost("mit"))(t)
	check(t, testrealm.CopyFile(h.Stash, r.Master.Stash)) // an older version opens the newest
	stock(ctx, t, h, "kdb5_util", "load", dump)
	stock(ctx, t, h, "kdb5_util", "-P", "the next one", "stash")
	must(h.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	anna := must(f.Entry("anna.albers"))(t)
	logsIn(ctx, t, h, "converted", anna.Principal, anna.Password)
}
