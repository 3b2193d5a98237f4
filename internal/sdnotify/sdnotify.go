package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Ready and Stopping are what a service says.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// Notify sends a state to the manager named in NOTIFY_SOCKET. Without one it returns nil.
func Notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	_, err = c.Write([]byte(state + "\nMAINPID=" + strconv.Itoa(os.Getpid())))
	if closed := c.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// firstFD is the number of the first socket that is passed.
const firstFD = 3

// maxFDs bounds what the environment can make us try.
const maxFDs = 1024

// Sockets are those that the manager passed.
type Sockets struct {
	Packet []*net.UDPConn
	Stream []net.Listener
}

// Inherited takes over the sockets that LISTEN_PID and LISTEN_FDS speak of and removes both from
// the environment, so that children do not take them for their own. It returns nil if there are
// none, and an error if one of them is neither a UDP nor a listening stream socket.
func Inherited() (*Sockets, error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(v)
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS=%q", fds)
	}
	if n == 0 {
		return nil, nil
	}
	s := new(Sockets)
	for fd := firstFD; fd < firstFD+n; fd++ {
		if err := s.take(fd); err != nil {
			s.Close()
			return nil, fmt.Errorf("inherited socket %d: %w", fd, err)
		}
	}
	return s, nil
}

// Handed returns the descriptors that LISTEN_PID and LISTEN_FDS give this process, for a child that it
// starts in its place and that calls Adopt; none if there are none.
func Handed() ([]*os.File, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS=%q", os.Getenv("LISTEN_FDS"))
	}
	var files []*os.File
	for fd := firstFD; fd < firstFD+n; fd++ {
		files = append(files, os.NewFile(uintptr(fd), "handed"))
	}
	return files, nil
}

// Adopt makes the descriptors that a parent had from Handed, and passed on from the same number on, those
// of this process.
func Adopt() { _ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())) }

// take makes one descriptor a socket of this package; the descriptor itself is closed.
func (s *Sockets) take(fd int) error {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "inherited")
	if f == nil {
		return syscall.EBADF
	}
	defer f.Close()
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return err
	}
	if kind == syscall.SOCK_DGRAM {
		p, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		u, ok := p.(*net.UDPConn)
		if !ok {
			_ = p.Close()
			return fmt.Errorf("%T", p)
		}
		s.Packet = append(s.Packet, u)
		return nil
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the file is the manager's
	}
	s.Stream = append(s.Stream, l)
	return nil
}

// Close closes all sockets that are left.
func (s *Sockets) Close() {
	for _, u := range s.Packet {
		_ = u.Close()
	}
	for _, l := range s.Stream {
		_ = l.Close()
	}
}
