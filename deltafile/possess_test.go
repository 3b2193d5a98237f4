package deltafile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPossess(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "delta")
	if _, err := Possess(path, "krep", "x"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "want 0700") {
		t.Errorf("open directory: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mine, err := Possess(path, "krep", "krep with pid 1, control socket \"/a\"")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Possess(path, "krep", "krep with pid 2"); !errors.Is(err, ErrPossessed) || !strings.Contains(err.Error(), `(krep with pid 1, control socket "/a")`) {
		t.Errorf("twice: %v", err)
	}
	other, err := Possess(path, "lock", "another role")
	if err != nil {
		t.Errorf("another role: %v", err)
	}
	if err := errors.Join(mine.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Possess(path, "krep", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Possess(path, "krep", ""); !errors.Is(err, ErrPossessed) || strings.Contains(err.Error(), "pid 1") {
		t.Errorf("the note of one who is gone: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path + ".krep"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("lock: %v, %v", st, err)
	}
}

// TestLooseModes: nobody writes to, or takes possession of, a file that others may look into.
func TestLooseModes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "delta")
	base := Initial("R", 7, time.Unix(1700000000, 0))
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Reset(t.Context(), base), a.Close()); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Possess(path, "krep", ""); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%o: possessed: %v", mode, err)
		}
		if _, err := Truncate(t.Context(), path, 7, 1); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%o: truncated: %v", mode, err)
		}
		a, err := OpenAppender(path, AppenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Append(t.Context(), base, func(State) ([]*Changeset, error) { return nil, nil })
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "want 0600") {
			t.Errorf("%o: appended: %v", mode, err)
		}
		_ = a.Close()
	}
}
