package control_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"krealm/internal/control"
)

func TestCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	ln, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket is %v, %v", st.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, ln, func(_ context.Context, r control.Request) (any, error) {
			if r.Verb == "fail" {
				return nil, errors.New("so it did")
			}
			return map[string]string{"echo": r.Verb + r.Args["x"]}, nil
		})
	}()
	var got map[string]string
	if err := control.Call(ctx, path, control.Request{Verb: "hi", Args: map[string]string{"x": "!"}}, &got); err != nil || got["echo"] != "hi!" {
		t.Errorf("%v, %v", got, err)
	}
	if err := control.Call(ctx, path, control.Request{Verb: "fail"}, nil); err == nil || err.Error() != "so it did" {
		t.Error(err)
	}
	if _, err := control.Listen(path); err == nil {
		t.Error("the socket of a living daemon was taken")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket left behind: %v", err)
	}
	if err := control.Call(t.Context(), path, control.Request{Verb: "hi"}, nil); !errors.Is(err, control.ErrNoAnswer) {
		t.Error(err)
	}
}

func TestListenReplacesTheSocketOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	ln, err = control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

func TestListenRefusesAnOpenDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(filepath.Join(dir, "sock")); !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// A handler may take longer than the default patience if the caller lets it, and learns when the
// caller has gone.
func TestBlockingCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	ln, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	asked, left := make(chan bool), make(chan error)
	go func() {
		done <- control.Serve(ctx, ln, func(ctx context.Context, r control.Request) (any, error) {
			asked <- true
			<-ctx.Done()
			if r.Verb == "leave" {
				left <- ctx.Err()
			}
			return "late", nil
		})
	}()
	call, hangUp := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- control.Call(call, path, control.Request{Verb: "leave"}, nil) }()
	<-asked
	hangUp()
	if err := <-result; !errors.Is(err, control.ErrNoAnswer) {
		t.Error(err)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The end of the server ends what waits.
	var got string
	go func() { result <- control.Call(t.Context(), path, control.Request{Verb: "stay"}, &got) }()
	<-asked
	cancel()
	if err := <-result; err != nil || got != "late" {
		t.Error(got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// serve answers on path until the function returned is called: each request with how many came
// before it.
func serve(t *testing.T, path string) (stop func()) {
	t.Helper()
	ln, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var n atomic.Int64
	go func() {
		done <- control.Serve(ctx, ln, func(context.Context, control.Request) (any, error) {
			return n.Add(1) - 1, nil
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A Client keeps its connection, and makes another where the daemon was started again.
func TestClientOutlivesTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	c := control.NewClient(path)
	defer func() { _ = c.Close() }()
	var n int
	if err := c.Call(t.Context(), control.Request{Verb: "x"}, &n); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("no daemon: %v", err)
	}
	for range 2 {
		stop := serve(t, path)
		for want := range 3 {
			if err := c.Call(t.Context(), control.Request{Verb: "x"}, &n); err != nil || n != want {
				t.Errorf("%d, %v, not %d", n, err, want)
			}
		}
		stop()
	}
	if err := c.Call(t.Context(), control.Request{Verb: "x"}, &n); !errors.Is(err, control.ErrNoAnswer) {
		t.Errorf("daemon gone: %v", err)
	}
}

// What is no request, or has no end, ends the connection, and that alone.
func TestBadRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	defer serve(t, path)()
	for _, bad := range []string{"{", "nonsense\n", strings.Repeat("x", 70<<10), "{}\n{]\n"} {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.UnixConn).CloseWrite()
		if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%.10q: %v", bad, err)
		}
		_ = nc.Close()
	}
	if err := control.Call(t.Context(), path, control.Request{Verb: "x"}, nil); err != nil {
		t.Error(err)
	}
}
