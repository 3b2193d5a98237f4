package interop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

const comRealm = "EXAMPLE.COM"

// newComHost is a host of the realm that the delta fixture belongs to.
func newComHost(ctx context.Context, t *testing.T, r *testrealm.Realm, name string) *testrealm.Host {
	t.Helper()
	h := must(r.AddHost(name))(t)
	for _, conf := range []string{h.KRB5Conf, h.KDCConf} {
		writeFile(t, conf, []byte(strings.ReplaceAll(string(readFile(t, conf)), testrealm.RealmName, comRealm)))
	}
	check(t, testrealm.CopyFile(h.Stash, "testdata/delta/base.stash"))
	return h
}

// TestDeltaExport: base.dump and the exported changes, taken in by stock programs and by ours, are
// after.dump to the byte.
func TestDeltaExport(t *testing.T) {
	ctx, r := newRealm(t)
	fixtures := must(filepath.Abs("testdata/delta"))(t)
	changes := must(filepath.Abs("../../krep/delta/testdata/changes.delta"))(t)
	after := readFile(t, filepath.Join(fixtures, "after.dump"))
	for _, side := range []struct {
		name              string
		kdb5util, kadmin  []string
		deletionsComeLast bool
	}{
		{"stock", []string{must(testrealm.Stock("kdb5_util"))(t)}, []string{must(testrealm.Stock("kadmin.local"))(t)}, true},
		{"stock, deletions first", []string{must(testrealm.Stock("kdb5_util"))(t)}, []string{must(testrealm.Stock("kadmin.local"))(t)}, false},
		{"ours", []string{"kdc", "kdb5_util"}, []string{"kdc", "kadmin.local"}, true},
	} {
		t.Run(side.name, func(t *testing.T) {
			h := newComHost(ctx, t, r, strings.NewReplacer(" ", "", ",", "").Replace(side.name))
			run := func(stdin string, program []string, args ...string) {
				t.Helper()
				args = append(append(program[1:len(program):len(program)], "-r", comRealm), args...)
				result, err := h.Run(ctx, stdin, program[0], args...)
				succeeds(t, result, err)
				if strings.Contains(result.Stderr, " while ") {
					t.Errorf("%v: %s", args, result.Stderr)
				}
			}
			run("", side.kdb5util, "load", filepath.Join(fixtures, "base.dump"))
			update, deletions := dumpFile(h, "update.dump"), dumpFile(h, "deletions")
			result, err := h.Run(ctx, "", "krep", "delta", "export", changes, "-o", update, "-deletions", deletions)
			succeeds(t, result, err)
			steps := []func(){
				func() { run("", side.kdb5util, "load", "-update", update) },
				func() { run(string(readFile(t, deletions)), side.kadmin) },
			}
			if !side.deletionsComeLast {
				steps[0], steps[1] = steps[1], steps[0]
			}
			for _, step := range steps {
				step()
			}
			out := dumpFile(h, "after.dump")
			run("", side.kdb5util, "dump", out)
			identical(t, side.name, readFile(t, out), after)
		})
	}
}

// TestDeltaFileIsNoDump: a delta file given to the stock loader by mistake is refused at once.
func TestDeltaFileIsNoDump(t *testing.T) {
	ctx, r := newRealm(t)
	h := newComHost(ctx, t, r, "mistake")
	kdb5util := must(testrealm.Stock("kdb5_util"))(t)
	result, err := h.Run(ctx, "", kdb5util, "-r", comRealm, "load", must(filepath.Abs("../../krep/delta/testdata/changes.delta"))(t))
	fails(t, result, err, "dump header bad")
	if _, err := os.Stat(h.Database); err == nil {
		t.Error("there is a database now")
	}
}
