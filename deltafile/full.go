package deltafile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// FullHeader is the first line of a full copy.
const FullHeader = "krep load_full version 1\n"

const (
	// MaxFull bounds the dump in a full copy, in bytes.
	MaxFull = 1 << 40
	// FullRoom is how much room SealFull needs before the dump.
	FullRoom = 8192
	// maxFullBegin bounds a full copy's begin line.
	maxFullBegin = 128
)

// fullHead is header, base and begin line of a full copy; begin is the last of them alone.
func fullHead(base State, nlines, nbytes int64) (head, begin []byte, err error) {
	if err := base.check(); err != nil {
		return nil, nil, fmt.Errorf("deltafile: full copy: base: %w", err)
	}
	if nbytes <= 0 || nlines <= 0 || nlines > nbytes {
		return nil, nil, fmt.Errorf("deltafile: full copy: %d lines in %d bytes", nlines, nbytes)
	}
	if nbytes > MaxFull {
		return nil, nil, fmt.Errorf("deltafile: full copy of %d bytes: %w", nbytes, ErrTooLarge)
	}
	head = base.AppendBase([]byte(FullHeader))
	n := len(head)
	head = appendBegin(head, 0, base.Sec, base.Usec, nlines, nbytes)
	return head, head[n:], nil
}

// fullSum counts and hashes the dump of a full copy.
type fullSum struct {
	hash           hash.Hash
	nlines, nbytes int64
	tail           byte // the last byte
}

func newFullSum(base Hash, begin []byte) *fullSum {
	s := &fullSum{hash: sha256.New()}
	s.hash.Write(base[:])
	s.hash.Write(begin)
	return s
}

func (s *fullSum) add(p []byte) {
	if len(p) == 0 {
		return
	}
	s.hash.Write(p)
	s.nbytes += int64(len(p))
	s.nlines += int64(bytes.Count(p, []byte{'\n'}))
	s.tail = p[len(p)-1]
}

// sum gives the digest if the dump was as announced.
func (s *fullSum) sum(nlines, nbytes int64) (h Hash, err error) {
	switch {
	case s.nbytes != nbytes || s.nlines != nlines:
		return h, fmt.Errorf("%d lines in %d bytes, announced %d in %d", s.nlines, s.nbytes, nlines, nbytes)
	case s.tail != '\n':
		return h, errors.New("last line lacks its LF")
	}
	s.hash.Sum(h[:0])
	return h, nil
}

// FullWriter writes a full copy: a dump whose size is known, in its frame.
type FullWriter struct {
	w              io.Writer
	sum            *fullSum
	nlines, nbytes int64
	err            error
}

// NewFullWriter writes the head of the frame. base is the state the dump shows; nlines and
// nbytes are the dump's, its header line included.
func NewFullWriter(w io.Writer, base State, nlines, nbytes int64) (*FullWriter, error) {
	head, begin, err := fullHead(base, nlines, nbytes)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("deltafile: full copy: %w", err)
	}
	return &FullWriter{w: w, sum: newFullSum(base.Hash, begin), nlines: nlines, nbytes: nbytes}, nil
}

// Write takes bytes of the dump; more than announced are refused.
func (w *FullWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.nbytes-w.sum.nbytes {
		w.err = fmt.Errorf("deltafile: full copy: more than the announced %d bytes", w.nbytes)
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.sum.add(p[:n])
	if err != nil {
		w.err = fmt.Errorf("deltafile: full copy: %w", err)
	}
	return n, w.err
}

// Close writes the end line. It fails, and the frame stays without an end, if the dump was not
// as announced. The writer below is not closed.
func (w *FullWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	sum, err := w.sum.sum(w.nlines, w.nbytes)
	if err == nil {
		_, err = w.w.Write(appendEnd(nil, 0, sum))
	}
	if err != nil {
		w.err = fmt.Errorf("deltafile: full copy: %w", err)
		return w.err
	}
	w.err = ErrClosed
	return nil
}

// SealFull puts the frame around a dump that already stands in f at [FullRoom,
// FullRoom+nbytes), without copying it: afterwards the full copy is [start, start+size). It is
// for a dump whose size shows only when it has been written.
func SealFull(f interface {
	io.ReaderAt
	io.WriterAt
}, base State, nlines, nbytes int64) (start, size int64, err error) {
	head, begin, err := fullHead(base, nlines, nbytes)
	if err != nil {
		return 0, 0, err
	}
	s := newFullSum(base.Hash, begin)
	r := io.NewSectionReader(f, FullRoom, nbytes)
	buf := make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		s.add(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("deltafile: full copy: %w", err)
		}
	}
	sum, err := s.sum(nlines, nbytes)
	if err != nil {
		return 0, 0, fmt.Errorf("deltafile: full copy: %w", err)
	}
	start = int64(FullRoom - len(head))
	end := appendEnd(nil, 0, sum)
	if _, err := f.WriteAt(head, start); err != nil {
		return 0, 0, fmt.Errorf("deltafile: full copy: %w", err)
	}
	if _, err := f.WriteAt(end, FullRoom+nbytes); err != nil {
		return 0, 0, fmt.Errorf("deltafile: full copy: %w", err)
	}
	return start, FullRoom + nbytes + int64(len(end)) - start, nil
}

// FullReader reads the dump out of a full copy. It takes from the reader below exactly the
// frame and not a byte more.
type FullReader struct {
	Base   State // what the dump shows
	NLines int64 // of the dump, its header line included
	NBytes int64 // of the dump

	r   io.Reader
	off int64 // bytes taken from r
	sum *fullSum
	err error
}

// ReadFull reads the head of a full copy. *FormatError: it is not one, or ends too early
// (io.ErrUnexpectedEOF).
func ReadFull(r io.Reader) (*FullReader, error) {
	fr := &FullReader{r: r}
	line, err := fr.line(len(FullHeader))
	if err == nil && string(line) != FullHeader || errors.Is(err, ErrTooLarge) {
		err = &FormatError{Err: errors.New("not a full copy of version 1")}
	}
	if err != nil {
		return nil, err
	}
	start := fr.off
	if line, err = fr.line(maxBase); err != nil {
		return nil, err
	}
	if fr.Base, err = ParseBase(line); err != nil {
		return nil, &FormatError{Offset: start, Err: err}
	}
	start = fr.off
	if line, err = fr.line(maxFullBegin); err != nil {
		return nil, err
	}
	h, err := parseBegin(line)
	switch {
	case err != nil:
		err = fmt.Errorf("begin line: %w", err)
	case h.serial != 0:
		err = fmt.Errorf("begin line of %d: %w", h.serial, ErrSerial)
	case h.nbytes > MaxFull:
		err = fmt.Errorf("full copy of %d bytes: %w", h.nbytes, ErrTooLarge)
	case h.nbytes == 0 || h.nlines == 0 || h.nlines > h.nbytes:
		err = fmt.Errorf("%d lines in %d bytes", h.nlines, h.nbytes)
	}
	if err != nil {
		return nil, &FormatError{Offset: start, Err: err}
	}
	fr.NLines, fr.NBytes = h.nlines, h.nbytes
	fr.sum = newFullSum(fr.Base.Hash, line)
	return fr, nil
}

// Read gives the dump. io.EOF comes only when all of it has been read and size, line count and
// digest are right; before that nothing read is to be believed. A cut frame is a
// *FormatError around io.ErrUnexpectedEOF, never io.EOF.
func (r *FullReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	left := r.NBytes - r.sum.nbytes
	if left == 0 {
		r.err = r.finish()
		return 0, r.err
	}
	n, err := r.r.Read(p[:min(int64(len(p)), left)])
	r.sum.add(p[:n])
	r.off += int64(n)
	if n > 0 {
		err = nil // it will come again
	}
	r.err = r.wrap(err)
	return n, r.err
}

// finish checks the end line; io.EOF if all is well.
func (r *FullReader) finish() error {
	start := r.off
	line, err := r.line(maxEnd)
	if err != nil {
		return err
	}
	serial, want, err := parseEnd(line)
	if err != nil {
		return &FormatError{Offset: start, Err: fmt.Errorf("end line: %w", err)}
	}
	if serial != 0 {
		return &FormatError{Offset: start, Err: fmt.Errorf("end line of %d: %w", serial, ErrSerial)}
	}
	got, err := r.sum.sum(r.NLines, r.NBytes)
	if err == nil && got != want {
		err = ErrHash
	}
	if err != nil {
		return &FormatError{Offset: start, Err: fmt.Errorf("full copy: %w", err)}
	}
	return io.EOF
}

// line reads one short line, byte by byte so as not to read past it.
func (r *FullReader) line(limit int) ([]byte, error) {
	start := r.off
	line := make([]byte, 0, 128)
	for {
		var b [1]byte
		if _, err := io.ReadFull(r.r, b[:]); err != nil {
			return nil, r.wrap(err)
		}
		r.off++
		line = append(line, b[0])
		if b[0] == '\n' {
			return line, nil
		}
		if len(line) == limit {
			return nil, &FormatError{Offset: start, Err: fmt.Errorf("line: %w", ErrTooLarge)}
		}
	}
}

// wrap makes an early end a FormatError.
func (r *FullReader) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &FormatError{Offset: r.off, Err: io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("deltafile: full copy: %w", err)
}
