package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 20

// Client asks one daemon, several times over one connection. It is for one goroutine.
type Client struct {
	path string
	nc   net.Conn // nil: none
	in   *bufio.Reader
}

// NewClient returns a Client that connects when it is first used.
func NewClient(path string) *Client { return &Client{path: path} }

// Close hangs up. The Client may be used again.
func (c *Client) Close() error {
	if c.nc == nil {
		return nil
	}
	err := c.nc.Close()
	c.nc, c.in = nil, nil
	return err
}

// Call asks and decodes the answer into result, which may be nil. It waits as long as ctx lets it, or
// ten seconds if that has no end. A connection that the daemon has closed since the last Call is
// replaced, and the request sent again: it may be carried out twice where the daemon has ended in the
// middle of it. ErrNoAnswer: nobody there. Other errors are the daemon's, or
// the socket's.
func (c *Client) Call(ctx context.Context, req Request, result any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	b, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	b = append(b, '\n')
	used := c.nc != nil
	line, err := c.exchange(ctx, b)
	if used && errors.Is(err, ErrNoAnswer) && ctx.Err() == nil {
		line, err = c.exchange(ctx, b)
	}
	if err != nil {
		return err
	}
	return decode(line, result)
}

// decode takes the result out of an answer, or the daemon's error.
func decode(line []byte, result any) error {
	if result == nil {
		result = new(json.RawMessage)
	}
	resp := response{Result: result}
	if err := json.Unmarshal(line, &resp); err != nil {
		return fmt.Errorf("control: answer: %w", err)
	}
	if resp.Error != "" {
		return errors.New(resp.Error)
	}
	return nil
}

// exchange sends a line and returns the one that comes back. After an error there is no connection.
func (c *Client) exchange(ctx context.Context, req []byte) (answer []byte, err error) {
	defer func() {
		if err != nil {
			_ = c.Close()
			err = fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
	}()
	if c.nc == nil {
		var d net.Dialer
		if c.nc, err = d.DialContext(ctx, "unix", c.path); err != nil {
			return nil, err
		}
		c.in = bufio.NewReader(c.nc)
	}
	nc := c.nc
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && err == nil { // the deadline is set, or is about to be
			_ = c.Close()
		}
	}()
	if _, err := nc.Write(req); err != nil {
		return nil, err
	}
	return readLine(c.in)
}

// readLine reads a line of at most maxAnswer bytes.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxAnswer {
			return nil, io.ErrShortBuffer
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Call asks the daemon that listens on path one thing, as Client.Call does.
func Call(ctx context.Context, path string, req Request, result any) error {
	c := NewClient(path)
	defer func() { _ = c.Close() }()
	return c.Call(ctx, req, result)
}
