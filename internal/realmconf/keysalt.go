package realmconf

import (
	"errors"
	"slices"
	"strings"

	"krealm/internal/krbcrypto"
)

// KeySalt says which key to make: its enctype and the kind of its salt.
type KeySalt struct {
	Enctype krbcrypto.Enctype
	Salt    krbcrypto.SaltType
}

// String returns "enctype:salt".
func (k KeySalt) String() string { return k.Enctype.String() + ":" + k.Salt.String() }

// ErrNoKeySalt means that a list names no key type that can be made.
var ErrNoKeySalt = errors.New("no known enctype:salt in the list")

// ParseKeySalts parses a list of enctype[:salt] separated by blanks, tabs and commas.
// Words that name nothing we can make come back in unknown, as MIT passes over them;
// duplicates are dropped.
func ParseKeySalts(list string) (known []KeySalt, unknown []string) {
	for _, w := range strings.FieldsFunc(list, isListSep) {
		name, saltName, hasSalt := strings.Cut(w, ":")
		et, err := krbcrypto.ParseEnctype(name)
		salt := krbcrypto.SaltNormal
		if hasSalt && err == nil {
			salt, err = krbcrypto.ParseSaltType(saltName)
		}
		if err != nil || !krbcrypto.Supported(et) {
			unknown = append(unknown, w)
			continue
		}
		if ks := (KeySalt{et, salt}); !slices.Contains(known, ks) {
			known = append(known, ks)
		}
	}
	return known, unknown
}

func isListSep(r rune) bool { return r == ' ' || r == '\t' || r == ',' }

func parseSupported(s string) ([]KeySalt, error) {
	ks, _ := ParseKeySalts(s)
	if len(ks) == 0 {
		return nil, ErrNoKeySalt
	}
	return ks, nil
}
