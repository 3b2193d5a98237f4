package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"krealm/internal/control"
)

// lefts makes requests and remembers what was left of the time.
type lefts []time.Duration

func (l *lefts) ask(left time.Duration) control.Request {
	*l = append(*l, left)
	return control.Request{Verb: "x"}
}

// Who insists is told once that nobody is there, goes on asking, in growing pauses, and says so when the
// time is over. Each question has less time than the one before, the last one none.
func TestInsistWithoutDaemon(t *testing.T) {
	c := control.NewClient(filepath.Join(t.TempDir(), "sock"))
	var l lefts
	missed := 0
	start := time.Now()
	err := c.Insist(t.Context(), control.Insistence{For: 1500 * time.Millisecond, Ask: l.ask, Missed: func() { missed++ }}, nil)
	took := time.Since(start)
	if !errors.Is(err, control.ErrNoAnswer) || !control.Passing(err) || took < 1500*time.Millisecond || missed != 1 {
		t.Errorf("%v after %v, told %d times", err, took, missed)
	}
	if n := len(l); n < 4 || n > 12 || l[n-1] != 0 {
		t.Errorf("asked %d times: %v", n, l)
	}
	for i := 1; i < len(l); i++ {
		if l[i] >= l[i-1] {
			t.Errorf("no less time left: %v", l)
			break
		}
	}
	missed, l = 0, nil // too short to tell
	if err := c.Insist(t.Context(), control.Insistence{For: 100 * time.Millisecond, Ask: l.ask, Missed: func() { missed++ }}, nil); !control.Passing(err) || missed != 0 {
		t.Errorf("%v, told %d times", err, missed)
	}
}

// A daemon that dies with the question in hand, and one that ends in order, are asked again when they
// are back; the answer comes over the same Client.
func TestInsistThroughRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	c := control.NewClient(path)
	defer func() { _ = c.Close() }()
	asked := make(chan bool)
	serveUntil := func(ctx context.Context, answer bool) (done chan error) {
		ln, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		done = make(chan error, 1)
		go func() {
			done <- control.Serve(ctx, ln, func(caller context.Context, _ control.Request) (any, error) {
				asked <- true
				if answer {
					return "at last", nil
				}
				<-caller.Done()
				return nil, control.ErrEnds
			})
		}()
		return done
	}
	var l lefts
	var got string
	result := make(chan error, 1)
	go func() {
		result <- c.Insist(t.Context(), control.Insistence{For: time.Minute, Ask: l.ask}, &got)
	}()
	for range 3 { // it ends in order
		ctx, cancel := context.WithCancel(t.Context())
		done := serveUntil(ctx, false)
		<-asked
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	killed, err := net.Listen("unix", path) // and is killed: the socket stays
	if err != nil {
		t.Fatal(err)
	}
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	nc, err := killed.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Close(), killed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := serveUntil(ctx, true)
	<-asked
	if err := <-result; err != nil || got != "at last" || len(l) < 5 {
		t.Errorf("%q, %v, asked %v", got, err, l)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What the daemon says is an answer, and a socket that cannot be used is not asked again.
func TestInsistNotOnARefusal(t *testing.T) {
	var calls atomic.Int64
	path, _ := serveWith(t, func(context.Context, control.Request) (any, error) {
		calls.Add(1)
		return nil, errors.New("unknown request")
	})
	once := func(path string) {
		t.Helper()
		var l lefts
		c := control.NewClient(path)
		defer func() { _ = c.Close() }()
		if err := c.Insist(t.Context(), control.Insistence{For: time.Minute, Ask: l.ask}, nil); err == nil || control.Passing(err) || len(l) != 1 {
			t.Errorf("%v, asked %d times", err, len(l))
		}
	}
	once(path)
	if n := calls.Load(); n != 1 {
		t.Errorf("answered %d times", n)
	}
	datagrams := filepath.Join(t.TempDir(), "sock")
	pc, err := net.ListenPacket("unixgram", datagrams)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	once(datagrams)                                             // not such a socket
	once(filepath.Join(t.TempDir(), string(make([]byte, 200)))) // no name for one
	denied := fmt.Errorf("%w: %w", control.ErrNoAnswer, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if control.Passing(denied) || control.Passing(nil) {
		t.Error("permission will be denied again")
	}
}

// An end of the context ends the insisting at once.
func TestInsistInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	start := time.Now()
	n := 0
	err := control.NewClient(filepath.Join(t.TempDir(), "sock")).Insist(ctx, control.Insistence{For: time.Minute, Ask: func(time.Duration) control.Request {
		if n++; n == 3 {
			cancel()
		}
		return control.Request{}
	}}, nil)
	if took := time.Since(start); err == nil || n != 3 || took > 30*time.Second {
		t.Errorf("%v, asked %d times in %v", err, n, took)
	}
}
