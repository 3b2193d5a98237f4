package interop

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"krealm/tests/testrealm"
)

// TestPromotion does what the section "Making a slave the master" of docs/ops/replication.md says, with a change
// that the lost master had made and no slave has.
func TestPromotion(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	old, heir, other := x.Master, x.Slaves[0], x.Slaves[1]
	x.krep.Kill()
	kadmin(ctx, t, x.Realm, "modprinc -maxlife 3h carla.dahl", "delprinc -force tilda.jansen")

	x.krepds[0].Stop()
	dump := dumpFile(heir, "promote.dump")
	asked := func(h *testrealm.Host, words ...string) {
		t.Helper()
		result, err := ours(ctx, h, words[0], words[1:]...)
		succeeds(t, result, err)
	}
	asked(heir, "kdb5_util", "dump", dump)
	asked(heir, "kdb5_util", "destroy", "-f")
	edit := func(h *testrealm.Host, pairs ...string) {
		t.Helper()
		writeFile(t, h.KDCConf, []byte(strings.NewReplacer(pairs...).Replace(string(readFile(t, h.KDCConf)))))
	}
	edit(heir, "        allow = krep/master.example.org@"+testrealm.RealmName+"\n", "",
		"        spool = ", "        slave_list = "+heir.SlaveList+"\n        delta_file = "+heir.Delta+"\n        was_spool = ")
	asked(heir, "kdb5_util", "load", dump)
	writeFile(t, heir.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n127.0.0.1:%d %s\n", other.KrepdPort, other.Principal(), old.KrepdPort, old.Principal()))
	edit(other, "krep/master.example.org", "krep/slave1.example.org")
	check(t, syscall.Kill(x.krepds[1].Pid(), syscall.SIGHUP))
	must(heir.StartKDC(ctx))(t)
	krep := must(heir.StartKrep(ctx))(t)

	edit(old, "        delta_file = ", "        allow = krep/slave1.example.org\n        spool = "+old.Spool+"\n        listen = 127.0.0.1:"+strconv.Itoa(old.KrepdPort)+"\n        was_delta = ")
	result, err := old.Run(ctx, "", "krepd", "-r", testrealm.RealmName)
	fails(t, result, err, "database is the master's", "krep delta export", "kdb5_util destroy")
	rest, deletions := dumpFile(old, "rest.dump"), dumpFile(old, "rest.commands")
	if _, err := old.Must(ctx, "", "krep", "delta", "export", "-o", rest, "-deletions", deletions, old.Delta); err != nil {
		t.Fatal(err)
	}
	asked(heir, "kdb5_util", "load", "-update", rest)
	if commands := string(readFile(t, deletions)); !strings.Contains(commands, "tilda.jansen") {
		t.Errorf("deletions: %q", commands)
	} else if _, err := heir.Must(ctx, commands, "kdc", "kadmin.local"); err != nil {
		t.Fatal(err)
	}
	want := must(old.Dump(ctx, "lost.dump"))(t)
	asked(old, "kdb5_util", "destroy", "-f")
	must(old.StartKrepd(ctx))(t)
	asked(heir, "kadmin.local", "-wait", "all", "-wait-timeout", "1m", "modprinc", "-maxlife", "5h", "anna.albers")
	has := must(heir.Dump(ctx, "equal.dump"))(t)
	for _, h := range []*testrealm.Host{other, old} {
		identical(t, h.Name, must(h.Dump(ctx, "equal.dump"))(t), has)
	}
	if n, m := strings.Count(string(has), "\n"), strings.Count(string(want), "\n"); n != m {
		t.Errorf("%d lines after it, %d before", n, m)
	}
	says(ctx, t, krep, "full copy loaded")
}
