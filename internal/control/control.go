package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	maxLine     = 16 << 20 // bytes of an answer; requests are far smaller
	maxRequest  = 64 << 10
	callTimeout = 10 * time.Second
	maxClients  = 256 // most of them wait for something
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
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
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

// Serve answers requests until ctx ends, then closes and removes the socket and returns nil.
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
				answer(ctx, nc, h)
				<-places
				return nil
			})
		}
	})
	return g.Wait()
}

func answer(ctx context.Context, nc net.Conn, h Handler) {
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetDeadline(time.Now().Add(callTimeout))
	var req Request
	if err := json.NewDecoder(io.LimitReader(nc, maxRequest)).Decode(&req); err != nil {
		return
	}
	var resp response
	result, err := handle(ctx, nc, h, req)
	_ = nc.SetWriteDeadline(time.Now().Add(callTimeout))
	if err == nil {
		resp.Result, err = json.Marshal(result)
	}
	if err != nil {
		resp = response{Error: err.Error()}
	}
	b, err := json.Marshal(resp)
	if err != nil {
		return
	}
	_, _ = nc.Write(append(b, '\n'))
}

// handle lets the handler work until it is done or the caller hangs up.
func handle(ctx context.Context, nc net.Conn, h Handler, req Request) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = nc.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		return nil, ctx.Err() // and its deadline was just taken off
	}
	var g errgroup.Group
	g.Go(func() error {
		_, _ = io.Copy(io.Discard, nc) // ends when the caller hangs up, or the deadline below
		cancel()
		return nil
	})
	defer func() {
		_ = nc.SetReadDeadline(time.Unix(1, 0))
		_ = g.Wait()
	}()
	return h(ctx, req)
}

// Call asks the daemon that listens on path and decodes its answer into result, which may be
// nil. It waits as long as ctx lets it, or ten seconds if that has no end. ErrNoAnswer: nobody there. Other errors are the daemon's, or the socket's.
func Call(ctx context.Context, path string, req Request, result any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if _, err := nc.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	line, err := bufio.NewReader(io.LimitReader(nc, maxLine)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	var resp response
	if err := json.Unmarshal(line, &resp); err != nil {
		return fmt.Errorf("control: answer: %w", err)
	}
	if resp.Error != "" {
		return errors.New(resp.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(resp.Result, result); err != nil {
		return fmt.Errorf("control: answer: %w", err)
	}
	return nil
}
