package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

const fixture = "../testdata/realm"

// bin is where TestMain built the programs.
var bin string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "krealm-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = testrealm.Build(context.Background(), "../..", dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = dir
	return m.Run()
}

// runOnce sends the demo's throw-away directory where the test can see it, and has it end by itself.
func runOnce(t *testing.T) (temp string) {
	t.Helper()
	temp = t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("ONCE", "1")
	t.Setenv("KEEP", "")
	return temp
}

func left(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestShow(t *testing.T) {
	temp := runOnce(t)
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), bin, fixture, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if n := strings.Count(stdout.String(), "  ok  "); n != 6 {
		t.Errorf("%d rows are ok, want 6:\n%s", n, &stdout)
	}
	if l := left(t, temp); len(l) != 0 {
		t.Errorf("left behind: %v", l)
	}
}

// TestShowFails: what does not hold is said, with exit status 1, and nothing is left behind.
func TestShowFails(t *testing.T) {
	temp := runOnce(t)
	dir := filepath.Join(temp, "fixture")
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	dump := filepath.Join(dir, "realm.dump")
	b, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dump, b[:len(b)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), bin, dir, &stdout, &stderr); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	if !strings.Contains(stdout.String(), "FAILED") || !strings.Contains(stderr.String(), "line") {
		t.Errorf("stdout:\n%s\nstderr:\n%s", &stdout, &stderr)
	}
	if l := left(t, temp); len(l) != 1 {
		t.Errorf("left behind: %v", l)
	}
}

// TestShowInterrupted: a cancelled show (Ctrl-C) fails and cleans up.
func TestShowInterrupted(t *testing.T) {
	temp := runOnce(t)
	ctx, cancel := context.WithCancel(t.Context())
	stdout := &cancelAt{text: "krepd is killed", cancel: cancel}
	var stderr bytes.Buffer
	if status := run(ctx, bin, fixture, stdout, &stderr); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	if !strings.Contains(stderr.String(), "FAILED: interrupted") {
		t.Errorf("stderr:\n%s", &stderr)
	}
	if l := left(t, temp); len(l) != 0 {
		t.Errorf("left behind: %v", l)
	}
}

// cancelAt is a writer that cancels when a text comes by.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return len(p), nil
}

// TestKilledRunIsSwept: the directory of a run that was killed is removed by the next one, that of
// a run that goes on and one that was kept are not.
func TestKilledRunIsSwept(t *testing.T) {
	temp := runOnce(t)
	alive, err := testrealm.New(testrealm.Options{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	kept, err := testrealm.New(testrealm.Options{Bin: bin, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	demo := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", demo, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), demo, "-bin", bin, "-fixture", fixture)
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "krepd is killed") {
			break
		}
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait()
	if n := len(left(t, temp)); n != 3 {
		t.Fatalf("%d directories, want 3", n)
	}
	swept, err := testrealm.Sweep()
	if err != nil || len(swept) != 1 || swept[0] == alive.Dir || swept[0] == kept.Dir {
		t.Errorf("%v, %v", swept, err)
	}
	if n := len(left(t, temp)); n != 2 {
		t.Errorf("%d directories left, want 2", n)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
}
