package deltafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// FileWatch is DirWatch for one file: it is not woken by what happens to the others in the
// directory, such as a database beside a delta file, which is written many times for each change.
type FileWatch struct {
	path, dir string
	base      []byte
	in        *os.File // inotify
	c         chan struct{}
	done      chan struct{}

	dirWatch, fileWatch int // descriptors within in; -1: none
}

const (
	// fileEvents are those of the file itself, dirEvents those of names in its directory.
	fileEvents = unix.IN_MODIFY | unix.IN_ATTRIB
	dirEvents  = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
)

// WatchFile watches for changes of the file that path names, whatever file that is by then: bytes
// written or cut off, the name given to another file, gone or there again. The directory must
// exist; the file need not. If the directory itself goes away and comes back, it is watched
// again. One goroutine reads the events until Close, which waits for it.
func WatchFile(path string) (*FileWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("deltafile: watch %q: %w", path, err)
	}
	w := &FileWatch{path: path, dir: filepath.Dir(path), base: []byte(filepath.Base(path)),
		in: os.NewFile(uintptr(fd), "inotify"), c: make(chan struct{}, 1), done: make(chan struct{}),
		dirWatch: -1, fileWatch: -1}
	if err := w.add(); err != nil {
		_ = w.in.Close()
		return nil, fmt.Errorf("deltafile: watch %q: %w", path, err)
	}
	go w.run()
	return w, nil
}

// C receives after each change; changes that come before it is read are one.
func (w *FileWatch) C() <-chan struct{} { return w.c }

// Close ends the watch and the goroutine behind it. C is not closed.
func (w *FileWatch) Close() error {
	err := w.in.Close()
	<-w.done
	return err
}

// watch adds a watch on a name, or finds the one that its file has already.
func (w *FileWatch) watch(name string, mask uint32) (wd int, err error) {
	conn, err := w.in.SyscallConn()
	if err != nil {
		return -1, err
	}
	wd = -1
	ctl := conn.Control(func(fd uintptr) { wd, err = unix.InotifyAddWatch(int(fd), name, mask) })
	return wd, errors.Join(ctl, err)
}

// forget removes a watch; it may be gone already.
func (w *FileWatch) forget(wd int) {
	if conn, err := w.in.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) })
	}
}

// add watches directory and file. The directory comes first: a file that gets the name later is an
// event.
func (w *FileWatch) add() error {
	wd, err := w.watch(w.dir, dirEvents|unix.IN_ONLYDIR)
	if err != nil {
		return err
	}
	if w.dirWatch >= 0 && w.dirWatch != wd {
		w.forget(w.dirWatch)
	}
	w.dirWatch = wd
	return w.follow()
}

// follow watches the file that has the name now, and no longer the one that had it.
func (w *FileWatch) follow() error {
	wd, err := w.watch(w.path, fileEvents|unix.IN_DONT_FOLLOW)
	if errors.Is(err, unix.ENOENT) {
		wd, err = -1, nil
	}
	if err != nil {
		return err
	}
	if w.fileWatch >= 0 && w.fileWatch != wd {
		w.forget(w.fileWatch)
	}
	w.fileWatch = wd
	return nil
}

// run ends when the descriptor is closed.
func (w *FileWatch) run() {
	defer close(w.done)
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	lost := false
	for {
		if lost { // the directory may come back, and nothing will say so
			_ = w.in.SetReadDeadline(time.Now().Add(defaultPoll))
		}
		n, err := w.in.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		wake, names := lost, lost
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			var ev event
			ev, rest = w.event(rest)
			wake = wake || ev.wake
			names = names || ev.names
		}
		if names {
			was := lost
			if lost = w.add() != nil; was && !lost {
				_ = w.in.SetReadDeadline(time.Time{})
			}
		}
		if wake {
			select {
			case w.c <- struct{}{}:
			default:
			}
		}
	}
}

// event is what an event of the kernel means here.
type event struct {
	wake  bool // the file may have changed
	names bool // the name may stand for another file, or the directory for another directory
}

// event takes the first event off what was read.
func (w *FileWatch) event(b []byte) (ev event, rest []byte) {
	wd := int(int32(binary.NativeEndian.Uint32(b)))
	mask := binary.NativeEndian.Uint32(b[4:])
	end := min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])), len(b))
	name := bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00")
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0: // something was missed
		ev = event{true, true}
	case wd == w.fileWatch:
		ev = event{true, mask&unix.IN_IGNORED != 0}
	case wd != w.dirWatch: // of a file that had the name before
	case len(name) == 0: // the directory itself
		ev = event{true, true}
	case bytes.Equal(name, w.base):
		ev = event{true, true}
	}
	return ev, b[end:]
}
