package deltafile

import (
	"bytes"
	"errors"
	"fmt"
)

// fields reads the strict form of a framing line: one TAB behind every field, then ";" and
// LF. The first error sticks; values read after it are zero.
type fields struct {
	rest []byte
	n    int // fields read
	err  error
}

func (f *fields) next() []byte {
	if f.err != nil {
		return nil
	}
	f.n++
	i := bytes.IndexByte(f.rest, '\t')
	if i < 0 {
		f.err = fmt.Errorf("field %d: missing", f.n)
		return nil
	}
	v := f.rest[:i]
	f.rest = f.rest[i+1:]
	return v
}

func (f *fields) word(want string) {
	if v := f.next(); f.err == nil && string(v) != want {
		f.err = fmt.Errorf("field %d: want %q", f.n, want)
	}
}

// uint reads minimal decimal up to limit.
func (f *fields) uint(limit uint64) uint64 {
	v := f.next()
	if f.err != nil {
		return 0
	}
	if len(v) == 0 || len(v) > 1 && v[0] == '0' {
		f.err = fmt.Errorf("field %d: not a minimal decimal number", f.n)
		return 0
	}
	var u uint64
	for _, c := range v {
		if c < '0' || c > '9' {
			f.err = fmt.Errorf("field %d: not a minimal decimal number", f.n)
			return 0
		}
		d := uint64(c - '0')
		if u > (limit-d)/10 {
			f.err = fmt.Errorf("field %d: number out of range", f.n)
			return 0
		}
		u = u*10 + d
	}
	return u
}

// hex reads exactly len(dst) bytes in lower-case hex.
func (f *fields) hex(dst []byte) {
	v := f.next()
	if f.err != nil {
		return
	}
	if err := parseHex(dst, v); err != nil {
		f.err = fmt.Errorf("field %d: %w", f.n, err)
	}
}

// counted reads a length, then that many bytes as the next field.
func (f *fields) counted(limit uint64) string {
	n := f.uint(limit)
	if f.err != nil {
		return ""
	}
	f.n++
	if uint64(len(f.rest)) <= n || f.rest[n] != '\t' {
		f.err = fmt.Errorf("field %d: length does not fit", f.n)
		return ""
	}
	v := string(f.rest[:n])
	f.rest = f.rest[n+1:]
	return v
}

// close checks that only the ";" and LF are left.
func (f *fields) close() error {
	if f.err == nil && string(f.rest) != ";\n" {
		f.err = errors.New("line does not end in TAB, \";\" and LF")
	}
	return f.err
}

// kinds are the words a body line may begin with, TAB included. Only these: a line of another
// kind belongs to a later version and must never be skipped.
var kinds = [...]string{"princ\t", "policy\t", "delprinc\t", "delpolicy\t"}

func knownKind(line []byte) bool {
	for _, k := range kinds {
		if len(line) > len(k) && string(line[:len(k)]) == k {
			return true
		}
	}
	return false
}

// kindPrefix says whether b could be the beginning of a known line.
func kindPrefix(b []byte) bool {
	for _, k := range kinds {
		if n := min(len(b), len(k)); string(b[:n]) == k[:n] {
			return true
		}
	}
	return false
}

// scanLines counts the lines of a body. Every line must be of a known kind and end in LF; off
// is where the first that is not begins.
func scanLines(b []byte) (n, off int, err error) {
	for off < len(b) {
		i := bytes.IndexByte(b[off:], '\n')
		if i < 0 {
			return n, off, errors.New("last line lacks its LF")
		}
		if !knownKind(b[off : off+i+1]) {
			return n, off, ErrKind
		}
		off += i + 1
		n++
	}
	if n == 0 {
		return 0, 0, errors.New("no lines")
	}
	return n, 0, nil
}

func countLines(b []byte) (int, error) {
	n, _, err := scanLines(b)
	return n, err
}
