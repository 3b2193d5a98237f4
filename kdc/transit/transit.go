package transit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TypeDomainX500 is the only type of transited list in use.
const TypeDomainX500 = 1

// limits on what is read.
const (
	maxField  = 4096 // octets
	maxRealms = 64   // after expansion
)

// ErrList means a list that cannot be read, or has become too long.
var ErrList = errors.New("malformed or oversized transited list")

// element is one realm of the list as written.
type element struct {
	raw   []byte // as it stands in the list
	name  string // without quotes and blank
	alone bool   // a leading blank: nothing is taken from the realm before
}

// gap reports whether the element stands for the realms between its neighbours.
func (e element) gap() bool { return e.name == "" && !e.alone }

// shortened reports whether the element takes something from the realm before it.
func (e element) shortened() bool {
	return !e.alone && (strings.HasPrefix(e.name, "/") || strings.HasSuffix(e.name, "."))
}

// split takes a list apart. A NUL at the end, which some implementations count in, is passed over.
func split(list []byte) ([]element, error) {
	if len(list) > maxField {
		return nil, fmt.Errorf("%w: %d octets", ErrList, len(list))
	}
	list, _ = bytes.CutSuffix(list, []byte{0})
	if len(list) == 0 {
		return nil, nil
	}
	var out []element
	var cur []byte
	var e element
	start := 0
	flush := func(end int) {
		e.name, e.raw = string(cur), list[start:end:end]
		out = append(out, e)
		cur, e, start = cur[:0], element{}, end+1
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == ',':
			flush(i)
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
	flush(len(list))
	return out, nil
}

// Expand returns the realms of a list, in its order, between a client's realm and the server's.
// Errors are ErrList.
func Expand(list []byte, client, server string) ([]string, error) {
	elements, err := split(list)
	if err != nil {
		return nil, err
	}
	return expand(elements, client, server)
}

// expand writes out what elements stand for. The first has no realm before it to take something
// from, unless a gap to the client's goes before.
func expand(elements []element, client, server string) ([]string, error) {
	var out []string
	last, gap := "", false
	fill := func(next string) error {
		if !gap {
			return nil
		}
		between, err := between(last, next)
		out, gap = append(out, between...), false
		return err
	}
	for i, e := range elements {
		if e.gap() {
			if gap = true; i == 0 {
				last = client
			}
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
		if len(name) > maxField {
			return nil, fmt.Errorf("%w: realm of %d octets", ErrList, len(name))
		}
		if err := fill(name); err != nil {
			return nil, err
		}
		out = append(out, name)
		last = name
		if len(out) > maxRealms {
			return nil, fmt.Errorf("%w: more than %d realms", ErrList, maxRealms)
		}
	}
	if err := fill(server); err != nil {
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
// allowed returns if the configuration speaks of the pair, else those of the hierarchy, and the
// client's. The server's own is not among them, nor anything where both are one, unless it is
// in also.
func Check(list []byte, client, server string, allowed func(client, server string) ([]string, bool), also ...string) error {
	if len(list) == 0 || client == "WELLKNOWN:ANONYMOUS" {
		return nil
	}
	realms, err := Expand(list, client, server)
	if err != nil {
		return err
	}
	var path []string
	known := client == server // there is nothing between
	if allowed != nil && !known {
		path, known = allowed(client, server)
	}
	if !known {
		path = Path(client, server)
	}
	for _, r := range realms {
		onTheWay := client != server && r != server && (r == client || slices.Contains(path, r))
		if !onTheWay && !slices.Contains(also, r) {
			return fmt.Errorf("bad realm transit path from '%s' to '%s' via '%s'", client, server, strings.Join(realms, ","))
		}
	}
	return nil
}
