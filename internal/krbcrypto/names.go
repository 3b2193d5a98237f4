package krbcrypto

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrName means a name that is no enctype or salt type.
var ErrName = errors.New("krbcrypto: unknown name")

// etypeName is how MIT's configuration and output call an enctype.
type etypeName struct {
	etype   Enctype
	names   []string // the canonical one first
	display bool     // printed, never accepted
	weak    bool     // no list lets it in without allow_weak_crypto, which we do not offer
	old     bool     // MIT prints DEPRECATED: before it
}

var etypeNames = []etypeName{
	{etype: 1, names: []string{"des-cbc-crc"}, display: true, weak: true, old: true},
	{etype: 2, names: []string{"des-cbc-md4"}, display: true, weak: true, old: true},
	{etype: 3, names: []string{"des-cbc-md5"}, display: true, weak: true, old: true},
	{etype: 6, names: []string{"des3-cbc-raw"}, weak: true, old: true},
	{etype: 8, names: []string{"des-hmac-sha1"}, display: true, weak: true, old: true},
	{etype: ETypeDES3, names: []string{"des3-cbc-sha1", "des3-hmac-sha1", "des3-cbc-sha1-kd"}, old: true},
	{etype: ETypeAES128SHA1, names: []string{"aes128-cts-hmac-sha1-96", "aes128-cts", "aes128-sha1"}},
	{etype: ETypeAES256SHA1, names: []string{"aes256-cts-hmac-sha1-96", "aes256-cts", "aes256-sha1"}},
	{etype: ETypeAES128SHA2, names: []string{"aes128-cts-hmac-sha256-128", "aes128-sha2"}},
	{etype: ETypeAES256SHA2, names: []string{"aes256-cts-hmac-sha384-192", "aes256-sha2"}},
	{etype: ETypeRC4, names: []string{"arcfour-hmac", "rc4-hmac", "arcfour-hmac-md5"}, old: true},
	{etype: ETypeRC4Exp, names: []string{"arcfour-hmac-exp", "rc4-hmac-exp", "arcfour-hmac-md5-exp"}, weak: true, old: true},
	{etype: ETypeCamellia128, names: []string{"camellia128-cts-cmac", "camellia128-cts"}},
	{etype: ETypeCamellia256, names: []string{"camellia256-cts-cmac", "camellia256-cts"}},
}

func nameOf(e Enctype) *etypeName {
	for i := range etypeNames {
		if etypeNames[i].etype == e {
			return &etypeNames[i]
		}
	}
	return nil
}

// String returns MIT's canonical name, also for types that are not supported, or "etype N"
// for a number without a name.
func (e Enctype) String() string {
	if n := nameOf(e); n != nil {
		return n.names[0]
	}
	return "etype " + strconv.Itoa(int(e))
}

// Known reports whether e has a name of its own.
func (e Enctype) Known() bool { return nameOf(e) != nil }

// Deprecated reports whether MIT's programs print "DEPRECATED:" before the name.
func (e Enctype) Deprecated() bool {
	n := nameOf(e)
	return n != nil && n.old
}

// Weak reports whether MIT uses the type only with allow_weak_crypto.
func (e Enctype) Weak() bool {
	n := nameOf(e)
	return n != nil && n.weak
}

// ParseEnctype accepts what MIT's krb5_string_to_enctype does: canonical names and aliases,
// in any case, no numbers and no families. The type may be one that is not supported. The
// error is ErrName.
func ParseEnctype(s string) (Enctype, error) {
	for i := range etypeNames {
		n := &etypeNames[i]
		if !n.display && slices.ContainsFunc(n.names, func(x string) bool { return strings.EqualFold(x, s) }) {
			return n.etype, nil
		}
	}
	return 0, fmt.Errorf("enctype %q: %w", s, ErrName)
}

// DefaultEnctypes is MIT's default list of permitted enctypes, most wanted first.
func DefaultEnctypes() []Enctype {
	return []Enctype{ETypeAES256SHA1, ETypeAES128SHA1, ETypeAES256SHA2, ETypeAES128SHA2,
		ETypeDES3, ETypeRC4, ETypeCamellia128, ETypeCamellia256}
}

// family returns what a family name stands for in a list, in order. Single DES is gone, its
// name is not.
func family(s string) ([]Enctype, bool) {
	switch strings.ToLower(s) {
	case "default":
		return DefaultEnctypes(), true
	case "aes":
		return []Enctype{ETypeAES256SHA1, ETypeAES128SHA1, ETypeAES256SHA2, ETypeAES128SHA2}, true
	case "camellia":
		return []Enctype{ETypeCamellia256, ETypeCamellia128}, true
	case "rc4":
		return []Enctype{ETypeRC4}, true
	case "des3":
		return []Enctype{ETypeDES3}, true
	case "des":
		return nil, true
	}
	return nil, false
}

// ParseEnctypeList reads a list as permitted_enctypes and its kind hold it (MIT krb5
// src/lib/krb5/krb/init_ctx.c): words parted by blanks or commas, each an enctype, a family
// or DEFAULT, with "-" in front to take out and "+" or nothing to add. A type stands where
// it was first added. Weak types are left out.
//
// MIT passes over words that it does not know. Here the list comes with an error (ErrName)
// that names the first of them, for the caller to log or to refuse; it is complete otherwise,
// and may be empty.
func ParseEnctypeList(s string) ([]Enctype, error) {
	var list []Enctype
	var firstErr error
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
		remove := word[0] == '-'
		if remove || word[0] == '+' {
			word = word[1:]
		}
		group, ok := family(word)
		if !ok {
			e, err := ParseEnctype(word)
			if err != nil {
				if firstErr == nil {
					firstErr = err
				}
				continue
			}
			group = []Enctype{e}
		}
		for _, e := range group {
			at := slices.Index(list, e)
			switch {
			case e.Weak():
			case remove && at >= 0:
				list = slices.Delete(list, at, at+1)
			case !remove && at < 0:
				list = append(list, e)
			}
		}
	}
	return list, firstErr
}
