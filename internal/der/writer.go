package der

// Writer builds a message from its end. Each method puts its element in front of what is
// already there, so the fields of a SEQUENCE are written last to first:
//
//	m := w.Mark()
//	w.Int(5)
//	w.Wrap(der.Context(0), m)
//	w.Wrap(der.TagSequence, m)
//
// The zero Writer is ready for use. It is not safe for concurrent use.
type Writer struct {
	buf []byte
	pos int // the message is buf[pos:]
}

// NewWriter returns a Writer with room for size octets before it has to grow.
func NewWriter(size int) *Writer {
	return &Writer{buf: make([]byte, size), pos: size}
}

// Reset forgets the message and keeps the buffer: what Bytes returned before is overwritten.
func (w *Writer) Reset() { w.pos = len(w.buf) }

// Bytes returns the message. It aliases the buffer and is valid until the next write or Reset.
func (w *Writer) Bytes() []byte { return w.buf[w.pos:] }

// Clone returns the message in a slice of its own.
func (w *Writer) Clone() []byte { return append([]byte(nil), w.Bytes()...) }

// Mark returns a position for Wrap: the octets written so far.
func (w *Writer) Mark() int { return len(w.buf) - w.pos }

// grow makes room for n octets and returns them, already counted as written.
func (w *Writer) grow(n int) []byte {
	if w.pos < n {
		used := len(w.buf) - w.pos
		size := max(2*len(w.buf), used+n, 256)
		buf := make([]byte, size)
		copy(buf[size-used:], w.buf[w.pos:])
		w.buf, w.pos = buf, size-used
	}
	w.pos -= n
	return w.buf[w.pos : w.pos+n]
}

// Raw writes octets that are DER already.
func (w *Writer) Raw(b []byte) { copy(w.grow(len(b)), b) }

// Wrap puts a header with the given tag in front of everything written since mark.
func (w *Writer) Wrap(tag Tag, mark int) {
	n := w.Mark() - mark
	switch {
	case n < 0x80:
		h := w.grow(2)
		h[0], h[1] = byte(tag), byte(n)
	case n < 0x100:
		h := w.grow(3)
		h[0], h[1], h[2] = byte(tag), 0x81, byte(n)
	case n < 0x10000:
		h := w.grow(4)
		h[0], h[1], h[2], h[3] = byte(tag), 0x82, byte(n>>8), byte(n)
	case n < 0x1000000:
		h := w.grow(5)
		h[0], h[1], h[2], h[3], h[4] = byte(tag), 0x83, byte(n>>16), byte(n>>8), byte(n)
	default:
		h := w.grow(6)
		h[0], h[1], h[2] = byte(tag), 0x84, byte(n>>24)
		h[3], h[4], h[5] = byte(n>>16), byte(n>>8), byte(n)
	}
}

// Contents writes an element with the given tag and contents.
func (w *Writer) Contents(tag Tag, b []byte) {
	m := w.Mark()
	w.Raw(b)
	w.Wrap(tag, m)
}

// Int writes an INTEGER.
func (w *Writer) Int(v int64) {
	m := w.Mark()
	for {
		b := byte(v)
		w.grow(1)[0] = b
		v >>= 8
		if v == 0 && b < 0x80 || v == -1 && b >= 0x80 {
			break
		}
	}
	w.Wrap(TagInteger, m)
}

// Bool writes a BOOLEAN.
func (w *Writer) Bool(v bool) {
	b := byte(0)
	if v {
		b = 0xff
	}
	h := w.grow(3)
	h[0], h[1], h[2] = byte(TagBoolean), 1, b
}

// Octets writes an OCTET STRING.
func (w *Writer) Octets(b []byte) { w.Contents(TagOctetString, b) }

// GeneralString writes a KerberosString.
func (w *Writer) GeneralString(b []byte) { w.Contents(TagGeneralString, b) }

// Flags writes a KerberosFlags BIT STRING of 32 bits.
func (w *Writer) Flags(v uint32) {
	h := w.grow(7)
	h[0], h[1], h[2] = byte(TagBitString), 5, 0
	h[3], h[4], h[5], h[6] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

// minTime and maxTime are the first and the last second that a KerberosTime can hold:
// 0001-01-01 and 9999-12-31.
const (
	minTime = -62135596800
	maxTime = 253402300799
)

// Time writes a KerberosTime from seconds since 1970. Times outside the years 1 to 9999 are
// moved to the nearest that can be written.
func (w *Writer) Time(t int64) {
	t = min(max(t, minTime), maxTime)
	days, sec := t/86400, int(t%86400)
	if sec < 0 {
		days, sec = days-1, sec+86400
	}
	year, month, day := civilFromDays(days)
	h := w.grow(17)
	h[0], h[1], h[16] = byte(TagGeneralizedTime), 15, 'Z'
	two := func(i, v int) { h[i], h[i+1] = byte('0'+v/10), byte('0'+v%10) }
	two(2, year/100)
	two(4, year%100)
	two(6, month)
	two(8, day)
	two(10, sec/3600)
	two(12, sec/60%60)
	two(14, sec%60)
}
