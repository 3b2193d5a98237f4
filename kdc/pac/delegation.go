package pac

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Delegation is S4U_DELEGATION_INFO ([MS-PAC] section 2.9): on whose behalf a ticket came about
// by constrained delegation. The text is UTF-8.
type Delegation struct {
	Target string   // the service the ticket is for, without realm
	Via    []string // the services that delegated, with realm, the first one first
}

// maxVia bounds the services in a Delegation; a chain that long is a loop.
const maxVia = 64

// ErrDelegations means that a Delegation cannot be written.
var ErrDelegations = errors.New("delegation cannot be written into a PAC")

// Octets that begin each NDR-encoded type ([MS-RPCE] section 2.2.6): version 1, little-endian,
// header of 8 octets, filler.
const ndrHead = "\x01\x10\x08\x00\xcc\xcc\xcc\xcc"

// Referents count from here, as Windows and MIT krb5 number them.
const (
	firstReferent = 0x20000
	ndrPrivate    = 8 // octets behind ndrHead: the length, and filler
)

// Encode returns the buffer's content. The error is ErrDelegations.
func (d *Delegation) Encode() ([]byte, error) {
	if len(d.Via) > maxVia {
		return nil, fmt.Errorf("%w: %d services", ErrDelegations, len(d.Via))
	}
	texts := make([][]uint16, 0, len(d.Via)+1)
	for _, s := range append([]string{d.Target}, d.Via...) {
		units := utf16.Encode([]rune(s))
		if !utf8.ValidString(s) || len(units) > 0x7ffe {
			return nil, fmt.Errorf("%w: name of %d octets", ErrDelegations, len(s))
		}
		texts = append(texts, units)
	}
	le := binary.LittleEndian
	referent := uint32(firstReferent)
	pointer := func(b []byte) []byte {
		b = le.AppendUint32(b, referent)
		referent += 4
		return b
	}
	head := func(b []byte, units []uint16) []byte { // RPC_UNICODE_STRING
		b = le.AppendUint16(b, uint16(2*len(units)))
		b = le.AppendUint16(b, uint16(2*len(units)+2))
		return pointer(b)
	}
	body := func(b []byte, units []uint16) []byte { // conformant and varying array
		b = le.AppendUint32(b, uint32(len(units)+1))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, uint32(len(units)))
		for _, u := range units {
			b = le.AppendUint16(b, u)
		}
		return pad(b, 4)
	}
	b := pointer(nil)
	b = head(b, texts[0])
	b = le.AppendUint32(b, uint32(len(d.Via)))
	b = pointer(b)
	b = body(b, texts[0])
	b = le.AppendUint32(b, uint32(len(d.Via)))
	for _, t := range texts[1:] {
		b = head(b, t)
	}
	for _, t := range texts[1:] {
		b = body(b, t)
	}
	b = pad(b, 8)
	out := append(make([]byte, 0, len(b)+16), ndrHead...)
	out = le.AppendUint32(out, uint32(len(b)))
	out = le.AppendUint32(out, 0)
	return append(out, b...), nil
}

func pad(b []byte, to int) []byte {
	return append(b, make([]byte, -len(b)&(to-1))...)
}

// ndr reads NDR; after the first fault it reads zeros.
type ndr struct {
	b   []byte // all of it: alignment counts from the start
	at  int
	bad bool
}

func (r *ndr) next(n int) []byte {
	if r.bad || n > len(r.b)-r.at {
		r.bad = true
		return make([]byte, min(n, 4))
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *ndr) u16() int    { return int(binary.LittleEndian.Uint16(r.next(2))) }
func (r *ndr) u32() uint32 { return binary.LittleEndian.Uint32(r.next(4)) }

// text reads what a string pointer points to; the string has length octets.
func (r *ndr) text(length int) string {
	size, offset, n := r.u32(), r.u32(), r.u32()
	if r.bad || length%2 != 0 || offset != 0 || int64(n)*2 != int64(length) || size < n {
		r.bad = true
		return ""
	}
	units := make([]uint16, length/2)
	for i, b := 0, r.next(length); i < len(units) && !r.bad; i++ {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	r.next(min(-r.at&3, len(r.b)-r.at))
	return string(utf16.Decode(units))
}

// ParseDelegation decodes the buffer's content. All errors are ErrMalformed.
func ParseDelegation(b []byte) (*Delegation, error) {
	const start = len(ndrHead) + ndrPrivate
	if len(b) < start || !bytes.HasPrefix(b, []byte(ndrHead[:4])) {
		return nil, fmt.Errorf("%w: delegation of %d octets", ErrMalformed, len(b))
	}
	if n := binary.LittleEndian.Uint32(b[len(ndrHead):]); int64(n) > int64(len(b)-start) {
		return nil, fmt.Errorf("%w: delegation says %d octets of %d", ErrMalformed, n, len(b)-start)
	}
	r := &ndr{b: b[start:]}
	top := r.u32()
	targetLen, _, target := r.u16(), r.u16(), r.u32()
	count, list := r.u32(), r.u32()
	if r.bad || top == 0 || target == 0 || count > maxVia || count > 0 && list == 0 {
		return nil, fmt.Errorf("%w: delegation by %d services", ErrMalformed, count)
	}
	d := &Delegation{Target: r.text(targetLen)}
	if list == 0 {
		return d, r.fault()
	}
	if r.u32() != count {
		r.bad = true
	}
	lengths := make([]int, count)
	for i := range lengths {
		lengths[i] = r.u16()
		r.u16()
		r.bad = r.u32() == 0 || r.bad
	}
	for _, n := range lengths {
		d.Via = append(d.Via, r.text(n))
	}
	if err := r.fault(); err != nil {
		return nil, err
	}
	return d, nil
}

func (r *ndr) fault() error {
	if r.bad {
		return fmt.Errorf("%w: delegation breaks off or contradicts itself at octet %d", ErrMalformed, r.at)
	}
	return nil
}
