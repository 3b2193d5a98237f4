package transit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxMade is the length of the longest list that Append makes: MIT krb5's buffer of 500 octets
// less the NUL.
const maxMade = 499

// Append adds a realm to a list, if it is not in it yet and is neither the client's nor the
// server's, which are in every list without a word. It takes the place and the form that MIT
// krb5 gives it, so that the lists of both are equal: above the first realm that it is above,
// which is then shortened by it, or behind one that it is below, shortened by that, or else at
// the end, whole. A list with empty elements is written anew first, since what stands for
// the realms up to the end would come to mean others. Errors are ErrList.
func Append(list []byte, realm, client, server string) ([]byte, error) {
	elements, err := split(list)
	if err != nil {
		return nil, err
	}
	realms, err := expand(elements, client, server)
	if err != nil {
		return nil, err
	}
	if realm == client || realm == server || slices.Contains(realms, realm) {
		return list, nil
	}
	if slices.ContainsFunc(elements, element.gap) {
		if elements, realms, err = rewrite(realms, client, server); err != nil {
			return nil, err
		}
	}
	return join(insert(elements, realms, realm))
}

// rewrite makes a list without gaps of the realms of one. It returns them in their new order.
func rewrite(realms []string, client, server string) (list []element, order []string, err error) {
	for _, r := range realms {
		if slices.Contains(order, r) {
			continue
		}
		list = insert(list, order, r)
		if order, err = expand(list, client, server); err != nil {
			return nil, nil, err
		}
	}
	return list, order, nil
}

// insert puts a realm that is new into a list without gaps. realms are the elements, expanded.
func insert(elements []element, realms []string, realm string) []element {
	prev := ""
	for i, e := range elements {
		this := realms[i]
		// What follows must not be shortened by its neighbour, or it would mean another realm.
		if i+1 == len(elements) || !elements[i+1].shortened() {
			if short, ok := below(realm, this); ok {
				return slices.Insert(slices.Clone(elements), i+1, written(short))
			}
		}
		if short, ok := below(this, realm); ok {
			first, ok := below(realm, prev)
			if ok {
				e = written(first)
			} else {
				e = whole(realm, prev == "")
			}
			return slices.Replace(slices.Clone(elements), i, i+1, e, written(short))
		}
		prev = this
	}
	return append(slices.Clone(elements), whole(realm, len(elements) == 0))
}

// below returns how a realm is written behind one that it is below: a domain without the suffix
// they share, but with the dot, an X.500 name without the prefix.
func below(realm, upper string) (short string, ok bool) {
	if upper == "" {
		return "", false
	}
	if strings.HasPrefix(upper, "/") {
		short, ok = strings.CutPrefix(realm, upper)
		return short, ok && strings.HasPrefix(short, "/")
	}
	head, ok := strings.CutSuffix(realm, "."+upper)
	return head + ".", ok && head != "" && head[0] != '/'
}

// written is the element for a shortened name.
func written(short string) element { return element{name: short, raw: appendQuoted(nil, short)} }

// whole is the element for a realm that is not shortened. A blank in front keeps a reader from
// taking it for a shortened one, where it looks so and there is something to take it from.
func whole(realm string, first bool) element {
	e := element{name: realm}
	odd := strings.HasPrefix(realm, "/") || strings.HasSuffix(realm, ".")
	if e.alone = realm == "" || realm[0] == ' ' || odd && !first; e.alone {
		e.raw = []byte{' '}
	}
	e.raw = appendQuoted(e.raw, realm)
	return e
}

func join(elements []element) ([]byte, error) {
	raw := make([][]byte, len(elements))
	for i := range elements {
		raw[i] = elements[i].raw
	}
	out := bytes.Join(raw, []byte{','})
	if len(out) > maxMade {
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
