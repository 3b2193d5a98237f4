package realmconf

import (
	"errors"
	"slices"
	"strings"

	"krealm/internal/krbcrypto"
)

// Salt types (MIT krb5 src/include/kdb.h).
const (
	SaltNormal    int16 = 0
	SaltNoRealm   int16 = 2
	SaltOnlyRealm int16 = 3
	SaltSpecial   int16 = 4
)

var saltNames = map[string]int16{
	"normal": SaltNormal, "norealm": SaltNoRealm, "onlyrealm": SaltOnlyRealm, "special": SaltSpecial,
}

// KeySalt says which key to make: its enctype and the kind of its salt.
type KeySalt struct {
	Enctype krbcrypto.Enctype
	Salt    int16
}

// String returns "enctype:salt".
func (k KeySalt) String() string { return k.Enctype.String() + ":" + SaltName(k.Salt) }

// SaltName returns MIT's name of a salt type, "" for one without a name.
func SaltName(t int16) string {
	for name, n := range saltNames {
		if n == t {
			return name
		}
	}
	return ""
}

// ErrNoKeySalt means that a list names no key type we know.
var ErrNoKeySalt = errors.New("no known enctype:salt in the list")

// ParseKeySalts parses a list of enctype[:salt] separated by blanks, tabs and commas.
// Words it does not know come back in unknown, as MIT ignores them; duplicates are dropped.
func ParseKeySalts(list string) (known []KeySalt, unknown []string) {
	for _, w := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		name, saltName, _ := strings.Cut(w, ":")
		salt, ok := saltNames[strings.ToLower(saltName)]
		et, err := parseEnctype(name)
		if err != nil || (!ok && saltName != "") {
			unknown = append(unknown, w)
			continue
		}
		if ks := (KeySalt{et, salt}); !slices.Contains(known, ks) {
			known = append(known, ks)
		}
	}
	return known, unknown
}

func parseSupported(s string) ([]KeySalt, error) {
	ks, _ := ParseKeySalts(s)
	if len(ks) == 0 {
		return nil, ErrNoKeySalt
	}
	return ks, nil
}
