package interop

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"krealm/tests/testrealm"
)

// replicating is a realm with the fixture on its master, replicating to its slaves.
type replicating struct {
	*testrealm.Realm
	krep    *testrealm.Process
	krepds  []*testrealm.Process
	watches []*testrealm.Watch
}

func startReplicating(t testing.TB, slaves ...string) (context.Context, *replicating) {
	t.Helper()
	ctx, r, _ := newLoadedRealm(t, slaves...)
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	x := &replicating{Realm: r}
	for _, h := range r.Slaves {
		x.krepds = append(x.krepds, must(h.StartKrepd(ctx))(t))
		w := h.WatchDatabase(ctx)
		t.Cleanup(w.Close)
		x.watches = append(x.watches, w)
	}
	x.krep = must(r.Master.StartKrep(ctx))(t)
	x.caughtUp(ctx, t)
	return ctx, x
}

// caughtUp waits until every slave has what the master has now.
func (x *replicating) caughtUp(ctx context.Context, t testing.TB) {
	t.Helper()
	want := current(ctx, t, x.Master)
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for _, w := range x.watches {
		must(w.Reached(ctx, want))(t)
	}
}

// equal compares the dumps and the content digests of all hosts.
func (x *replicating) equal(ctx context.Context, t testing.TB) {
	t.Helper()
	want := must(x.Master.Dump(ctx, "equal.dump"))(t)
	state, digest, err := x.Master.State(ctx)
	check(t, err)
	for _, h := range x.Slaves {
		identical(t, h.Name, must(h.Dump(ctx, "equal.dump"))(t), want)
		s, d, err := h.State(ctx)
		check(t, err)
		if d != digest || !s.Same(state) {
			t.Errorf("%s: state %v digest %v, the master has %v %v", h.Name, s, d, state, digest)
		}
	}
}

func TestReplication(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	x.equal(ctx, t)
	for _, query := range []string{
		"addprinc -policy staff -pw hello-World-1 maria.neu",
		"cpw -pw just-Changed-7 anna.albers",
		"modpol -minlength 9 staff",
		"addpol -history 2 fresh",
		"delpol -force fresh",
		"modprinc -maxlife 3h carla.dahl",
		"delprinc -force tilda.jansen",
		`addprinc -clearpolicy -pw odd-name-2 "three odd words"`,
	} {
		kadmin(ctx, t, x.Realm, query)
		x.caughtUp(ctx, t)
	}
	x.equal(ctx, t)
	for _, h := range x.Slaves {
		must(h.StartKDC(ctx))(t)
		client := must(h.NewClient("after", testrealm.UDP))(t)
		result, err := client.Kinit(ctx, "anna.albers", "just-Changed-7")
		succeeds(t, result, err)
		result, err = client.Kvno(ctx, "host/h01.example.org")
		succeeds(t, result, err)
		result, err = client.Kinit(ctx, "tilda.jansen", "tilda-of-jansen-24")
		fails(t, result, err, "not found in Kerberos database")
	}
}

// TestSlaveRefusesChanges: what is changed on a slave would be lost; it is refused.
func TestSlaveRefusesChanges(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave := x.Slaves[0]
	result, err := ours(ctx, slave, "kadmin.local", "addprinc", "-clearpolicy", "-pw", "on-The-slave-1", "lost")
	fails(t, result, err, "replica")
	one := dumpFile(slave, "one.dump")
	result, err = ours(ctx, x.Master, "kdb5_util", "dump", one, "carla.dahl@"+testrealm.RealmName)
	succeeds(t, result, err)
	result, err = ours(ctx, slave, "kdb5_util", "load", "-update", one)
	fails(t, result, err, "replica")
	result, err = ours(ctx, slave, "kadmin.local", "getprinc", "carla.dahl") // reading is free
	succeeds(t, result, err)
	x.equal(ctx, t)
}

// TestResyncPauseResume: the three commands that steer one slave.
func TestResyncPauseResume(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	first, second := fmt.Sprintf("127.0.0.1:%d", x.Slaves[0].KrepdPort), x.watches[1]
	krep := func(args ...string) {
		t.Helper()
		must(x.Master.Must(ctx, "", "krep", args...))(t)
	}
	for { // both are streaming: status 0
		result, err := x.Master.Run(ctx, "", "krep", "status")
		check(t, err)
		if result.Status == 0 && strings.Count(result.Stdout, "streaming") == 2 {
			break
		}
	}
	krep("resync", first)
	says(ctx, t, x.krep, "asked for by the administrator")
	krep("pause", first)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw meanwhile-1 meanwhile")
	want := current(ctx, t, x.Master)
	must(second.Reached(ctx, want))(t) // the other one goes on
	if got := current(ctx, t, x.Slaves[0]); got.Serial >= want.Serial {
		t.Errorf("the paused slave is at %v", got)
	}
	krep("resume", first)
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
	for string(readFile(t, x.Master.Delta+".resync")) != "" { // the copy is there, and about to be noted
		check(t, ctx.Err())
	}
	x.krep.Kill()
	x.krep = must(x.Master.StartKrep(ctx))(t)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw again-1 again")
	x.caughtUp(ctx, t)
	if log := x.krep.Log(); strings.Contains(log, "full copy") {
		t.Errorf("what was done is done again after a restart:\n%s", log)
	}
}

// TestSlaveKDCFollows: a KDC that runs on the slave answers with a change as soon as the slave's
// database has it.
func TestSlaveKDCFollows(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	must(x.Slaves[0].StartKDC(ctx))(t)
	client := must(x.Slaves[0].NewClient("follow", testrealm.UDP))(t)
	for i := range 5 {
		password := fmt.Sprintf("changed-Again-%d", i)
		kadmin(ctx, t, x.Realm, "cpw -pw "+password+" goran.dahl")
		x.caughtUp(ctx, t)
		result, err := client.Kinit(ctx, "goran.dahl", password)
		succeeds(t, result, err)
	}
}

// TestFullLoadReachesSlaves: a load on the master begins a new epoch; the slaves follow by snapshot.
func TestFullLoadReachesSlaves(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	before := current(ctx, t, x.Master)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw gone-With-1 short.lived")
	x.caughtUp(ctx, t)
	dump := dumpFile(x.Master, "equal.dump")
	x.equal(ctx, t)
	kadmin(ctx, t, x.Realm, "delprinc -force short.lived")
	result, err := ours(ctx, x.Master, "kdb5_util", "load", dump)
	succeeds(t, result, err)
	after := current(ctx, t, x.Master)
	if after.Epoch == before.Epoch {
		t.Fatal("a full load began no new epoch")
	}
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw still-Going-1 after.load")
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
}

// TestKillNine kills krepd and krep while changes go on, several times over.
func TestKillNine(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	changes := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				changes <- nil
				return
			default:
			}
			_, err = x.Master.Kadmin(ctx, fmt.Sprintf("addprinc -clearpolicy -pw while-Killed-%d walker%03d", i, i))
		}
		changes <- err
	}()
	grow := func(n uint64) { // waits until the master has made n more changes
		watch := x.Master.WatchDatabase(ctx)
		defer watch.Close()
		want := current(ctx, t, x.Master)
		want.Serial += n
		must(watch.Reached(ctx, want))(t)
	}
	for round := range 3 {
		grow(2)
		x.krepds[round%2].Kill()
		grow(3)
		x.krepds[round%2] = must(x.Slaves[round%2].StartKrepd(ctx))(t)
		grow(1)
		x.krep.Kill()
		grow(3)
		x.krep = must(x.Master.StartKrep(ctx))(t)
	}
	for i := range x.krepds { // right after one another: the spool may hold what is not applied
		x.krepds[i].Kill()
		x.krepds[i] = must(x.Slaves[i].StartKrepd(ctx))(t)
	}
	close(stop)
	check(t, <-changes)
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
}

// TestServersStopOnTerm: SIGTERM ends each program with status 0 within seconds.
func TestServersStopOnTerm(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	kdc := must(x.Slaves[0].StartKDC(ctx))(t)
	for _, p := range []*testrealm.Process{x.krep, x.krepds[0], kdc} {
		start := time.Now()
		if status := p.Stop(); status != 0 {
			t.Errorf("%s: exit status %d after SIGTERM in %v\n%s", p.Name, status, time.Since(start), p.Log())
		}
	}
}

// TestNoSecretsInLogs looks for passwords in what all servers wrote.
func TestNoSecretsInLogs(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	kdc := must(x.Slaves[0].StartKDC(ctx))(t)
	kadmin(ctx, t, x.Realm, "cpw -pw top-Secret-99 anna.albers")
	x.caughtUp(ctx, t)
	client := must(x.Slaves[0].NewClient("secret", testrealm.UDP))(t)
	result, err := client.Kinit(ctx, "anna.albers", "top-Secret-99")
	succeeds(t, result, err)
	for _, p := range []*testrealm.Process{x.krep, x.krepds[0], kdc} {
		if strings.Contains(p.Log(), "top-Secret-99") {
			t.Errorf("%s logged a password", p.Name)
		}
	}
}
