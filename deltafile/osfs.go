package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// OSFS is the file system of the operating system. It opens regular files only, writes to none
// that others may read or write (fs.ErrPermission), and follows
// no symbolic link in the last element of a name: a rename would replace the link.
var OSFS FS = osFS{}

type osFS struct{}

func (osFS) Open(name string) (File, error) {
	return openOS(name, os.O_RDONLY)
}

func (osFS) OpenAppend(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_APPEND)
}

func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL)
}

func (osFS) Link(oldname, newname string) error   { return os.Link(oldname, newname) }
func (osFS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error             { return os.Remove(name) }

func (osFS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := retryEINTR(func() error { return unix.Lstat(name, &st) }); err != nil {
		return Info{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return statInfo(&st), nil
}

func (osFS) Names(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func openOS(name string, flag int) (File, error) {
	// O_NONBLOCK: opening a FIFO put there by mistake must fail below, not hang here.
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%q is a symbolic link: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("not a regular file")}
	}
	if m := fi.Mode().Perm(); err == nil && flag&os.O_RDWR != 0 && m&0o077 != 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("mode %04o lets others in, want 0600: %w", m, fs.ErrPermission)}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

func (f osFile) Stat() (Info, error) {
	var st unix.Stat_t
	if err := f.control(func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return Info{}, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return statInfo(&st), nil
}

// Lock tries without blocking and waits between tries: a blocked flock cannot be given up
// when ctx ends. Locks here are held for microseconds, by a truncation for as long as the
// copy of what remains takes.
func (f osFile) Lock(ctx context.Context) error {
	const first, last = 20 * time.Microsecond, 2 * time.Millisecond
	var timer *time.Timer
	for wait := first; ; wait = min(2*wait, last) {
		err := f.control(func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (f osFile) Unlock() error {
	return f.control(func(fd int) error { return unix.Flock(fd, unix.LOCK_UN) })
}

// control runs a system call on the descriptor without taking it from the runtime.
func (f osFile) control(call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var cerr error
	err = conn.Control(func(fd uintptr) {
		cerr = retryEINTR(func() error { return call(int(fd)) })
	})
	if err != nil {
		return err
	}
	return cerr
}

func retryEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func statInfo(st *unix.Stat_t) Info {
	return Info{Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size}
}
