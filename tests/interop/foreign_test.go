package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/krep/delta"
	"krealm/tests/testrealm"
)

// legacy is a realm whose master has MIT's database and programs and none of ours but krep; its
// tools write the delta file.
type legacy struct {
	*testrealm.Realm
	t       *testing.T
	krep    *testrealm.Process
	watches []*testrealm.Watch
	script  string // appends to a delta file without our programs
}

func startLegacy(t *testing.T, slaves ...string) (context.Context, *legacy) {
	t.Helper()
	ctx, r := newRealm(t, slaves...)
	f := fixture(t)
	x := &legacy{Realm: r, t: t, script: must(filepath.Abs("testdata/append.sh"))(t)}
	check(t, testrealm.CopyFile(r.Master.Stash, f.Stash))
	stock(ctx, t, r.Master, "kdb5_util", "load", f.Dump)
	for _, h := range append([]*testrealm.Host{r.Master}, r.Slaves...) {
		x.kadmin(ctx, "addprinc -clearpolicy -randkey "+h.Principal())
		x.kadmin(ctx, "ktadd -k "+h.Keytab+" "+h.Principal())
	}
	must(r.Master.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	x.delta(ctx, "", "init", "-r", testrealm.RealmName)
	for _, h := range r.Slaves {
		check(t, testrealm.CopyFile(h.Stash, r.Master.Stash))
		must(h.StartKrepd(ctx))(t)
		w := h.WatchDatabase(ctx)
		t.Cleanup(w.Close)
		x.watches = append(x.watches, w)
	}
	x.startKrep(ctx, must(testrealm.Stock("kdb5_util"))(t)+" -r "+testrealm.RealmName+" dump")
	x.caughtUp(ctx)
	return ctx, x
}

// startKrep starts krep with a command for full copies.
func (x *legacy) startKrep(ctx context.Context, snapshot string) {
	x.t.Helper()
	x.krep = must(x.Master.Start(ctx, "krep", "-r", testrealm.RealmName, "-delta", x.Master.Delta, "-snapshot-command", snapshot))(x.t)
}

// kadmin makes a change in MIT's database, of which our side learns nothing.
func (x *legacy) kadmin(ctx context.Context, query string) {
	x.t.Helper()
	stock(ctx, x.t, x.Master, "kadmin.local", "-q", query)
}

// delta runs krep delta COMMAND on the master's delta file.
func (x *legacy) delta(ctx context.Context, stdin, command string, args ...string) {
	x.t.Helper()
	r, err := x.Master.Run(ctx, stdin, "krep", append([]string{"delta", command, x.Master.Delta}, args...)...)
	succeeds(x.t, r, err)
}

// dump is what MIT's kdb5_util dumps: all, or one principal and no policies. It is written to a
// file by its name, for kdb5_util renames a new file over whatever has that name: /dev/stdout too.
func (x *legacy) dump(ctx context.Context, principals ...string) string {
	x.t.Helper()
	file := dumpFile(x.Master, "legacy.dump")
	stock(ctx, x.t, x.Master, "kdb5_util", append([]string{"dump", file}, principals...)...)
	return string(readFile(x.t, file))
}

func (x *legacy) dumpOf(ctx context.Context, name string) string {
	x.t.Helper()
	return x.dump(ctx, name+"@"+testrealm.RealmName)
}

// put makes a change to one principal, then appends it, by krep delta append.
func (x *legacy) put(ctx context.Context, name, query string) {
	x.t.Helper()
	x.kadmin(ctx, query)
	x.delta(ctx, x.dumpOf(ctx, name), "append")
}

// putByScript does it with the shell script.
func (x *legacy) putByScript(ctx context.Context, name, query string) {
	x.t.Helper()
	x.kadmin(ctx, query)
	_, lines, ok := strings.Cut(x.dumpOf(ctx, name), "\n") // without the dump's header
	if !ok || lines == "" {
		x.t.Fatalf("no dump of %s", name)
	}
	cmd := exec.CommandContext(ctx, x.script, x.Master.Delta)
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		x.t.Fatalf("%s: %v\n%s", x.script, err, out)
	}
}

// end is the last state of the delta file.
func (x *legacy) end() deltafile.State {
	x.t.Helper()
	return must(delta.Check(x.Master.Delta))(x.t).Last
}

func (x *legacy) caughtUp(ctx context.Context) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for _, w := range x.watches {
		must(w.Reached(ctx, x.end()))(x.t)
	}
}

// equal compares the dumps of the slaves with that of MIT's database.
func (x *legacy) equal(ctx context.Context) {
	x.t.Helper()
	want := x.dump(ctx)
	for _, h := range x.Slaves {
		identical(x.t, h.Name, must(h.Dump(ctx, "equal.dump"))(x.t), []byte(want))
	}
}

// TestForeignMaster: MIT's database on the master, its changes appended by legacy tools, snapshots
// by MIT's kdb5_util; slaves with our krepd and kdc.
func TestForeignMaster(t *testing.T) {
	ctx, x := startLegacy(t, "slave1", "slave2")
	x.equal(ctx)
	x.put(ctx, "maria.neu", "addprinc -policy staff -pw hello-World-1 maria.neu")
	x.putByScript(ctx, "anna.albers", "cpw -pw just-Changed-7 anna.albers")
	x.kadmin(ctx, "modpol -minlength 9 staff") // only a dump of everything has policies
	_, line, ok := strings.Cut(x.dump(ctx), "\npolicy\tstaff\t")
	if !ok {
		t.Fatal("no policy in the dump")
	}
	line, _, _ = strings.Cut(line, "\n")
	x.delta(ctx, "policy\tstaff\t"+line+"\n", "append")
	x.kadmin(ctx, "delprinc -force tilda.jansen")
	x.delta(ctx, "", "append", "-r", testrealm.RealmName, "-delprinc", "tilda.jansen")
	x.kadmin(ctx, "renprinc -force carla.dahl carla.neu") // one changeset: the new name and the old
	x.delta(ctx, x.dumpOf(ctx, "carla.neu"), "append", "-i", "-", "-delprinc", "carla.dahl@"+testrealm.RealmName)
	x.caughtUp(ctx)
	x.equal(ctx)

	must(x.Slaves[0].StartKDC(ctx))(t)
	client := must(x.Slaves[0].NewClient("foreign", testrealm.UDP))(t)
	result, err := client.Kinit(ctx, "anna.albers", "just-Changed-7")
	succeeds(t, result, err)
	result, err = client.Kvno(ctx, "host/h01.example.org")
	succeeds(t, result, err)
	result, err = client.Kinit(ctx, "tilda.jansen", "tilda-of-jansen-24")
	fails(t, result, err, "not found in Kerberos database")

	result, err = x.Master.Run(ctx, "", "krep", "status", "-r", testrealm.RealmName)
	if out := succeeds(t, result, err); !strings.Contains(out, "content is not compared") {
		t.Errorf("status does not say that nothing is compared:\n%s", out)
	}
}

// TestForeignMasterReload: MIT's database is wholly replaced; a new epoch tells the slaves.
func TestForeignMasterReload(t *testing.T) {
	ctx, x := startLegacy(t, "slave1")
	backup := dumpFile(x.Master, "backup.dump")
	writeFile(t, backup, []byte(x.dump(ctx)))
	x.put(ctx, "short.lived", "addprinc -clearpolicy -pw gone-With-1 short.lived")
	x.caughtUp(ctx)
	before := x.end()
	stock(ctx, t, x.Master, "kdb5_util", "load", backup)
	x.delta(ctx, "", "init", "-r", testrealm.RealmName, "-new-epoch")
	if x.end().Epoch == before.Epoch {
		t.Fatal("no new epoch")
	}
	x.caughtUp(ctx)
	x.equal(ctx)
	x.put(ctx, "after.load", "addprinc -clearpolicy -pw still-Going-1 after.load")
	x.caughtUp(ctx)
	x.equal(ctx)
}

// TestForeignMasterKilled: kill -9 of a krep whose snapshot command hangs leaves none of what that has started.
func TestForeignMasterKilled(t *testing.T) {
	ctx, x := startLegacy(t, "slave1")
	x.krep.Kill()
	fifo := filepath.Join(t.TempDir(), "fifo") // its writers are the processes that are to end
	check(t, syscall.Mkfifo(fifo, 0o600))
	r := must(os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0))(t)
	defer r.Close()
	hangs := "exec 3>" + fifo + "; echo $$ >&3; sleep 600 & (sleep 600; :) | cat"
	x.startKrep(ctx, hangs)
	result, err := x.Master.Run(ctx, "", "krep", "resync", fmt.Sprintf("127.0.0.1:%d", x.Slaves[0].KrepdPort))
	succeeds(t, result, err)
	var shell int
	for line := bufio.NewReader(r); shell == 0; { // which is at its end until somebody writes
		if _, err := fmt.Fscanln(line, &shell); err != nil {
			check(t, ctx.Err())
			<-time.After(10 * time.Millisecond)
		}
	}
	check(t, syscall.Kill(x.krep.Pid(), syscall.SIGKILL)) // krep and nobody else
	must(x.krep.WaitExit(ctx))(t)
	check(t, r.SetReadDeadline(time.Now().Add(waitTimeout)))
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("what the snapshot command has started is left: %v", err)
		_ = syscall.Kill(-shell, syscall.SIGKILL)
	}
	x.startKrep(ctx, must(testrealm.Stock("kdb5_util"))(t)+" -r "+testrealm.RealmName+" dump")
	x.caughtUp(ctx)
	x.equal(ctx)
}

// TestForeignMasterBusy rebuilds a slave again and again while the legacy tools make changes: a
// dump taken between change and append, or across several of both, still ends in equal content.
func TestForeignMasterBusy(t *testing.T) {
	ctx, x := startLegacy(t, "slave1", "slave2")
	slave := fmt.Sprintf("127.0.0.1:%d", x.Slaves[0].KrepdPort)
	done := make(chan struct{})
	go func() { // two principals that change all the time, one that comes and goes
		defer close(done)
		for i := range 12 {
			x.put(ctx, "anna.albers", fmt.Sprintf("cpw -pw busy-Changing-%d anna.albers", i))
			x.putByScript(ctx, "goran.dahl", fmt.Sprintf("modprinc -maxlife %dh goran.dahl", i+1))
			if i%2 == 0 {
				x.put(ctx, "to.and.fro", "addprinc -clearpolicy -pw here-Now-1 to.and.fro")
				continue
			}
			x.kadmin(ctx, "delprinc -force to.and.fro")
			x.delta(ctx, "", "append", "-delprinc", "to.and.fro@"+testrealm.RealmName)
		}
	}()
	const copied = "full copy loaded"
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for copies, busy := 0, true; busy; {
		select {
		case <-done:
			busy = false
		case <-look.C:
			if n := strings.Count(x.krep.Log(), copied); n > copies { // the last one is over
				copies = n
				result, err := x.Master.Run(ctx, "", "krep", "resync", slave)
				succeeds(t, result, err)
			}
		}
	}
	if t.Failed() {
		return
	}
	if n := strings.Count(x.krep.Log(), copied); n < 4 {
		t.Errorf("%d full copies only", n)
	}
	x.caughtUp(ctx)
	x.equal(ctx)
	t.Logf("%d full copies during %d changes", strings.Count(x.krep.Log(), copied), x.end().Serial)
}
