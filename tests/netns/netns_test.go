//go:build linux && netns

package netns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/tests/namespace"
	"krealm/tests/testrealm"
)

const (
	patience = 90 * time.Second // before a test gives up
	calm     = time.Second      // in which a change reaches a slave that nothing has happened to
	// healed bounds the time from the plugging in of the cable to the last change's arrival: krep
	// asks a slave again after 30 s at the latest, and a dial on its way may take 10 s to fail.
	healed = 45 * time.Second
)

var bin string

// TestMain runs the tests in namespaces of their own.
func TestMain(m *testing.M) {
	if !namespace.Inside() {
		status, err := namespace.Enter(syscall.CLONE_NEWNS | syscall.CLONE_NEWNET)
		if err != nil {
			fmt.Fprintln(os.Stderr, "tests/netns: no namespaces here: run as root, or where users may make user namespaces:", err)
			status = 1
		}
		os.Exit(status)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, "tests/netns:", err); return 1 }
	dir, err := os.MkdirTemp("", "krealm-bin-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	bin = dir
	if err := testrealm.Build(context.Background(), "../..", bin, false); err != nil {
		return fail(err)
	}
	if err := namespace.MountTmpfs("/run", 1<<20); err != nil { // ip keeps names in /run/netns
		return fail(err)
	}
	for _, line := range []string{"link set lo up", "link add switch type bridge", "link set switch up"} {
		if err := ip(line); err != nil {
			return fail(err)
		}
	}
	return m.Run()
}

// ip runs ip(8).
func ip(line string) error {
	program, err := testrealm.Stock("ip")
	if err != nil {
		return fmt.Errorf("%w: Debian's iproute2 has it", err)
	}
	if out, err := exec.Command(program, strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", line, err, out)
	}
	return nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// network is a master and two slaves on hosts of their own.
type network struct {
	t       *testing.T
	ctx     context.Context
	realm   *testrealm.Realm
	krep    *testrealm.Process
	krepds  []*testrealm.Process
	watches []*testrealm.Watch
	changes int
}

// attach makes the host's namespace and its cable to the switch.
func (n *network) attach(h *testrealm.Host, address string) {
	n.t.Helper()
	for _, line := range []string{
		"netns add " + h.Name,
		"link add " + cable(h) + " type veth peer name eth0 netns " + h.Name,
		"link set " + cable(h) + " master switch",
		"link set " + cable(h) + " up",
		"-n " + h.Name + " link set lo up",
		"-n " + h.Name + " link set eth0 up",
		"-n " + h.Name + " addr add " + address + "/24 dev eth0",
	} {
		check(n.t, ip(line))
	}
	n.t.Cleanup(func() { check(n.t, ip("link del "+cable(h))); check(n.t, ip("netns del "+h.Name)) })
	h.Wrap = []string{"nsenter", "--net=/run/netns/" + h.Name}
}

func cable(h *testrealm.Host) string { return "to-" + h.Name }

// pull takes a host's cable off the switch, plug puts it back.
func (n *network) pull(h *testrealm.Host) {
	n.t.Helper()
	check(n.t, ip("link set "+cable(h)+" nomaster"))
}
func (n *network) plug(h *testrealm.Host) {
	n.t.Helper()
	check(n.t, ip("link set "+cable(h)+" master switch"))
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	r, err := testrealm.New(testrealm.Options{Bin: bin})
	check(t, err)
	n := &network{t: t, ctx: ctx, realm: r}
	n.attach(r.Master, "10.77.0.1")
	t.Cleanup(func() { // before the namespaces go
		if t.Failed() {
			t.Log(r.Logs())
		}
		for _, w := range n.watches {
			w.Close()
		}
		check(t, r.Close())
	})
	f, err := testrealm.ReadFixture("../testdata/realm")
	check(t, err)
	check(t, r.LoadFixture(ctx, f))
	check(t, r.MakeKeytabs(ctx))
	_, err = r.Master.StartKDC(ctx)
	check(t, err)
	var list strings.Builder
	for i, h := range r.Slaves {
		address := fmt.Sprintf("10.77.0.%d", i+2)
		n.attach(h, address)
		conf, err := os.ReadFile(h.KDCConf)
		check(t, err)
		old, moved := fmt.Sprintf(" listen = 127.0.0.1:%d", h.KrepdPort), fmt.Sprintf(" listen = %s:%d", address, h.KrepdPort)
		check(t, os.WriteFile(h.KDCConf, bytes.ReplaceAll(conf, []byte(old), []byte(moved)), 0o600))
		fmt.Fprintf(&list, "%s:%d %s\n", address, h.KrepdPort, h.Principal())
		p, err := h.StartKrepd(ctx)
		check(t, err)
		n.krepds = append(n.krepds, p)
		n.watches = append(n.watches, h.WatchDatabase(ctx))
	}
	check(t, os.WriteFile(r.Master.SlaveList, []byte(list.String()), 0o600))
	n.krep, err = r.Master.StartKrep(ctx)
	check(t, err)
	for i := range r.Slaves {
		n.reached(i, n.state(r.Master), patience)
		n.becomes(i, "streaming", nil)
	}
	return n
}

func (n *network) state(h *testrealm.Host) deltafile.State {
	n.t.Helper()
	s, _, err := h.State(n.ctx)
	check(n.t, err)
	return s
}

// reached waits until a slave has what it shall have, and tells how long that took.
func (n *network) reached(slave int, want deltafile.State, within time.Duration) time.Duration {
	n.t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(n.ctx, within)
	defer cancel()
	at, err := n.watches[slave].Reached(ctx, want)
	check(n.t, err)
	return max(0, at.Sub(start))
}

// change makes a change on the master; slave2, which is never cut off, has it soon. It returns the
// time that that took from the end of the command.
func (n *network) change() time.Duration {
	n.t.Helper()
	n.changes++
	_, err := n.realm.Master.Kadmin(n.ctx, fmt.Sprintf("addprinc -clearpolicy -e aes128-cts:normal -pw over-The-wire-%d wire%04d", n.changes, n.changes))
	check(n.t, err)
	return n.reached(1, n.state(n.realm.Master), calm)
}

// changing makes changes and tells the slowest's time to slave2.
func (n *network) changing(count int) time.Duration {
	n.t.Helper()
	var slowest time.Duration
	for range count {
		slowest = max(slowest, n.change())
	}
	return slowest
}

// stateOf is what krep says of the n-th slave.
func (n *network) stateOf(slave int) string {
	n.t.Helper()
	r, err := n.realm.Master.Run(n.ctx, "", "krep", "status", "-json", "-r", testrealm.RealmName)
	check(n.t, err)
	var status struct {
		Slaves []struct{ Slave, State string }
	}
	check(n.t, json.Unmarshal([]byte(r.Stdout), &status))
	h := n.realm.Slaves[slave]
	i := slices.IndexFunc(status.Slaves, func(s struct{ Slave, State string }) bool {
		return strings.HasSuffix(s.Slave, fmt.Sprintf(":%d", h.KrepdPort))
	})
	if i < 0 {
		n.t.Fatalf("krep status has no %s:\n%s", h.Name, r.Stdout)
	}
	return status.Slaves[i].State
}

// becomes waits until krep says that a slave is in a state, and meanwhile does something again and
// again, if it is not nil.
func (n *network) becomes(slave int, state string, meanwhile func()) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); n.stateOf(slave) != state; {
		if time.Now().After(deadline) {
			n.t.Fatalf("krep calls %s %s, not %s", n.realm.Slaves[slave].Name, n.stateOf(slave), state)
		}
		if meanwhile != nil {
			meanwhile()
		}
	}
}

// cutOff checks that slave1 has nothing that was made since.
func (n *network) cutOff(since deltafile.State) {
	n.t.Helper()
	if got := n.state(n.realm.Slaves[0]); got.Serial > since.Serial {
		n.t.Errorf("slave1 is cut off and has serial %d, more than %d", got.Serial, since.Serial)
	}
}

// heals plugs slave1 in and waits until all is the same.
func (n *network) heals(what string, during time.Duration) {
	n.t.Helper()
	want := n.state(n.realm.Master)
	n.plug(n.realm.Slaves[0])
	took := n.reached(0, want, healed)
	after := n.change()
	n.reached(0, n.state(n.realm.Master), healed)
	dump, err := n.realm.Master.Dump(n.ctx, "end.dump", "-i1")
	check(n.t, err)
	for _, h := range n.realm.Slaves {
		got, err := h.Dump(n.ctx, "end.dump", "-i1")
		check(n.t, err)
		if !bytes.Equal(got, dump) {
			n.t.Errorf("%s: its dump is not the master's", h.Name)
		}
	}
	n.t.Logf("%s: slave2 had each change within %v of the command's end, slave1 had all %v after the healing (then: %v)", what, during, took, after)
}

// TestShortPartition: the connection outlives it.
func TestShortPartition(t *testing.T) {
	n := newNetwork(t)
	before := n.changing(10)
	at := n.state(n.realm.Slaves[0])
	n.pull(n.realm.Slaves[0])
	during := n.changing(20)
	n.cutOff(at)
	t.Logf("before: slave2 had each change within %v", before)
	n.heals("short partition", during)
}

// TestLongPartition: krep gives the connection up, and finds the slave again by itself.
func TestLongPartition(t *testing.T) {
	n := newNetwork(t)
	at := n.state(n.realm.Slaves[0])
	n.pull(n.realm.Slaves[0])
	during := n.changing(5)
	n.becomes(0, "retrying", func() { during = max(during, n.change()) })
	t.Logf("krep has given slave1 up after %d changes", n.changes)
	n.cutOff(at)
	n.heals("long partition", during)
}

// TestRestartsWhileCutOff: both ends of the connection are killed and started again while they
// cannot hear each other, so that each side's system holds a connection the other knows nothing of.
func TestRestartsWhileCutOff(t *testing.T) {
	n := newNetwork(t)
	n.pull(n.realm.Slaves[0])
	during := n.changing(3)
	n.krep.Kill()
	p, err := n.realm.Master.StartKrep(n.ctx)
	check(t, err)
	n.krep = p
	n.reached(1, n.state(n.realm.Master), patience)
	n.heals("krep killed", during)

	n.pull(n.realm.Slaves[0])
	during = n.changing(3)
	n.krepds[0].Kill()
	n.krepds[0], err = n.realm.Slaves[0].StartKrepd(n.ctx)
	check(t, err)
	during = max(during, n.changing(3))
	n.heals("krepd killed", during)
}

// TestMasterCutOff: the master is alone; changes go on, and both slaves have them afterwards.
func TestMasterCutOff(t *testing.T) {
	n := newNetwork(t)
	n.pull(n.realm.Master)
	for i := range 5 {
		_, err := n.realm.Master.Kadmin(n.ctx, fmt.Sprintf("addprinc -clearpolicy -e aes128-cts:normal -pw all-Alone-%d alone%d", i, i))
		check(t, err)
	}
	want := n.state(n.realm.Master)
	n.plug(n.realm.Master)
	t.Logf("slave1 has all %v after the healing", n.reached(0, want, healed))
	t.Logf("slave2 has all %v after the healing", n.reached(1, want, healed))
}
