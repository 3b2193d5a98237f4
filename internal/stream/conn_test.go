package stream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/stream"
	"krealm/internal/stream/streamtest"
)

// mangler sits between two ends of a handshaken stream, holds back what the near end writes
// after the handshake, and lets a test decide what arrives.
type mangler struct {
	net.Conn
	mu     sync.Mutex
	hold   bool
	frames [][]byte
}

func (m *mangler) Write(b []byte) (int, error) {
	m.mu.Lock()
	hold := m.hold
	if hold {
		m.frames = append(m.frames, bytes.Clone(b))
	}
	m.mu.Unlock()
	if hold {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// threeFrames returns the octets of three frames, a writer to their receiver, and the receiver.
func threeFrames(t *testing.T) (frames [][]byte, raw net.Conn, far *stream.Conn) {
	t.Helper()
	r := streamtest.NewRealm("EXAMPLE.ORG")
	n, f := net.Pipe()
	m := &mangler{Conn: n}
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if far, err = r.Acceptor(slave, master).Accept(t.Context(), f); err != nil {
			t.Error(err)
		}
	})
	near, err := stream.Initiate(t.Context(), m, r.Credentials(master, slave))
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	m.hold = true
	for _, s := range []string{"first", "second", "third"} {
		if err := near.Send([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = n.Close(); _ = f.Close() })
	return m.frames, n, far
}

func TestFramesMustComeAsSent(t *testing.T) {
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	tests := []struct {
		name string
		mix  func(f [][]byte) [][]byte
		good int // frames that still arrive
		err  error
	}{
		{"as sent", func(f [][]byte) [][]byte { return f }, 3, io.EOF},
		{"repeated", func(f [][]byte) [][]byte { return [][]byte{f[0], f[0]} }, 1, stream.ErrAltered},
		{"reordered", func(f [][]byte) [][]byte { return [][]byte{f[1], f[0]} }, 0, stream.ErrAltered},
		{"one left out", func(f [][]byte) [][]byte { return [][]byte{f[0], f[2]} }, 1, stream.ErrAltered},
		{"text altered", func(f [][]byte) [][]byte { return [][]byte{f[0], flip(f[1], 6)} }, 1, stream.ErrAltered},
		{"tag altered", func(f [][]byte) [][]byte { return [][]byte{flip(f[0], len(f[0])-1)} }, 0, stream.ErrAltered},
		{"length altered", func(f [][]byte) [][]byte { return [][]byte{flip(f[0], 3), {0}} }, 0, stream.ErrAltered},
		{"too long", func(f [][]byte) [][]byte { return [][]byte{flip(f[0], 0)} }, 0, stream.ErrTooLarge},
		{"shorter than a tag", func(_ [][]byte) [][]byte { return [][]byte{{0, 0, 0, 15}} }, 0, stream.ErrTooLarge},
		{"cut", func(f [][]byte) [][]byte { return [][]byte{f[0], f[1][:9]} }, 1, io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, raw, far := threeFrames(t)
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { _, _ = raw.Write(bytes.Join(tt.mix(frames), nil)); _ = raw.Close() })
			for i := range tt.good {
				if b, err := far.Receive(); err != nil || string(b) != []string{"first", "second", "third"}[i] {
					t.Fatalf("frame %d: %q, %v", i, b, err)
				}
			}
			_, err := far.Receive()
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if _, again := far.Receive(); !errors.Is(again, tt.err) {
				t.Errorf("and then %v", again)
			}
			_ = far.Close()
		})
	}
}

func TestStalledReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := streamtest.NewRealm("EXAMPLE.ORG").Pair(t, master, slave)
		start := time.Now()
		if err := near.Send([]byte("nobody reads this")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(start); d < stream.WriteTimeout || d > stream.WriteTimeout*9/8 {
			t.Errorf("given up after %v", d)
		}
		if err := near.Send(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stream with half a frame in it goes on: %v", err)
		}
	})
}

// drip passes on a few octets at a time, every so often.
type drip struct {
	net.Conn
	every time.Duration
}

func (d drip) Write(b []byte) (int, error) {
	for i := 0; i < len(b); i += 1000 {
		<-time.After(d.every)
		if _, err := d.Conn.Write(b[i:min(i+1000, len(b))]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A link that is slow but works: patience is for silence, not for slowness.
func TestSlowLink(t *testing.T) {
	for every, good := range map[time.Duration]bool{time.Second: true, 23 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			r := streamtest.NewRealm("EXAMPLE.ORG")
			n, f := net.Pipe()
			slow := &slowly{Conn: n}
			var far *stream.Conn
			var wg sync.WaitGroup
			wg.Go(func() {
				var err error
				if far, err = r.Acceptor(slave, master).Accept(t.Context(), f); err != nil {
					t.Error(err)
				}
			})
			near, err := stream.Initiate(t.Context(), slow, r.Credentials(master, slave))
			if err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			slow.Conn = drip{n, every}
			wg.Go(func() {
				if err := near.Send(make([]byte, 200_000)); (err == nil) != good {
					t.Errorf("send: %v", err)
				}
			})
			far.SetPatience(20 * time.Second)
			if b, err := far.Receive(); (err == nil && len(b) == 200_000) != good {
				t.Errorf("every %v: %d octets, %v", every, len(b), err)
			}
			_ = far.Close()
			wg.Wait()
			_ = n.Close()
		})
	}
}

// slowly is a connection that becomes slow after the handshake.
type slowly struct{ net.Conn }

func TestServer(t *testing.T) {
	r := streamtest.NewRealm("EXAMPLE.ORG")
	log := lockedBuffer{written: make(chan struct{}, 1)}
	got := make(chan string)
	s := &stream.Server{Acceptor: r.Acceptor(slave, master), Log: zerolog.New(&log), MaxPending: 3,
		Handle: func(_ context.Context, c *stream.Conn) {
			b, err := c.Receive()
			if err != nil {
				t.Error(err)
			}
			got <- c.Peer() + ": " + string(b)
		}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()

	// Silent connections fill the table, and the next ones push them out.
	var idle []net.Conn
	for range 10 {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, nc)
	}
	for _, nc := range idle[:6] {
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("a silent connection got an answer")
		}
	}
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := stream.Initiate(ctx, nc, r.Credentials(master, slave))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != master+": hello" {
		t.Error(s)
	}
	nc, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Initiate(ctx, nc, r.Credentials(nobody, slave)); !errors.Is(err, stream.ErrRefused) {
		t.Error(err)
	}
	for !strings.Contains(log.String(), "not on the allow list") {
		<-log.written
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"too many connections", `"client":"` + nobody + `"`, "not on the allow list"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
	for _, nc := range idle {
		_ = nc.Close()
	}
}

type lockedBuffer struct {
	written chan struct{}
	mu      sync.Mutex
	b       bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
