package testrealm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	dirPattern = "krealm-"
	ownerFile  = "owner" // locked for as long as the process lives that made the directory
)

// own leaves in a directory the sign that its maker lives. The lock is there before the name is.
func own(dir string) (*os.File, error) {
	draft := filepath.Join(dir, ownerFile+".new")
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = os.Rename(draft, filepath.Join(dir, ownerFile))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Sweep removes the directories of realms whose process was killed before it could, and returns
// their names. Those that were to be kept stay, and those of other users.
func Sweep() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern+"*"))
	if err != nil {
		return nil, err
	}
	var swept []string
	for _, dir := range dirs {
		if dead, err := abandoned(dir); err != nil {
			return swept, fmt.Errorf("testrealm: %w", err)
		} else if !dead {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return swept, fmt.Errorf("testrealm: %w", err)
		}
		swept = append(swept, dir)
	}
	return swept, nil
}

// abandoned tells whether a directory is a realm's, our user's, and nobody's any more.
func abandoned(dir string) (bool, error) {
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 || st.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
		return false, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil, nil
}
