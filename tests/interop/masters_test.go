package interop

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// twoMasters is a master and a relay, both of which feed a slave that connects.
type twoMasters struct {
	*testrealm.Realm
	middle, slave *testrealm.Host
	ports         [2]int // of the master and of the relay, for the slave

	krep, middleKrep, middleKrepd, krepd *testrealm.Process
	atMiddle, atSlave                    *testrealm.Watch
}

func startTwoMasters(t *testing.T) (context.Context, *twoMasters) {
	t.Helper()
	ctx, r, _ := newLoadedRealm(t, "middle", "slave1")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	x := &twoMasters{Realm: r, middle: r.Slaves[0], slave: r.Slaves[1], ports: [2]int{freePort(t), freePort(t)}}
	for _, h := range r.Slaves { // their own KDCs have nothing yet
		conf := strings.ReplaceAll(string(readFile(t, h.KRB5Conf)), strconv.Itoa(h.KDCPort), strconv.Itoa(r.Master.KDCPort))
		writeFile(t, h.KRB5Conf, []byte(conf))
	}
	connects := "slave1.example.org connects\n"
	writeFile(t, r.Master.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n%s", x.middle.KrepdPort, x.middle.Principal(), connects))
	writeFile(t, x.middle.SlaveList, []byte(connects))
	relay := fmt.Sprintf("        delta_file = %s\n        slave_list = %s\n        krepd_control = %s\n        spool =", x.middle.Delta, x.middle.SlaveList, x.middle.Dir+"/krepd-control")
	writeFile(t, x.middle.KDCConf, []byte(strings.Replace(string(readFile(t, x.middle.KDCConf)), "        spool =", relay, 1)))
	x.atMiddle, x.atSlave = watch(ctx, t, x.middle), watch(ctx, t, x.slave)
	x.krep, x.middleKrepd = x.startKrep(ctx, t, r.Master, 0), must(x.middle.StartKrepd(ctx))(t)
	must(x.atMiddle.Reached(ctx, current(ctx, t, r.Master)))(t)
	x.middleKrep = x.startKrep(ctx, t, x.middle, 1)
	x.krepd = must(x.slave.Start(ctx, "krepd", "-r", testrealm.RealmName, "-connect", fmt.Sprintf("127.0.0.1:%d %s", x.ports[0], r.Master.Principal()),
		"-connect", fmt.Sprintf("127.0.0.1:%d %s", x.ports[1], x.middle.Principal())))(t)
	return ctx, x
}

func (x *twoMasters) startKrep(ctx context.Context, t *testing.T, h *testrealm.Host, port int) *testrealm.Process {
	t.Helper()
	return must(h.Start(ctx, "krep", "-r", testrealm.RealmName, "-listen", "127.0.0.1:"+strconv.Itoa(x.ports[port])))(t)
}

// status is what krepd says on the slave.
func (x *twoMasters) status(ctx context.Context, t *testing.T) string {
	t.Helper()
	return must(x.slave.Run(ctx, "", "krepd", "status", "-r", testrealm.RealmName))(t).Stdout
}

// fed makes a change, waits until the slave has it, and compares whom it has it from and how many full copies it
// has had.
func (x *twoMasters) fed(ctx context.Context, t *testing.T, name string, by *testrealm.Host, copies int) {
	t.Helper()
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw two-Masters-1 "+name)
	must(x.atSlave.Reached(ctx, current(ctx, t, x.Master)))(t)
	if out := x.status(ctx, t); !strings.Contains(out, by.Principal()) {
		t.Errorf("%s: not fed by %s:\n%s", name, by.Name, out)
	}
	says(ctx, t, x.krepd, `"epoch":"`+current(ctx, t, x.slave).Epoch.String()+`"`) // the line of the copy comes behind the load
	if n := strings.Count(x.krepd.Log(), "full copy loaded"); n != copies {
		t.Errorf("%s: %d full copies, want %d", name, n, copies)
	}
}

// TestTwoMasters: a slave that connects goes from the master that has paused it to the relay, and stays there; and
// back when that is gone. A relay that has stayed behind in an old epoch does not get it, however
// long the master is away; when the relay has caught up it does. No way costs a full copy.
func TestTwoMasters(t *testing.T) {
	ctx, x := startTwoMasters(t)
	x.fed(ctx, t, "first", x.Master, 1)
	must(x.Master.Must(ctx, "", "krep", "pause", "slave1.example.org"))(t)
	says(ctx, t, x.krepd, "feeder does not feed this slave")
	says(ctx, t, x.middleKrep, "slave has connected")
	x.fed(ctx, t, "paused", x.middle, 1)
	must(x.Master.Must(ctx, "", "krep", "resume", "slave1.example.org"))(t)
	x.fed(ctx, t, "resumed", x.middle, 1) // it is well where it is
	x.middleKrep.Kill()
	x.fed(ctx, t, "relay-gone", x.Master, 1)

	x.middleKrep = x.startKrep(ctx, t, x.middle, 1)
	x.middleKrepd.Kill() // and so the relay stays in its epoch
	old := current(ctx, t, x.middle)
	result, err := ours(ctx, x.Master, "kdb5_util", "load", dumpOfMaster(ctx, t, x.Realm))
	succeeds(t, result, err)
	x.fed(ctx, t, "loaded", x.Master, 2)
	x.krep.Kill()
	says(ctx, t, x.krepd, "this master is in another epoch than the slave")
	says(ctx, t, x.middleKrep, "this master is in another epoch than the slave")
	if at := current(ctx, t, x.slave); at.Epoch == old.Epoch {
		t.Errorf("the slave went back to %v", at)
	}
	x.krep = x.startKrep(ctx, t, x.Master, 0)
	x.fed(ctx, t, "master-back", x.Master, 2)

	x.middleKrepd = must(x.middle.StartKrepd(ctx))(t)
	must(x.atMiddle.Reached(ctx, current(ctx, t, x.Master)))(t)
	x.krep.Kill()
	for ctx.Err() == nil && !strings.Contains(x.status(ctx, t), x.middle.Principal()) {
	}
	if at, want := current(ctx, t, x.slave), current(ctx, t, x.Master); !at.Same(want) {
		t.Errorf("the slave is at %v, the master at %v", at, want)
	}
	x.krep = x.startKrep(ctx, t, x.Master, 0)
	x.fed(ctx, t, "caught-up", x.middle, 2)
	identical(t, "slave1", must(x.slave.Dump(ctx, "end.dump"))(t), must(x.Master.Dump(ctx, "end.dump"))(t))
}
