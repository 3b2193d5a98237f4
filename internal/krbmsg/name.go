package krbmsg

import (
	"bytes"

	"krealm/internal/der"
)

// Name types (RFC 4120 section 6.2, RFC 6806, RFC 8062). They never matter in comparisons.
const (
	NTUnknown    = 0
	NTPrincipal  = 1
	NTSrvInst    = 2
	NTSrvHst     = 3
	NTEnterprise = 10
	NTWellKnown  = 11

	NTMSPrincipal = -128 // [MS-KILE]
)

// PrincipalName is a name without its realm. Parts may be empty and hold any octets.
type PrincipalName struct {
	Type  int32
	Parts [][]byte
}

// NewName returns the name with the given parts.
func NewName(nameType int32, parts ...string) PrincipalName {
	n := PrincipalName{Type: nameType, Parts: make([][]byte, len(parts))}
	for i, p := range parts {
		n.Parts[i] = []byte(p)
	}
	return n
}

// Equal compares the parts octet by octet, and not the types.
func (n PrincipalName) Equal(o PrincipalName) bool {
	if len(n.Parts) != len(o.Parts) {
		return false
	}
	for i, p := range n.Parts {
		if !bytes.Equal(p, o.Parts[i]) {
			return false
		}
	}
	return true
}

// Is reports whether the name has exactly the given parts.
func (n PrincipalName) Is(parts ...string) bool {
	if len(n.Parts) != len(parts) {
		return false
	}
	for i, p := range n.Parts {
		if string(p) != parts[i] {
			return false
		}
	}
	return true
}

// Unparse returns the name with realm in MIT's text form, the form of database keys and logs:
// '/', '@', '\' and some control characters inside a part or the realm are escaped.
func (n PrincipalName) Unparse(realm []byte) string {
	return string(n.AppendUnparsed(nil, realm))
}

// AppendUnparsed appends what Unparse returns to dst.
func (n PrincipalName) AppendUnparsed(dst []byte, realm []byte) []byte {
	for i, p := range n.Parts {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = appendEscaped(dst, p)
	}
	dst = append(dst, '@')
	return appendEscaped(dst, realm)
}

func appendEscaped(dst, s []byte) []byte {
	for _, c := range s {
		switch {
		case c == '\\' || c == '@' || c == '/':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == 0:
			dst = append(dst, '\\', '0')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// maxParts is how many parts a name may have. No database holds names of so many; without a bound
// two octets of a message would buy a dozen times as much memory.
const maxParts = 1 << 15

func readName(r *der.Reader) (n PrincipalName) {
	r.Enter(der.TagSequence)
	n.Type = field(r, 0, (*der.Reader).Int32)
	r.Enter(der.Context(1))
	n.Parts = [][]byte{}
	r.Enter(der.TagSequence)
	for r.More() {
		if len(n.Parts) == maxParts {
			r.Fail(der.ErrValue)
			break
		}
		n.Parts = append(n.Parts, r.GeneralString())
	}
	r.Close()
	r.Close()
	r.Leave()
	return n
}

// AppendTo writes PrincipalName (RFC 4120 section 5.2.2).
func (n PrincipalName) AppendTo(w *der.Writer) {
	m := w.Mark()
	putList(w, 1, nonNil(n.Parts), func(w *der.Writer, p *[]byte) { w.GeneralString(*p) })
	putInt(w, 0, int64(n.Type))
	w.Wrap(der.TagSequence, m)
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
