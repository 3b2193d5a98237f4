package testrealm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The range that ports are taken from lies below the kernel's range for outgoing connections, so
// that a server can be stopped and started again without losing its port to a client's socket.
const (
	portLow   = 12000
	portHigh  = 32000
	portTries = 500
)

// port is one number held open for UDP and TCP on loopback until a server takes it over.
type port struct {
	Number int
	tcp    net.Listener
	udp    net.PacketConn
}

// release closes both sockets; the server that is about to start may then bind them.
func (p *port) release() {
	if p.tcp != nil {
		_ = p.tcp.Close()
		_ = p.udp.Close()
		p.tcp, p.udp = nil, nil
	}
}

var chosen = struct {
	sync.Mutex
	numbers map[int]bool
}{numbers: map[int]bool{}}

// freePort finds a port that is free for UDP and TCP and holds it.
func freePort() (*port, error) {
	chosen.Lock()
	defer chosen.Unlock()
	var last error
	for range portTries {
		n := portLow + rand.IntN(portHigh-portLow)
		if chosen.numbers[n] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", n)
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			last = errors.Join(err, tcp.Close())
			continue
		}
		chosen.numbers[n] = true
		return &port{Number: n, tcp: tcp, udp: udp}, nil
	}
	return nil, fmt.Errorf("testrealm: no free port: %w", last)
}
