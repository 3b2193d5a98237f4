package deltafile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrPossessed means that another process has the file for itself.
var ErrPossessed = errors.New("in use by another process")

// Possession is a file that is one process's alone, until Close or the end of the process.
type Possession struct{ lock *os.File }

// maxNote bounds what is read of a lock's note, in bytes.
const maxNote = 256

// Possess makes a file one process's, in a role: the spool is its krepd's, the delta file has one
// krep that follows and cuts it. It takes the lock of the file NAME.SUFFIX, which stays when it is
// given back, and leaves note in it, a line that tells people whom to look for: who comes second
// gets ErrPossessed with the note of the first. Writers of the file itself are not kept out.
//
// The directory of the file must be closed to others, the file too if there is one: fs.ErrPermission.
func Possess(path, suffix, note string) (*Possession, error) {
	if err := CheckModes(path); err != nil {
		return nil, err
	}
	name := path + "." + suffix
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	err = retryEINTR(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		b := make([]byte, maxNote)
		n, _ := f.ReadAt(b, 0)
		who, _, _ := strings.Cut(string(b[:n]), "\n")
		if who != "" {
			who = " (" + strings.ToValidUTF8(who, "?") + ")"
		}
		err = fmt.Errorf("%q: %w%s", path, ErrPossessed, who)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if f.Truncate(0) == nil { // a full disk is no reason to go without the lock
		_, _ = f.WriteAt([]byte(note+"\n"), 0)
	}
	return &Possession{f}, nil
}

// Close gives the file back.
func (p *Possession) Close() error { return p.lock.Close() }

// CheckModes refuses a file that others may read or write, or that lies in a directory in which
// others may: fs.ErrPermission. That there is no file yet is no error.
func CheckModes(path string) error {
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if m := st.Mode().Perm(); m&0o077 != 0 {
		return fmt.Errorf("%q: directory of mode %04o lets others in, want 0700: %w", dir, m, fs.ErrPermission)
	}
	st, err = os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if m := st.Mode().Perm(); m&0o077 != 0 {
		return fmt.Errorf("%q: mode %04o lets others in, want 0600: %w", path, m, fs.ErrPermission)
	}
	return nil
}
