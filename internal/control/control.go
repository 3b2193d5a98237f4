package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	maxRequest  = 64 << 10 // bytes of a line
	callTimeout = 10 * time.Second
	idleTimeout = time.Minute // between an answer and the next request of the same caller
	endTimeout  = time.Second // for an answer when the daemon ends
	acceptRetry = 100 * time.Millisecond
	maxClients  = 256 // most of them wait for something
	maxAhead    = 4   // requests that wait while one is answered
)

// ErrNoAnswer means that nobody answers on the socket: the daemon does not run, or not there.
var ErrNoAnswer = errors.New("no answer from the daemon")

// ErrInUse means that another daemon has the socket.
var ErrInUse = errors.New("a daemon answers there already")

// ErrEnds is what a Handler returns when it has no answer because its ctx has ended: the caller is hung
// up on. The daemon ends, mostly, and the one started next has the answer; see Client.Insist.
var ErrEnds = errors.New("the daemon ends")

// Request is what a command asks: a verb and its arguments.
type Request struct {
	Verb string            `json:"verb"`
	Args map[string]string `json:"args,omitempty"`
}

// response is what comes back: a result, or an error for people.
type response struct {
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Handler answers a request with a value to be sent as JSON. It may take its time: ctx ends when
// the caller has hung up, or has nothing more to ask.
type Handler func(ctx context.Context, r Request) (any, error)

// Listen makes the socket, mode 0600. A socket that a killed daemon has left behind is replaced,
// one that somebody answers on is not. The directory must not be writable for others.
func Listen(path string) (net.Listener, error) {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if m := dir.Mode().Perm(); m&0o022 != 0 {
		return nil, fmt.Errorf("control socket: directory %q of mode %04o lets others write: %w", filepath.Dir(path), m, fs.ErrPermission)
	}
	if nc, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = nc.Close()
		return nil, fmt.Errorf("control socket %q: %w", path, ErrInUse)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
	ln, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return ln, nil
}

// bind makes the socket. Linux gives the file the mode that the socket has, less the umask: so it is
// never open to others, however short, as it would be until a chmod under a umask of 0.
func bind(path string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) }) // elsewhere it has no effect
	}}
	return lc.Listen(context.Background(), "unix", path)
}

// Serve answers requests until ctx ends, then closes and removes the socket and returns nil. A caller
// gets its answers in order; one that asks nothing for a minute is hung up on, and one that has more than
// maxAhead requests waiting. When all places are taken a new caller gets that of the
// one that has asked nothing for longest; it waits only if none of them has had his answers.
func Serve(ctx context.Context, ln net.Listener, h Handler) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer func() {
		stop() // before it began, perhaps: what was accepted meanwhile has ended the loop
		_ = ln.Close()
	}()
	places := make(chan struct{}, maxClients)
	var quiet idlers
	g.Go(func() error {
		for {
			nc, err := ln.Accept()
			switch {
			case ctx.Err() != nil:
				if nc != nil {
					_ = nc.Close()
				}
				return nil
			case errors.Is(err, net.ErrClosed):
				return fmt.Errorf("control socket: %w", err)
			case err != nil: // out of descriptors, mostly
				t := time.NewTimer(acceptRetry)
				select {
				case <-ctx.Done():
				case <-t.C:
				}
				t.Stop()
				continue
			}
			select {
			case places <- struct{}{}:
			default:
				quiet.want(true)
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					_ = nc.Close()
					return nil
				}
				quiet.want(false)
			}
			g.Go(func() error {
				serveOne(ctx, nc, &quiet, h)
				<-places
				return nil
			})
		}
	})
	return g.Wait()
}

// serveOne answers one caller until it hangs up. Who has only closed his side for writing still gets
// the answers to what he has asked.
func serveOne(ctx context.Context, nc net.Conn, quiet *idlers, h Handler) {
	defer func() { _ = nc.Close() }()
	caller, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = nc.SetReadDeadline(time.Now().Add(callTimeout))
	stop := context.AfterFunc(ctx, func() {
		_ = nc.SetReadDeadline(time.Unix(1, 0))
		_ = nc.SetWriteDeadline(time.Now().Add(endTimeout))
	})
	defer stop()
	requests := make(chan Request, maxAhead)
	idle := false // before the first request he has the time that every request has
	defer quiet.remove(nc)
	go func() {
		defer close(requests) // last: who waits for that waits for all of it
		defer cancel()        // what is asked for by somebody who has hung up is of no use
		read(nc, requests)
	}()
	for req := range requests {
		if idle && !quiet.remove(nc) {
			break // somebody else has the place
		}
		_ = nc.SetReadDeadline(time.Time{})
		if ctx.Err() != nil || answer(ctx, caller, nc, h, req) != nil {
			break
		}
		_ = nc.SetReadDeadline(time.Now().Add(idleTimeout))
		if ctx.Err() != nil { // it has ended, and so may have the deadline that says so
			break
		}
		quiet.add(nc)
		idle = true
	}
	_ = nc.Close()
	for range requests { // until the reader has ended
	}
}

// read takes requests off a connection until there are no more. It goes on reading while one is
// answered: how else would it see that the caller has hung up.
func read(nc net.Conn, requests chan<- Request) {
	r := bufio.NewReaderSize(nc, maxRequest)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		var req Request
		if json.Unmarshal(line, &req) != nil {
			return
		}
		select {
		case requests <- req:
		default:
			return
		}
	}
}

// answer lets the handler work for the caller, and sends what it says.
func answer(ctx, caller context.Context, nc net.Conn, h Handler, req Request) error {
	result, err := h(caller, req)
	if errors.Is(err, ErrEnds) {
		return err
	}
	var b []byte
	if err == nil {
		b, err = json.Marshal(response{Result: result})
	}
	if err != nil {
		if b, err = json.Marshal(response{Error: err.Error()}); err != nil {
			return err
		}
	}
	_ = nc.SetWriteDeadline(time.Now().Add(callTimeout))
	if ctx.Err() != nil {
		_ = nc.SetWriteDeadline(time.Now().Add(endTimeout))
	}
	_, err = nc.Write(append(b, '\n'))
	return err
}
