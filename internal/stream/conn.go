package stream

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// MaxPayload is the most that one frame carries, in octets.
const MaxPayload = 260 << 10

const (
	frameHeader = 4
	frameTag    = 16
	// maxFrames per direction and key. GCM's bound on data under one key is far above
	// 2^48 frames of the usual size; a stream is redialled daily for its ticket anyway.
	maxFrames = 1 << 48
)

// WriteTimeout is how long a peer may take none of what is sent to it before it counts as gone, or
// an eighth longer: see extend.
const WriteTimeout = 30 * time.Second

// writePiece is how much is written at a time: a slow link must take that within WriteTimeout.
const writePiece = 16 << 10

// Conn is an authenticated stream of frames. Send and Receive may be called at the same time,
// by any number of senders and one receiver. After an error of either it is of no further use
// but for Close.
type Conn struct {
	nc     net.Conn
	peer   string
	local  string
	expiry time.Time
	ending atomic.Pointer[time.Time] // set by Farewell: no write lasts beyond it

	// The turn to send is a channel, not a mutex, because it is held while the network blocks:
	// the fake clock of testing/synctest stands still for whoever waits for a mutex.
	send struct {
		turn chan struct{} // full while somebody sends
		half
		until time.Time // the deadline of writes
	}
	recv struct {
		half
		r        *bufio.Reader
		patience time.Duration
		until    time.Time // the deadline of reads
	}
}

// half is one direction: its key, how many frames it has carried, its buffer.
type half struct {
	aead  cipher.AEAD
	count uint64
	nonce [12]byte
	buf   []byte
	err   error
}

func (h *half) init(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	h.aead, err = cipher.NewGCM(block)
	return err
}

// next returns the nonce of the next frame and counts it.
func (h *half) next() ([]byte, error) {
	if h.count == maxFrames {
		return nil, ErrExhausted
	}
	binary.BigEndian.PutUint64(h.nonce[4:], h.count)
	h.count++
	return h.nonce[:], nil
}

func newConn(nc net.Conn, r *bufio.Reader, sendKey, recvKey []byte) (*Conn, error) {
	c := &Conn{nc: nc}
	c.send.turn = make(chan struct{}, 1)
	c.recv.r = r
	if err := c.send.init(sendKey); err != nil {
		return nil, err
	}
	if err := c.recv.init(recvKey); err != nil {
		return nil, err
	}
	return c, nil
}

// Peer returns the principal that the other side has proved to be, with realm.
func (c *Conn) Peer() string { return c.peer }

// Local returns the principal that this side has proved to be.
func (c *Conn) Local() string { return c.local }

// Expiry returns the end time of the ticket that the stream was opened with.
func (c *Conn) Expiry() time.Time { return c.expiry }

// RemoteAddr returns the peer's network address.
func (c *Conn) RemoteAddr() string { return c.nc.RemoteAddr().String() }

// SetPatience sets how long a later Receive waits for the next octets; zero: as long as it takes.
// Beyond it, or an eighth more, Receive fails with os.ErrDeadlineExceeded. A frame that comes slowly
// is waited for as long as some of it comes. It is for the receiver alone.
func (c *Conn) SetPatience(d time.Duration) {
	if d == c.recv.patience {
		return
	}
	c.recv.patience, c.recv.until = d, time.Time{}
	if d == 0 {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
}

// extend gives what begins now at least d. It sets the deadline only if the present one comes
// before that, and then with some to spare: a timer set for each frame would cost more than the
// frame's encryption.
func extend(set func(time.Time) error, until *time.Time, d time.Duration) error {
	now := time.Now()
	if until.Sub(now) >= d {
		return nil
	}
	*until = now.Add(d + d/8)
	return set(*until)
}

// fill reads all of b, with patience anew for each piece that comes.
func (c *Conn) fill(b []byte) error {
	for read := 0; read < len(b); {
		if c.recv.patience > 0 && c.recv.r.Buffered() == 0 {
			if err := extend(c.nc.SetReadDeadline, &c.recv.until, c.recv.patience); err != nil {
				return fmt.Errorf("receive: %w", err)
			}
		}
		n, err := c.recv.r.Read(b[read:])
		read += n
		switch {
		case err == nil:
		case err == io.EOF && read > 0:
			return fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
		case err == io.EOF:
			return err
		default:
			return fmt.Errorf("receive: %w", err)
		}
	}
	return nil
}

// Farewell sends one last frame and makes sure that it, and whatever Send is under way, takes no
// longer than d. Errors do not matter any more. Close is still to be called.
func (c *Conn) Farewell(payload []byte, d time.Duration) {
	end := time.Now().Add(d)
	c.ending.Store(&end)
	_ = c.nc.SetWriteDeadline(end)
	_ = c.Send(payload)
}

// Close closes the connection and makes Send and Receive return.
func (c *Conn) Close() error { return c.nc.Close() }

// Send writes one frame. The payload is not kept; more than MaxPayload is an error in the caller
// and panics.
func (c *Conn) Send(payload []byte) error {
	if len(payload) > MaxPayload {
		panic("stream: payload larger than MaxPayload")
	}
	c.send.turn <- struct{}{}
	defer func() { <-c.send.turn }()
	if c.send.err != nil {
		return c.send.err
	}
	c.send.err = c.write(payload)
	return c.send.err
}

func (c *Conn) write(payload []byte) error {
	nonce, err := c.send.next()
	if err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(c.send.buf[:0], uint32(len(payload)+frameTag))
	frame = c.send.aead.Seal(frame, nonce, payload, frame[:frameHeader])
	c.send.buf = frame
	for len(frame) > 0 {
		if err := c.writeDeadline(); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		n, err := c.nc.Write(frame[:min(len(frame), writePiece)])
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		frame = frame[n:]
	}
	return nil
}

// writeDeadline gives the next piece its time, unless Farewell has set the end of all writes.
func (c *Conn) writeDeadline() error {
	if c.ending.Load() != nil {
		return nil
	}
	if err := extend(c.nc.SetWriteDeadline, &c.send.until, WriteTimeout); err != nil {
		return err
	}
	if end := c.ending.Load(); end != nil { // Farewell came in between
		return c.nc.SetWriteDeadline(*end)
	}
	return nil
}

// Receive reads one frame. The payload is valid until the next Receive. A peer that has closed
// the connection between frames gives io.EOF.
func (c *Conn) Receive() ([]byte, error) {
	if c.recv.err != nil {
		return nil, c.recv.err
	}
	payload, err := c.read()
	c.recv.err = err
	return payload, err
}

func (c *Conn) read() ([]byte, error) {
	nonce, err := c.recv.next()
	if err != nil {
		return nil, err
	}
	var header [frameHeader]byte
	if err := c.fill(header[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(header[:]))
	if n < frameTag || n > MaxPayload+frameTag {
		return nil, fmt.Errorf("receive: frame of %d octets: %w", n, ErrTooLarge)
	}
	if cap(c.recv.buf) < n {
		c.recv.buf = make([]byte, max(n, 2*cap(c.recv.buf)))
	}
	frame := c.recv.buf[:n]
	if err := c.fill(frame); err == io.EOF {
		return nil, fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
	} else if err != nil {
		return nil, err
	}
	payload, err := c.recv.aead.Open(frame[:0], nonce, frame, header[:])
	if err != nil {
		return nil, fmt.Errorf("receive: frame %d: %w", c.recv.count-1, ErrAltered)
	}
	return payload, nil
}
