package mkey

import (
	"errors"
	"fmt"
	"os"
)

// ErrLoose means that others than its owner can write a stash file.
var ErrLoose = errors.New("others can write it; whoever does owns the realm (chmod 600)")

// CheckStash looks at the permissions of a stash file. MIT's programs do not, so files that others
// can read are found on machines that move in: that is a warning, "" for none. A file that others
// can write is ErrLoose. A file that is not there is neither.
func CheckStash(path string) (warning string, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", nil // who opens it says it better
	}
	switch mode := fi.Mode().Perm(); {
	case mode&0o022 != 0:
		return "", fmt.Errorf("stash file %q: mode %04o: %w", path, mode, ErrLoose)
	case mode&0o055 != 0:
		return fmt.Sprintf("stash file %q: mode %04o: others can read it, and with it every key of the realm (chmod 600)", path, mode), nil
	}
	return "", nil
}
