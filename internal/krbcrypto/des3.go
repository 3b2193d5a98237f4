package krbcrypto

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"fmt"
	"math/bits"
)

// des3SHA1 is triple DES in CBC mode with HMAC-SHA1 (RFC 3961 section 6.3): the simplified
// profile, with padding in place of ciphertext stealing.
type des3SHA1 struct{}

const (
	des3Block = des.BlockSize
	des3Seed  = 21
	des3Key   = 24
)

func newDES3(key []byte) cipher.Block {
	b, err := des.NewTripleDESCipher(key)
	if err != nil {
		panic("krbcrypto: " + err.Error())
	}
	return b
}

// derive is DK: the folded constant encrypted again and again until there are 21 bytes for
// random-to-key.
func (p des3SHA1) derive(key []byte, folded *[des3Block]byte) []byte {
	block := newDES3(key)
	var out [des3Key]byte
	prev := folded[:]
	for i := 0; i < len(out); i += des3Block {
		block.Encrypt(out[i:], prev)
		prev = out[i : i+des3Block]
	}
	return p.randomToKey(out[:des3Seed])
}

func (p des3SHA1) usageKey(k *Key, usage uint32, purpose byte) []byte {
	var c [des3Block]byte
	foldUsage(c[:], usage, purpose)
	return p.derive(k.b, &c)
}

func (p des3SHA1) labelKey(key []byte, label string) []byte {
	var c [des3Block]byte
	nfold(c[:], []byte(label))
	return p.derive(key, &c)
}

func (p des3SHA1) sealer(k *Key, usage uint32) sealer {
	return &cbcSealer{
		cbc: cts{block: newDES3(p.usageKey(k, usage, forEncrypt))},
		mac: mac{h: newHMAC(hashSHA1, p.usageKey(k, usage, forIntegrity))},
	}
}

func (p des3SHA1) summer(k *Key, usage uint32) *summer {
	return &summer{mac: mac{h: newHMAC(hashSHA1, p.usageKey(k, usage, forChecksum))}, n: sha1.Size}
}

// prf encrypts the first two blocks of the hash in CBC mode.
func (p des3SHA1) prf(k *Key, in []byte) []byte {
	sum := sha1.Sum(in)
	out := sum[: 2*des3Block : 2*des3Block]
	c := cts{block: newDES3(p.labelKey(k.b, "prf"))}
	c.encryptCBC(out)
	return out
}

// randomToKey spreads each 7 bytes over 8: the low bits of the seven make the eighth, and the
// lowest bit of all eight becomes odd parity (RFC 3961 section 6.3.1). Like MIT it does not
// look for weak keys.
func (des3SHA1) randomToKey(seed []byte) []byte {
	key := make([]byte, 0, des3Key)
	for ; len(seed) >= 7; seed = seed[7:] {
		var low byte
		for i, b := range seed[:7] {
			low |= b & 1 << (i + 1)
			key = append(key, b)
		}
		key = append(key, low)
	}
	for i, b := range key {
		b &^= 1
		key[i] = b | byte(bits.OnesCount8(b)&1^1)
	}
	return key
}

// stringToKey folds password and salt to a seed and derives with "kerberos".
func (p des3SHA1) stringToKey(s *suite, password, salt []byte, _ int) ([]byte, error) {
	in := make([]byte, 0, len(password)+len(salt))
	in = append(append(in, password...), salt...)
	if len(in) == 0 || len(in) > maxFold {
		return nil, fmt.Errorf("%s: password and salt of %d bytes: %w", s.name, len(in), ErrParams)
	}
	var seed [des3Seed]byte
	nfold(seed[:], in)
	return p.labelKey(p.randomToKey(seed[:]), "kerberos"), nil
}

// cbcSealer encrypts whole blocks and authenticates the plaintext, padding included.
type cbcSealer struct {
	cbc cts
	mac mac
}

func (s *cbcSealer) seal(msg []byte) {
	body, tag := msg[:len(msg)-sha1.Size], msg[len(msg)-sha1.Size:]
	s.mac.sum(tag, body, nil)
	s.cbc.encryptCBC(body)
}

func (s *cbcSealer) open(msg []byte) ([]byte, bool) {
	body, tag := msg[:len(msg)-sha1.Size], msg[len(msg)-sha1.Size:]
	s.cbc.decryptCBC(body)
	return body[des3Block:], s.mac.verify(tag, body, nil)
}
