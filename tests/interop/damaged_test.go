package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"krealm/kdc/kdb"
	"krealm/tests/testrealm"
)

// spoil writes over a part of a file, in place.
func spoil(t *testing.T, name string, from, n int64) {
	t.Helper()
	f := must(os.OpenFile(name, os.O_WRONLY, 0))(t)
	_, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), from)
	check(t, errors.Join(err, f.Close()))
}

// TestDamagedDatabase: the file of a slave's database is damaged, under running programs and between two starts.
// krepd sets it aside and gets a full copy, and the KDC, which goes on answering from what it has read, takes
// up the new file.
func TestDamagedDatabase(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, db string){
		"head":  func(t *testing.T, db string) { spoil(t, db, 0, 100) },
		"pages": func(t *testing.T, db string) { spoil(t, db, 5*4096, 20*4096) },
		"cut":   func(t *testing.T, db string) { check(t, os.Truncate(db, 9*4096+77)) },
		"empty": func(t *testing.T, db string) { check(t, os.Truncate(db, 0)) },
	} {
		t.Run(what, func(t *testing.T) {
			ctx, x := startReplicating(t, "slave1")
			slave := x.Slaves[0]
			db := slave.SQLite()
			must(slave.StartKDC(ctx))(t)
			client := must(slave.NewClient("throughout", testrealm.UDP))(t)
			login := func(password string) bool {
				result, err := client.Kinit(ctx, "anna.albers", password)
				check(t, err)
				return result.Status == 0
			}
			change := func(password string) {
				kadmin(ctx, t, x.Realm, "cpw -pw "+password+" anna.albers")
				x.whole(ctx, t)
				for !login(password) { // until the KDC has it
					check(t, ctx.Err())
				}
			}
			change("before-The-damage-1")
			was := x.krepds[0]
			hardened(ctx, t, db)
			damage(t, db)
			kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw while-Damaged-1 early")
			says(ctx, t, was, "database is damaged and was set aside")
			if !login("before-The-damage-1") {
				t.Error("no login while there is nothing but what the KDC remembers")
			}
			change("behind-The-damage-2")
			isKept(t, db, 1)
			if !was.Running() {
				t.Error("krepd has ended")
			}

			was.Stop()
			hardened(ctx, t, db)
			damage(t, db)
			x.krepds[0] = must(slave.StartKrepd(ctx))(t)
			if !login("behind-The-damage-2") {
				t.Error("no login while there is nothing but what the KDC remembers")
			}
			change("behind-The-start-3")
			isKept(t, db, 2)
		})
	}
}

// hardened leaves nothing in the -wal, which would hide the damage, and mend it.
func hardened(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	db := must(kdb.Open(ctx, path, kdb.Options{}))(t)
	check(t, errors.Join(db.Harden(ctx), db.Close()))
}

// whole waits until the slave has what the master has; its file may be another one meanwhile.
func (x *replicating) whole(ctx context.Context, t *testing.T) {
	t.Helper()
	want := current(ctx, t, x.Master)
	wait, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for {
		if st, _, err := x.Slaves[0].State(wait); err == nil && st.Same(want) {
			break
		}
		check(t, wait.Err())
	}
	x.equal(ctx, t)
}

// isKept looks for n damaged files beside a database.
func isKept(t *testing.T, db string, n int) {
	t.Helper()
	for i, name := range []string{db + ".damaged", db + ".damaged.1", db + ".damaged.2"} {
		fi, err := os.Stat(name)
		if (err == nil) != (i < n) || err == nil && fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForeignDatabase: what is no damaged database of this slave is left as it is, and what is wrong is said.
func TestForeignDatabase(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	slave := x.Slaves[0]
	db := slave.SQLite()
	x.krepds[0].Stop()
	aside := db + ".aside"
	check(t, os.Rename(db, aside))
	refuses := func(words ...string) {
		t.Helper()
		result, err := slave.Run(ctx, "", "krepd", "-r", testrealm.RealmName)
		fails(t, result, err, words...)
		if _, err := os.Stat(db + ".damaged"); err == nil {
			t.Error("it was set aside")
		}
	}
	writeFile(t, db, []byte("a text of somebody else's\n"))
	refuses(db, "not known for a replica", "move it away")
	if got := string(readFile(t, db)); !strings.HasPrefix(got, "a text") {
		t.Errorf("the file holds %q", got)
	}
	check(t, os.Remove(db))
	check(t, os.Mkdir(db, 0o700))
	refuses(db, "no regular file")
	check(t, os.Remove(db))
	master := readFile(t, x.Master.SQLite())
	writeFile(t, db, master) // without its -wal
	refuses(db, "master's")
	check(t, os.Remove(db))
	check(t, os.Rename(aside, db))
	x.krepds[0] = must(slave.StartKrepd(ctx))(t)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw all-Well-1 again")
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
}

// TestDamagedRelay: a slave with slaves of its own, one of which was away, has its database damaged. It gets a full copy,
// and so does whoever has missed something; the krep beside it reads the new file.
func TestDamagedRelay(t *testing.T) {
	ctx, r, _ := newLoadedRealm(t, "middle")
	check(t, r.MakeKeytabs(ctx))
	must(r.Master.StartKDC(ctx))(t)
	middle := r.Slaves[0]
	leaf := must(r.AddHost("leaf"))(t)
	check(t, r.MakeKeytab(ctx, leaf))
	check(t, testrealm.CopyFile(leaf.Stash, r.Master.Stash)) // for kdb5_util dump
	startLeaf := func() *testrealm.Process {
		return must(leaf.Start(ctx, "krepd", "-r", testrealm.RealmName, "-allow="+middle.Principal()))(t)
	}
	krepdLeaf := startLeaf()
	writeFile(t, middle.SlaveList, fmt.Appendf(nil, "127.0.0.1:%d %s\n", leaf.KrepdPort, leaf.Principal()))
	conf := strings.ReplaceAll(string(readFile(t, middle.KRB5Conf)), strconv.Itoa(middle.KDCPort), strconv.Itoa(r.Master.KDCPort))
	writeFile(t, middle.KRB5Conf, []byte(conf))
	relay := fmt.Sprintf("        delta_file = %s\n        slave_list = %s\n        krepd_control = %s\n        spool =", middle.Delta, middle.SlaveList, middle.Dir+"/krepd-control")
	writeFile(t, middle.KDCConf, []byte(strings.Replace(string(readFile(t, middle.KDCConf)), "        spool =", relay, 1)))
	krepd := must(middle.StartKrepd(ctx))(t)
	krep := must(middle.StartKrep(ctx))(t)
	must(r.Master.StartKrep(ctx))(t)
	x := &replicating{Realm: r}
	reach := func(hosts ...*testrealm.Host) {
		t.Helper()
		for _, h := range hosts {
			x.Slaves = []*testrealm.Host{h}
			x.whole(ctx, t)
		}
	}
	change := func(name string) { kadmin(ctx, t, r, "addprinc -clearpolicy -randkey "+name) }
	change("first")
	reach(middle, leaf)

	krepdLeaf.Stop()
	change("missed")
	reach(middle)
	hardened(ctx, t, middle.SQLite())
	spoil(t, middle.SQLite(), 0, 100)
	change("under-damage")
	says(ctx, t, krepd, "database is damaged and was set aside")
	reach(middle)
	krepdLeaf = startLeaf()
	change("last")
	reach(middle, leaf)
	isKept(t, middle.SQLite(), 1)
	if !krep.Running() || !krepd.Running() || !krepdLeaf.Running() {
		t.Error("somebody has ended")
	}
}

// TestDamagedMaster: pages of the master's database are damaged while all slaves stream. krep status tells of it once krep
// verify has met it, and no more when what it says was done: a dump of a slave is loaded, which all slaves then get.
func TestDamagedMaster(t *testing.T) {
	ctx, x := startReplicating(t, "slave1")
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw before-The-damage-1 early")
	x.caughtUp(ctx, t)
	dump := dumpFile(x.Master, "of-slave.dump")
	writeFile(t, dump, must(x.Slaves[0].Dump(ctx, "of-slave.dump"))(t))
	db := x.Master.SQLite()
	hardened(ctx, t, db)
	spoil(t, db, 5*4096, 20*4096)
	krep := func(verb string) (int, string) {
		t.Helper()
		r := must(x.Master.Run(ctx, "", "krep", verb))(t)
		return r.Status, r.Stdout + r.Stderr
	}
	for _, verb := range []string{"verify", "status"} {
		if code, out := krep(verb); code != 1 || !strings.Contains(out, "database file is damaged") || !strings.Contains(out, "move it away with the -wal and -shm beside it") {
			t.Errorf("krep %s: %d, %s", verb, code, out)
		}
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(db+end, db+end+".away"); !errors.Is(err, os.ErrNotExist) {
			check(t, err)
		}
	}
	result, err := ours(ctx, x.Master, "kdb5_util", "load", dump)
	succeeds(t, result, err)
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -pw behind-The-damage-2 late")
	x.whole(ctx, t)
	if code, out := krep("verify"); code != 0 {
		t.Errorf("krep verify, mended: %d, %s", code, out)
	}
	if code, out := krep("status"); code != 0 || strings.Contains(out, "damaged") {
		t.Errorf("krep status, mended: %d, %s", code, out)
	}
}
