package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"krealm/dumpfmt"
	"pgregory.net/rapid"
)

func newView(t testing.TB, db *DB) *View {
	t.Helper()
	v, err := OpenView(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// runView runs a view until the test ends and returns a function that waits for a condition.
func runView(t testing.TB, v *View) (await func(what string, ok func() bool) time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("view: %v", err)
		}
	})
	return func(what string, ok func() bool) time.Duration {
		t.Helper()
		start := time.Now()
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-tick.C:
			case err := <-done:
				t.Fatal(err)
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%s: not seen", what)
			}
		}
		return time.Since(start)
	}
}

// sameView compares every entry of a view with the database.
func sameView(t testing.TB, v *View, db *DB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	n := 0
	for p, err := range db.Principals(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		got, ok := v.Principal(p.Name)
		if !ok || lineOf(t, got) != lineOf(t, p) {
			t.Fatalf("view has %+v, %v, database %+v", got, ok, p)
		}
		bare := *p
		bare.SetLockout(dumpfmt.Lockout{})
		if line, ok := v.Line(p.Name); !ok || string(line) != lineOf(t, &bare) {
			t.Fatalf("view has %q, %v for %q", line, ok, p.Name)
		}
	}
	if s := v.slab.Load(); s.live != n {
		t.Fatalf("view has %d entries, database %d", s.live, n)
	}
	m := 0
	for p, err := range db.Policies(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		m++
		if got, ok := v.Policy(p.Name); !ok || lineOf(t, got) != lineOf(t, p) {
			t.Fatalf("view has %+v, %v, database %+v", got, ok, p)
		}
	}
	if got := len(*v.policies.Load()); got != m {
		t.Fatalf("view has %d policies, database %d", got, m)
	}
	if v.State() != stateOf(t, db) {
		t.Fatalf("view at %v, database at %v", v.State(), stateOf(t, db))
	}
}

func TestViewFixture(t *testing.T) {
	db := newMaster(t, Options{})
	for _, name := range []string{"full/1.23pre.dump", "names/names-1.20.1.dump"} {
		load(t, db, readFile(t, name), LoadOptions{})
		sameView(t, newView(t, db), db)
	}
	v := newView(t, db)
	for _, name := range []string{"", "nobody@" + testRealm, strings.Repeat("x", 1<<20)} {
		if _, ok := v.Principal(name); ok {
			t.Errorf("found %.20q", name)
		}
		if _, ok := v.Policy(name); ok {
			t.Errorf("found %.20q", name)
		}
	}
}

// A view follows every kind of change that another handle commits, within milliseconds.
func TestViewFollows(t *testing.T) {
	db := newMaster(t, Options{KeepChanges: 10})
	put(t, db, princ("a", 1))
	v := newView(t, db)
	await := runView(t, v)
	seen := func(st fmt.Stringer) func() bool { return func() bool { return v.State() == st } }
	version := v.Version()
	for i := range uint32(40) { // more than are kept
		st := put(t, db, princ(fmt.Sprint("b", i%7), i+1))
		await("put", seen(st))
	}
	if v.Version() == version {
		t.Error("version stands still")
	}
	st, err := db.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.DeletePrincipal("a@"+testRealm), tx.PutPolicy(policy("p", 1)), tx.PutPolicy(policy("q", 1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	await("delete", seen(st))
	sameView(t, v, db)
	if st, err = db.Update(t.Context(), func(tx *Tx) error { return tx.DeletePolicy("p") }); err != nil {
		t.Fatal(err)
	}
	await("policy", seen(st))
	sameView(t, v, db)
	for i := range uint32(100) { // pruned before the view may look
		st = put(t, db, princ(fmt.Sprint("c", i), i+1))
	}
	await("many", seen(st))
	sameView(t, v, db)
	res := load(t, db, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	await("load", seen(res.State))
	sameView(t, v, db)
	if st, err = db.NewEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	await("epoch", seen(st))
	sameView(t, v, db)
}

// A slave that is rebuilt at the very serial it had, because its content differed, shows the new
// content.
func TestViewFollowsRebuild(t *testing.T) {
	master, slave := pair(t)
	v := newView(t, slave)
	other := frame(t, stateOf(t, master), bigDump(t, 10))
	if _, err := slave.LoadSnapshot(t.Context(), strings.NewReader(string(other))); err != nil {
		t.Fatal(err)
	}
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameView(t, v, slave)
}

// A reference stays as long as the entry does, and no longer.
func TestViewRef(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("a", 1))
	put(t, db, princ("b", 1))
	v := newView(t, db)
	ref := func(name string) uint64 {
		t.Helper()
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, ok := v.Ref(name + "@" + testRealm)
		if !ok {
			t.Fatal("not found")
		}
		return r
	}
	a, b := ref("a"), ref("b")
	put(t, db, princ("b", 2))
	if err := db.SetLockout(t.Context(), "a@"+testRealm, dumpfmt.Lockout{FailCount: 1}); err != nil {
		t.Fatal(err)
	}
	if ref("a") != a || ref("b") == b {
		t.Error("references after a change of b")
	}
	put(t, db, princ("b", 1)) // as it was, but not the same
	if ref("b") == b {
		t.Error("reference came back")
	}
	load(t, db, dump(t, db, DumpOptions{}), LoadOptions{})
	if ref("a") == a {
		t.Error("reference outlived a load")
	}
}

func TestViewLockout(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("a", 1))
	v := newView(t, db)
	name := "a@" + testRealm
	l := dumpfmt.Lockout{LastSuccess: 1, LastFailed: 1<<32 - 1, FailCount: 1<<32 - 3}
	if v.SetLockout("b@"+testRealm, l) || !v.SetLockout(name, l) {
		t.Error("SetLockout")
	}
	if got, ok := v.Lockout(name); !ok || got != l {
		t.Error(got, ok)
	}
	if p, ok := v.Principal(name); !ok || p.Lockout() != l {
		t.Error(p, ok)
	}
	locked := dumpfmt.Lockout{LastFailed: 100, FailCount: 3}
	unlocked := princ("a", 2)
	unlocked.LastFailed = 100
	newer := dumpfmt.Lockout{LastFailed: 105, FailCount: 4}
	for i, c := range []struct{ memory, want dumpfmt.Lockout }{
		{locked, unlocked.Lockout()}, // an administrator's unlock counts
		{newer, newer},               // so does a failure that is not written down yet
	} {
		v.SetLockout(name, c.memory)
		unlocked.Expire = uint32(i + 10)
		put(t, db, unlocked)
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _ := v.Lockout(name); got != c.want {
			t.Error(got, c.want)
		}
	}
}

// While a snapshot replaces all entries again and again, readers of the database and of a view see
// one whole generation or another.
func TestReadersSeeWholeGenerations(t *testing.T) {
	master, slave := newMaster(t, Options{}), newSlave(t, Options{})
	const n = 500
	generation := func(g int) {
		d := strings.ReplaceAll(string(bigDump(t, n)), "\t86400\t", fmt.Sprintf("\t%d\t", 1000+g))
		load(t, master, []byte(d), LoadOptions{})
		copyTo(t, master, slave)
	}
	generation(0)
	v := newView(t, slave)
	runView(t, v)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var life int32
				count := 0
				for p, err := range slave.Principals(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					if count++; count > 1 && p.MaxLife != life {
						t.Errorf("lives %d and %d in one reading", life, p.MaxLife)
						return
					}
					life = p.MaxLife
				}
				if count != n {
					t.Errorf("%d entries in one reading", count)
					return
				}
				s := v.slab.Load()
				first, ok1 := s.find("u0000000@" + testRealm)
				last, ok2 := s.find(fmt.Sprintf("u%07d@%s", n-1, testRealm))
				if !ok1 || !ok2 || lifeOf(first.line) != lifeOf(last.line) {
					t.Errorf("view shows %q and %q", first.line, last.line)
					return
				}
			}
		})
	}
	for g := range 8 {
		generation(g + 1)
	}
	close(stop)
	wg.Wait()
}

func lifeOf(line []byte) string { return strings.Split(string(line), "\t")[8] }

func TestViewReplaced(t *testing.T) {
	db := newMaster(t, Options{})
	v := newView(t, db)
	if err := Remove(db.path); err != nil {
		t.Fatal(err)
	}
	other, err := Create(t.Context(), db.path, testRealm, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, other)
	if err := v.Run(t.Context()); !errors.Is(err, ErrReplaced) {
		t.Error(err)
	}
}

// Readers and the writer of one view, for the race detector.
func TestViewConcurrent(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, bigDump(t, 200), LoadOptions{})
	v := newView(t, db)
	runView(t, v)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("u%07d@%s", rng.IntN(200), testRealm)
				if p, ok := v.Principal(name); ok && p.Name != name {
					t.Errorf("%q for %q", p.Name, name)
				}
				v.SetLockout(name, dumpfmt.Lockout{FailCount: rng.Uint32()})
				v.Ref(name)
				_, _ = v.State(), v.Version()
			}
		})
	}
	for i := range uint32(100) {
		put(t, db, princ(fmt.Sprintf("u%07d", i%200), i+10_000))
		if i%10 == 0 {
			if _, err := db.Update(t.Context(), func(tx *Tx) error {
				return tx.DeletePrincipal(fmt.Sprintf("u%07d@%s", i, testRealm))
			}); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// The slab against a map, with lines of all lengths.
func TestSlabModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s, model := newSlab(1, newLockArray(), 0), map[string]string{}
		name := rapid.StringN(0, 3, -1)
		for range rapid.IntRange(0, 400).Draw(r, "steps") {
			n := name.Draw(r, "name")
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0, 1:
				s.remove(n)
				delete(model, n)
			case 2:
				s = s.rebuilt(s.generation + 1)
			case 3:
				s.rehash()
			default:
				line := rapid.StringN(0, 30, -1).Draw(r, "line")
				s.put(n, []byte(line), dumpfmt.Lockout{FailCount: uint32(len(line))})
				model[n] = line
			}
		}
		for n, line := range model {
			if e, ok := s.find(n); !ok || string(e.line) != line {
				r.Fatalf("%q: %d bytes, want %d", n, len(e.line), len(line))
			}
		}
		if s.live != len(model) {
			r.Fatalf("%d entries, want %d", s.live, len(model))
		}
	})
}

// Lines about as long as a chunk, and longer.
func TestSlabLongLines(t *testing.T) {
	s := newSlab(1, newLockArray(), 0)
	lengths := []int{0, 1, chunkMin, chunkMax - headerSize - 1, chunkMax - headerSize, chunkMax - 1, chunkMax, chunkMax + 1, 3 * chunkMax, 5}
	line := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }
	for range 2 {
		for i, n := range lengths {
			s.put(string(rune('a'+i)), line(n), dumpfmt.Lockout{})
		}
		for i, n := range lengths {
			if e, ok := s.find(string(rune('a' + i))); !ok || !bytes.Equal(e.line, line(n)) {
				t.Errorf("%d bytes, want %d", len(e.line), n)
			}
		}
		s = s.rebuilt(2)
	}
}

// Garbage does not grow without bound.
func TestViewCompacts(t *testing.T) {
	db := newMaster(t, Options{})
	v := newView(t, db)
	p := princ("a", 1)
	p.TL = append(p.TL, dumpfmt.TL{Type: 300, Data: make([]byte, 60000)})
	for i := range uint32(60) {
		p.Expire = i
		put(t, db, p)
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := v.slab.Load(); s.bytes > 3<<20 || s.generation == 1 {
		t.Errorf("%d bytes for one entry, generation %d", s.bytes, s.generation)
	}
	sameView(t, v, db)
}

// How soon a view sees the commit of another process; see crash_test.go for the process.
func TestViewSeesOtherProcess(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	v := newView(t, db)
	await := runView(t, v)
	in, out := helper(t, "put", db)
	var worst time.Duration
	for i := range 20 {
		if _, err := fmt.Fprintln(in, i+1); err != nil {
			t.Fatal(err)
		}
		var serial uint64
		if _, err := fmt.Fscan(out, &serial); err != nil { // committed
			t.Fatal(err)
		}
		worst = max(worst, await("other process", func() bool { return v.State().Serial == serial }))
	}
	t.Logf("slowest of 20: %v", worst)
	if worst > 200*time.Millisecond {
		t.Errorf("slowest of 20 took %v: the poll found it, not the watch", worst)
	}
	if err := in.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func TestMain(m *testing.M) {
	if role := os.Getenv("KDB_TEST_ROLE"); role != "" {
		os.Exit(runRole(role))
	}
	os.Exit(m.Run())
}
