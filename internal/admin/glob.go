package admin

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// glob is a compiled name pattern.
type glob struct{ toks []globToken }

// globToken matches one character, or with star any run of them.
type globToken struct {
	star   bool
	any    bool
	lit    rune
	set    []runeRange // […]
	negate bool        // [^…]
}

type runeRange struct{ lo, hi rune }

// compileGlob takes MIT's patterns (src/lib/kadm5/srv/svr_iters.c): * any text, ? one
// character, […] a bracket expression of POSIX, \x the character x. With realm a pattern that has
// no @ is followed by one and any text. A backslash at the end and an open bracket are
// ErrPattern.
func compileGlob(pattern string, realm bool) (*glob, error) {
	if pattern == "" {
		pattern = "*"
	}
	if realm && !strings.Contains(pattern, "@") {
		if strings.HasSuffix(pattern, `\`) && !strings.HasSuffix(pattern, `\\`) {
			return nil, fmt.Errorf("%w", ErrPattern)
		}
		pattern += "@*"
	}
	g := &glob{}
	for s := pattern; s != ""; {
		r, n := decode(s)
		s = s[n:]
		switch r {
		case '*':
			g.toks = append(g.toks, globToken{star: true})
		case '?':
			g.toks = append(g.toks, globToken{any: true})
		case '\\':
			if s == "" {
				return nil, fmt.Errorf("%w", ErrPattern)
			}
			r, n = decode(s)
			s = s[n:]
			g.toks = append(g.toks, globToken{lit: r})
		case '[':
			tok, rest, ok := bracket(s)
			if !ok {
				return nil, fmt.Errorf("%w", ErrPattern)
			}
			g.toks, s = append(g.toks, tok), rest
		default:
			g.toks = append(g.toks, globToken{lit: r})
		}
	}
	return g, nil
}

// decode takes one character; a byte that is not UTF-8 stands for itself, outside the range of
// characters.
func decode(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 {
		return utf8.MaxRune + 1 + rune(s[0]), 1
	}
	return r, n
}

// bracket takes a bracket expression after its [.
func bracket(s string) (globToken, string, bool) {
	var tok globToken
	if strings.HasPrefix(s, "^") {
		tok.negate, s = true, s[1:]
	}
	for first := true; ; first = false {
		if s == "" {
			return tok, "", false
		}
		if s[0] == ']' && !first {
			return tok, s[1:], true
		}
		if strings.HasPrefix(s, "[:") {
			name, rest, ok := strings.Cut(s[2:], ":]")
			class, known := posixClasses[name]
			if !ok || !known {
				return tok, "", false
			}
			tok.set, s = append(tok.set, class...), rest
			continue
		}
		lo, n := decode(s)
		s = s[n:]
		hi := lo
		if len(s) > 1 && s[0] == '-' && s[1] != ']' {
			hi, n = decode(s[1:])
			s = s[1+n:]
			if hi < lo {
				return tok, "", false
			}
		}
		tok.set = append(tok.set, runeRange{lo, hi})
	}
}

// posixClasses are the ASCII parts of POSIX' character classes.
var posixClasses = map[string][]runeRange{
	"alpha": {{'a', 'z'}, {'A', 'Z'}}, "digit": {{'0', '9'}}, "lower": {{'a', 'z'}}, "upper": {{'A', 'Z'}},
	"alnum": {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}}, "space": {{' ', ' '}, {'\t', '\r'}}, "blank": {{' ', ' '}, {'\t', '\t'}},
	"xdigit": {{'0', '9'}, {'a', 'f'}, {'A', 'F'}}, "cntrl": {{0, 31}, {127, 127}},
	"punct": {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}, "print": {{' ', '~'}}, "graph": {{'!', '~'}},
}

func (t *globToken) matches(r rune) bool {
	if t.any {
		return true
	}
	if t.set == nil {
		return t.lit == r
	}
	for _, s := range t.set {
		if s.lo <= r && r <= s.hi {
			return !t.negate
		}
	}
	return t.negate
}

// match reports whether the whole name fits. It takes at most len(name) times the number of
// tokens steps.
func (g *glob) match(name string) bool {
	i, star, retry := 0, -1, ""
	for name != "" {
		r, n := decode(name)
		switch {
		case i < len(g.toks) && g.toks[i].star:
			star, retry = i, name
			i++
		case i < len(g.toks) && g.toks[i].matches(r):
			i++
			name = name[n:]
		case star >= 0: // let the last star take one character more
			_, n = decode(retry)
			retry = retry[n:]
			name, i = retry, star+1
		default:
			return false
		}
	}
	for i < len(g.toks) && g.toks[i].star {
		i++
	}
	return i == len(g.toks)
}
