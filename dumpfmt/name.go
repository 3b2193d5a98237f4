package dumpfmt

import (
	"fmt"
	"strings"
)

// MaxName is the length of the longest principal name, in bytes of its string form. MIT's
// db2 module corrupts an entry with a longer one.
const MaxName = 32766

// MaxLMDBName is the longest name that MIT's LMDB module stores, for warnings.
const MaxLMDBName = 511

// Name is a principal name taken apart. Components and realm are any bytes, compared
// bytewise; no components at all prints like one empty component, as in MIT.
type Name struct {
	Realm      string
	Components []string
}

// ParseName reads the string form of a name (MIT krb5 src/lib/krb5/krb/parse.c): components
// separated by "/", the realm behind "@"; a backslash makes the next character ordinary,
// or stands with n, t, b and 0 for LF, TAB, BS and NUL. Without "@" the realm is
// defaultRealm, and where that is "" the name is malformed. All errors are ErrName.
func ParseName(s, defaultRealm string) (Name, error) {
	var n Name
	part := make([]byte, 0, len(s))
	inRealm := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == 0:
			return Name{}, fmt.Errorf("%w: zero byte", ErrName)
		case c == '\\':
			i++
			if i == len(s) || s[i] == 0 {
				return Name{}, fmt.Errorf("%w: nothing after the last backslash", ErrName)
			}
			part = append(part, unescape(s[i]))
		case c == '/' && inRealm:
			return Name{}, fmt.Errorf("%w: slash in the realm", ErrName)
		case c == '@' && inRealm:
			return Name{}, fmt.Errorf("%w: more than one @", ErrName)
		case c == '/' || c == '@':
			n.Components = append(n.Components, string(part))
			part = part[:0]
			inRealm = c == '@'
		default:
			part = append(part, c)
		}
	}
	if inRealm {
		n.Realm = string(part)
		return n, nil
	}
	if defaultRealm == "" {
		return Name{}, fmt.Errorf("%w: no realm", ErrName)
	}
	n.Components = append(n.Components, string(part))
	n.Realm = defaultRealm
	return n, nil
}

// String returns the string form, always with the realm. It is canonical: two names are
// equal exactly when their string forms are.
func (n Name) String() string {
	var b strings.Builder
	size := 1 + len(n.Realm)
	for _, c := range n.Components {
		size += 1 + len(c)
	}
	b.Grow(size)
	for i, c := range n.Components {
		if i > 0 {
			b.WriteByte('/')
		}
		writeEscaped(&b, c)
	}
	b.WriteByte('@')
	writeEscaped(&b, n.Realm)
	return b.String()
}

func writeEscaped(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if e := escapeOf[s[i]]; e != 0 {
			b.WriteByte('\\')
			b.WriteByte(e)
			continue
		}
		b.WriteByte(s[i])
	}
}

// escapeOf holds, for each byte that is written with a backslash, the byte behind it.
var escapeOf = [256]byte{'/': '/', '@': '@', '\\': '\\', '\t': 't', '\n': 'n', '\b': 'b', 0: '0'}

// unescape returns what a backslash and c stand for.
func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case '0':
		return 0
	}
	return c
}

// nameForm says how the text of a name relates to the canonical form.
type nameForm int

const (
	nameCanonical nameForm = iota // what Name.String prints
	nameLoose                     // readable, with backslashes that need not be there
	nameBad                       // no name, or a raw byte that must be escaped
)

// classify scans the text of a name with its realm. Raw TAB, LF, BS and NUL are bad: no
// program writes them.
func classify[T string | []byte](s T) nameForm {
	form := nameCanonical
	inRealm := false
	for i := 0; i < len(s); i++ {
		e := escapeOf[s[i]]
		if e == 0 {
			continue
		}
		switch s[i] {
		case '\\':
			i++
			if i == len(s) {
				return nameBad
			}
			switch s[i] {
			case '/', '@', '\\', 't', 'n', 'b', '0':
			case '\t', '\n', '\b', 0:
				return nameBad
			default:
				form = nameLoose
			}
		case '@':
			if inRealm {
				return nameBad
			}
			inRealm = true
		case '/':
			if inRealm {
				return nameBad
			}
		default:
			return nameBad
		}
	}
	if !inRealm {
		return nameBad
	}
	return form
}

// white reports whether MIT's loader would swallow c at the start of a name. TAB and LF
// are white too, but never stand raw in a name.
func white(c byte) bool {
	return c == ' ' || c == '\r' || c == '\v' || c == '\f'
}

// guarded reports whether the text on a line has the backslash in front of a leading white
// space that MIT's loader needs (it would otherwise eat the blank and read one byte more).
func guarded(text []byte) bool {
	return len(text) >= 2 && text[0] == '\\' && white(text[1])
}

// wireName takes a name as it stands on a line apart: the name proper, without guard, and
// whether the line had the form that this package writes.
func wireName(text []byte) (name []byte, strict bool, err error) {
	name, strict = text, true
	if guarded(text) {
		name = text[1:]
	} else if len(text) > 0 && white(text[0]) {
		strict = false
	}
	switch classify(name) {
	case nameBad:
		return nil, false, ErrName
	case nameLoose:
		n, err := ParseName(string(name), "")
		if err != nil {
			return nil, false, err
		}
		name, strict = []byte(n.String()), false
	}
	if len(name) > MaxName {
		return nil, false, fmt.Errorf("%w: longer than %d bytes", ErrName, MaxName)
	}
	return name, strict, nil
}

// checkName says whether name may be written.
func checkName(name string) error {
	switch {
	case len(name) > MaxName:
		return fmt.Errorf("%w: longer than %d bytes", ErrName, MaxName)
	case classify(name) != nameCanonical:
		return fmt.Errorf("%w: %q is not in canonical form", ErrName, name)
	}
	return nil
}

// appendWireName appends "LENGTH TAB" and middle and the guarded name.
func appendWireName(dst []byte, name, middle string) []byte {
	guard := len(name) > 0 && white(name[0])
	n := len(name)
	if guard {
		n++
	}
	dst = appendUint(dst, uint64(n))
	dst = append(dst, middle...)
	if guard {
		dst = append(dst, '\\')
	}
	return append(dst, name...)
}
