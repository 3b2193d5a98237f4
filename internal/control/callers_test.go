package control_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"krealm/internal/control"
)

// places is how many callers Serve takes at a time.
const places = 256

// serveWith answers on a socket until the function returned is called, which returns what Serve did.
func serveWith(t *testing.T, h control.Handler) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sock")
	ln, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, serveOn(t, ln, h)
}

func serveOn(t *testing.T, ln net.Listener, h control.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, ln, h) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func dial(t *testing.T, path, requests string) *net.UnixConn {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if _, err := nc.Write([]byte(requests)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.UnixConn)
}

// Callers that keep their connections and ask nothing keep nobody else out, and lose nothing by it.
func TestIdleCallersGiveWay(t *testing.T) {
	path, _ := serveWith(t, func(context.Context, control.Request) (any, error) { return "yes", nil })
	clients := make([]*control.Client, places)
	for i := range clients {
		clients[i] = control.NewClient(path)
		defer func() { _ = clients[i].Close() }()
	}
	start := time.Now()
	for round := range 2 {
		for i, c := range clients {
			if err := c.Call(t.Context(), control.Request{Verb: "x"}, nil); err != nil {
				t.Fatalf("round %d: caller %d: %v", round, i, err)
			}
		}
		for range 10 {
			if err := control.Call(t.Context(), path, control.Request{Verb: "status"}, nil); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	if took := time.Since(start); took > 30*time.Second { // less than an idle minute
		t.Errorf("took %v", took)
	}
}

// While all who have places wait for answers a new caller waits too, and gets the place of the first
// that has its answer, though that one stays connected.
func TestPlaceOfAnAnswered(t *testing.T) {
	asked, release := make(chan bool, places), make(chan bool)
	path, stop := serveWith(t, func(ctx context.Context, r control.Request) (any, error) {
		if r.Verb == "wait" {
			asked <- true
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return "yes", nil
	})
	for range places {
		dial(t, path, "{\"verb\":\"wait\"}\n")
	}
	for range places {
		<-asked
	}
	result := make(chan error)
	go func() { result <- control.Call(t.Context(), path, control.Request{Verb: "status"}, nil) }()
	release <- true
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Who closes his side for writing has the answers to what he asked.
func TestHalfClosed(t *testing.T) {
	path, _ := serveWith(t, func(_ context.Context, r control.Request) (any, error) { return r.Verb, nil })
	for range 200 {
		nc := dial(t, path, "{\"verb\":\"a\"}\n{\"verb\":\"b\"}\n")
		if err := nc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(nc)
		for _, want := range []string{"a", "b"} {
			if line, err := in.ReadString('\n'); err != nil || line != `{"result":"`+want+"\"}\n" {
				t.Fatalf("%q, %v, not %s", line, err, want)
			}
		}
		_ = nc.Close()
	}
}

// Somebody who asks ahead and hangs up is noticed all the same.
func TestHangUpBehindRequests(t *testing.T) {
	asked, left := make(chan bool, 4), make(chan bool, 4)
	path, _ := serveWith(t, func(ctx context.Context, _ control.Request) (any, error) {
		asked <- true
		<-ctx.Done()
		left <- true
		return nil, ctx.Err()
	})
	for _, n := range []int{1, 2, 3, 100} {
		nc := dial(t, path, strings.Repeat("{\"verb\":\"wait\"}\n", n))
		<-asked
		if err := nc.Close(); err != nil {
			t.Error(err)
		}
		<-left
	}
}

// A caller that does not read its answer does not keep a daemon from ending.
func TestEndWhileNobodyReads(t *testing.T) {
	asked := make(chan bool, 1)
	path, stop := serveWith(t, func(context.Context, control.Request) (any, error) {
		asked <- true
		return strings.Repeat("x", 4<<20), nil
	})
	dial(t, path, "{\"verb\":\"x\"}\n")
	<-asked
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// poor is a listener of a process that has no descriptors left for a while.
type poor struct {
	net.Listener
	fails atomic.Int64
}

func (p *poor) Accept() (net.Conn, error) {
	if p.fails.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return p.Listener.Accept()
}

// Want of descriptors passes; the daemon is there again behind it. Only a listener closed by
// somebody else ends it.
func TestWantOfDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	ln, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &poor{Listener: ln}
	p.fails.Store(3)
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(t.Context(), p, func(context.Context, control.Request) (any, error) { return 1, nil })
	}()
	if err := control.Call(t.Context(), path, control.Request{Verb: "x"}, nil); err != nil {
		t.Error(err)
	}
	_ = ln.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// late is a listener to which somebody comes just when the server ends.
type late struct {
	net.Listener
	end func()
}

func (l *late) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	l.end()
	return nc, err
}

// The socket is gone when Serve returns, whatever it was at when it was told to.
func TestEndAtAccept(t *testing.T) {
	for range 200 {
		path := filepath.Join(t.TempDir(), "sock")
		ln, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- control.Serve(ctx, &late{ln, cancel}, func(context.Context, control.Request) (any, error) { return 1, nil })
		}()
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(<-done, nc.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("socket left behind: %v", err)
		}
	}
}
