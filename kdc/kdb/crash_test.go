package kdb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
)

// The test binary runs itself as another process: KDB_TEST_ROLE says what it does, KDB_TEST_DB and
// KDB_TEST_DELTA on which files, KDB_TEST_DIE at which failpoint, or after how many
// microseconds, it kills itself with SIGKILL.

func runRole(role string) int {
	ctx := context.Background()
	die := os.Getenv("KDB_TEST_DIE")
	if us, err := strconv.Atoi(die); err == nil {
		time.AfterFunc(time.Duration(us)*time.Microsecond, kill)
	} else if die != "" {
		failpoint = func(name string) {
			if name == die {
				kill()
			}
		}
	}
	db, err := Open(ctx, os.Getenv("KDB_TEST_DB"), Options{DeltaFile: os.Getenv("KDB_TEST_DELTA"), KeepChanges: 50})
	if err == nil {
		err = roles[role](ctx, db)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // it is not always at once
}

var roles = map[string]func(ctx context.Context, db *DB) error{
	// put changes an entry for each number it reads and prints the serial.
	"put": func(ctx context.Context, db *DB) error {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			n, err := strconv.Atoi(in.Text())
			if err != nil {
				return err
			}
			st, err := db.Update(ctx, func(tx *Tx) error { return tx.PutPrincipal(princ("other", uint32(n))) })
			if err != nil {
				return err
			}
			fmt.Println(st.Serial)
		}
		return in.Err()
	},
	// update moves a unit from one entry to another, over and over: their sum is always 1000.
	"update": func(ctx context.Context, db *DB) error {
		for range 40 {
			_, err := db.Update(ctx, func(tx *Tx) error {
				a, err := tx.Principal("a@" + testRealm)
				if err != nil {
					return err
				}
				b, err := tx.Principal("b@" + testRealm)
				if err != nil {
					return err
				}
				a.Expire--
				b.Expire++
				return errors.Join(tx.PutPrincipal(a), tx.PutPrincipal(b))
			})
			if err != nil {
				return err
			}
		}
		return nil
	},
	// load loads the dump beside the database.
	"load": func(ctx context.Context, db *DB) error {
		b, err := os.ReadFile(db.path + ".dump")
		if err == nil {
			_, err = db.Load(ctx, bytes.NewReader(b), LoadOptions{})
		}
		return err
	},
	"load-update": func(ctx context.Context, db *DB) error {
		b, err := os.ReadFile(db.path + ".dump")
		if err == nil {
			_, err = db.Load(ctx, bytes.NewReader(b), LoadOptions{Update: true})
		}
		return err
	},
	// snapshot loads the snapshot beside the database.
	"snapshot": func(ctx context.Context, db *DB) error {
		f, err := os.Open(db.path + ".snapshot")
		if err == nil {
			_, err = db.LoadSnapshot(ctx, f)
		}
		return err
	},
	// apply applies the changes of the delta file beside the database, five at a time.
	"apply": func(ctx context.Context, db *DB) error {
		_, css, err := deltafile.ReadAll(db.path + ".changes")
		for ; err == nil && len(css) > 0; css = css[min(5, len(css)):] {
			_, err = db.Apply(ctx, css[:min(5, len(css))])
		}
		return err
	},
}

func command(t testing.TB, role, die string, db *DB) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), self) // cleanups wait for it
	cmd.Env = append(os.Environ(), "KDB_TEST_ROLE="+role, "KDB_TEST_DIE="+die, "KDB_TEST_DB="+db.path, "KDB_TEST_DELTA="+db.o.DeltaFile)
	cmd.Stderr = os.Stderr
	return cmd
}

// helper starts a process that reads and writes lines.
func helper(t testing.TB, role string, db *DB) (io.Writer, io.Reader) {
	t.Helper()
	cmd := command(t, role, "", db)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); err != nil {
			t.Errorf("helper: %v", err)
		}
	})
	return in, out
}

// crash runs a role that is to die, and says whether it did.
func crash(t testing.TB, role, die string, db *DB) bool {
	t.Helper()
	err := command(t, role, die, db).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("%s dying at %s: %v", role, die, err)
	}
	return false
}

// moments are the failpoints, and times that fall somewhere into what a role does.
func moments(t testing.TB) []string {
	m := []string{"loaded", "commit", "committed"}
	step, n := 700, 25
	if testing.Short() {
		n = 5
	}
	for i := range n {
		m = append(m, strconv.Itoa(2000+step*i))
	}
	return m
}

func TestCrashUpdate(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), KeepChanges: 50})
	a, b := princ("a", 1000), princ("b", 0)
	put(t, db, a)
	put(t, db, b)
	closeDB(t, db)
	deaths := 0
	for _, at := range moments(t) {
		if crash(t, "update", at, db) {
			deaths++
		}
		db = reopen(t, db)
		pa, err := db.Principal(t.Context(), a.Name)
		pb, err2 := db.Principal(t.Context(), b.Name)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		st := stateOf(t, db)
		if pa.Expire+pb.Expire != 1000 || uint64(pb.Expire)+2 != st.Serial {
			t.Fatalf("killed at %s: a %d, b %d, state %v", at, pa.Expire, pb.Expire, st)
		}
		verify(t, db)
		verifyChanges(t, db)
		if rep := checkDelta(t, db); uint64(rep.Changesets) != st.Serial {
			t.Fatalf("killed at %s: %d changes in the delta file, serial %d", at, rep.Changesets, st.Serial)
		}
		closeDB(t, db)
	}
	t.Logf("%d deaths in %d runs", deaths, len(moments(t)))
	if deaths < len(moments(t))/4 {
		t.Error("hardly any process died while at work")
	}
}

// Killed at any moment of a load, the database is the old or the new one, and goes on.
func TestCrashLoad(t *testing.T) {
	for _, role := range []string{"load", "load-update"} {
		t.Run(role, func(t *testing.T) {
			db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), KeepChanges: 50})
			content := [2][]byte{bigDump(t, 600), nil}
			content[1] = bytes.ReplaceAll(content[0], []byte("\t86400\t"), []byte("\t86401\t"))
			load(t, db, content[0], LoadOptions{})
			is, deaths := 0, 0
			for i, at := range moments(t) {
				if us, err := strconv.Atoi(at); err == nil {
					at = strconv.Itoa(us + 8000*(i%4))
				}
				st := stateOf(t, db)
				if err := os.WriteFile(db.path+".dump", content[1-is], 0o600); err != nil {
					t.Fatal(err)
				}
				closeDB(t, db)
				died := crash(t, role, at, db)
				if died {
					deaths++
				}
				db = reopen(t, db)
				got, after := dump(t, db, DumpOptions{}), stateOf(t, db)
				switch {
				case bytes.Equal(got, content[is]) && after == st && died:
				case bytes.Equal(got, content[1-is]) && role == "load" && after.Epoch != st.Epoch && after.Serial == 0:
					is = 1 - is
				case bytes.Equal(got, content[1-is]) && role != "load" && after.Epoch == st.Epoch && after.Serial == st.Serial+600:
					is = 1 - is
				default:
					t.Fatalf("killed at %s: neither old nor new, state %v after %v", at, after, st)
				}
				verify(t, db)
				verifyChanges(t, db)
				checkDelta(t, db)
			}
			t.Logf("%d deaths in %d runs", deaths, len(moments(t)))
		})
	}
}

// Killed at any moment of taking a snapshot or changes, a slave continues from where it is.
func TestCrashSlave(t *testing.T) {
	master := newMaster(t, Options{})
	load(t, master, bigDump(t, 400), LoadOptions{})
	dir := t.TempDir()
	changes := filepath.Join(dir, "changes")
	var snapshot []byte
	{
		s, err := master.Snapshot(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if snapshot, err = io.ReadAll(io.NewSectionReader(s, 0, s.Size())); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	base := stateOf(t, master)
	for i := range uint32(60) {
		put(t, master, princ(fmt.Sprint("x", i%9), i))
	}
	closeDB(t, master)
	master.o.DeltaFile = changes
	master = reopen(t, master) // all changes since the load are in the file now
	deaths := 0
	for i, at := range moments(t) {
		slave := newSlave(t, Options{DeltaFile: filepath.Join(dir, fmt.Sprint("relay", i)), KeepChanges: 50})
		if err := errors.Join(os.WriteFile(slave.path+".snapshot", snapshot, 0o600), os.Link(changes, slave.path+".changes")); err != nil {
			t.Fatal(err)
		}
		closeDB(t, slave)
		for _, role := range []string{"snapshot", "apply"} {
			died := crash(t, role, at, slave)
			if died {
				deaths++
			}
			db := reopen(t, slave)
			st := stateOf(t, db)
			verify(t, db)
			verifyChanges(t, db)
			if died && st.IsZero() || role == "snapshot" && st == base {
				diffState(t, db, st)
			} else if role == "snapshot" || st.Epoch != base.Epoch {
				t.Fatalf("killed at %s in %s: state %v", at, role, st)
			} else {
				checkDelta(t, db)
			}
			closeDB(t, db)
			if died && crash(t, role, "", slave) { // what a restart does
				t.Fatal("died without reason")
			}
		}
		db := reopen(t, slave)
		same(t, master, db)
		checkDelta(t, db)
	}
	t.Logf("%d deaths in %d runs", deaths, 2*len(moments(t)))
}

func diffState(t *testing.T, db *DB, st deltafile.State) {
	t.Helper()
	n, _, err := db.Count(t.Context())
	if err != nil || st.IsZero() != (n == 0) {
		t.Fatalf("%d entries at state %v: %v", n, st, err)
	}
}

// Several processes change one database at the same time: nothing is lost, serials have no gap, and
// the delta file holds every change once.
func TestSeveralProcesses(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta"), KeepChanges: 50})
	put(t, db, princ("a", 1000))
	put(t, db, princ("b", 0))
	var wg sync.WaitGroup
	const n = 4
	for range n {
		cmd := command(t, "update", "", db)
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range uint32(40) {
		put(t, db, princ("c", i+1))
	}
	wg.Wait()
	b, err := db.Principal(t.Context(), "b@"+testRealm)
	if err != nil || b.Expire != 40*n {
		t.Error(b, err)
	}
	if st := stateOf(t, db); st.Serial != 2+40*(n+1) {
		t.Error(st)
	}
	verify(t, db)
	verifyChanges(t, db)
	if rep := checkDelta(t, db); rep.Changesets != 2+40*(n+1) {
		t.Error(rep)
	}
}

// A file that may not grow: the change that does not fit fails whole, and the database goes on.
func TestDiskFull(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, bigDump(t, 200), LoadOptions{})
	before, st := dump(t, db, DumpOptions{}), stateOf(t, db)
	limit := func(pages int) {
		t.Helper()
		_, err := db.write(t.Context(), func(c *conn, _ *state) error {
			return c.script(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite makes it what is in use now
	_, err := db.Load(t.Context(), bytes.NewReader(bigDump(t, 5000)), LoadOptions{})
	if !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	limit(1)
	p := princ("big", 1)
	_, err = db.Update(t.Context(), func(tx *Tx) error {
		for i := range 2000 {
			p.Name = fmt.Sprintf("big%d@%s", i, testRealm)
			if err := tx.PutPrincipal(p); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	diff(t, dump(t, db, DumpOptions{}), before)
	if got := stateOf(t, db); got != st {
		t.Error(got, st)
	}
	verify(t, db)
	put(t, db, princ("after", 1)) // the limit went with its connection
}
