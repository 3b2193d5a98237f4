package krbcrypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
)

// aesSHA1 is AES with HMAC-SHA1 (RFC 3962): the simplified profile of RFC 3961 section 5.3,
// the tag taken over the plaintext.
type aesSHA1 struct{}

const sha1Tag = 12

func newAES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic("krbcrypto: " + err.Error()) // the suite table fixes the length
	}
	return b
}

// keyBlock returns the AES cipher of the protocol key, made once.
func keyBlock(k *Key) cipher.Block {
	if b := k.base.Load(); b != nil {
		return b.block
	}
	b := &base{block: newAES(k.b)}
	k.base.Store(b)
	return b.block
}

// derive is DK for AES, whose random-to-key is the identity: the folded constant encrypted
// again and again (RFC 3961 section 5.1). work holds the constant in its first block and has
// room for a key behind it.
func (aesSHA1) derive(k *Key, work []byte) []byte {
	block := keyBlock(k)
	for i := blockSize; i < len(work); i += blockSize {
		block.Encrypt(work[i:], work[i-blockSize:])
	}
	return work[blockSize:]
}

func (p aesSHA1) usageKey(k *Key, usage uint32, purpose byte) []byte {
	work := make([]byte, blockSize+k.s.keyBytes)
	foldUsage(work[:blockSize], usage, purpose)
	return p.derive(k, work)
}

func (p aesSHA1) labelKey(k *Key, label string) []byte {
	work := make([]byte, blockSize+k.s.keyBytes)
	nfold(work[:blockSize], []byte(label))
	return p.derive(k, work)
}

func (p aesSHA1) sealer(k *Key, usage uint32) sealer {
	return &plainTagSealer{
		cts: cts{block: newAES(p.usageKey(k, usage, forEncrypt))},
		mac: mac{h: newHMAC(hashSHA1, p.usageKey(k, usage, forIntegrity))},
		tag: sha1Tag,
	}
}

func (p aesSHA1) summer(k *Key, usage uint32) *summer {
	return &summer{mac: mac{h: newHMAC(hashSHA1, p.usageKey(k, usage, forChecksum))}, n: sha1Tag}
}

// prf: hash, cut to whole blocks, encrypt under the key derived with "prf".
func (p aesSHA1) prf(k *Key, in []byte) []byte {
	sum := sha1.Sum(in)
	out := make([]byte, blockSize)
	newAES(p.labelKey(k, "prf")).Encrypt(out, sum[:blockSize])
	return out
}

func (aesSHA1) randomToKey(seed []byte) []byte { return seed }

// stringToKey: PBKDF2, then one derivation with "kerberos" (RFC 3962 section 4).
func (p aesSHA1) stringToKey(s *suite, password, salt []byte, iterations int) ([]byte, error) {
	t, err := pbkdf2.Key(sha1.New, string(password), salt, iterations, s.keyBytes)
	if err != nil {
		return nil, err
	}
	return p.labelKey(newKey(s, t), "kerberos"), nil
}

// plainTagSealer encrypts with ciphertext stealing and authenticates the plaintext:
// the AES enctypes of RFC 3962 and the Camellia ones.
type plainTagSealer struct {
	cts cts
	mac mac
	tag int
}

func (s *plainTagSealer) seal(msg []byte) {
	body, tag := msg[:len(msg)-s.tag], msg[len(msg)-s.tag:]
	s.mac.sum(tag, body, nil)
	s.cts.encrypt(body)
}

func (s *plainTagSealer) open(msg []byte) ([]byte, bool) {
	body, tag := msg[:len(msg)-s.tag], msg[len(msg)-s.tag:]
	s.cts.decrypt(body)
	return body[blockSize:], s.mac.verify(tag, body, nil)
}
