package mkey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckStash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stash")
	if warning, err := CheckStash(path); warning != "" || err != nil {
		t.Errorf("no file: %q, %v", warning, err)
	}
	for mode, want := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o700: "", 0o640: "read", 0o644: "read", 0o604: "read", 0o610: "read",
		0o620: "write", 0o602: "write", 0o666: "write", 0o660: "write",
	} {
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		warning, err := CheckStash(path)
		if (want == "read") != strings.Contains(warning, "others can read it") || (want == "write") != errors.Is(err, ErrLoose) {
			t.Errorf("%04o: %q, %v", mode, warning, err)
		}
	}
}
