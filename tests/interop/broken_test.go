package interop

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"krealm/deltafile"
	"krealm/tests/testrealm"
)

// appendRaw appends lines as a changeset whose frame and hash are right, whatever they are.
func (x *legacy) appendRaw(ctx context.Context, lines string) {
	x.t.Helper()
	cmd := exec.CommandContext(ctx, x.script, x.Master.Delta)
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		x.t.Fatalf("%s: %v\n%s", x.script, err, out)
	}
}

// TestRecordThatCannotBeApplied: a legacy tool appends a line that is none. The slave stops in front of
// it, keeps a copy, both sides say so, and a full copy mends it.
func TestRecordThatCannotBeApplied(t *testing.T) {
	ctx, x := startLegacy(t, "slave1")
	x.krep.Stop()
	slave, goOn := x.Slaves[0], filepath.Join(x.Master.Dir, "go-on")
	x.startKrep(ctx, "until test -e "+goOn+"; do sleep 0.05; done; "+must(testrealm.Stock("kdb5_util"))(t)+" -r "+testrealm.RealmName+" dump")
	x.put(ctx, "good.one", "addprinc -clearpolicy -pw is-Applied-1 good.one")
	x.caughtUp(ctx)
	good := x.end().Serial
	bad := "princ\t38\tno principal at all\n"
	x.appendRaw(ctx, bad)
	check(t, x.krep.WaitLog(ctx, `"state":"broken"`))
	x.put(ctx, "good.two", "addprinc -clearpolicy -pw comes-Behind-1 good.two")

	result, err := slave.Run(ctx, "", "krepd", "status", "-r", testrealm.RealmName)
	check(t, err)
	if result.Status != 2 || !strings.Contains(result.Stdout, "broken") {
		t.Errorf("krepd status: %d\n%s", result.Status, result.Stdout)
	}
	kept := must(filepath.Glob(filepath.Join(slave.Dir, "*.bad")))(t)
	if len(kept) != 1 {
		t.Fatalf("copies of the record: %v", kept)
	}
	if text := string(readFile(t, kept[0])); !strings.Contains(text, bad) {
		t.Errorf("the copy holds %q", text)
	}
	if fi := must(os.Stat(kept[0]))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v", fi.Mode())
	}
	st, _, err := slave.State(ctx)
	check(t, err)
	if st.Serial != good {
		t.Errorf("the slave is at %v, not at %d", st, good)
	}
	base, changes, err := deltafile.ReadAll(x.Master.Delta) // krep delta check would refuse the record
	check(t, err)
	if len(changes) == 0 {
		t.Fatalf("nothing is left in the delta file behind %v", base)
	}
	writeFile(t, goOn, nil)
	wait, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	end := base
	for _, cs := range changes {
		end = end.After(cs)
	}
	must(x.watches[0].Reached(wait, end))(t)
	x.equal(ctx)
	result, err = x.Master.Run(ctx, "", "krep", "status", "-r", testrealm.RealmName)
	succeeds(t, result, err)
}
