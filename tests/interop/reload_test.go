package interop

import (
	"strings"
	"syscall"
	"testing"

	"krealm/tests/testrealm"
)

// TestReload: krepd takes up on SIGHUP who may feed it. The master's stream goes on through that, is ended
// when the master is no longer allowed, and comes back when it is again.
func TestReload(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave, krepd := x.Slaves[0], x.krepds[0]
	conf := string(readFile(t, slave.KDCConf))
	allow := "allow = " + x.Master.Principal()
	if !strings.Contains(conf, allow) {
		t.Fatal(conf)
	}
	hup := func(conf, words string) {
		t.Helper()
		writeFile(t, slave.KDCConf, []byte(conf))
		check(t, syscall.Kill(krepd.Pid(), syscall.SIGHUP))
		says(ctx, t, krepd, words)
	}
	feeds := func(name string) {
		t.Helper()
		kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw through-Reload-1 "+name)
		x.caughtUp(ctx, t)
	}
	hup(strings.Replace(conf, allow, "allow = krep/second.example.org "+x.Master.Principal(), 1), "krep/second.example.org@")
	hup(strings.Replace(conf, slave.Spool, slave.Spool+".moved", 1), `"setting":"spool"`)
	hup(strings.Replace(conf, "listen =", "listen = nowhere:at:all", 1), "the old settings stay")
	feeds("undisturbed")
	if log := x.krep.Log(); strings.Contains(log, "stream lost") || strings.Contains(log, "stream ended") {
		t.Errorf("the stream was disturbed:\n%s", log)
	}
	hup(strings.Replace(conf, allow, "allow = krep/second.example.org", 1), "no longer allowed to feed this slave")
	says(ctx, t, x.krep, "no longer allowed to feed this slave")
	says(ctx, t, krepd, "principal not on the allow list")
	hup(conf, `"allow":["`+x.Master.Principal()+`"]`)
	feeds("again")
	x.equal(ctx, t)
	out := must(slave.Must(ctx, "", "krepd", "-r", testrealm.RealmName, "-check"))(t)
	if !strings.Contains(out, "read again on SIGHUP") {
		t.Error(out)
	}
}
