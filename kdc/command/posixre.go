package command

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// posixMatcher compiles a POSIX extended regular expression with the GNU extensions that C
// programs on Linux get with it (regcomp of glibc), to match whole names. Expressions are put into
// Go's syntax piece by piece, as the two differ in brackets, escapes, intervals and what is
// literal where. Back-references and the anchors of words (\<, \>) cannot be had and are refused.
func posixMatcher(expr string) (*regexp.Regexp, error) {
	t := posixTranslator{in: expr}
	if err := t.run(); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + t.out.String() + `)\z`)
}

var (
	errRepeatsNothing = errors.New("invalid preceding regular expression")
	errInterval       = errors.New(`invalid content of {}`)
	errBracket        = errors.New("unmatched [")
)

type posixTranslator struct {
	in     string // what is left
	out    strings.Builder
	open   []int // where the open groups begin in out
	atom   int   // where the last atom begins in out
	atomOK bool  // there is one to repeat
	twice  bool  // it has been repeated
}

// literals are bytes that mean something in Go's syntax.
const goMeta = `\.+*?()|[]{}^$`

func (t *posixTranslator) run() error {
	for len(t.in) > 0 {
		c := t.in[0]
		t.in = t.in[1:]
		var err error
		switch {
		case c == '(':
			t.open = append(t.open, t.out.Len())
			t.out.WriteString("(?:")
			t.atomOK = false
		case c == ')' && len(t.open) > 0:
			start := t.open[len(t.open)-1]
			t.open = t.open[:len(t.open)-1]
			t.out.WriteByte(')')
			t.atom, t.atomOK, t.twice = start, true, false
		case c == '|':
			t.out.WriteByte('|')
			t.atomOK = false
		case c == '^' || c == '$':
			t.out.WriteByte(c)
			t.atomOK = false
		case c == '.':
			t.put(`(?s:.)`)
		case c == '*' || c == '+' || c == '?':
			err = t.repeat(string(c))
		case c == '{':
			err = t.interval()
		case c == '[':
			err = t.bracket()
		case c == '\\':
			err = t.escape()
		default:
			t.literal(c)
		}
		if err != nil {
			return err
		}
	}
	if len(t.open) > 0 {
		return errors.New("unmatched (")
	}
	return nil
}

// put writes an atom.
func (t *posixTranslator) put(s string) {
	t.atom, t.atomOK, t.twice = t.out.Len(), true, false
	t.out.WriteString(s)
}

// literal writes a character that begins with c; the rest of it, if it is of several bytes, is
// taken from in.
func (t *posixTranslator) literal(c byte) {
	if strings.IndexByte(goMeta, c) >= 0 {
		t.put(`\` + string(rune(c)))
		return
	}
	n := 0
	for c >= 0xc0 && n < len(t.in) && t.in[n]&0xc0 == 0x80 {
		n++
	}
	t.put(string([]byte{c}) + t.in[:n])
	t.in = t.in[n:]
}

// repeat applies an operator to the last atom. One that has been repeated is put into a group: a
// second operator means something else in Go.
func (t *posixTranslator) repeat(op string) error {
	if !t.atomOK {
		return errRepeatsNothing
	}
	if t.twice {
		s := t.out.String()
		t.out.Reset()
		t.out.WriteString(s[:t.atom] + "(?:" + s[t.atom:] + ")")
	}
	t.out.WriteString(op)
	t.twice = true
	return nil
}

// interval reads what comes behind {.
func (t *posixTranslator) interval() error {
	text, rest, ok := strings.Cut(t.in, "}")
	if !ok {
		return errors.New("unmatched {")
	}
	low, high, comma := strings.Cut(text, ",")
	if low == "" && comma {
		low = "0"
	}
	for _, n := range []string{low, high} {
		if _, err := strconv.ParseUint(n, 10, 15); err != nil && (n != "" || n == low) {
			return errInterval
		}
	}
	t.in = rest
	if comma {
		low += "," + high
	}
	return t.repeat("{" + low + "}")
}

const (
	letters = `\p{L}`
	digits  = `\p{N}`
)

// posixClasses are the classes that hold more than ASCII.
var posixClasses = map[string]string{"alpha": letters, "alnum": letters + digits, "upper": `\p{Lu}`, "lower": `\p{Ll}`}

// escape reads what comes behind a backslash.
func (t *posixTranslator) escape() error {
	if t.in == "" {
		return errors.New("trailing backslash")
	}
	c := t.in[0]
	t.in = t.in[1:]
	switch {
	case c == 'w':
		t.put("[" + letters + digits + "_]")
	case c == 'W':
		t.put("[^" + letters + digits + "_]")
	case c == 's' || c == 'S':
		t.put(`\` + string(rune(c)))
	case c == 'b' || c == 'B':
		t.out.WriteString(`\` + string(rune(c)))
		t.atomOK = false
	case c >= '1' && c <= '9' || strings.IndexByte("<>`'", c) >= 0:
		return fmt.Errorf(`\%c is not supported`, c)
	default:
		t.literal(c)
	}
	return nil
}

// bracket reads what comes behind [.
func (t *posixTranslator) bracket() error {
	var b strings.Builder
	b.WriteByte('[')
	rest, not := strings.CutPrefix(t.in, "^")
	if not {
		b.WriteByte('^')
	}
	for first := true; ; first = false {
		switch {
		case rest == "":
			return errBracket
		case rest[0] == ']' && !first:
			t.in = rest[1:]
			b.WriteByte(']')
			t.put(b.String())
			return nil
		case len(rest) > 1 && rest[0] == '[' && strings.IndexByte(":.=", rest[1]) >= 0:
			name, behind, ok := strings.Cut(rest[2:], rest[1:2]+"]")
			if !ok {
				return errBracket
			}
			if err := element(&b, rest[1], name); err != nil {
				return err
			}
			rest = behind
		default:
			if strings.IndexByte(`\[]^&~`, rest[0]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
}

// element writes [:name:], [.name.] or [=name=] inside a bracket.
func element(b *strings.Builder, kind byte, name string) error {
	switch {
	case kind == ':' && posixClasses[name] != "":
		b.WriteString(posixClasses[name])
	case kind == ':':
		b.WriteString("[:" + name + ":]")
	case len([]rune(name)) == 1:
		b.WriteString(regexp.QuoteMeta(name))
	default:
		return fmt.Errorf("invalid collation character %q", name)
	}
	return nil
}
