package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// TestDamagedDump: exit status 1, line and field named, the database as before.
func TestDamagedDump(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	before, digest, err := r.Master.State(ctx)
	check(t, err)
	good := readFile(t, f.Dump)
	lines := bytes.SplitAfter(good, []byte("\n"))
	damage := func(n int, f func(line string) string) []byte {
		var b bytes.Buffer
		for i, line := range lines {
			if i+1 == n {
				b.WriteString(f(string(line)))
			} else {
				b.Write(line)
			}
		}
		return b.Bytes()
	}
	field := func(n int, value string) func(string) string {
		return func(line string) string {
			fields := strings.Split(line, "\t")
			fields[n-1] = value
			return strings.Join(fields, "\t")
		}
	}
	for _, c := range []struct {
		name  string
		dump  []byte
		words []string
	}{
		{"attributes are a word", damage(100, field(8, "many")), []string{"line 100", "field 8"}},
		{"negative key count", damage(200, field(5, "-1")), []string{"line 200", "field 5"}},
		{"unknown record", damage(50, field(1, "frob")), []string{"line 50", "field 1"}},
		{"semicolon missing", damage(300, func(l string) string { return strings.Replace(l, ";\n", "\n", 1) }), []string{"line 300"}},
		{"policy number", damage(len(lines)-1, field(5, "x")), []string{fmt.Sprint("line ", len(lines)-1), "field 5"}},
		{"cut in the last line", good[:len(good)-7], []string{fmt.Sprint("line ", len(lines)-1)}},
		{"header", append([]byte("kdb5_util load_dump version 9\n"), good...), []string{"header"}},
		{"empty", nil, []string{"header"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := dumpFile(r.Master, "bad.dump")
			writeFile(t, bad, c.dump)
			for _, flags := range [][]string{{"load", bad}, {"load", "-update", bad}} {
				result, err := ours(ctx, r.Master, "kdb5_util", flags...)
				fails(t, result, err, c.words...)
			}
		})
	}
	after, digestAfter, err := r.Master.State(ctx)
	check(t, err)
	if after != before || digestAfter != digest {
		t.Errorf("refused loads changed the database: %v, was %v", after, before)
	}
	identical(t, "after refused loads", must(r.Master.Dump(ctx, "after.dump"))(t), good)
}

// TestWrongStash: said so, before anything starts.
func TestWrongStash(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t)
	other := must(r.AddHost("other"))(t)
	result, err := ours(ctx, other, "kdb5_util", "-P", "quite another master password", "create", "-s")
	succeeds(t, result, err)
	for _, c := range []struct {
		name string
		make func()
	}{
		{"of another realm key", func() { check(t, testrealm.CopyFile(r.Master.Stash, other.Stash)) }},
		{"garbage", func() { writeFile(t, r.Master.Stash, []byte("no stash file at all, only text\n")) }},
		{"missing", func() { check(t, os.Remove(r.Master.Stash)) }},
	} {
		c.make()
		for _, args := range [][]string{{"serve", "-n"}, {"kadmin.local", "-q", "addprinc -randkey x"}} {
			t.Run(c.name+" "+args[0], func(t *testing.T) {
				result, err := ours(ctx, r.Master, args[0], args[1:]...)
				fails(t, result, err, r.Master.Stash)
				if strings.Contains(result.Stderr, "starting") {
					t.Errorf("started: %s", result.Stderr)
				}
			})
		}
	}
}

// TestDamagedDeltaFile: krep stops and says file, offset and reason.
func TestDamagedDeltaFile(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	says(ctx, t, x.krep, "full copy loaded") // acknowledged: what comes is held for this slave
	x.krepds[0].Kill()
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw first-One-1 one", "addprinc -clearpolicy -pw second-One-2 two")
	if status := x.krep.Stop(); status != 0 {
		t.Fatalf("krep: exit status %d", status)
	}
	delta := readFile(t, x.Master.Delta)
	at := bytes.Index(delta, []byte("two@"))
	if at < 0 {
		t.Fatalf("the delta file lacks the second change")
	}
	damaged := bytes.Clone(delta)
	damaged[at] ^= 1
	writeFile(t, x.Master.Delta, damaged)
	result, err := x.Master.Run(ctx, "", "krep", "-r", testrealm.RealmName)
	fails(t, result, err, x.Master.Delta, "offset", "hash")

	t.Run("moved away", func(t *testing.T) { // as the operator's guide says
		check(t, os.Rename(x.Master.Delta, x.Master.Delta+".damaged"))
		x.krep = must(x.Master.StartKrep(ctx))(t)
		x.krepds[0] = must(x.Slaves[0].StartKrepd(ctx))(t)
		kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw third-One-3 three")
		x.caughtUp(ctx, t)
		x.equal(ctx, t)
	})
}

// TestStrangers: who is not on the lists is refused and logged, on both sides, and the others
// are served as before.
func TestStrangers(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave := x.Slaves[0]

	t.Run("not Kerberos at all", func(t *testing.T) {
		for i, garbage := range []string{"GET / HTTP/1.0\r\n\r\n", strings.Repeat("\xff", 4096), "\x00\x00\x00\x04\x6e\x02\x30\x00"} {
			c := dial(ctx, t, slave.KrepdPort)
			_, _ = c.Write([]byte(garbage))
			check(t, c.(interface{ CloseWrite() error }).CloseWrite())
			deadline, _ := ctx.Deadline()
			check(t, c.SetDeadline(deadline))
			answer := make([]byte, 4096)
			if n, err := c.Read(answer); err == nil && bytes.Contains(answer[:n], []byte("princ")) {
				t.Errorf("garbage %d was answered with %q", i, answer[:n])
			}
		}
		says(ctx, t, x.krepds[0], "refused")
	})

	t.Run("a peer with the wrong ticket", func(t *testing.T) {
		thief := must(x.AddHost("thief"))(t)
		check(t, x.MakeKeytab(ctx, thief))
		second(ctx, t, x, thief, thief.Keytab)
		says(ctx, t, x.krepds[0], thief.Principal())
	})

	t.Run("a slave that is not on the list", func(t *testing.T) {
		stranger := must(x.AddHost("stranger"))(t)
		check(t, x.MakeKeytab(ctx, stranger))
		// It listens where the list says slave1 listens; it cannot open slave1's tickets.
		x.krepds[0].Kill()
		krepd := must(stranger.Start(ctx, "krepd", "-r", testrealm.RealmName, "-listen", fmt.Sprintf("127.0.0.1:%d", slave.KrepdPort)))(t)
		says(ctx, t, krepd, "refused")
		if state, _, err := stranger.State(ctx); err == nil && !state.IsZero() {
			t.Errorf("the stranger was given %v", state)
		}
		krepd.Kill()
		x.krepds[0] = must(slave.StartKrepd(ctx))(t)
	})

	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw still-Here-1 afterwards")
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
}

// second starts one more krep on the master, with a keytab that krepd does not allow.
func second(ctx context.Context, t *testing.T, x *replicating, h *testrealm.Host, keytab string) {
	t.Helper()
	copied := dumpFile(h, "delta")
	check(t, testrealm.CopyFile(copied, x.Master.Delta))
	list := dumpFile(h, "slaves")
	check(t, testrealm.CopyFile(list, x.Master.SlaveList))
	p := must(x.Master.Start(ctx, "krep", "-r", testrealm.RealmName, "-delta", copied, "-slaves", list,
		"-keytab", keytab, "-control", dumpFile(h, "control2")))(t)
	says(ctx, t, p, "stream lost")
	p.Kill()
}
