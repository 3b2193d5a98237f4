package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listeners are the bound sockets of a server.
type listeners struct {
	udp    []*udpSocket
	stream []net.Listener
	https  []net.Listener

	backlog int
}

func (l *listeners) close() error {
	var errs []error
	for _, u := range l.udp {
		errs = append(errs, u.conn.Close())
	}
	for _, s := range l.stream {
		errs = append(errs, s.Close())
	}
	for _, s := range l.https {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (l *listeners) count() int { return len(l.udp) + len(l.stream) + len(l.https) }

// bind opens all sockets. Any address that cannot be bound fails the whole: a KDC that listens
// on half of what it should is worse than one that does not start. SO_REUSEPORT is never set,
// so that a second server on a port is noticed.
func bind(ctx context.Context, o *Options) (l *listeners, err error) {
	l = &listeners{backlog: o.Backlog}
	defer func() {
		if err != nil {
			_ = l.close()
		}
	}()
	if err := l.bindHTTPS(ctx, o.HTTPS.Listen); err != nil {
		return l, err
	}
	if o.Inherited != nil {
		return l, l.inherit(o)
	}
	paths := map[string]bool{}
	for _, a := range o.UDP {
		if isPath(a) {
			paths[a] = true
			continue
		}
		if err := l.each(a, "udp", func(network, addr string) error { return l.bindUDP(ctx, network, addr) }); err != nil {
			return l, err
		}
	}
	for _, a := range o.TCP {
		if isPath(a) {
			paths[a] = true
			continue
		}
		if err := l.each(a, "tcp", func(network, addr string) error { return l.bindStream(ctx, network, addr) }); err != nil {
			return l, err
		}
	}
	for p := range paths {
		// A socket file left by a server that was killed would be in the way.
		if fi, err := os.Lstat(p); err == nil && fi.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(p)
		}
		if err := l.bindStream(ctx, "unix", p); err != nil {
			return l, &BindError{p, err}
		}
	}
	if l.count() == 0 {
		return l, ErrNoListener
	}
	return l, nil
}

// bindHTTPS opens the sockets of the proxy protocol, which a service manager does not pass.
func (l *listeners) bindHTTPS(ctx context.Context, addrs []string) error {
	for _, a := range addrs {
		err := l.each(a, "tcp", func(network, addr string) error {
			var lc net.ListenConfig
			s, err := lc.Listen(ctx, network, addr)
			if err == nil {
				l.https = append(l.https, s)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// inherit takes those of a service manager's sockets that the configuration names; the others are
// closed, and what the manager did not pass is not bound, as in MIT krb5kdc.
func (l *listeners) inherit(o *Options) error {
	for _, c := range o.Inherited.Packet {
		if !named(o.UDP, c.LocalAddr()) {
			o.Log.Line(LevelWarning, "inherited UDP socket is not configured: "+c.LocalAddr().String())
			_ = c.Close()
			continue
		}
		u, err := newUDPSocket(c)
		if err != nil {
			return errors.Join(fmt.Errorf("inherited socket %s: %w", c.LocalAddr(), err), c.Close())
		}
		l.udp = append(l.udp, u)
	}
	for _, s := range o.Inherited.Stream {
		if !named(o.TCP, s.Addr()) && !(s.Addr().Network() == "unix" && named(o.UDP, s.Addr())) {
			o.Log.Line(LevelWarning, "inherited stream socket is not configured: "+s.Addr().String())
			_ = s.Close()
			continue
		}
		l.stream = append(l.stream, s)
	}
	if l.count() == 0 {
		return ErrNoListener
	}
	return nil
}

// named reports whether a list of addresses has that of a socket. An address without a host is
// that of a socket for all addresses, of whichever protocol.
func named(list []string, a net.Addr) bool {
	if a.Network() == "unix" {
		return slices.Contains(list, a.String())
	}
	bound, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(want string) bool {
		host, port, err := net.SplitHostPort(want)
		if err != nil || port != strconv.Itoa(int(bound.Port())) {
			return false
		}
		if host == "" {
			return bound.Addr().IsUnspecified()
		}
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Unmap() == bound.Addr().Unmap()
	})
}

func isPath(a string) bool { return strings.HasPrefix(a, "/") }

// each binds an address, for one without a host both IPv4 and IPv6. A protocol that the
// machine has not is no error as long as one of them is there.
func (l *listeners) each(addr, network string, bind func(network, addr string) error) (err error) {
	defer func() {
		if err != nil {
			err = &BindError{addr, err}
		}
	}()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if host != "" {
		return bind(network, addr)
	}
	before := l.count()
	var missing error
	for _, n := range []string{network + "4", network + "6"} {
		switch err := bind(n, addr); {
		case errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
			missing = err
		case err != nil:
			return err
		}
	}
	if l.count() == before {
		return missing
	}
	return nil
}

func (l *listeners) bindUDP(ctx context.Context, network, addr string) error {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, addr)
	if err != nil {
		return err
	}
	u, err := newUDPSocket(pc.(*net.UDPConn))
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	l.udp = append(l.udp, u)
	return nil
}

func (l *listeners) bindStream(ctx context.Context, network, addr string) error {
	var lc net.ListenConfig
	s, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return err
	}
	l.stream = append(l.stream, s)
	return setBacklog(s, l.backlog)
}

// setBacklog changes how many connections may wait to be accepted: to a socket that listens, another
// listen(2) says just that.
func setBacklog(s net.Listener, n int) error {
	sc, ok := s.(syscall.Conn)
	if n <= 0 || !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), n) }); e != nil {
		return e
	}
	return err
}
