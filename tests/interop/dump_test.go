package interop

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestStockLoadsOurDump: what we dump, stock kdb5_util takes, and dumps again byte for byte, in
// every version it writes.
func TestStockLoadsOurDump(t *testing.T) {
	for _, version := range []string{"", "-r18", "-r13", "-b7"} {
		t.Run("version"+version, func(t *testing.T) {
			t.Parallel()
			ctx, r, _ := newLoadedRealm(t)
			var flags []string
			if version != "" {
				flags = append(flags, version)
			}
			mine, theirs := dumpFile(r.Master, "ours.dump"), dumpFile(r.Master, "stock.dump")
			result, err := ours(ctx, r.Master, "kdb5_util", append(append([]string{"dump"}, flags...), mine)...)
			succeeds(t, result, err)
			stock(ctx, t, r.Master, "kdb5_util", append(append([]string{"load"}, flags...), mine)...)
			stock(ctx, t, r.Master, "kdb5_util", append(append([]string{"dump"}, flags...), theirs)...)
			identical(t, "stock dump of our dump", readFile(t, theirs), readFile(t, mine))
		})
	}
}

// TestWeLoadStockDump: every version that stock kdb5_util writes comes in and goes out unchanged.
func TestWeLoadStockDump(t *testing.T) {
	for _, version := range []string{"", "-r18", "-r13", "-b7"} {
		t.Run("version"+version, func(t *testing.T) {
			t.Parallel()
			ctx, r := newRealm(t)
			f := fixture(t)
			check(t, testrealm.CopyFile(r.Master.Stash, f.Stash))
			stock(ctx, t, r.Master, "kdb5_util", "load", f.Dump)
			theirs, mine := dumpFile(r.Master, "stock.dump"), dumpFile(r.Master, "ours.dump")
			dump := []string{"dump"}
			if version != "" {
				dump = append(dump, version)
			}
			stock(ctx, t, r.Master, "kdb5_util", append(dump, theirs)...)
			result, err := ours(ctx, r.Master, "kdb5_util", "load", theirs)
			succeeds(t, result, err)
			result, err = ours(ctx, r.Master, "kdb5_util", append(dump, mine)...)
			succeeds(t, result, err)
			identical(t, "our dump of the stock dump", readFile(t, mine), readFile(t, theirs))
		})
	}
}

// TestLoadUpdate merges a partial dump made by the stock program.
func TestLoadUpdate(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	stock(ctx, t, r.Master, "kdb5_util", "load", f.Dump)
	stock(ctx, t, r.Master, "kadmin.local", "addprinc", "-clearpolicy", "-pw", "came-later-1", "late")
	stock(ctx, t, r.Master, "kadmin.local", "modprinc", "-maxlife", "1h", "carla.dahl")
	part, whole := dumpFile(r.Master, "part.dump"), dumpFile(r.Master, "whole.dump")
	stock(ctx, t, r.Master, "kdb5_util", "dump", part, "late@"+testrealm.RealmName, "carla.dahl@"+testrealm.RealmName)
	stock(ctx, t, r.Master, "kdb5_util", "dump", whole)
	before := current(ctx, t, r.Master)
	result, err := ours(ctx, r.Master, "kdb5_util", "load", "-update", part)
	succeeds(t, result, err)
	identical(t, "after load -update", must(r.Master.Dump(ctx, "ours.dump"))(t), readFile(t, whole))
	after := current(ctx, t, r.Master)
	if after.Epoch != before.Epoch || after.Serial != before.Serial+2 {
		t.Errorf("load -update of two records went from %v to %v, want two changes in the same epoch", before, after)
	}
}

// TestCreatedRealmMovesOut makes a realm with our programs alone; the stock ones read it with our
// stash file and agree on every principal.
func TestCreatedRealmMovesOut(t *testing.T) {
	ctx, r := newRealm(t)
	result, err := ours(ctx, r.Master, "kdb5_util", "-P", "a master password", "create", "-s")
	succeeds(t, result, err)
	kadmin(ctx, t, r,
		"addpol -minlength 8 -minclasses 2 -history 3 -maxfailure 4 staff",
		"addprinc -policy staff -pw first-Word-1 ann",
		"cpw -pw second-Word-2 ann",
		"cpw -pw third-Word-3 ann",
		"addprinc -randkey -e aes256-sha2,aes128-sha2 host/a.example.org",
		"addprinc -pw odd-name-1 \"two words\"",
		"modprinc -maxlife 2h +requires_preauth -allow_forwardable ann",
	)
	moveOut(ctx, t, r)
	result, err = r.Master.Run(ctx, "", must(testrealm.Stock("kadmin.local"))(t), "-r", testrealm.RealmName,
		"-q", "cpw -pw second-Word-2 ann")
	check(t, err)
	if !strings.Contains(result.Stderr, "Cannot reuse password") {
		t.Errorf("the stock kadmin.local did not read the password history that ours wrote:\n%s%s", result.Stdout, result.Stderr)
	}
}

// TestFixtureGetprincAgrees compares getprinc and getpol of every entry with the stock program's.
func TestFixtureGetprincAgrees(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t)
	moveOut(ctx, t, r)
}

// moveOut loads our dump with the stock kdb5_util and compares what the two kadmin.local say.
func moveOut(ctx context.Context, t *testing.T, r *testrealm.Realm) {
	t.Helper()
	dump := dumpFile(r.Master, "out.dump")
	result, err := ours(ctx, r.Master, "kdb5_util", "dump", dump)
	succeeds(t, result, err)
	stock(ctx, t, r.Master, "kdb5_util", "load", dump)

	names := stock(ctx, t, r.Master, "kadmin.local", "listprincs")
	result, err = ours(ctx, r.Master, "kadmin.local", "listprincs")
	if got := succeeds(t, result, err); got != names {
		t.Errorf("listprincs: %s", lineDiff(got, names))
	}
	policies := stock(ctx, t, r.Master, "kadmin.local", "listpols")
	result, err = ours(ctx, r.Master, "kadmin.local", "listpols")
	if got := succeeds(t, result, err); got != policies {
		t.Errorf("listpols: %s", lineDiff(got, policies))
	}
	var script strings.Builder
	for name := range strings.Lines(names) {
		script.WriteString("getprinc \"" + strings.ReplaceAll(strings.TrimSuffix(name, "\n"), "\"", "\"\"") + "\"\n")
		script.WriteString("getprinc -terse \"" + strings.ReplaceAll(strings.TrimSuffix(name, "\n"), "\"", "\"\"") + "\"\n")
	}
	for name := range strings.Lines(policies) {
		script.WriteString("getpol " + name + "getpol -terse " + name)
	}
	theirs := queries(ctx, t, r.Master, must(testrealm.Stock("kadmin.local"))(t), script.String())
	mine := queries(ctx, t, r.Master, "kdc", script.String())
	if mine != theirs {
		t.Errorf("getprinc and getpol differ: %s", lineDiff(mine, theirs))
	}
}

// queries feeds commands to a kadmin.local and returns its answers. Debian's echoes prompt and
// command when its input is no terminal; those lines are dropped.
func queries(ctx context.Context, t *testing.T, h *testrealm.Host, program, script string) string {
	t.Helper()
	args := []string{"-r", testrealm.RealmName}
	if program == "kdc" {
		args = append([]string{"kadmin.local"}, args...)
	}
	result, err := h.Run(ctx, script, program, args...)
	out := succeeds(t, result, err)
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "kadmin.local:") && !strings.HasPrefix(line, "Authenticating as") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String()) + result.Stderr
}

// lineDiff shows the first line in which two texts differ.
func lineDiff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "line " + strings.Join(g[max(0, i-3):i+1], "\n     ") + "\nwant " + w[i]
		}
	}
	var b bytes.Buffer
	b.WriteString("one ends early; then comes ")
	b.WriteString(strings.Join(append(g[min(len(g), len(w)):], w[min(len(g), len(w)):]...), "\n"))
	return b.String()
}
