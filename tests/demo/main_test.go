package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

const fixture = "../testdata/realm"

// build builds the programs and sends the demo's throw-away directory where the test can see it.
func build(t *testing.T) (bin, temp string) {
	t.Helper()
	bin, temp = t.TempDir(), t.TempDir()
	if err := testrealm.Build(t.Context(), "../..", bin, false); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	t.Setenv("ONCE", "1")
	t.Setenv("KEEP", "")
	return bin, temp
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
	bin, temp := build(t)
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
	bin, temp := build(t)
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
	bin, temp := build(t)
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
