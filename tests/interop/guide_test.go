package interop

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

var guideBlock = regexp.MustCompile("(?s)<!-- run on ([a-z0-9]+)(?:, ([a-z]+) runs)? -->\n```sh\n(.*?)```")

// TestGuide runs the command blocks of the operator's guide, with its directories moved into those
// of the test's hosts.
func TestGuide(t *testing.T) {
	ctx, r := newRealm(t, "slave1")
	f := fixture(t)
	check(t, testrealm.CopyFile(r.Master.Stash, f.Stash))
	stock(ctx, t, r.Master, "kdb5_util", "load", f.Dump) // the old KDC
	hosts := map[string]*testrealm.Host{"master": r.Master, "slave1": r.Slaves[0]}
	started := map[string]bool{}
	blocks := guideBlock.FindAllStringSubmatch(string(readFile(t, "../../docs/ops/guide.md")), -1)
	if len(blocks) < 8 {
		t.Fatalf("%d blocks in the guide", len(blocks))
	}
	for _, b := range blocks {
		h, program, script := hosts[b[1]], b[2], b[3]
		if h == nil {
			t.Fatalf("the guide runs on %q", b[1])
		}
		if b[1] == "slave1" && !started["slave1"] { // "bring the keytab and the stash file to the slave"
			check(t, testrealm.CopyFile(h.Keytab, filepath.Join(r.Master.Dir, "slave1.keytab")))
			check(t, testrealm.CopyFile(h.Stash, r.Master.Stash))
			started["slave1"] = true
		}
		if program != "" && !started["servers"] {
			must(r.Master.StartKDC(ctx))(t)
			must(r.Slaves[0].StartKrepd(ctx))(t)
			says(ctx, t, must(r.Master.StartKrep(ctx))(t), "full copy loaded")
			started["servers"] = true
		}
		runBlock(ctx, t, h, script)
	}
}

func runBlock(ctx context.Context, t *testing.T, h *testrealm.Host, script string) {
	t.Helper()
	script = strings.NewReplacer("/var/lib/krb5kdc/", h.Dir+"/", "/etc/krb5kdc/", h.Dir+"/",
		"/usr/sbin/kdb5_util", must(testrealm.Stock("kdb5_util"))(t)).Replace(script)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Env = append(h.Env(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), " while ") {
		t.Errorf("%v\n%s\n%s", err, script, out)
	}
}
