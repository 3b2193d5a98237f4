package heimdal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"krealm/dumpfmt"
)

// Reader reads a dump in Heimdal's own form, line by line. After an error it gives that error for
// ever. Not for concurrent use.
type Reader struct {
	in   *bufio.Reader
	line int
	err  error
}

// NewReader begins a dump. There is no header to check: see Looks.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 1<<16)} }

// Line is the number of the last line read, from 1.
func (r *Reader) Line() int { return r.line }

// Next returns the next entry, io.EOF at the end, or a *dumpfmt.SyntaxError with line and column.
func (r *Reader) Next() (*Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	line, err := r.readLine()
	if err == nil {
		var e *Entry
		if e, err = ParseLine(line); err == nil {
			return e, nil
		}
	}
	var syntax *dumpfmt.SyntaxError
	if errors.As(err, &syntax) {
		syntax.Line = r.line
	}
	r.err = err
	return nil, err
}

// readLine returns a line without its LF.
func (r *Reader) readLine() ([]byte, error) {
	var long []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(part) == 0 && len(long) == 0 {
			return nil, io.EOF
		}
		if len(long) == 0 {
			r.line++
		}
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case errors.Is(err, io.EOF):
			return nil, &dumpfmt.SyntaxError{Err: dumpfmt.ErrTorn}
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("heimdal: after line %d: %w", r.line-1, err)
		case len(long)+len(part) > dumpfmt.MaxLine:
			return nil, &dumpfmt.SyntaxError{Err: dumpfmt.ErrTooLong}
		}
		long = append(long, part...)
	}
}

// Looks reports whether a line looks like the first of a dump in Heimdal's own form: it has the
// columns, if not their contents. What comes behind the flags may be cut off.
func Looks(line []byte) bool {
	f := split(line)
	if len(f) < colFlags+2 || len(f) > columns {
		return false
	}
	kvno, _, _ := bytes.Cut(f[colKeys], []byte(":"))
	return number(kvno) && number(f[colFlags]) && bytes.IndexByte(f[colName], '@') > 0
}

func number(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// split divides a line at its blanks; one behind a backslash belongs to a name.
func split(line []byte) [][]byte {
	var f [][]byte
	start := 0
	for i := 0; i < len(line) && len(f) <= columns; i++ {
		switch line[i] {
		case '\\':
			i++
		case ' ':
			f = append(f, line[start:i])
			start = i + 1
		}
	}
	return append(f, line[start:])
}
