package namespace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

const marker = "KREALM_TEST_NAMESPACE"

// Inside tells whether this process was started by Enter.
func Inside() bool { return os.Getenv(marker) != "" }

// Enter runs this program once more, with the same arguments, in new namespaces: flags is of
// CLONE_NEWNS, CLONE_NEWNET and their like. Who is not root gets a user namespace as well, in
// which he is, where the system allows that. Enter returns the exit status of the second run,
// or an error when it could not be started. The second run, in which Inside is true, must not
// call Enter.
func Enter(flags uintptr) (status int, err error) {
	runtime.LockOSThread() // the child is killed when the thread that started it ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), marker+"=1")
	attr := &syscall.SysProcAttr{Unshareflags: flags, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		attr.Unshareflags, attr.Cloneflags = 0, flags|syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("namespace: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, fmt.Errorf("namespace: %w", err)
			}
			if status = cmd.ProcessState.ExitCode(); status < 0 {
				status = 1
			}
			return status, nil
		}
	}
}

// MountTmpfs mounts a file system of the given size in memory on a directory. It belongs to Inside.
func MountTmpfs(dir string, bytes int) error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("namespace: mounts made private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		return fmt.Errorf("namespace: tmpfs on %q: %w", dir, err)
	}
	return nil
}
