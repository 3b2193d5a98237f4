package control

import (
	"net"
	"slices"
	"sync"
)

// idlers are the connections of callers that have had their answers and ask nothing, the longest idle first. Their
// places are had for the asking: a Client that finds its connection closed makes another.
type idlers struct {
	mu     sync.Mutex
	conns  []net.Conn
	wanted bool // somebody waits for a place
}

// add enters a connection, or closes it if its place is wanted.
func (l *idlers) add(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wanted {
		l.wanted = false
		_ = nc.Close()
		return
	}
	l.conns = append(l.conns, nc)
}

// remove takes a connection out; false if its place was given away.
func (l *idlers) remove(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.conns, nc)
	if i < 0 {
		return false
	}
	l.conns = slices.Delete(l.conns, i, i+1)
	return true
}

// want asks for a place: that of the longest idle, or else the first that becomes idle.
func (l *idlers) want(wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = wanted
	if wanted && len(l.conns) > 0 {
		_ = l.conns[0].Close()
		l.conns = slices.Delete(l.conns, 0, 1)
		l.wanted = false
	}
}
