package krbcrypto

import (
	"crypto/subtle"
	"fmt"
)

// PRF is the enctype's pseudo-random function (RFC 3961 section 3). The result has a length
// fixed by the enctype: 16 bytes for 16, 17, 18, 25 and 26, 20 for rc4, 32 and 48 for 19 and 20.
func (k *Key) PRF(in []byte) []byte { return k.s.profile.prf(k, in) }

// maxPRFPlus is the number of PRF outputs PRF+ can string together: its counter is one byte.
const maxPRFPlus = 255

// PRFPlus is PRF+ of RFC 6113 section 5.1: n bytes derived from the key and in. It panics
// if n is more than 255 PRF outputs, which no constant of any protocol comes near.
func (k *Key) PRFPlus(in []byte, n int) []byte {
	msg := make([]byte, 1+len(in))
	copy(msg[1:], in)
	var out []byte
	for len(out) < n {
		if msg[0] == maxPRFPlus {
			panic("krbcrypto: PRF+ output too long")
		}
		msg[0]++
		out = append(out, k.PRF(msg)...)
	}
	return out[:n]
}

// CF2 is KRB-FX-CF2 of RFC 6113 section 5.1: it combines two keys, which may differ in
// type, into one of the type of k1.
func CF2(k1, k2 *Key, pepper1, pepper2 string) (*Key, error) {
	if k1 == nil || k2 == nil {
		return nil, fmt.Errorf("combining keys: one is missing: %w", ErrUnsupported)
	}
	n := k1.s.seedBytes
	seed := k1.PRFPlus([]byte(pepper1), n)
	subtle.XORBytes(seed, seed, k2.PRFPlus([]byte(pepper2), n))
	return newKey(k1.s, k1.s.profile.randomToKey(seed)), nil
}
