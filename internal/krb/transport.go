package krb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	kdcTimeout = 5 * time.Second // for one KDC over TCP
	udpTimeout = time.Second     // for one datagram
	maxReply   = 128 << 10       // octets
	kdcPort    = "88"
)

// errNoKDC means that there is nobody to ask.
var errNoKDC = errors.New("no KDC configured for the realm, and none in DNS")

// kdcs returns the addresses of a realm's KDCs: those configured, in order, or else those that
// DNS has SRV records for.
func (c *Client) kdcs(ctx context.Context, realm string) ([]string, error) {
	var out []string
	for _, h := range c.KDCs(realm) {
		h = strings.TrimPrefix(strings.TrimPrefix(h, "tcp/"), "udp/")
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), kdcPort)
		}
		out = append(out, h)
	}
	if len(out) > 0 {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, kdcTimeout)
	defer cancel()
	_, srvs, err := net.DefaultResolver.LookupSRV(ctx, "kerberos", "tcp", realm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKDC, err)
	}
	for _, s := range srvs {
		out = append(out, net.JoinHostPort(strings.TrimSuffix(s.Target, "."), fmt.Sprint(s.Port)))
	}
	if len(out) == 0 {
		return nil, errNoKDC
	}
	return out, nil
}

// ask sends a request to one KDC and returns its reply: over TCP, and over UDP if nobody
// answers there.
func ask(ctx context.Context, addr string, req []byte) ([]byte, error) {
	rep, err := askTCP(ctx, addr, req)
	if err == nil || ctx.Err() != nil {
		return rep, err
	}
	for range 3 {
		var udpErr error
		if rep, udpErr = askUDP(ctx, addr, req); udpErr == nil {
			return rep, nil
		}
		if ctx.Err() != nil || !isTimeout(udpErr) {
			break
		}
	}
	return nil, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func dial(ctx context.Context, network, addr string, limit time.Duration) (net.Conn, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("kdc: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	return nc, func() { stop(); cancel(); _ = nc.Close() }, nil
}

// askTCP implements RFC 4120 section 7.2.2.
func askTCP(ctx context.Context, addr string, req []byte) ([]byte, error) {
	nc, done, err := dial(ctx, "tcp", addr, kdcTimeout)
	if err != nil {
		return nil, err
	}
	defer done()
	msg := binary.BigEndian.AppendUint32(nil, uint32(len(req)))
	if _, err := nc.Write(append(msg, req...)); err != nil {
		return nil, fmt.Errorf("kdc %s: %w", addr, err)
	}
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, fmt.Errorf("kdc %s: %w", addr, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxReply {
		return nil, fmt.Errorf("kdc %s: reply of %d octets", addr, n)
	}
	rep := make([]byte, n)
	if _, err := io.ReadFull(nc, rep); err != nil {
		return nil, fmt.Errorf("kdc %s: %w", addr, err)
	}
	return rep, nil
}

func askUDP(ctx context.Context, addr string, req []byte) ([]byte, error) {
	nc, done, err := dial(ctx, "udp", addr, udpTimeout)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := nc.Write(req); err != nil {
		return nil, fmt.Errorf("kdc %s: %w", addr, err)
	}
	rep := make([]byte, 64<<10)
	n, err := nc.Read(rep)
	if err != nil {
		return nil, fmt.Errorf("kdc %s: %w", addr, err)
	}
	return rep[:n], nil
}
