package interop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"krealm/tests/testrealm"
)

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}

// watch waits on a host's database.
func watch(ctx context.Context, t *testing.T, h *testrealm.Host) *testrealm.Watch {
	t.Helper()
	w := h.WatchDatabase(ctx)
	t.Cleanup(w.Close)
	return w
}

// TestTicketsOfTheStockKDC: krep's ticket may come from any KDC of the realm, MIT's too.
func TestTicketsOfTheStockKDC(t *testing.T) {
	ctx, r, f := newLoadedRealm(t, "slave1")
	check(t, r.MakeKeytabs(ctx))
	mit := must(r.AddHost("mit"))(t)
	check(t, testrealm.CopyFile(mit.Stash, f.Stash))
	dump := dumpFile(r.Master, "for-mit.dump")
	result, err := ours(ctx, r.Master, "kdb5_util", "dump", dump)
	succeeds(t, result, err)
	stock(ctx, t, mit, "kdb5_util", "load", dump)
	must(mit.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	conf := strings.ReplaceAll(string(readFile(t, r.Master.KRB5Conf)), strconv.Itoa(r.Master.KDCPort), strconv.Itoa(mit.KDCPort))
	writeFile(t, r.Master.KRB5Conf, []byte(conf))

	w := watch(ctx, t, r.Slaves[0])
	must(r.Slaves[0].StartKrepd(ctx))(t)
	krep := must(r.Master.StartKrep(ctx))(t)
	must(w.Reached(ctx, current(ctx, t, r.Master)))(t)

	// And MIT's KDC says no to a slave that it does not know.
	kadmin(ctx, t, r, "addprinc -clearpolicy -randkey krep/slave9.example.org")
	list := string(readFile(t, r.Master.SlaveList)) + "127.0.0.1:1 krep/slave9.example.org\n"
	writeFile(t, r.Master.SlaveList, []byte(list))
	says(ctx, t, krep, "127.0.0.1:1")
}

// TestWrongPrincipals: a slave that expects another master, and a master that expects another
// slave: refused, logged, nothing spooled.
func TestWrongPrincipals(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t, "slave1", "slave2")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	strict := must(r.Slaves[0].Start(ctx, "krepd", "-r", testrealm.RealmName, "-allow", "krep/other.example.org"))(t)
	other := must(r.Slaves[1].StartKrepd(ctx))(t)
	writeFile(t, r.Master.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n127.0.0.1:%d %s\n",
		r.Slaves[0].KrepdPort, r.Slaves[0].Principal(), r.Slaves[1].KrepdPort, r.Slaves[0].Principal()))
	krep := must(r.Master.StartKrep(ctx))(t)
	says(ctx, t, strict, "principal not on the allow list")
	says(ctx, t, strict, `"client":"krep/master.example.org@`)
	says(ctx, t, other, "no key for the ticket in the keytab")
	says(ctx, t, krep, "refused by the other side")
	for _, h := range r.Slaves {
		if _, err := os.Stat(h.Spool); err == nil {
			t.Errorf("%s: something was spooled", h.Name)
		}
	}
}

// TestSlaveThatConnects: a slave that cannot be dialled dials; krep and krepd are killed in turn.
func TestSlaveThatConnects(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t, "slave1")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	slave, port := r.Slaves[0], freePort(t)
	// The slave's tickets come from the master's KDC: its own has nothing yet.
	conf := strings.ReplaceAll(string(readFile(t, slave.KRB5Conf)), strconv.Itoa(slave.KDCPort), strconv.Itoa(r.Master.KDCPort))
	writeFile(t, slave.KRB5Conf, []byte(conf))
	writeFile(t, r.Master.SlaveList, []byte("slave1.example.org connects\n"))
	startKrep := func() *testrealm.Process {
		return must(r.Master.Start(ctx, "krep", "-r", testrealm.RealmName, "-listen", "127.0.0.1:"+strconv.Itoa(port)))(t)
	}
	startKrepd := func() *testrealm.Process {
		return must(slave.Start(ctx, "krepd", "-r", testrealm.RealmName, "-connect", fmt.Sprintf("127.0.0.1:%d %s", freePort(t), r.Master.Principal()),
			"-connect", fmt.Sprintf("127.0.0.1:%d %s", port, r.Master.Principal())))(t)
	}
	w := watch(ctx, t, slave)
	krep, krepd := startKrep(), startKrepd()
	for round := range 3 {
		kadmin(ctx, t, r, fmt.Sprintf("addprinc -clearpolicy -pw round-Number-%d round%d", round, round))
		must(w.Reached(ctx, current(ctx, t, r.Master)))(t)
		switch round {
		case 0:
			krepd.Kill()
			krepd = startKrepd()
		case 1:
			krep.Kill()
			krep = startKrep()
		}
	}
	identical(t, "slave1", must(slave.Dump(ctx, "end.dump"))(t), must(r.Master.Dump(ctx, "end.dump"))(t))
	out := must(r.Master.Must(ctx, "", "krep", "status"))(t)
	if !strings.Contains(out, "slave1.example.org  streaming") {
		t.Errorf("status:\n%s", out)
	}
	// A pause is said once by each side, and over as soon as it ends.
	must(r.Master.Must(ctx, "", "krep", "pause", "slave1.example.org"))(t)
	says(ctx, t, krep, "slave connects and is not fed")
	says(ctx, t, krepd, "feeder does not feed this slave")
	if out := must(r.Master.Run(ctx, "", "krep", "status"))(t).Stdout; !strings.Contains(out, "slave1.example.org  paused") {
		t.Errorf("status:\n%s", out)
	}
	kadmin(ctx, t, r, "addprinc -clearpolicy -pw while-Paused-1 paused")
	must(r.Master.Must(ctx, "", "krep", "resume", "slave1.example.org"))(t)
	must(w.Reached(ctx, current(ctx, t, r.Master)))(t)
	// Somebody else, with a ticket as good, is no slave of the list.
	writeFile(t, r.Master.SlaveList, []byte("slave7.example.org connects\n"))
	says(ctx, t, krep, "principal not on the allow list")
}

// TestRelay: master, a slave with a krep of its own, and that one's slave; the middle is killed
// and comes back; epoch, serial and hash pass through.
func TestRelay(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t, "middle")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	middle := r.Slaves[0]
	leaf := must(r.AddHost("leaf"))(t)
	check(t, r.MakeKeytab(ctx, leaf))
	check(t, testrealm.CopyFile(leaf.Stash, r.Master.Stash)) // for kdb5_util dump
	allow := "-allow=" + middle.Principal()
	krepdLeaf := must(leaf.Start(ctx, "krepd", "-r", testrealm.RealmName, allow))(t)
	writeFile(t, middle.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n", leaf.KrepdPort, leaf.Principal()))
	// The middle's krep asks the master's KDC; after a first full copy its own would do as well.
	conf := strings.ReplaceAll(string(readFile(t, middle.KRB5Conf)), strconv.Itoa(middle.KDCPort), strconv.Itoa(r.Master.KDCPort))
	writeFile(t, middle.KRB5Conf, []byte(conf))
	relay := fmt.Sprintf("        delta_file = %s\n        slave_list = %s\n        krepd_control = %s\n        spool =", middle.Delta, middle.SlaveList, middle.Dir+"/krepd-control")
	writeFile(t, middle.KDCConf, []byte(strings.Replace(string(readFile(t, middle.KDCConf)), "        spool =", relay, 1)))
	startMiddle := func() (krepd, krep *testrealm.Process) {
		return must(middle.StartKrepd(ctx))(t), must(middle.StartKrep(ctx))(t)
	}
	wMiddle, wLeaf := watch(ctx, t, middle), watch(ctx, t, leaf)
	krepd, krep := startMiddle()
	must(r.Master.StartKrep(ctx))(t)
	for round := range 4 {
		kadmin(ctx, t, r, fmt.Sprintf("addprinc -clearpolicy -pw round-Number-%d round%d", round, round))
		want := current(ctx, t, r.Master)
		must(wMiddle.Reached(ctx, want))(t)
		must(wLeaf.Reached(ctx, want))(t)
		switch round {
		case 0:
			krepd.Kill()
			kadmin(ctx, t, r, "addprinc -clearpolicy -pw while-Down-1 while1")
			krep.Kill()
			krepd, krep = startMiddle()
		case 1:
			krepdLeaf.Kill()
			kadmin(ctx, t, r, "addprinc -clearpolicy -pw while-Down-2 while2")
			krepdLeaf = must(leaf.Start(ctx, "krepd", "-r", testrealm.RealmName, allow))(t)
		case 2:
			result, err := ours(ctx, r.Master, "kdb5_util", "load", dumpOfMaster(ctx, t, r)) // a new epoch
			succeeds(t, result, err)
		}
	}
	for program, says := range map[string]string{"krep": "127.0.0.1:", "krepd": "following"} {
		if out := must(middle.Must(ctx, "", program, "status", "-r", testrealm.RealmName))(t); !strings.Contains(out, says) {
			t.Errorf("%s status on the relay:\n%s", program, out)
		}
	}
	want := must(r.Master.Dump(ctx, "end.dump"))(t)
	identical(t, "middle", must(middle.Dump(ctx, "end.dump"))(t), want)
	identical(t, "leaf", must(leaf.Dump(ctx, "end.dump"))(t), want)
}

func dumpOfMaster(ctx context.Context, t *testing.T, r *testrealm.Realm) string {
	t.Helper()
	name := dumpFile(r.Master, "again.dump")
	result, err := ours(ctx, r.Master, "kdb5_util", "dump", name)
	succeeds(t, result, err)
	return name
}

// TestKeytabRotation: new keys for slave and master, without a restart of either daemon.
func TestKeytabRotation(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave := x.Slaves[0]
	again := func(what string) {
		t.Helper()
		name := fmt.Sprintf("127.0.0.1:%d", slave.KrepdPort)
		must(x.Master.Must(ctx, "", "krep", "pause", name))(t)
		must(x.Master.Must(ctx, "", "krep", "resume", name))(t)
		kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -randkey "+what)
		x.caughtUp(ctx, t)
	}
	kadmin(ctx, t, x.Realm, "ktadd -k "+slave.Keytab+" "+slave.Principal()) // the keytab has both versions
	again("with-both")
	fresh := dumpFile(slave, "fresh.keytab")
	kadmin(ctx, t, x.Realm, "ktadd -k "+fresh+" "+slave.Principal())
	check(t, os.Rename(fresh, slave.Keytab)) // the new version only: krep's old ticket is of no use
	again("with-new-only")
	fresh = dumpFile(x.Master, "fresh.keytab")
	kadmin(ctx, t, x.Realm, "ktadd -k "+fresh+" "+x.Master.Principal())
	check(t, os.Rename(fresh, x.Master.Keytab))
	again("with-new-master-key")
	x.equal(ctx, t)
}

// TestHostilePeers: thousands of connections that say nothing, too little or too much cost a
// bounded amount of memory and do not keep the master out.
func TestHostilePeers(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	krepd, port := x.krepds[0], x.Slaves[0].KrepdPort
	before := peakMemory(t, krepd.Pid())
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	says := [][]byte{nil, []byte("GET / HTTP/1.1\r\n\r\n"), noise, []byte("krep\x00\x01\x00\x00"),
		append(append([]byte("krep\x00\x01\x00\x00"), noise[:32]...), 0xff, 0xff, 0xff, 0xff)}
	const peers, at = 10000, 200
	var wg sync.WaitGroup
	todo := make(chan int)
	for range at {
		wg.Go(func() {
			for i := range todo {
				c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = c.Write(says[i%len(says)])
				_, _ = c.Read(make([]byte, 16))
				_ = c.Close()
			}
		})
	}
	go func() {
		defer close(todo)
		for i := range peers {
			todo <- i
		}
	}()
	name := fmt.Sprintf("127.0.0.1:%d", port)
	for i := range 5 { // meanwhile, with a new stream each time
		must(x.Master.Must(ctx, "", "krep", "pause", name))(t)
		must(x.Master.Must(ctx, "", "krep", "resume", name))(t)
		kadmin(ctx, t, x.Realm, fmt.Sprintf("addprinc -clearpolicy -randkey besieged%d", i))
		x.caughtUp(ctx, t)
	}
	wg.Wait()
	x.equal(ctx, t)
	after := peakMemory(t, krepd.Pid())
	t.Logf("krepd's peak memory: %d KiB before, %d KiB after %d hostile connections", before, after, peers)
	if !raceDetector && after > before+64<<10 {
		t.Errorf("krepd grew from %d to %d KiB", before, after)
	}
	if n := strings.Count(krepd.Log(), "connection refused"); n > 500 {
		t.Errorf("%d lines of log", n)
	}
}

// peakMemory is the most that a process has held, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.SplitSeq(string(readFile(t, fmt.Sprintf("/proc/%d/status", pid))), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			check(t, err)
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
