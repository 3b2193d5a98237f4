package serve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
)

// Messages to change a password (RFC 3244) come through the proxy protocol too. They are no business
// of a KDC: they are passed on to the password server of the realm, whose answer goes back.

const (
	maxKpasswdReply = 64 << 10
	kpasswdHead     = 6 // octets: length of the whole, version, length of the AP-REQ
)

// errNoKpasswd is what a proxy says 503 to.
var errNoKpasswd = errors.New("no password server can be reached")

// isKpasswd tells messages to a password server from all others by their head.
func isKpasswd(msg []byte) bool {
	if len(msg) < kpasswdHead || int(binary.BigEndian.Uint16(msg)) != len(msg) {
		return false
	}
	version, ap := binary.BigEndian.Uint16(msg[2:]), int(binary.BigEndian.Uint16(msg[4:]))
	return (version == 1 || version == 0xff80) && ap > 0 && ap <= len(msg)-kpasswdHead
}

// passwordServers are those of the realm that a proxied message names; the only realm needs no name.
func (d *dispatcher) passwordServers(realm string) []string {
	if len(d.realms) == 1 && (realm == "" || realm == d.realms[0].Name) {
		return d.realms[0].Kpasswd
	}
	i := slices.IndexFunc(d.realms, func(r Realm) bool { return r.Name == realm })
	if i < 0 {
		return nil
	}
	return d.realms[i].Kpasswd
}

// forward asks one password server after the other, over TCP, until one answers or ctx ends. The
// message and the answer are without length.
func forward(ctx context.Context, servers []string, msg []byte) ([]byte, error) {
	err := errNoKpasswd
	for _, addr := range servers {
		reply, e := askServer(ctx, addr, msg)
		if e == nil {
			return reply, nil
		}
		err = fmt.Errorf("%w: %w", err, e)
	}
	return nil, err
}

func askServer(ctx context.Context, addr string, msg []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return nil, err
		}
	}
	if err := writeMessage(c, msg); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxKpasswdReply {
		return nil, fmt.Errorf("%s: answer of %d octets", addr, n)
	}
	reply := make([]byte, n)
	_, err = io.ReadFull(c, reply)
	return reply, err
}
