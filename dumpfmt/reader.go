package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

const firstBuffer = 256 << 10

// Reader reads a dump record by record. It holds one line at a time, at most MaxLine
// bytes. After the first error, io.EOF included, it gives that error for ever, unless Skip
// leaves the line out. Not for concurrent use.
type Reader struct {
	src     io.Reader
	version Version
	iprop   IpropHeader

	buf    []byte // unread bytes are buf[pos:end]
	pos    int
	end    int
	srcErr error // what src returned last, to be given when buf is used up

	raw    []byte // the last line, LF included; aliases buf
	line   int
	offset int64
	err    error
	whole  bool // err speaks of a line that was read whole

	scratch Principal // for NextLine
	data    []byte
	printed []byte
}

// NewReader reads the header of a dump, which must be that of version 4, 5, 6 or 7. The
// error is a *SyntaxError, with ErrHeader for a file that is something else (an iprop dump
// too: see NewIpropReader), or what r returned.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{src: r}
	line, err := d.header()
	if err != nil {
		return nil, err
	}
	if d.version, err = parseHeader(line); err != nil {
		return nil, &SyntaxError{Line: 1, Err: err}
	}
	return d, nil
}

// NewIpropReader reads the header of an iprop or ipropx dump, as kpropd receives them. The
// error is a *SyntaxError, with ErrIpropHeader for a file that is something else, or what
// r returned.
func NewIpropReader(r io.Reader) (*Reader, error) {
	d := &Reader{src: r}
	line, err := d.header()
	if err != nil {
		return nil, err
	}
	if d.version, d.iprop, err = parseIpropHeader(line); err != nil {
		return nil, &SyntaxError{Line: 1, Err: err}
	}
	return d, nil
}

// header reads the first line. One that is no header at all must not be read for 16 MiB.
func (r *Reader) header() ([]byte, error) {
	const longest = 128
	r.buf = make([]byte, firstBuffer)
	for r.end < longest && r.srcErr == nil && bytes.IndexByte(r.buf[:r.end], '\n') < 0 {
		r.fill()
	}
	if i := bytes.IndexByte(r.buf[:min(r.end, longest)], '\n'); i < 0 {
		if r.srcErr != nil && !errors.Is(r.srcErr, io.EOF) {
			return nil, fmt.Errorf("dumpfmt: header: %w", r.srcErr)
		}
		return nil, &SyntaxError{Line: 1, Err: ErrHeader}
	}
	line, err := r.readLine()
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// Version returns the form that the header names.
func (r *Reader) Version() Version { return r.version }

// Iprop returns the position that the header of an iprop dump names.
func (r *Reader) Iprop() IpropHeader { return r.iprop }

// RawLine returns the last line read as it stands in the file, LF included. It is valid
// until the next call of Next or NextLine.
func (r *Reader) RawLine() []byte { return r.raw }

// Line returns the number of the last line read; the header is line 1.
func (r *Reader) Line() int { return r.line }

// Offset returns the number of bytes read up to the end of the last line.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next record, which is the caller's to keep: a *Principal or *Policy.
// io.EOF marks the end, behind a complete line. A dump has no end marker: a file cut
// between two lines cannot be told from a whole one. Other errors are a *SyntaxError or
// what the underlying reader returned.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	line, err := r.readLine()
	if err != nil {
		return nil, err
	}
	rec, err := ParseLine(line, r.version)
	if err != nil {
		r.whole = true
		return nil, r.fail(err)
	}
	return rec, nil
}

// NextLine checks the next record as fully as Next does, and returns its kind, its name
// and its version 7 line, LF included, as AppendLine would print it: for a loader that
// stores lines and has no use for the values. The line is valid until the next call.
func (r *Reader) NextLine() (kind Kind, name string, line []byte, err error) {
	if r.err != nil {
		return 0, "", nil, r.err
	}
	raw, err := r.readLine()
	if err != nil {
		return 0, "", nil, err
	}
	kind, name, line, err = r.check(raw)
	if err != nil {
		r.whole = true
		return 0, "", nil, r.fail(err)
	}
	return kind, name, line, nil
}

// Skip leaves out the line that the last error spoke of, so that a program that looks for
// faults finds them all. It reports whether reading can go on: not at the end of the file,
// behind a torn line or one that is too long, nor when the underlying reader has failed.
func (r *Reader) Skip() bool {
	if !r.whole {
		return false
	}
	r.err, r.whole = nil, false
	return true
}

func (r *Reader) check(raw []byte) (Kind, string, []byte, error) {
	if bytes.HasPrefix(raw, tagPrinc) {
		if need := len(raw) / 2; cap(r.data) < need {
			r.data = make([]byte, 0, 2*need)
		}
		p := &r.scratch
		name, strict, err := parsePrincipal(raw, p, r.data)
		if err != nil {
			return 0, "", nil, err
		}
		p.Name = string(name)
		if !strict {
			r.printed, err = p.AppendLine(r.printed[:0], Current)
			return KindPrincipal, p.Name, r.printed, err
		}
		return KindPrincipal, p.Name, raw, nil
	}
	rec, strict, err := parseLine(raw, r.version)
	if err != nil {
		return 0, "", nil, err
	}
	p := rec.(*Policy)
	if !strict {
		r.printed, err = p.AppendLine(r.printed[:0], Current)
		return KindPolicy, p.Name, r.printed, err
	}
	return KindPolicy, p.Name, raw, nil
}

// fail puts the line number into err and remembers it. An error of the underlying reader may
// be a SyntaxError of its own, with the line of what it reads.
func (r *Reader) fail(err error) error {
	var syntax *SyntaxError
	if errors.As(err, &syntax) && syntax.Line == 0 {
		syntax.Line = r.line
	}
	r.err = err
	return err
}

// readLine returns the next line with its LF.
func (r *Reader) readLine() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(r.buf[r.pos+searched:r.end], '\n'); i >= 0 {
			n := searched + i + 1
			r.raw = r.buf[r.pos : r.pos+n : r.pos+n]
			r.pos += n
			r.offset += int64(n)
			r.line++
			if n > MaxLine {
				return nil, r.fail(&SyntaxError{Err: ErrTooLong})
			}
			return r.raw, nil
		}
		searched = r.end - r.pos
		switch {
		case searched >= MaxLine:
			r.line++
			return nil, r.fail(&SyntaxError{Err: ErrTooLong})
		case r.srcErr == nil:
			r.fill()
		case !errors.Is(r.srcErr, io.EOF):
			return nil, r.fail(fmt.Errorf("dumpfmt: after line %d: %w", r.line, r.srcErr))
		case searched == 0:
			r.raw = nil
			return nil, r.fail(io.EOF)
		default:
			r.line++
			return nil, r.fail(&SyntaxError{Err: ErrTorn})
		}
	}
}

// fill reads more, making room first: by moving the unread bytes to the front, and by
// doubling the buffer when one line fills it.
func (r *Reader) fill() {
	if r.pos > 0 {
		r.end = copy(r.buf, r.buf[r.pos:r.end])
		r.pos = 0
	}
	if r.end == len(r.buf) {
		grown := make([]byte, min(2*len(r.buf), MaxLine))
		copy(grown, r.buf)
		r.buf = grown
	}
	for range math.MaxInt8 {
		n, err := r.src.Read(r.buf[r.end:])
		if n < 0 || n > len(r.buf)-r.end {
			panic("dumpfmt: reader returned an impossible count")
		}
		r.end += n
		if err != nil {
			r.srcErr = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	r.srcErr = io.ErrNoProgress
}
