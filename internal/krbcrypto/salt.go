package krbcrypto

import (
	"fmt"
	"strconv"
	"strings"
)

// SaltType is how the salt of a principal's key was chosen (MIT krb5 KRB5_KDB_SALTTYPE).
type SaltType int16

// Salt types. 1, 5 and 6 were those of Kerberos 4, of AFS and of certificates; nothing makes
// them any more.
const (
	SaltNormal    SaltType = 0 // realm and components, nothing between
	SaltNoRealm   SaltType = 2 // components
	SaltOnlyRealm SaltType = 3 // realm
	SaltSpecial   SaltType = 4 // the bytes stored beside the key
)

// String returns MIT's name, or "salt type N".
func (t SaltType) String() string {
	switch t {
	case SaltNormal:
		return "normal"
	case SaltNoRealm:
		return "norealm"
	case SaltOnlyRealm:
		return "onlyrealm"
	case SaltSpecial:
		return "special"
	}
	return "salt type " + strconv.Itoa(int(t))
}

// ParseSaltType accepts MIT's four names, in any case. The error is ErrName.
func ParseSaltType(s string) (SaltType, error) {
	for _, t := range []SaltType{SaltNormal, SaltNoRealm, SaltOnlyRealm, SaltSpecial} {
		if strings.EqualFold(s, t.String()) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("salt type %q: %w", s, ErrName)
}

// Salt returns the salt of a principal, given unescaped, for a salt type; stored is what
// stands beside the key and counts for SaltSpecial only. A type that is none of the four
// fails with ErrUnsupported.
func Salt(t SaltType, realm string, components []string, stored []byte) ([]byte, error) {
	switch t {
	case SaltNormal:
		return []byte(realm + strings.Join(components, "")), nil
	case SaltNoRealm:
		return []byte(strings.Join(components, "")), nil
	case SaltOnlyRealm:
		return []byte(realm), nil
	case SaltSpecial:
		return stored, nil
	}
	return nil, fmt.Errorf("%v: %w", t, ErrUnsupported)
}
