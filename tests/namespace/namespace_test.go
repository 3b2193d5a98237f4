package namespace

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestEnter runs itself in a namespace and mounts something there, which is not seen outside.
func TestEnter(t *testing.T) {
	const where = "KREALM_TEST_DIR"
	if Inside() {
		dir := os.Getenv(where)
		if err := MountTmpfs(dir, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "inside"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	t.Setenv(where, dir)
	status, err := Enter(syscall.CLONE_NEWNS)
	if err != nil && os.Getuid() != 0 {
		t.Logf("LEFT OUT: no namespaces for users here: %v", err)
		return
	}
	if err != nil || status != 0 {
		t.Fatalf("Enter: status %d, %v", status, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("outside: %v, %v", left, err)
	}
}
