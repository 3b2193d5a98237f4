package der

import (
	"errors"
	"fmt"
)

// MaxDepth is how many elements may be open at once. Kerberos messages need about 15.
const MaxDepth = 32

// Reasons a message does not decode. They come wrapped in a SyntaxError.
var (
	ErrTruncated = errors.New("element ends beyond its parent")
	ErrTag       = errors.New("unexpected tag")
	ErrLength    = errors.New("length is indefinite, not minimal or too long")
	ErrDepth     = errors.New("elements nested too deep")
	ErrValue     = errors.New("value malformed or out of range")
	ErrTrailing  = errors.New("data after the last field")
)

// SyntaxError says at which octet of the input a message stopped making sense.
type SyntaxError struct {
	Offset int // from the start of the slice given to Reset
	Err    error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("der: offset %d: %v", e.Offset, e.Err) }
func (e *SyntaxError) Unwrap() error { return e.Err }

// Reader decodes one slice from front to back. After the first error every method returns a
// zero value and Err the error. The zero Reader reads nothing; use Reset or NewReader.
// It is not safe for concurrent use.
type Reader struct {
	buf   []byte
	pos   int
	end   int // of the innermost open element
	depth int
	ends  [MaxDepth]int // of the elements around it
	err   error
}

// NewReader returns a Reader over b.
func NewReader(b []byte) *Reader {
	r := new(Reader)
	r.Reset(b)
	return r
}

// Reset makes r read b from its start, with no element open and no error.
func (r *Reader) Reset(b []byte) {
	r.buf, r.pos, r.end, r.depth, r.err = b, 0, len(b), 0, nil
}

// Err returns the first error, a *SyntaxError, or nil.
func (r *Reader) Err() error { return r.err }

// Offset returns how many octets of the input are consumed.
func (r *Reader) Offset() int { return r.pos }

// Fail records err at the current offset unless an error is recorded already. Decoders of
// messages use it for values that are well formed but not allowed.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = &SyntaxError{Offset: r.pos, Err: err}
	}
}

// More reports whether the innermost open element has octets left. It is false after an error.
func (r *Reader) More() bool { return r.err == nil && r.pos < r.end }

// Peek returns the next tag, or 0 at the end of the element or after an error.
func (r *Reader) Peek() Tag {
	if !r.More() {
		return 0
	}
	return Tag(r.buf[r.pos])
}

// header consumes tag and length octets and returns the tag and where the contents end.
func (r *Reader) header() (Tag, int) {
	if r.err != nil {
		return 0, 0
	}
	b := r.buf[r.pos:r.end]
	if len(b) < 2 {
		r.Fail(ErrTruncated)
		return 0, 0
	}
	tag := Tag(b[0])
	if tag&0x1f == 0x1f {
		r.Fail(ErrTag)
		return 0, 0
	}
	n, size := int(b[1]), 2
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 4 {
			r.Fail(ErrLength)
			return 0, 0
		}
		if len(b) < 2+octets {
			r.Fail(ErrTruncated)
			return 0, 0
		}
		var v uint64
		for _, c := range b[2 : 2+octets] {
			v = v<<8 | uint64(c)
		}
		if v < 0x80 || octets > 1 && v>>(8*(octets-1)) == 0 {
			r.Fail(ErrLength)
			return 0, 0
		}
		if v > uint64(len(b)) {
			r.Fail(ErrTruncated)
			return 0, 0
		}
		n, size = int(v), 2+octets
	}
	if n > len(b)-size {
		r.Fail(ErrTruncated)
		return 0, 0
	}
	r.pos += size
	return tag, r.pos + n
}

// Enter opens the next element, which must have the given tag: what follows reads its contents
// until Leave or Close.
func (r *Reader) Enter(tag Tag) bool {
	if r.err != nil {
		return false
	}
	if r.depth == MaxDepth {
		r.Fail(ErrDepth)
		return false
	}
	start := r.pos
	got, end := r.header()
	if r.err != nil {
		return false
	}
	if got != tag {
		r.pos = start
		r.Fail(ErrTag)
		return false
	}
	r.ends[r.depth] = r.end
	r.depth++
	r.end = end
	return true
}

// TryEnter is Enter for an optional element: with another tag, or none, it consumes nothing
// and returns false without an error.
func (r *Reader) TryEnter(tag Tag) bool { return r.Peek() == tag && r.Enter(tag) }

// Close ends the innermost open element; octets left in it are an error.
func (r *Reader) Close() {
	if r.err == nil && r.pos != r.end {
		r.Fail(ErrTrailing)
	}
	r.Leave()
}

// Leave ends the innermost open element and skips what is left of it. Decoders use it for
// SEQUENCEs: later versions of a protocol may add fields, and MIT krb5 ignores them.
func (r *Reader) Leave() {
	if r.err != nil {
		return
	}
	if r.depth == 0 {
		panic("der: Leave without Enter")
	}
	r.pos = r.end
	r.depth--
	r.end = r.ends[r.depth]
}

// Contents consumes the next element, which must have the given tag, and returns its contents.
func (r *Reader) Contents(tag Tag) []byte {
	start := r.pos
	got, end := r.header()
	if r.err != nil {
		return nil
	}
	if got != tag {
		r.pos = start
		r.Fail(ErrTag)
		return nil
	}
	b := r.buf[r.pos:end:end]
	r.pos = end
	return b
}

// Raw consumes the next element, which must have the given tag, and returns it with its header.
func (r *Reader) Raw(tag Tag) []byte {
	start := r.pos
	r.Contents(tag)
	if r.err != nil {
		return nil
	}
	return r.buf[start:r.pos:r.pos]
}

// Rest consumes and returns what is left of the innermost open element.
func (r *Reader) Rest() []byte {
	if r.err != nil {
		return nil
	}
	b := r.buf[r.pos:r.end:r.end]
	r.pos = r.end
	return b
}

// Since returns the octets consumed since Offset returned start: the raw form of what was
// decoded in between. It is nil after an error.
func (r *Reader) Since(start int) []byte {
	if r.err != nil {
		return nil
	}
	return r.buf[start:r.pos:r.pos]
}
