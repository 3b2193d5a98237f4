package deltafile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Header is the first line of a delta file.
const Header = "krep load_delta version 1\n"

const (
	// MaxBody bounds the lines of one changeset, in bytes.
	MaxBody = 64 << 20
	// maxBegin and maxEnd bound the framing lines: every number at its widest.
	maxBegin = len("begin\t") + 20 + 1 + 20 + 1 + 6 + 1 + 8 + 1 + 8 + len("\t;\n")
	maxEnd   = len("end\t") + 20 + len("\tsha256\t") + 64 + len("\t;\n")
	// MaxRaw bounds one changeset with its framing, in bytes.
	MaxRaw = maxBegin + MaxBody + maxEnd
	// maxBase bounds the base line.
	maxBase = len("base\t") + 4 + 1 + MaxRealm + 1 + 16 + 1 + 20 + 1 + 20 + 1 + 6 + 1 + 64 + len("\t;\n")
	maxHead = len(Header) + maxBase
)

// Changeset is one committed mutation of the realm: all of its lines or none.
type Changeset struct {
	Serial uint64
	Sec    int64  // UTC of the commit on the master, seconds since 1970; informative
	Usec   int    // microseconds, 0..999999
	Lines  []byte // the body: NLines lines, each with its LF
	NLines int
	Hash   Hash   // of the chain up to and with this changeset
	Raw    []byte // begin line, body and end line, exactly as hashed, stored and sent
}

// Time is the moment of the commit, in UTC.
func (cs *Changeset) Time() time.Time { return time.Unix(cs.Sec, int64(cs.Usec)*1000).UTC() }

// Encode makes the changeset that follows prev from its lines. Each line must end in LF and
// begin with a known word and TAB; what stands behind the word is the caller's. lines is
// copied. t before 1970 is written as 1970.
func Encode(prev State, t time.Time, lines []byte) (*Changeset, error) {
	if err := prev.check(); err != nil {
		return nil, fmt.Errorf("deltafile: encode after %s: %w", prev, err)
	}
	if prev.Serial == math.MaxUint64 {
		return nil, fmt.Errorf("deltafile: encode after %s: %w", prev, ErrSerial)
	}
	if len(lines) > MaxBody {
		return nil, fmt.Errorf("deltafile: encode: %d bytes of lines: %w", len(lines), ErrTooLarge)
	}
	n, err := countLines(lines)
	if err != nil {
		return nil, fmt.Errorf("deltafile: encode: %w", err)
	}
	cs := &Changeset{Serial: prev.Serial + 1, NLines: n}
	cs.Sec, cs.Usec = splitTime(t)
	b := make([]byte, 0, maxBegin+len(lines)+maxEnd)
	b = appendBegin(b, cs.Serial, cs.Sec, cs.Usec, int64(n), int64(len(lines)))
	begin := len(b)
	b = append(b, lines...)
	cs.Hash = chain(prev.Hash, b)
	cs.Lines = b[begin:len(b):len(b)]
	b = appendEnd(b, cs.Serial, cs.Hash)
	cs.Raw = b
	return cs, nil
}

// Decode reads the changeset at the start of raw, which must follow prev, and returns its
// length. Bytes behind it are not looked at. The result aliases raw.
//
// ErrIncomplete (and nothing else, compare with errors.Is) means that raw ends before the
// changeset does and that all of it so far is well formed; an empty raw is incomplete. A
// *FormatError, with the offset in raw, means that no further byte can mend it.
func Decode(prev State, raw []byte) (cs *Changeset, n int, err error) {
	d := decoder{prev: prev, raw: raw}
	cs, n, err = d.changeset()
	if err != nil {
		return nil, 0, err
	}
	return cs, n, nil
}

// decoder reads one changeset. need is the least length of raw that could hold it whole, as
// far as is known: it lets a tail wait without decoding again.
type decoder struct {
	prev State
	raw  []byte
	need int64
}

func (d *decoder) fail(off int, err error) (*Changeset, int, error) {
	return nil, 0, &FormatError{Offset: int64(off), Err: err}
}

func (d *decoder) changeset() (*Changeset, int, error) {
	d.need = int64(len(d.raw)) + 1
	line, err := cutLine(d.raw, "begin\t", maxBegin)
	if err != nil {
		return d.lineErr(0, err)
	}
	h, err := parseBegin(line)
	if err != nil {
		return d.fail(0, fmt.Errorf("begin line: %w", err))
	}
	if want := d.prev.Serial + 1; h.serial != want || want == 0 {
		return d.fail(0, fmt.Errorf("changeset %d after %d: %w", h.serial, d.prev.Serial, ErrSerial))
	}
	if h.nbytes > MaxBody {
		return d.fail(0, fmt.Errorf("changeset %d of %d bytes: %w", h.serial, h.nbytes, ErrTooLarge))
	}
	if h.nbytes == 0 || h.nlines == 0 || h.nlines > h.nbytes {
		return d.fail(0, fmt.Errorf("changeset %d: %d lines in %d bytes", h.serial, h.nlines, h.nbytes))
	}
	begin, body := len(line), len(line)+int(h.nbytes)
	if len(d.raw) < body {
		d.need = int64(body) + int64(len("end\t1\tsha256\t")+64+len("\t;\n"))
		return d.incompleteBody(begin, h)
	}
	nl, off, err := scanLines(d.raw[begin:body])
	if err != nil {
		return d.fail(begin+off, fmt.Errorf("changeset %d: %w", h.serial, err))
	}
	if int64(nl) != h.nlines {
		return d.fail(0, fmt.Errorf("changeset %d: %d lines, %d announced", h.serial, nl, h.nlines))
	}
	end, err := cutLine(d.raw[body:], "end\t", maxEnd)
	if err != nil {
		return d.lineErr(body, err)
	}
	serial, sum, err := parseEnd(end)
	if err != nil {
		return d.fail(body, fmt.Errorf("end line: %w", err))
	}
	if serial != h.serial {
		return d.fail(body, fmt.Errorf("end line of %d in changeset %d: %w", serial, h.serial, ErrSerial))
	}
	if got := chain(d.prev.Hash, d.raw[:body]); got != sum {
		return d.fail(body, fmt.Errorf("changeset %d: %w", h.serial, ErrHash))
	}
	n := body + len(end)
	return &Changeset{
		Serial: h.serial, Sec: h.sec, Usec: h.usec, NLines: nl, Hash: sum,
		Lines: d.raw[begin:body:body], Raw: d.raw[:n:n],
	}, n, nil
}

// incompleteBody judges a body of which the end is missing. Its complete lines are checked,
// so that damage in a torn tail is told from the tear itself.
func (d *decoder) incompleteBody(begin int, h beginLine) (*Changeset, int, error) {
	part := d.raw[begin:]
	whole := part[:bytes.LastIndexByte(part, '\n')+1]
	if _, off, err := scanLines(whole); len(whole) > 0 && err != nil {
		return d.fail(begin+off, fmt.Errorf("changeset %d: %w", h.serial, err))
	}
	if rest := part[len(whole):]; !kindPrefix(rest) {
		return d.fail(begin+len(whole), fmt.Errorf("changeset %d: %w", h.serial, ErrKind))
	}
	return nil, 0, ErrIncomplete
}

func (d *decoder) lineErr(off int, err error) (*Changeset, int, error) {
	if errors.Is(err, ErrIncomplete) {
		return nil, 0, ErrIncomplete
	}
	return d.fail(off, err)
}

// chain is one link: SHA-256 over the link before and the bytes of begin line and body.
func chain(prev Hash, framed []byte) Hash {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(framed)
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// cutLine returns the first line of b, LF included, if it begins with word. A shorter b that
// could still become such a line is ErrIncomplete.
func cutLine(b []byte, word string, limit int) ([]byte, error) {
	if n := min(len(b), len(word)); string(b[:n]) != word[:n] {
		return nil, fmt.Errorf("not a line beginning with %q", word[:len(word)-1])
	}
	if len(b) > limit {
		b = b[:limit]
	}
	i := bytes.IndexByte(b, '\n')
	if i < 0 && len(b) == limit {
		return nil, fmt.Errorf("line beginning with %q: %w", word[:len(word)-1], ErrTooLarge)
	}
	if i < 0 {
		return nil, ErrIncomplete
	}
	return b[:i+1], nil
}

func appendBegin(dst []byte, serial uint64, sec int64, usec int, nlines, nbytes int64) []byte {
	dst = append(dst, "begin\t"...)
	dst = strconv.AppendUint(dst, serial, 10)
	for _, v := range [...]int64{sec, int64(usec), nlines, nbytes} {
		dst = append(dst, '\t')
		dst = strconv.AppendInt(dst, v, 10)
	}
	return append(dst, "\t;\n"...)
}

func appendEnd(dst []byte, serial uint64, h Hash) []byte {
	dst = append(dst, "end\t"...)
	dst = strconv.AppendUint(dst, serial, 10)
	dst = append(dst, "\tsha256\t"...)
	dst = appendHex(dst, h[:])
	return append(dst, "\t;\n"...)
}

// AppendBase appends s as a base line. s must be a real state (see IsZero).
func (s State) AppendBase(dst []byte) []byte {
	dst = append(dst, "base\t"...)
	dst = strconv.AppendInt(dst, int64(len(s.Realm)), 10)
	dst = append(dst, '\t')
	dst = append(dst, s.Realm...)
	dst = append(dst, '\t')
	dst = append(dst, s.Epoch.String()...)
	dst = append(dst, '\t')
	dst = strconv.AppendUint(dst, s.Serial, 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, s.Sec, 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, int64(s.Usec), 10)
	dst = append(dst, '\t')
	dst = appendHex(dst, s.Hash[:])
	return append(dst, "\t;\n"...)
}

func appendHex(dst, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// ParseBase reads a base line, LF included. A base of serial 0 must carry the hash that
// realm and epoch give.
func ParseBase(line []byte) (State, error) {
	f := fields{rest: line}
	f.word("base")
	s := State{Realm: f.counted(MaxRealm)}
	var e [8]byte
	f.hex(e[:])
	for _, c := range e {
		s.Epoch = s.Epoch<<8 | Epoch(c)
	}
	s.Serial = f.uint(math.MaxUint64)
	s.Sec = int64(f.uint(math.MaxInt64))
	s.Usec = int(f.uint(999999))
	f.hex(s.Hash[:])
	err := f.close()
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return State{}, fmt.Errorf("deltafile: base line: %w", err)
	}
	return s, nil
}

// beginLine is a parsed begin line.
type beginLine struct {
	serial         uint64
	sec            int64
	usec           int
	nlines, nbytes int64
}

func parseBegin(line []byte) (beginLine, error) {
	f := fields{rest: line}
	f.word("begin")
	h := beginLine{
		serial: f.uint(math.MaxUint64),
		sec:    int64(f.uint(math.MaxInt64)),
		usec:   int(f.uint(999999)),
		nlines: int64(f.uint(math.MaxInt64)),
		nbytes: int64(f.uint(math.MaxInt64)),
	}
	return h, f.close()
}

func parseEnd(line []byte) (uint64, Hash, error) {
	f := fields{rest: line}
	f.word("end")
	serial := f.uint(math.MaxUint64)
	f.word("sha256")
	var h Hash
	f.hex(h[:])
	return serial, h, f.close()
}
