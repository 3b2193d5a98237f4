package krbcrypto

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
)

// camelliaCMAC is Camellia with CMAC (RFC 6803): keys come from a feedback-mode KDF over
// CMAC, the tag is taken over the plaintext.
type camelliaCMAC struct{}

// keyMAC returns the CMAC of the protocol key, made once.
func (camelliaCMAC) keyMAC(k *Key) *cmacKey {
	if b := k.base.Load(); b != nil {
		return b.mac.c
	}
	b := &base{mac: mac{c: newCMAC(k.b)}}
	k.base.Store(b)
	return b.mac.c
}

// kdf is KDF-FEEDBACK-CMAC of RFC 6803 section 3.
func (camelliaCMAC) kdf(m *cmacKey, constant []byte, n int) []byte {
	var count, size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(8*n))
	out := make([]byte, n)
	prev := zeroIV
	for i := 0; i < n; i += blockSize {
		binary.BigEndian.PutUint32(count[:], uint32(i/blockSize+1))
		m.sumAll(prev[:], [][]byte{prev[:], count[:], constant, {0}, size[:]})
		copy(out[i:], prev[:])
	}
	return out
}

func (p camelliaCMAC) usageKey(k *Key, usage uint32, purpose byte) []byte {
	c := usageConstant(usage, purpose)
	return p.kdf(p.keyMAC(k), c[:], k.s.keyBytes)
}

func (p camelliaCMAC) sealer(k *Key, usage uint32) sealer {
	return &plainTagSealer{
		cts: cts{block: newCamellia(p.usageKey(k, usage, forEncrypt))},
		mac: mac{c: newCMAC(p.usageKey(k, usage, forIntegrity))},
		tag: blockSize,
	}
}

func (p camelliaCMAC) summer(k *Key, usage uint32) *summer {
	return &summer{mac: mac{c: newCMAC(p.usageKey(k, usage, forChecksum))}, n: blockSize}
}

func (p camelliaCMAC) prf(k *Key, in []byte) []byte {
	out := make([]byte, blockSize)
	newCMAC(p.kdf(p.keyMAC(k), []byte("prf"), k.s.keyBytes)).sum(out, in, nil)
	return out
}

func (camelliaCMAC) randomToKey(seed []byte) []byte { return seed }

func (p camelliaCMAC) stringToKey(s *suite, password, salt []byte, iterations int) ([]byte, error) {
	t, err := pbkdf2.Key(sha1.New, string(password), namedSalt(s.name, salt), iterations, s.keyBytes)
	if err != nil {
		return nil, err
	}
	return p.kdf(newCMAC(t), []byte("kerberos"), s.keyBytes), nil
}
