package serve

import (
	"errors"
	"fmt"
	"time"

	"krealm/internal/sdnotify"
)

// Defaults of Options.
const (
	DefaultMaxDgramReply = 65536
	DefaultMaxConns      = 512

	maxDatagram = 65536
	maxMessage  = 1<<20 - 4 // over TCP, as in MIT krb5kdc
	maxBuffered = 64 << 20  // octets of unfinished messages over all connections
)

// Options say what a Server listens on and answers with.
type Options struct {
	UDP           []string // "host:port", ":port" for all addresses, or "/path" of a UNIX socket
	TCP           []string
	MaxDgramReply int // octets; a longer reply over UDP is error 52
	MaxConns      int // TCP and UNIX connections at once
	Backlog       int // connections that may wait to be accepted; 0: as many as the system allows
	Workers       int // goroutines a UDP socket; 0: as many as processors

	Inherited *sdnotify.Sockets // of a service manager; if set, nothing else is bound for UDP and TCP
	HTTPS     HTTPS

	FrameTimeout time.Duration // for one message over TCP; 0: 10 s
	ConnTimeout  time.Duration // for a whole connection; 0: 30 s

	Realms []Realm
	Log    Log
	Clock  func() time.Time // nil: time.Now
}

// BindError says which configured address cannot be had.
type BindError struct {
	Addr string // as in Options
	Err  error
}

func (e *BindError) Error() string { return fmt.Sprintf("cannot listen on %s: %v", e.Addr, e.Err) }

// Unwrap returns the cause.
func (e *BindError) Unwrap() error { return e.Err }

// ErrNoListener means that the configuration leaves nothing to listen on.
var ErrNoListener = errors.New("no address to listen on")
