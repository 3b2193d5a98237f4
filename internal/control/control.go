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
	maxClients  = 256         // most of them wait for something
)

// ErrNoAnswer means that nobody answers on the socket: the daemon does not run, or not there.
var ErrNoAnswer = errors.New("no answer from the daemon")

// ErrInUse means that another daemon has the socket.
var ErrInUse = errors.New("a daemon answers there already")

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
// the caller has hung up.
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
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return ln, nil
}

// Serve answers requests until ctx ends, then closes and removes the socket and returns nil. A caller
// gets its answers in order; one that asks nothing for a minute is hung up on.
func Serve(ctx context.Context, ln net.Listener, h Handler) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	places := make(chan struct{}, maxClients)
	g.Go(func() error {
		for {
			nc, err := ln.Accept()
			switch {
			case ctx.Err() != nil:
				if nc != nil {
					_ = nc.Close()
				}
				return nil
			case err != nil:
				return fmt.Errorf("control socket: %w", err)
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				_ = nc.Close()
				return nil
			}
			g.Go(func() error {
				serveOne(ctx, nc, h)
				<-places
				return nil
			})
		}
	})
	return g.Wait()
}

// serveOne answers one caller until it hangs up.
func serveOne(ctx context.Context, nc net.Conn, h Handler) {
	defer func() { _ = nc.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = nc.SetReadDeadline(time.Now().Add(callTimeout))
	stop := context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	requests := make(chan Request)
	go func() {
		defer close(requests) // last: who waits for that waits for all of it
		defer cancel()        // what is asked for by somebody who has hung up is of no use
		read(ctx, nc, requests)
	}()
	for req := range requests {
		_ = nc.SetReadDeadline(time.Time{})
		if ctx.Err() != nil || answer(ctx, nc, h, req) != nil {
			break
		}
		_ = nc.SetReadDeadline(time.Now().Add(idleTimeout))
		if ctx.Err() != nil { // it has ended, and so may have the deadline that says so
			break
		}
	}
	_ = nc.Close()
	for range requests { // until the reader has ended
	}
}

// read takes requests off a connection until there are no more.
func read(ctx context.Context, nc net.Conn, requests chan<- Request) {
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
		case <-ctx.Done():
			return
		}
	}
}

func answer(ctx context.Context, nc net.Conn, h Handler, req Request) error {
	result, err := h(ctx, req)
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
	_, err = nc.Write(append(b, '\n'))
	return err
}
