package crash

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"krealm/kdc/kdb"
	"krealm/tests/namespace"
	"krealm/tests/testrealm"
)

var (
	duration = flag.Duration("crash.duration", 15*time.Second, "how long things are broken")
	seed     = flag.Uint64("crash.seed", 0, "what happens and when; 0: drawn")
)

// settle bounds the time from the mending of everything to the last slave's having all. krep asks a
// slave that it could not reach again after 30 s at the latest.
const settle = time.Minute

// bin is where the programs are; errNamespace why there is no namespace.
var (
	bin          string
	errNamespace error
)

// TestMain runs the tests in a mount namespace of their own, where that can be had.
func TestMain(m *testing.M) {
	flag.Parse()
	if !namespace.Inside() {
		status, err := namespace.Enter(syscall.CLONE_NEWNS)
		if err == nil {
			os.Exit(status)
		}
		errNamespace = err
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "krealm-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	if err := testrealm.BuildStepped(context.Background(), "../..", bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestStep: the programs' wall clock can be stepped, or the story would tell nothing of it.
func TestStep(t *testing.T) {
	r, err := testrealm.New(testrealm.Options{Bin: bin})
	check(t, err)
	defer func() { check(t, r.Close()) }()
	f, err := testrealm.ReadFixture("../testdata/realm")
	check(t, err)
	check(t, r.LoadFixture(t.Context(), f))
	check(t, r.Master.Step(1000*24*time.Hour))
	_, err = r.Master.Kadmin(t.Context(), "addprinc -clearpolicy -randkey tomorrow")
	check(t, err)
	out, err := r.Master.Kadmin(t.Context(), "getprinc tomorrow")
	check(t, err)
	if year := time.Now().Add(1000 * 24 * time.Hour).UTC().Format("2006"); !strings.Contains(out, year) {
		t.Errorf("not made in %s:\n%s", year, out)
	}
}

// TestCrash is the whole story; see the package's documentation.
func TestCrash(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d -crash.duration=%v", *seed, *duration)
	ctx := t.Context()
	w := newWorld(ctx, t, rand.New(rand.NewPCG(*seed, 0)))
	for _, d := range slices.Concat(w.kdcs[:1], w.krepds, []*daemon{w.krep}) {
		w.start(ctx, d)
	}
	w.converge(ctx)
	for _, d := range w.kdcs[1:] { // it needs a database
		w.start(ctx, d)
	}

	var writers []*writer
	broken, stop := context.WithTimeout(ctx, *duration)
	defer stop()
	var wg sync.WaitGroup
	for i := range 3 {
		wr := &writer{name: fmt.Sprintf("w%d", i), host: w.realm.Master, rng: rand.New(rand.NewPCG(*seed, uint64(i+1)))}
		writers = append(writers, wr)
		wg.Go(func() {
			if err := wr.run(broken); err != nil {
				t.Error(err)
				stop()
			}
		})
	}
	w.chaos(broken)
	wg.Wait()
	w.heal(ctx)
	mended := time.Now()
	w.converge(ctx)
	took := time.Since(mended)
	w.healthy(ctx)
	w.same(ctx)
	w.acknowledged(ctx, writers)
	w.logins(writers)
	w.report(writers, took)
}

// converge waits until every slave has what the master has. The daemons are kept running.
func (w *world) converge(ctx context.Context) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	want, digest, err := w.realm.Master.State(ctx)
	check(w.t, err)
	left := slices.Clone(w.realm.Slaves)
	for len(left) > 0 {
		w.supervise()
		w.runDue(ctx)
		left = slices.DeleteFunc(left, func(h *testrealm.Host) bool {
			s, d, err := h.State(ctx)
			return err == nil && s.Same(want) && d == digest
		})
		select {
		case <-ctx.Done():
			for _, h := range left {
				s, _, err := h.State(context.Background())
				w.t.Errorf("%s does not reach the master's %v: it is at %v, %v", h.Name, want, s, err)
			}
			w.t.FailNow()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// healthy waits until krep says that all slaves are well.
func (w *world) healthy(ctx context.Context) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		r, err := w.realm.Master.Run(ctx, "", "krep", "status", "-r", testrealm.RealmName)
		if err == nil && r.Status == 0 {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("krep status: %v, %v\n%s", r.Err(), err, r.Stdout)
		}
		w.supervise()
	}
}

// same compares the dumps with serial and time of all hosts, byte by byte.
func (w *world) same(ctx context.Context) {
	w.t.Helper()
	want, err := w.realm.Master.Dump(ctx, "end.dump", "-i1")
	check(w.t, err)
	for _, h := range w.realm.Slaves {
		got, err := h.Dump(ctx, "end.dump", "-i1")
		check(w.t, err)
		if !bytes.Equal(got, want) {
			w.t.Errorf("%s: its dump (%d bytes) is not the master's (%d bytes)", h.Name, len(got), len(want))
		}
	}
	w.t.Logf("dumps of the four hosts: %d bytes each, the same", len(want))
}

// acknowledged looks for every change that was acknowledged.
func (w *world) acknowledged(ctx context.Context, writers []*writer) {
	w.t.Helper()
	db, err := kdb.Open(ctx, w.realm.Master.SQLite(), kdb.Options{ReadOnly: true})
	check(w.t, err)
	defer db.Close()
	for _, wr := range writers {
		for _, wrong := range wr.verify(ctx, db) {
			w.t.Error(wrong)
		}
	}
}

// logins asks each slave's KDC for tickets with passwords that were set last.
func (w *world) logins(writers []*writer) {
	w.t.Helper()
	n := 0
	for i, h := range w.realm.Slaves {
		for _, e := range writers[i%len(writers)].entries {
			if e.policy || e.presence != present || e.password == "" {
				continue
			}
			if _, _, err := h.GoLogin(e.name+"@"+testrealm.RealmName, e.password, "host/h01.example.org"); err != nil {
				w.t.Errorf("%s: %s: %v", h.Name, e.name, err)
			}
			if n++; n%3 == 0 {
				break
			}
		}
	}
	if n == 0 {
		w.t.Error("nobody to log in")
	}
}

// report tells what has happened.
func (w *world) report(writers []*writer, took time.Duration) {
	var b strings.Builder
	var acked, killed int64
	ops := map[string]int{}
	for _, wr := range writers {
		acked, killed = acked+wr.acked.Load(), killed+wr.killed.Load()
		for op, n := range wr.ops {
			ops[op] += n
		}
	}
	fmt.Fprintf(&b, "%d changes acknowledged, %d commands killed %v; all slaves have all %v after the mending\n", acked, killed, ops, took.Round(time.Millisecond))
	for _, a := range actions {
		fmt.Fprintf(&b, "  %4d %s\n", w.counts[a.name], a.name)
	}
	for _, name := range []string{"ended without disk", "start without disk failed"} {
		fmt.Fprintf(&b, "  %4d times: a daemon %s\n", w.counts[name], name)
	}
	for _, d := range w.daemons() {
		fmt.Fprintf(&b, "  %4d starts of %s\n", d.starts, d)
	}
	for i, p := range w.proxies {
		p.mu.Lock()
		fmt.Fprintf(&b, "  %d and %d octets between krep and slave%d\n", p.passed[up], p.passed[down], i+1)
		p.mu.Unlock()
	}
	w.t.Log(b.String())
}
