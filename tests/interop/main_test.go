package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/tests/testrealm"
)

// raceDetector is set when the tests are built with it: the daemons under test are too. Commands
// are not; they are run by the hundred, and begin slowly under it.
var raceDetector bool

// TestMain builds the programs into bin, and those that keep running into daemon.
var bin, daemon string

func TestMain(m *testing.M) {
	if argument := os.Getenv(dieRole); argument != "" {
		fmt.Fprintln(os.Stderr, dieAfterCommit(context.Background(), argument))
		os.Exit(1)
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
	bin, daemon = dir, dir
	if raceDetector {
		daemon = filepath.Join(dir, "race")
	}
	for _, build := range []struct {
		dir  string
		race bool
	}{{bin, false}, {daemon, raceDetector}} {
		if err := testrealm.Build(context.Background(), "../..", build.dir, build.race); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// testTimeout bounds one test with its subtests.
const testTimeout = 3 * time.Minute

// waitTimeout bounds one wait, for a serial or a line: what is waited for takes milliseconds.
const waitTimeout = 30 * time.Second

// newRealm lays out a realm that ends with the test; a failed test prints what the processes wrote.
func newRealm(t testing.TB, slaves ...string) (context.Context, *testrealm.Realm) {
	t.Helper()
	if slaves == nil {
		slaves = []string{}
	}
	return newRealmWith(t, testrealm.Options{Slaves: slaves})
}

func newRealmWith(t testing.TB, o testrealm.Options) (context.Context, *testrealm.Realm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	o.Bin, o.Daemon = bin, daemon
	r, err := testrealm.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.Logs())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return ctx, r
}

// newLoadedRealm is newRealm with the fixture on the master.
func newLoadedRealm(t testing.TB, slaves ...string) (context.Context, *testrealm.Realm, *testrealm.Fixture) {
	t.Helper()
	ctx, r := newRealm(t, slaves...)
	f := fixture(t)
	check(t, r.LoadFixture(ctx, f))
	return ctx, r, f
}

// newPair is the fixture under our KDC on the master and under MIT's on another host, both
// counting logins.
func newPair(t *testing.T) (ctx context.Context, f *testrealm.Fixture, our, mit *pairHost) {
	t.Helper()
	ctx, r := newRealmWith(t, testrealm.Options{Slaves: []string{}, CountLogins: true})
	f = fixture(t)
	check(t, r.LoadFixture(ctx, f))
	our = &pairHost{r.Master, must(r.Master.StartKDC(ctx))(t), "kdc"}
	h := must(r.AddHost("mit"))(t)
	check(t, testrealm.CopyFile(h.Stash, f.Stash))
	stock(ctx, t, h, "kdb5_util", "load", f.Dump)
	kdc := must(h.Start(ctx, "krb5kdc", "-n", "-r", testrealm.RealmName))(t)
	return ctx, f, our, &pairHost{h, kdc, must(testrealm.Stock("kadmin.local"))(t)}
}

// pairHost is one side of a comparison: a host, the KDC that runs on it, its kadmin.local.
type pairHost struct {
	*testrealm.Host
	kdc    *testrealm.Process
	kadmin string
}

func fixture(t testing.TB) *testrealm.Fixture {
	t.Helper()
	f, err := testrealm.ReadFixture("../testdata/realm")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must unwraps a value whose error ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// succeeds ends the test unless the command ended with status 0.
func succeeds(t testing.TB, r testrealm.Result, err error) string {
	t.Helper()
	check(t, err)
	check(t, r.Err())
	return r.Stdout
}

// fails ends the test unless the command ended with status 1 and said all the words on stderr.
func fails(t testing.TB, r testrealm.Result, err error, words ...string) {
	t.Helper()
	check(t, err)
	if r.Status != 1 {
		t.Errorf("%s: status %d, want 1\n%s%s", strings.Join(r.Args, " "), r.Status, r.Stdout, r.Stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			t.Errorf("%s: stderr lacks %q:\n%s", strings.Join(r.Args, " "), w, r.Stderr)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(name))(t)
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	check(t, os.WriteFile(name, b, 0o600))
}

// identical compares two dumps and names the first record that differs.
func identical(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			t.Fatalf("%s: line %d differs:\n got %.300s\nwant %.300s", what, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", what, len(g), len(w))
}

// kadmin runs kadmin.local queries of ours on the master.
func kadmin(ctx context.Context, t testing.TB, r *testrealm.Realm, queries ...string) {
	t.Helper()
	for _, q := range queries {
		must(r.Master.Kadmin(ctx, q))(t)
	}
}

// current is the state of a host's database.
func current(ctx context.Context, t testing.TB, h *testrealm.Host) deltafile.State {
	t.Helper()
	state, _, err := h.State(ctx)
	check(t, err)
	return state
}

// stock runs a stock program on a host; kdb5_util and kadmin.local get the realm's name.
func stock(ctx context.Context, t testing.TB, h *testrealm.Host, program string, args ...string) string {
	t.Helper()
	path := must(testrealm.Stock(program))(t)
	r, err := h.Run(ctx, "", path, append([]string{"-r", testrealm.RealmName}, args...)...)
	return succeeds(t, r, err)
}

// ours runs one of our kdc's programs under its MIT name.
func ours(ctx context.Context, h *testrealm.Host, program string, args ...string) (testrealm.Result, error) {
	return h.Run(ctx, "", "kdc", append([]string{program, "-r", testrealm.RealmName}, args...)...)
}

// says waits until a process has written text.
func says(ctx context.Context, t testing.TB, p *testrealm.Process, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	check(t, p.WaitLog(ctx, text))
}

// dial opens a TCP connection to a loopback port.
func dial(ctx context.Context, t *testing.T, port int) net.Conn {
	t.Helper()
	var d net.Dialer
	c := must(d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port)))(t)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func dumpFile(h *testrealm.Host, name string) string { return filepath.Join(h.Dir, name) }
