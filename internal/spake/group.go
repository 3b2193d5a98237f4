package spake

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"krealm/internal/krbcrypto"
)

// Group is a number of the Kerberos SPAKE group registry.
type Group int32

// The groups of RFC 9588 section 10.2, all of which are here.
const (
	Edwards25519 Group = 1
	P256         Group = 2
	P384         Group = 3
	P521         Group = 4
)

var (
	// ErrGroup means a group that does not exist here.
	ErrGroup = errors.New("unknown SPAKE group")

	// ErrPoint means a public value that is no element of the group, or one with which no
	// key can be agreed on.
	ErrPoint = errors.New("SPAKE public value refused")

	// ErrState means a private number or a state that this package did not make.
	ErrState = errors.New("SPAKE state damaged")
)

// Role says who computes: the KDC blinds its public value with M and removes N, the client the
// other way round.
type Role int

// The two sides.
const (
	KDC Role = iota
	Client
)

// arithmetic is what a group can do. w is the multiplier of both sides as PRF+ gives it, of size
// bytes; so is a private number.
type arithmetic interface {
	// generate makes a private number and the public value p*P + w*B, where B is M for the KDC
	// and N for the client.
	generate(r Role, w []byte) (private, public []byte, err error)
	// agree computes private*(peer - w*B), where B is what the peer used.
	agree(r Role, w, private, peer []byte) ([]byte, error)
	// public is the public value of a private number.
	public(r Role, w, private []byte) ([]byte, error)
}

// parameters describe a group (RFC 9588 appendix A).
type parameters struct {
	name string
	size int // of multipliers and private numbers, bytes
	hash func(parts ...[]byte) []byte
	math arithmetic
}

var groups = map[Group]*parameters{
	Edwards25519: {"edwards25519", 32, sha256of, edwards{}},
	P256:         {"P-256", 32, sha256of, p256},
	P384:         {"P-384", 48, sha384of, p384},
	P521:         {"P-521", 66, sha512of, p521},
}

// Known reports whether the group can be used.
func (g Group) Known() bool { return groups[g] != nil }

// String returns MIT krb5's name of the group.
func (g Group) String() string {
	if p := groups[g]; p != nil {
		return p.name
	}
	return fmt.Sprintf("group %d", int32(g))
}

// ParseGroup finds a group by its name, in any case; ErrGroup.
func ParseGroup(name string) (Group, error) {
	for g, p := range groups {
		if strings.EqualFold(p.name, name) {
			return g, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrGroup, name)
}

// ParseGroups takes the value of spake_preauth_groups: names separated by blanks or commas, in
// order of preference. Unknown names are returned apart and change nothing else.
func ParseGroups(list string) (known []Group, unknown []string) {
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		g, err := ParseGroup(name)
		switch {
		case err != nil:
			unknown = append(unknown, name)
		case !slices.Contains(known, g):
			known = append(known, g)
		}
	}
	return known, unknown
}

// Exchange is the arithmetic of one exchange: a group and the multiplier w that both sides
// derive from the client's initial key. It is safe for concurrent use.
type Exchange struct {
	group  Group
	params *parameters
	key    *krbcrypto.Key
	w      []byte
}

// New derives w for a group from the initial reply key, which is the client's long-term key or,
// under FAST, that key as well (RFC 9588 section 5); ErrGroup.
func New(g Group, key *krbcrypto.Key) (*Exchange, error) {
	p := groups[g]
	if p == nil {
		return nil, fmt.Errorf("%w: %d", ErrGroup, int32(g))
	}
	label := appendUint32([]byte("SPAKEsecret"), uint32(g))
	return &Exchange{g, p, key, key.PRFPlus(label, p.size)}, nil
}

// Generate makes a private number and the public value to send.
func (e *Exchange) Generate(r Role) (private, public []byte, err error) {
	return e.params.math.generate(r, e.w)
}

// Agree computes the shared element K from the own private number and the peer's public value.
// ErrPoint if the peer's value is refused, ErrState if the private number is none.
func (e *Exchange) Agree(r Role, private, peer []byte) ([]byte, error) {
	if len(private) != e.params.size {
		return nil, fmt.Errorf("%w: private number of %d bytes", ErrState, len(private))
	}
	return e.params.math.agree(r, e.w, private, peer)
}

// Key derives K'[n] (RFC 9588 section 7). shared is K, transcript the final hash, body the DER
// encoding of the KDC-REQ-BODY, the inner one under FAST.
func (e *Exchange) Key(n uint32, shared []byte, t Transcript, body []byte) (*krbcrypto.Key, error) {
	seedLen := krbcrypto.SeedBytes(e.key.Enctype())
	head := appendUint32([]byte("SPAKEkey"), uint32(e.group))
	head = appendUint32(head, uint32(e.key.Enctype()))
	var seed []byte
	for block := byte(1); len(seed) < seedLen; block++ {
		seed = append(seed, e.params.hash(head, e.w, shared, t, body, appendUint32(nil, n), []byte{block})...)
	}
	defer clear(seed)
	k, err := krbcrypto.KeyFromSeed(e.key.Enctype(), seed[:seedLen])
	if err != nil {
		return nil, err
	}
	return krbcrypto.CF2(e.key, k, "SPAKE", "keyderiv")
}
