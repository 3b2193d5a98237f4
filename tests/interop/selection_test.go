package interop

import (
	"os"
	"slices"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestDumpSelection: what kdb5_util dump writes and says for options and for expressions that select
// principals is what the stock program does.
func TestDumpSelection(t *testing.T) {
	t.Parallel()
	ctx, r, _ := newLoadedRealm(t)
	kadmin(ctx, t, r, `addprinc -clearpolicy -pw pw-of-One-1 "back\\\\slash"`,
		`addprinc -clearpolicy -pw pw-of-One-1 a.b+c{2}[x]`, `addprinc -clearpolicy -pw pw-of-One-1 aab`, `addprinc -clearpolicy -pw pw-of-One-1 "a\\/b"`)
	all := dumpFile(r.Master, "all")
	result, err := ours(ctx, r.Master, "kdb5_util", "dump", all)
	succeeds(t, result, err)
	stock(ctx, t, r.Master, "kdb5_util", "load", all)
	mit := must(testrealm.Stock("kdb5_util"))(t)
	run := func(program string, args ...string) (testrealm.Result, []byte) {
		t.Helper()
		out := dumpFile(r.Master, "selected")
		check(t, os.RemoveAll(out))
		before := []string{"-r", testrealm.RealmName, "dump"}
		if program == "kdc" {
			before = slices.Insert(before, 0, "kdb5_util")
		}
		i := 0
		for i < len(args) && strings.HasPrefix(args[i], "-") && len(args[i]) > 1 {
			i++
		}
		result := must(r.Master.Run(ctx, "", program, slices.Concat(before, args[:i], []string{out}, args[i:])...))(t)
		b, err := os.ReadFile(out)
		if err != nil && result.Status == 0 {
			t.Fatal(err)
		}
		return result, b
	}
	for _, line := range strings.Split(strings.TrimSpace(selections), "\n") {
		args := strings.Split(line, " ; ")
		mine, got := run("kdc", args...)
		theirs, want := run(mit, args...)
		if mine.Status != theirs.Status || (mine.Status == 0) && (mine.Stdout != theirs.Stdout || mine.Stderr != theirs.Stderr) {
			t.Errorf("%s\n ours %d %s%s\n MIT's %d %s%s", line, mine.Status, mine.Stdout, mine.Stderr, theirs.Status, theirs.Stdout, theirs.Stderr)
		}
		if string(got) != string(want) {
			t.Errorf("%s\n ours %q\n MIT's %q", line, namesIn(got), namesIn(want))
		}
	}
	for _, expr := range strings.Split(strings.TrimSpace(badExpressions), "\n") {
		mine, _ := run("kdc", expr)
		fails(t, mine, nil, "regular expression error")
		theirs, names := run(mit, expr)
		if theirs.Status != 0 || len(namesIn(names)) > 0 || !strings.Contains(theirs.Stderr, "regular expression error") {
			t.Errorf("%s: MIT's takes it: %d %.300s", expr, theirs.Status, theirs.Stderr)
		}
	}
	fails(t, first(run("kdc", `(a)\1b.*`)), nil, `\1 is not supported`)
}

func first(r testrealm.Result, _ []byte) testrealm.Result { return r }

// namesIn are the first names in a dump.
func namesIn(dump []byte) (names []string) {
	for l := range strings.Lines(string(dump)) {
		if f := strings.Split(l, "\t"); len(f) > 7 {
			names = append(names, f[6])
		}
		if len(names) > 20 {
			break
		}
	}
	return names
}

// selections are arguments of dump, " ; " between them.
const selections = `
-verbose
-rev
-verbose ; -rev
-recurse
-verbose ; -recurse ; -rev
-verbose ; a.*
-rev ; a.*@.*
a.*
anna
anna.albers@.*
nna.*
anna.*|karl.*
(anna|karl).*
karl ; anna.* ; nothing
karl.* ; k.*
^karl.*$
karl|karl.berg@EXAMPLE.COM
k(a|ar)l.*
k(a|ar|arl)*.*
host/h0[1-3].*
host/h0[^1-3].*
[[:alpha:]]+\.[[:alpha:]]+@.*
[]a].*
[^]a].*
[a-]+.*
a+b@.*
a{2}b@.*
a{1,}b@.*
a{,2}b@.*
a{0,3}b@.*
a.b\+c\{2\}\[x\]@.*
a\.b[+]c[{]2[}][[]x[]]@.*
two words@.*
.*\\\\.*
.*[\].*
.*[\\].*
a[\/]*b@.*
a\\/b@.*
.*\/.*
.*\@.*
.*/.*
\a.*
\k.*
\w+@.*
\w+\W.*
\S+\s\S+
.*\bwords@.*
a**.*
a*+.*
(|a)nna.*
()anna.*
a||b.*
|a.*
a)
[[.a.]]nna.*
[[=a=]]nna.*
\d+.*
\Qa\E.*
.*$.*
a^b
x{256}
`

// badExpressions the stock program complains of once for each principal, writes none, and ends with
// status 0. Ours says it once, with status 1, and writes nothing.
const badExpressions = `
*a.*
+a.*
{a.*
a{.*
a{1.*
a{x}.*
a{3,1}.*
(a
[a
[b-a]
[[:nope:]]
a\
a.*(?i)
(?:a).*
a)|(b
`
