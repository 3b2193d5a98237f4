package dumpfmt

import (
	"errors"
	"fmt"
)

// scanner walks over one line, field by field. The first failure sticks; what is read
// after it is zero. Messages name the field and never its contents.
type scanner struct {
	line  []byte // without LF
	pos   int    // at a TAB or at the end between two fields
	field int    // number of the field that is being read
	err   error
	buf   []byte // takes the decoded bytes; its capacity suffices for the whole line
}

var (
	errNumber  = errors.New("not a minimal decimal number")
	errRange   = errors.New("number out of range")
	errHex     = errors.New("not lower-case hexadecimal of the stated length")
	errEmpty   = errors.New("want -1 for empty data")
	errMissing = errors.New("missing: the line ends before it")
	errGarbage = errors.New("does not end where its length says")
	errEnd     = errors.New("want -1; and the end of the line")
	errMore    = errors.New("text after the last field")
)

func (s *scanner) fail(what string, err error) {
	if s.err == nil {
		s.err = &SyntaxError{Field: s.field, Err: fmt.Errorf("%s: %w", what, err)}
	}
}

// open goes to the first byte of the next field.
func (s *scanner) open(what string) bool {
	if s.err != nil {
		return false
	}
	s.field++
	if s.pos >= len(s.line) {
		s.fail(what, errMissing)
		return false
	}
	s.pos++ // the TAB: every field before checked that it stands here
	return true
}

// ends reports whether a field may end at i.
func (s *scanner) ends(i int) bool {
	return i == len(s.line) || i < len(s.line) && s.line[i] == '\t'
}

// unsigned reads a minimal decimal of at most limit.
func (s *scanner) unsigned(what string, limit uint64) uint64 {
	if !s.open(what) {
		return 0
	}
	return s.digits(what, limit)
}

func (s *scanner) digits(what string, limit uint64) uint64 {
	start, i := s.pos, s.pos
	var v uint64
	for ; i < len(s.line) && i-start <= 10; i++ {
		d := s.line[i] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
	}
	switch {
	case i == start, i > start+1 && s.line[start] == '0':
		s.fail(what, errNumber)
		return 0
	case !s.ends(i):
		if i-start > 10 {
			s.fail(what, errRange)
		} else {
			s.fail(what, errNumber)
		}
		return 0
	case v > limit:
		s.fail(what, errRange)
		return 0
	}
	s.pos = i
	return v
}

// signed reads a minimal decimal from -limit-1 to limit.
func (s *scanner) signed(what string, limit int64) int64 {
	if !s.open(what) {
		return 0
	}
	if s.pos < len(s.line) && s.line[s.pos] == '-' {
		s.pos++
		v := int64(s.digits(what, uint64(limit)+1))
		if v == 0 {
			s.fail(what, errNumber) // -0
		}
		return -v
	}
	return int64(s.digits(what, uint64(limit)))
}

func (s *scanner) uint16(what string) uint16 { return uint16(s.unsigned(what, 1<<16-1)) }
func (s *scanner) uint32(what string) uint32 { return uint32(s.unsigned(what, 1<<32-1)) }
func (s *scanner) int16(what string) int16   { return int16(s.signed(what, 1<<15-1)) }
func (s *scanner) int32(what string) int32   { return int32(s.signed(what, 1<<31-1)) }

// signedUint32 reads an unsigned value that dumps print as a signed one.
func (s *scanner) signedUint32(what string) uint32 { return uint32(s.int32(what)) }

// fixed reads a field that must be text.
func (s *scanner) fixed(what, text string) {
	if !s.open(what) {
		return
	}
	end := s.pos + len(text)
	if end > len(s.line) || string(s.line[s.pos:end]) != text || !s.ends(end) {
		s.fail(what, fmt.Errorf("want %q", text))
		return
	}
	s.pos = end
}

// sized reads a field of n bytes, whatever they are. The result aliases the line.
func (s *scanner) sized(what string, n int) []byte {
	if !s.open(what) {
		return nil
	}
	if n > len(s.line)-s.pos || !s.ends(s.pos+n) {
		s.fail(what, errGarbage)
		return nil
	}
	text := s.line[s.pos : s.pos+n]
	s.pos += n
	return text
}

// word reads a field of 1 to limit bytes, none of which MIT's scanf takes for white space
// or the end of a string. The result aliases the line.
func (s *scanner) word(what string, limit int) []byte {
	if !s.open(what) {
		return nil
	}
	i := s.pos
	for i < len(s.line) && s.line[i] != '\t' {
		i++
	}
	text := s.line[s.pos:i]
	if err := checkWord(text, limit); err != nil {
		s.fail(what, err)
		return nil
	}
	s.pos = i
	return text
}

// checkWord says whether text can be a policy's name or key salts, of at most limit bytes.
func checkWord[T string | []byte](text T, limit int) error {
	if len(text) == 0 {
		return errors.New("empty")
	}
	if len(text) > limit {
		return fmt.Errorf("longer than %d bytes", limit)
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\n', '\v', '\f', '\r', 0:
			return errors.New("white space or zero byte, which no loader reads back")
		}
	}
	return nil
}

// nibble is the value of a lower-case hexadecimal digit, or 0xff.
var nibble = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i] = 10 + i
	}
	return t
}()

// hex reads n bytes of data: "-1" when n is 0. The result lies in s.buf.
func (s *scanner) hex(what string, n int) []byte {
	if !s.open(what) {
		return nil
	}
	if n == 0 {
		if !s.ends(s.pos+2) || s.line[s.pos] != '-' || s.line[s.pos+1] != '1' {
			s.fail(what, errEmpty)
			return nil
		}
		s.pos += 2
		return nil
	}
	if 2*n > len(s.line)-s.pos || !s.ends(s.pos+2*n) {
		s.fail(what, errHex)
		return nil
	}
	src := s.line[s.pos : s.pos+2*n]
	start := len(s.buf)
	dst := s.buf[start : start+n : start+n]
	var bad byte
	for i := range dst {
		hi, lo := nibble[src[2*i]], nibble[src[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo
	}
	if bad > 15 {
		s.fail(what, errHex)
		return nil
	}
	s.buf = s.buf[:start+n]
	s.pos += 2 * n
	return dst
}

// end checks that the line ends here.
func (s *scanner) end() {
	if s.err == nil && s.pos != len(s.line) {
		s.field++
		s.fail("end of line", errMore)
	}
}
