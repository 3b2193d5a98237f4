package kdb

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestDiskTrouble(t *testing.T) {
	dir := t.TempDir()
	if err := diskTrouble(filepath.Join(dir, "principal.sqlite")); err != nil {
		t.Errorf("a good directory: %v", err)
	}
	if err := diskTrouble(filepath.Join(dir, "gone", "principal.sqlite")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}
