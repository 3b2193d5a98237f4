package krbcrypto

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// Key is one protocol key. It is immutable and safe for concurrent use, and remembers the
// keys derived from it: keep a Key for as long as its owner is known and the derivation is
// paid once per usage.
//
// The memory is a list per purpose, newest first, that only grows and is read without a
// lock. A list, not a table over usages: a key meets two or three usages in its life, a
// session key is born and dropped with each request, and a table of 64 slots would be
// half a kilobyte to clear for each of them.
type Key struct {
	s     *suite
	b     []byte
	base  atomic.Pointer[base]
	seals atomic.Pointer[sealNode]
	sums  atomic.Pointer[sumNode]
}

// maxCached bounds either list of a Key. The usages in use are fewer; beyond the bound keys
// are derived afresh each time.
const maxCached = 64

type sealNode struct {
	usage uint32
	depth int
	sealer
	next *sealNode
}

type sumNode struct {
	usage uint32
	depth int
	*summer
	next *sumNode
}

// NewKey makes a key of the given type from its bytes, which are copied. It fails with
// ErrUnsupported or ErrKeySize.
func NewKey(e Enctype, b []byte) (*Key, error) {
	s := suiteOf(e)
	if s == nil {
		return nil, fmt.Errorf("enctype %d: %w", int32(e), ErrUnsupported)
	}
	if len(b) != s.keyBytes {
		return nil, fmt.Errorf("%s key of %d bytes, want %d: %w", s.name, len(b), s.keyBytes, ErrKeySize)
	}
	return newKey(s, slices.Clone(b)), nil
}

func newKey(s *suite, b []byte) *Key { return &Key{s: s, b: b} }

// RandomKey makes a new random key. The only error is ErrUnsupported.
func RandomKey(e Enctype) (*Key, error) {
	s := suiteOf(e)
	if s == nil {
		return nil, fmt.Errorf("enctype %d: %w", int32(e), ErrUnsupported)
	}
	seed := make([]byte, s.seedBytes)
	rand.Read(seed) // never fails: the runtime stops the program instead
	return newKey(s, s.profile.randomToKey(seed)), nil
}

// KeyFromSeed applies the enctype's random-to-key function (RFC 3961 section 3) to a seed of
// exactly SeedBytes, which it copies. It fails with ErrUnsupported or ErrKeySize.
func KeyFromSeed(e Enctype, seed []byte) (*Key, error) {
	s := suiteOf(e)
	if s == nil {
		return nil, fmt.Errorf("enctype %d: %w", int32(e), ErrUnsupported)
	}
	if len(seed) != s.seedBytes {
		return nil, fmt.Errorf("%s seed of %d bytes, want %d: %w", s.name, len(seed), s.seedBytes, ErrKeySize)
	}
	return newKey(s, s.profile.randomToKey(slices.Clone(seed))), nil
}

// Enctype returns the key's type.
func (k *Key) Enctype() Enctype { return k.s.etype }

// Bytes returns the key itself. The caller must not modify it and must not let it reach a
// log, an error or an unencrypted file.
func (k *Key) Bytes() []byte { return k.b }

// Equal reports, in time that does not depend on the bytes, whether two keys have the same
// type and value.
func (k *Key) Equal(o *Key) bool {
	return k.s == o.s && subtle.ConstantTimeCompare(k.b, o.b) == 1
}

// Format prints the enctype for every verb, so that no format string can print a key.
func (k *Key) Format(f fmt.State, _ rune) {
	if k == nil {
		_, _ = io.WriteString(f, "<no key>")
		return
	}
	_, _ = fmt.Fprintf(f, "<%s key>", k.s.name)
}

// Overhead is how much longer the ciphertext of a message is than its plaintext, padding
// apart.
func (k *Key) Overhead() int { return k.s.confounder + k.s.tag }

// CipherLen returns the length of the ciphertext of a message of the given length.
func (k *Key) CipherLen(plain int) int {
	n := k.s.confounder + plain
	if r := n % k.s.block; r != 0 {
		n += k.s.block - r
	}
	return n + k.s.tag
}

// Encrypt appends the encryption of plain under the key for one usage to dst and returns
// the extended slice. plain must not overlap the free space of dst.
func (k *Key) Encrypt(dst []byte, usage uint32, plain []byte) []byte {
	n, size := len(dst), k.CipherLen(len(plain))
	dst = slices.Grow(dst, size)[:n+size]
	msg := dst[n:]
	body := msg[k.s.front : k.s.front+size-k.s.tag]
	rand.Read(body[:k.s.confounder])
	clear(body[k.s.confounder+copy(body[k.s.confounder:], plain):])
	k.sealer(usage).seal(msg)
	return dst
}

// Decrypt appends the plaintext of ct to dst and returns the extended slice. For des3 the
// plaintext comes with its padding, up to 7 zero bytes: the enctype does not record where
// the message ended. dst may be ct[:0] to decrypt in place.
//
// Every failure is ErrIntegrity, a ciphertext of a length that the enctype never makes is
// ErrLength; dst is returned as it was.
func (k *Key) Decrypt(dst []byte, usage uint32, ct []byte) ([]byte, error) {
	if len(ct) < k.s.confounder+k.s.tag || (len(ct)-k.s.tag)%k.s.block != 0 {
		return dst, ErrLength
	}
	n := len(dst)
	out := append(dst, ct...)
	msg := out[n:]
	plain, ok := k.sealer(usage).open(msg)
	if !ok {
		clear(msg)
		return dst, ErrIntegrity
	}
	return out[:n+copy(msg, plain)], nil
}

func (k *Key) sealer(usage uint32) sealer {
	head := k.seals.Load()
	for n := head; n != nil; n = n.next {
		if n.usage == usage {
			return n.sealer
		}
	}
	node := &sealNode{usage: usage, depth: 1, sealer: k.s.profile.sealer(k, usage), next: head}
	if head != nil {
		node.depth = head.depth + 1
	}
	if node.depth <= maxCached {
		k.seals.CompareAndSwap(head, node) // losing a race costs one derivation later
	}
	return node.sealer
}

func (k *Key) summer(usage uint32) *summer {
	head := k.sums.Load()
	for n := head; n != nil; n = n.next {
		if n.usage == usage {
			return n.summer
		}
	}
	node := &sumNode{usage: usage, depth: 1, summer: k.s.profile.summer(k, usage), next: head}
	if head != nil {
		node.depth = head.depth + 1
	}
	if node.depth <= maxCached {
		k.sums.CompareAndSwap(head, node)
	}
	return node.summer
}
