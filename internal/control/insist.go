package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	insistFirst = 10 * time.Millisecond // before the second question; doubled with each further one
	insistMax   = 250 * time.Millisecond
	insistGrace = 2 * time.Second // for the answer when the time is over
	insistTell  = time.Second     // without a daemon before somebody is told
)

// Insistence is a question that is put again while nobody answers it: the daemon was killed, or is
// about to start.
type Insistence struct {
	// For is how long, in all. A last question is put when it is over.
	For time.Duration
	// Ask makes the request; left is what is left of the time, 0: an answer is wanted at once.
	Ask func(left time.Duration) Request
	// Missed is called once, when nobody has been there for a second and there is time left. nil:
	// nobody needs to know.
	Missed func()
}

// Insist asks as Call does, until it has an answer, ctx ends or the time is over; the daemon has two seconds more
// for an answer that it is asked for in time. The error is ErrNoAnswer when nobody has answered by then. What the
// daemon says, an error too, is an answer, and a socket that cannot be used (see Passing) is not
// asked again.
func (c *Client) Insist(ctx context.Context, q Insistence, result any) error {
	end := time.Now().Add(q.For)
	asking, cancel := context.WithDeadline(ctx, end.Add(insistGrace))
	defer cancel()
	pause, missed := insistFirst, time.Time{}
	for told := false; ; {
		start, used := time.Now(), c.nc != nil
		left := max(time.Until(end), 0)
		err := c.once(asking, q.Ask(left), result)
		if err == nil || !Passing(err) || ctx.Err() != nil || left == 0 {
			return err
		}
		now := time.Now()
		if missed.IsZero() || now.Sub(start) >= insistTell {
			missed = now // somebody was there until now
		}
		if used {
			continue // it may have been closed since the last question
		}
		if !told && now.Sub(missed) >= insistTell && now.Before(end) && q.Missed != nil {
			told = true
			q.Missed()
		}
		rest(ctx, min(pause, max(time.Until(end), 0)))
		pause = min(2*pause, insistMax)
	}
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// once asks one time.
func (c *Client) once(ctx context.Context, req Request, result any) error {
	b, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	line, err := c.exchange(ctx, append(b, '\n'))
	if err != nil {
		return err
	}
	return decode(line, result)
}

// Passing tells of an error of Call whether it may be over in a moment: there is no daemon, or it has hung up. It
// is not for what the daemon says, nor for a socket that is not to be used, for want of permission say.
func Passing(err error) bool {
	if !errors.Is(err, ErrNoAnswer) || errors.Is(err, io.ErrShortBuffer) {
		return false
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return true
	}
	for _, e := range []error{syscall.ENOENT, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EAGAIN, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return op.Timeout() || errors.Is(err, context.Canceled)
}
