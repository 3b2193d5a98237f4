package control

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A socket is its owner's alone from the moment it exists, whatever the umask.
func TestBindIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	old := syscall.Umask(0)
	ln, err := bind(path)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}
