package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"krealm/internal/krbmsg"
)

// udpSocket is a bound UDP socket. On a wildcard address it asks the system where each
// datagram was sent to, so that the reply comes from there: clients drop others.
type udpSocket struct {
	conn     *net.UDPConn
	wildcard bool
	v6       bool
}

// receiveBuffer is asked of the system for bursts; it gives what it allows.
const receiveBuffer = 4 << 20

func newUDPSocket(c *net.UDPConn) (*udpSocket, error) {
	local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	u := &udpSocket{conn: c, wildcard: local.IsUnspecified(), v6: local.Is6()}
	_ = c.SetReadBuffer(receiveBuffer)
	if !u.wildcard {
		return u, nil
	}
	if u.v6 {
		return u, ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	}
	return u, ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst, true)
}

// from turns the control message of a datagram into one that sends the reply from the address
// the datagram was sent to.
func (u *udpSocket) from(oob []byte) []byte {
	if !u.wildcard || len(oob) == 0 {
		return nil
	}
	if u.v6 {
		var cm ipv6.ControlMessage
		if cm.Parse(oob) != nil || cm.Dst == nil {
			return nil
		}
		out := ipv6.ControlMessage{Src: cm.Dst}
		if cm.Dst.IsLinkLocalUnicast() {
			out.IfIndex = cm.IfIndex
		}
		return out.Marshal()
	}
	var cm ipv4.ControlMessage
	if cm.Parse(oob) != nil || cm.Dst == nil {
		return nil
	}
	out := ipv4.ControlMessage{Src: cm.Dst}
	return out.Marshal()
}

// maxReadErrors is how many reads in a row may fail before a socket is given up.
const maxReadErrors = 100

// serveUDP answers datagrams until the socket is closed. Several goroutines may serve one
// socket, each with buffers of its own.
func (s *Server) serveUDP(ctx context.Context, u *udpSocket) error {
	buf := make([]byte, maxDatagram)
	oob := make([]byte, 256)
	failed := 0
	for {
		n, oobn, _, peer, err := u.conn.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			if failed++; failed == maxReadErrors {
				return fmt.Errorf("reading from %s: %w", u.conn.LocalAddr(), err)
			}
			continue
		}
		failed = 0
		if n == 0 {
			continue
		}
		if reply := s.answerDatagram(buf[:n], peer.Addr()); reply != nil {
			s.send(u, reply, u.from(oob[:oobn]), peer)
		}
	}
}

// answerDatagram answers one datagram; a reply that is too long becomes an error that sends
// the client to TCP, where the cache has the reply.
func (s *Server) answerDatagram(msg []byte, from netip.Addr) []byte {
	reply := s.d.answer(msg, from, viaUDP)
	if len(reply) > s.o.MaxDgramReply {
		return s.d.plainError(krbmsg.ErrResponseTooBig)
	}
	return reply
}

func (s *Server) send(u *udpSocket, reply, oob []byte, peer netip.AddrPort) {
	_, _, err := u.conn.WriteMsgUDPAddrPort(reply, oob, peer)
	if err != nil && oob != nil {
		// The address was no source to send from, a broadcast for instance.
		_, _, err = u.conn.WriteMsgUDPAddrPort(reply, nil, peer)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.d.limit.unsent.line(s.o.Log, s.d.clock(), func() {
			s.o.Log.Line(LevelWarning, "while sending reply to "+address(peer.Addr())+": "+err.Error())
		})
	}
}
