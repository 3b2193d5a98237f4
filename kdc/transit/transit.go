package transit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TypeDomainX500 is the only type of transited list in use.
const TypeDomainX500 = 1

// limits on what is read and made.
const (
	maxField  = 500 // octets, as in MIT krb5
	maxRealms = 64  // after expansion
)

// ErrList means a list that cannot be read, or has become too long.
var ErrList = errors.New("malformed or oversized transited list")

// element is one realm of the list as written.
type element struct {
	name  string
	alone bool // a leading blank: nothing is taken from the realm before
}

func split(list []byte) ([]element, error) {
	if len(list) > maxField {
		return nil, fmt.Errorf("%w: %d octets", ErrList, len(list))
	}
	var out []element
	var cur []byte
	var e element
	flush := func() {
		e.name = string(cur)
		out = append(out, e)
		cur, e = cur[:0], element{}
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == ',':
			flush()
		case c == '\\':
			if i++; i == len(list) {
				return nil, fmt.Errorf("%w: nothing after the last backslash", ErrList)
			}
			cur = append(cur, list[i])
		case c == ' ' && len(cur) == 0 && !e.alone:
			e.alone = true
		default:
			cur = append(cur, c)
		}
	}
	flush()
	return out, nil
}

// Expand returns the realms of a list, in order, between a client's realm and the server's.
// Errors are ErrList.
func Expand(list []byte, client, server string) ([]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	elements, err := split(list)
	if err != nil {
		return nil, err
	}
	var out []string
	last, gap := client, false
	add := func(next string) error {
		if gap {
			between, err := between(last, next)
			if err != nil {
				return err
			}
			out = append(out, between...)
			gap = false
		}
		return nil
	}
	for _, e := range elements {
		if e.name == "" && !e.alone {
			gap = true
			continue
		}
		name := e.name
		switch {
		case e.alone:
		case strings.HasPrefix(name, "/"):
			name = last + name
		case strings.HasSuffix(name, "."):
			name += last
		}
		if err := add(name); err != nil {
			return nil, err
		}
		out = append(out, name)
		last = name
		if len(out) > maxRealms {
			return nil, fmt.Errorf("%w: more than %d realms", ErrList, maxRealms)
		}
	}
	if err := add(server); err != nil {
		return nil, err
	}
	return out, nil
}

// between returns the realms in the hierarchy between two of which one is above the other.
func between(a, b string) ([]string, error) {
	upper, lower, down := a, b, true
	if len(a) > len(b) {
		upper, lower, down = b, a, false
	}
	var out []string
	switch {
	case strings.HasSuffix(lower, "."+upper):
		for at := len(lower) - len(upper) - 1; ; {
			if at = strings.LastIndexByte(lower[:at], '.'); at < 0 {
				break
			}
			out = append(out, lower[at+1:])
		}
	case strings.HasPrefix(lower, upper+"/"):
		for at := len(upper) + 1; ; {
			n := strings.IndexByte(lower[at:], '/')
			if n < 0 {
				break
			}
			at += n + 1
			out = append(out, lower[:at-1])
		}
	case a == b:
	default:
		return nil, fmt.Errorf("%w: %q and %q are not in one line", ErrList, a, b)
	}
	if !down {
		slices.Reverse(out)
	}
	if len(out) > maxRealms {
		return nil, fmt.Errorf("%w: more than %d realms", ErrList, maxRealms)
	}
	return out, nil
}

// Append adds a realm to the end of a list, if it is not in it yet. The list is written anew,
// without empty elements: what stood for the realms up to the end would come to mean others.
// Errors are ErrList.
func Append(list []byte, realm, client, server string) ([]byte, error) {
	realms, err := Expand(list, client, server)
	if err != nil {
		return nil, err
	}
	if slices.Contains(realms, realm) {
		return list, nil
	}
	return encode(append(realms, realm))
}

// encode writes a list. A realm below the one before it is shortened by what they share.
func encode(realms []string) ([]byte, error) {
	var out []byte
	for i, r := range realms {
		if i > 0 {
			out = append(out, ',')
			head, below := strings.CutSuffix(r, "."+realms[i-1])
			if below && head != "" && head[0] != '/' {
				out = appendQuoted(out, head+".")
				continue
			}
		}
		if r == "" || strings.HasPrefix(r, "/") || strings.HasPrefix(r, " ") || strings.HasSuffix(r, ".") {
			out = append(out, ' ')
		}
		out = appendQuoted(out, r)
	}
	if len(out) > maxField {
		return nil, fmt.Errorf("%w: %d octets", ErrList, len(out))
	}
	return out, nil
}

func appendQuoted(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == ',' || s[i] == '\\' || s[i] == ' ' && i == 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

// Path returns the realms of the name hierarchy from one realm to another, both included: up
// to what the names have in common, or to the top, and down again.
func Path(from, to string) []string {
	up, down := ancestors(from), ancestors(to)
	for i, r := range up {
		if j := slices.Index(down, r); j >= 0 {
			path := slices.Clone(up[:i+1])
			for k := j - 1; k >= 0; k-- {
				path = append(path, down[k])
			}
			return path
		}
	}
	path := slices.Clone(up)
	slices.Reverse(down)
	return append(path, down...)
}

// ancestors returns a realm and those above it.
func ancestors(r string) []string {
	out := []string{r}
	for len(out) < maxRealms {
		_, rest, ok := strings.Cut(r, ".")
		if !ok || rest == "" {
			break
		}
		out = append(out, rest)
		r = rest
	}
	return out
}

// Check reports whether all realms of a list may lie between client and server: those that
// allowed returns if the configuration speaks of the pair, else those of the hierarchy.
func Check(list []byte, client, server string, allowed func(client, server string) ([]string, bool)) error {
	if len(list) == 0 || client == "WELLKNOWN:ANONYMOUS" {
		return nil
	}
	realms, err := Expand(list, client, server)
	if err != nil {
		return err
	}
	var path []string
	known := false
	if allowed != nil {
		path, known = allowed(client, server)
	}
	if !known {
		path = Path(client, server)
	}
	for _, r := range realms {
		if r != client && r != server && !slices.Contains(path, r) {
			return fmt.Errorf("bad realm transit path from '%s' to '%s' via '%s'", client, server, strings.Join(realms, ","))
		}
	}
	return nil
}
