package testrealm

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFreePortsAreHeldAndDistinct(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		p, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if seen[p.Number] {
			t.Fatalf("port %d twice", p.Number)
		}
		seen[p.Number] = true
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			t.Errorf("port %d is not held", p.Number)
		}
		p.release()
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("port %d after release: %v", p.Number, err)
			continue
		}
		_ = l.Close()
	}
}

func startShell(t *testing.T, script string) (*Process, error) {
	t.Helper()
	return start(t.Context(), "shell", filepath.Join(t.TempDir(), "log", "shell"), ready, exec.Command("sh", "-c", script))
}

func TestStartWaitsForReadiness(t *testing.T) {
	p, err := startShell(t, `echo before; echo "shell: starting..." >&2; exec tail -f /dev/null`)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Running() || !strings.Contains(p.Log(), "before") {
		t.Errorf("running %v, log %q", p.Running(), p.Log())
	}
	p.Kill()
	if p.Running() {
		t.Error("runs after Kill")
	}
}

func TestStartReportsEarlyEnd(t *testing.T) {
	_, err := startShell(t, `echo "no such database" >&2; exit 1`)
	if err == nil || !strings.Contains(err.Error(), "no such database") {
		t.Errorf("start: %v", err)
	}
}

func TestKillTakesChildren(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	p, err := startShell(t, `tail -f /dev/null & echo $! >`+pidFile+`; echo ": starting..." >&2; wait`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	deadline := time.Now().Add(10 * time.Second)
	for syscall.Kill(child, 0) == nil && !zombie(child) { // the kernel may need a moment
		if time.Now().After(deadline) {
			t.Fatalf("child %d survived", child)
		}
	}
}

// zombie tells whether a process has ended and only waits to be reaped by init.
func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}

func TestWaitLogEndsWithContext(t *testing.T) {
	p, err := startShell(t, `echo ": starting..."; exec tail -f /dev/null`)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitLog(ctx, "never said"); err == nil {
		t.Error("WaitLog found what was never said")
	}
}

func TestFixtureIsWhole(t *testing.T) {
	f, err := ReadFixture("../testdata/realm")
	if err != nil {
		t.Fatal(err)
	}
	principals, policies, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if principals < 300 || policies < 5 {
		t.Errorf("%d principals, %d policies", principals, policies)
	}
	dump, err := os.ReadFile(f.Dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range f.Entries {
		if !strings.Contains(string(dump), "\t"+e.Principal+"\t") {
			t.Errorf("the dump lacks %q", e.Principal)
		}
	}
}
