package interop

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	_ "modernc.org/sqlite" // to change a database behind its back

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/krep/verify"
	"krealm/tests/testrealm"
)

// waiting runs a command of kadmin.local on the master with -wait.
func (x *replicating) waiting(ctx context.Context, t *testing.T, args ...string) testrealm.Result {
	t.Helper()
	return must(ours(ctx, x.Master, "kadmin.local", args...))(t)
}

// TestWaitForSlaves: when kadmin.local -wait returns, the slaves have the change in their databases;
// and if they have not it says so and ends with status 2.
func TestWaitForSlaves(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	for i := range 10 {
		r := x.waiting(ctx, t, "-wait", "all", "-wait-timeout", "30s", "addprinc", "-clearpolicy", "-pw", "wait-For-all-1", fmt.Sprint("w", i))
		check(t, r.Err())
		want := current(ctx, t, x.Master)
		for _, h := range x.Slaves {
			if got := current(ctx, t, h); !got.Same(want) {
				t.Errorf("%s is at %v, the master at %v", h.Name, got, want)
			}
		}
	}
	x.krepds[1].Kill()
	r := x.waiting(ctx, t, "-wait", "quorum", "-wait-timeout", "30s", "delprinc", "w0")
	check(t, r.Err())
	if got, want := current(ctx, t, x.Slaves[0]), current(ctx, t, x.Master); !got.Same(want) {
		t.Errorf("slave1 is at %v, the master at %v", got, want)
	}
	second := fmt.Sprintf("127.0.0.1:%d", x.Slaves[1].KrepdPort)
	r = x.waiting(ctx, t, "-wait", "all", "-wait-timeout", "300ms", "delprinc", "w1")
	if r.Status != 2 || !strings.Contains(r.Stderr, "is stored, but only 1 of 2 slaves have applied it after 300ms") || !strings.Contains(r.Stderr, second+": ") {
		t.Errorf("status %d\n%s", r.Status, r.Stderr)
	}
	r = x.waiting(ctx, t, "-wait", "3", "-q", "delprinc -force w2")
	if r.Status != 2 || !strings.Contains(r.Stderr, "only 2 slaves are listed") {
		t.Errorf("status %d\n%s", r.Status, r.Stderr)
	}
	// The changes stay, and come to the slave when it is back: the wait ends then.
	x.krepds[1] = must(x.Slaves[1].StartKrepd(ctx))(t)
	r = x.waiting(ctx, t, "-wait", "all", "-wait-timeout", "1m", "delprinc", "w3")
	check(t, r.Err())
	x.equal(ctx, t)
	if status := x.krep.Stop(); status != 0 {
		t.Error(status)
	}
	r = x.waiting(ctx, t, "-wait", "1", "-wait-timeout", "300ms", "delprinc", "w4")
	if r.Status != 2 || !strings.Contains(r.Stderr, "is stored, but krep does not answer at") {
		t.Errorf("status %d\n%s", r.Status, r.Stderr)
	}
}

// TestWaitThroughRestarts: krep is killed, or stopped, in the middle of a wait, or is not there when that
// begins; it is there again before the time is over, and the wait ends well. One that is back and has a
// slave too few by then says which.
func TestWaitThroughRestarts(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	second := fmt.Sprintf("127.0.0.1:%d", x.Slaves[1].KrepdPort)
	wait := func(words, timeout, principal string) *testrealm.Process {
		t.Helper()
		return must(x.Master.StartSaying(ctx, words, "kdc", "kadmin.local", "-r", testrealm.RealmName, "-wait", "all", "-wait-timeout", timeout,
			"-q", "addprinc -clearpolicy -pw through-Restart-1 "+principal))(t)
	}
	ends := func(p *testrealm.Process, want int) {
		t.Helper()
		if status := must(p.WaitExit(ctx))(t); status != want {
			t.Errorf("status %d, want %d\n%s", status, want, p.Log())
		}
	}
	for principal, end := range map[string]func(){"killed": func() { x.krep.Kill() }, "stopped": func() { x.krep.Stop() }} {
		x.krepds[1].Kill() // so that there is something to wait for
		p := wait("created.", "30s", principal)
		end()
		x.krep = must(x.Master.StartKrep(ctx))(t)
		x.krepds[1] = must(x.Slaves[1].StartKrepd(ctx))(t)
		ends(p, 0)
		if !strings.Contains(p.Log(), "applied by 2 of 2 slaves") {
			t.Error(p.Log())
		}
	}
	x.krep.Kill()
	p := wait("asking again until the 30s are over", "30s", "absent")
	x.krep = must(x.Master.StartKrep(ctx))(t)
	ends(p, 0)
	x.krepds[1].Kill()
	x.krep.Kill()
	p = wait("asking again until the 3s are over", "3s", "late")
	x.krep = must(x.Master.StartKrep(ctx))(t)
	ends(p, 2)
	if !strings.Contains(p.Log(), "only 1 of 2 slaves have applied it after 3s") || !strings.Contains(p.Log(), second+": ") {
		t.Error(p.Log())
	}
}

// TestVerifyCommand: krep verify with real programs, its four statuses.
func TestVerifyCommand(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	run := func(want int, args ...string) (string, verify.Report) {
		t.Helper()
		r := must(x.Master.Run(ctx, "", "krep", append([]string{"verify"}, args...)...))(t)
		if r.Status != want {
			t.Errorf("%v: status %d, want %d\n%s%s", args, r.Status, want, r.Stdout, r.Stderr)
		}
		var report verify.Report
		if strings.HasPrefix(r.Stdout, "{") {
			check(t, json.Unmarshal([]byte(r.Stdout), &report))
		}
		return r.Stdout + r.Stderr, report
	}
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw to-Verify-1 verified") // may be on its way still
	if out, _ := run(0); strings.Count(out, "same") != 2 {
		t.Error(out)
	}
	if _, r := run(0, "-deep", "-json"); len(r.Slaves) != 2 || r.Slaves[0].Entries != r.Entries || r.Serial == 0 {
		t.Errorf("%+v", r)
	}
	x.krepds[1].Kill()
	if out, _ := run(1, "-timeout", "2s"); !strings.Contains(out, "unknown") {
		t.Error(out)
	}
	// Nobody watches over the master's own rows: what is changed there by hand reaches no slave.
	db := must(sql.Open("sqlite", x.Master.Database+".sqlite"))(t)
	_, err := db.ExecContext(ctx, "DELETE FROM principal WHERE name = 'verified@"+testrealm.RealmName+"'")
	check(t, err)
	check(t, db.Close())
	out, _ := run(2, "-deep", "-timeout", "2s")
	if !strings.Contains(out, "principal verified@"+testrealm.RealmName+": extra") || !strings.Contains(out, "behind its back") {
		t.Error(out)
	}
	x.krep.Stop()
	run(3)
}

// dieRole is the child of TestServeDrains: it makes a change and dies as soon as that is committed,
// before it is in the delta file.
const dieRole = "INTEROP_DIE_AFTER_COMMIT"

// dyingFS ends the process when the delta file is to be appended to.
type dyingFS struct {
	deltafile.FS
	armed *bool
}

func (f dyingFS) OpenAppend(name string) (deltafile.File, error) {
	file, err := f.FS.OpenAppend(name)
	return &dyingFile{file, f.armed}, err
}

type dyingFile struct {
	deltafile.File
	armed *bool
}

func (f *dyingFile) Lock(ctx context.Context) error {
	if *f.armed {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return f.File.Lock(ctx)
}

// dieAfterCommit is the child; its argument is "DATABASE DELTA". It returns only if it did not die.
func dieAfterCommit(ctx context.Context, argument string) error {
	path, delta, _ := strings.Cut(argument, " ")
	armed := false
	db, err := kdb.Open(ctx, path, kdb.Options{DeltaFile: delta, DeltaFS: dyingFS{deltafile.OSFS, &armed}})
	if err != nil {
		return err
	}
	armed = true
	_, err = db.Update(ctx, func(tx *kdb.Tx) error {
		return tx.PutPrincipal(&dumpfmt.Principal{Name: "orphan@" + testrealm.RealmName})
	})
	return fmt.Errorf("still alive: %w", err)
}

// TestServeDrains: what a writer that was killed right behind its commit could not append to the
// delta file, the running KDC appends within a second or so, and it reaches the slaves.
func TestServeDrains(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	before := current(ctx, t, x.Master)
	self := must(os.Executable())(t)
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), dieRole+"="+x.Master.Database+".sqlite "+x.Master.Delta)
	out, err := child.CombinedOutput()
	if err == nil || child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child did not die: %v\n%s", err, out)
	}
	want := current(ctx, t, x.Master)
	if want.Serial != before.Serial+1 {
		t.Fatalf("master at %v, was at %v: the child's change is not committed", want, before)
	}
	x.caughtUp(ctx, t) // nobody writes: only the KDC can have done it
	x.equal(ctx, t)
}
