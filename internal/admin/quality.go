package admin

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"krealm/dumpfmt"
)

// checkQuality applies the rules that a password must meet, in MIT's order: length, classes,
// dictionary, emptiness, name. All but emptiness need a policy.
func (a *Admin) checkQuality(password []byte, pol *dumpfmt.Policy, name dumpfmt.Name) error {
	if bytes.IndexByte(password, 0) >= 0 {
		return fmt.Errorf("%w", errZeroPassword)
	}
	if pol != nil {
		if uint32(len(password)) < pol.MinLength {
			return fmt.Errorf("%w", ErrTooShort)
		}
		if classes(password) < pol.MinClasses {
			return fmt.Errorf("%w", ErrClasses)
		}
		if a.dict.has(password) {
			return fmt.Errorf("%w", ErrDictionary)
		}
	}
	if len(password) == 0 {
		return fmt.Errorf("%w", errEmptyPassword)
	}
	if pol == nil {
		return nil
	}
	if equalFold(password, name.Realm) {
		return fmt.Errorf("%w", ErrDictionary)
	}
	for _, comp := range name.Components {
		if equalFold(password, comp) {
			return fmt.Errorf("%w", errNamePassword)
		}
	}
	return nil
}

// classes counts the kinds of characters: lower case, upper case, digits, punctuation, and all
// others, which a byte outside ASCII is one of.
func classes(password []byte) uint32 {
	var seen [5]bool
	for _, c := range password {
		switch {
		case c >= 'a' && c <= 'z':
			seen[0] = true
		case c >= 'A' && c <= 'Z':
			seen[1] = true
		case c >= '0' && c <= '9':
			seen[2] = true
		case c > ' ' && c < 0x7f:
			seen[3] = true
		default:
			seen[4] = true
		}
	}
	n := uint32(0)
	for _, s := range seen {
		if s {
			n++
		}
	}
	return n
}

// lowerASCII folds case as MIT's comparisons do in the C locale: ASCII letters only.
func lowerASCII(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, string(b))
}

func equalFold(password []byte, s string) bool { return lowerASCII(password) == lowerASCII([]byte(s)) }

// maxDictionary bounds the dictionary file, in bytes.
const maxDictionary = 256 << 20

// dictionary holds the words of dict_file. It is read at its first use.
type dictionary struct {
	path  string
	warn  func(string)
	once  sync.Once
	words map[string]struct{}
}

// has reports whether password is a word of the dictionary, in any case. A file that cannot
// be read is warned of, and holds no words.
func (d *dictionary) has(password []byte) bool {
	if d.path == "" {
		return false
	}
	d.once.Do(d.load)
	_, ok := d.words[lowerASCII(password)]
	return ok
}

func (d *dictionary) load() {
	st, err := os.Stat(d.path)
	if err == nil && st.Size() > maxDictionary {
		err = fmt.Errorf("%d bytes are too many", st.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(d.path)
	}
	if err != nil {
		if d.warn != nil {
			d.warn(fmt.Sprintf("WARNING: dictionary file %s: %v; continuing without one", d.path, err))
		}
		return
	}
	d.words = make(map[string]struct{}, len(text)/8)
	for line := range bytes.Lines(text) {
		if w := bytes.TrimRight(line, "\r\n"); len(w) > 0 {
			d.words[lowerASCII(w)] = struct{}{}
		}
	}
}
