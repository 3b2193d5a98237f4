package stream_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
)

// watched is a context that counts who waits for its end.
type watched struct {
	context.Context
	done  chan struct{}
	waits atomic.Int64
}

func (w *watched) Done() <-chan struct{} { return w.done }
func (w *watched) Value(any) any         { return nil }

// AfterFunc is what context.AfterFunc asks for.
func (w *watched) AfterFunc(func()) (stop func() bool) {
	w.waits.Add(1)
	var once atomic.Bool
	return func() bool {
		if once.Swap(true) {
			return false
		}
		w.waits.Add(-1)
		return true
	}
}

// TestHandshakesLeaveNothing: what a handshake has tied to the server's context goes with it, however it
// ends. Who is not authenticated would fill the memory otherwise, connection by connection.
func TestHandshakesLeaveNothing(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	for name, cr := range map[string]*stream.Credentials{
		"accepted": r.Credentials(master, slave),
		"refused":  r.Credentials(nobody, slave),
		"none":     nil,
	} {
		ctx := &watched{Context: t.Context(), done: make(chan struct{})}
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if c, err := r.Acceptor(slave, master).Accept(ctx, far); err == nil {
				_ = c.Close()
			}
		}()
		if cr == nil {
			_, _ = io.WriteString(near, "GET / HTTP/1.1\r\n")
		} else if c, err := stream.Initiate(ctx, near, cr); err == nil {
			_ = c.Close()
		}
		<-ended
		_ = near.Close()
		if n := ctx.waits.Load(); n != 0 {
			t.Errorf("%s: %d still wait for the end of the context", name, n)
		}
	}
}
