package krbcrypto

import (
	"crypto/pbkdf2"
	"encoding/binary"
	"hash"
)

// aesSHA2 is AES with HMAC-SHA2 (RFC 8009): keys come from a counter-mode KDF over HMAC,
// and the tag is taken over the initial vector, always zero here, and the ciphertext.
type aesSHA2 struct {
	kind    *hashKind
	newHash func() hash.Hash
	tag     int // bytes of the tag, of Ki and of Kc
	prfLen  int
}

// keyMAC returns the HMAC of the protocol key, made once.
func (p *aesSHA2) keyMAC(k *Key) *hmacKey {
	if b := k.base.Load(); b != nil {
		return b.mac.h
	}
	b := &base{mac: mac{h: newHMAC(p.kind, k.b)}}
	k.base.Store(b)
	return b.mac.h
}

// kdf is KDF-HMAC-SHA2 of RFC 8009 section 3 for at most one hash length of output. The label
// is a few bytes.
func (p *aesSHA2) kdf(m *hmacKey, label, context []byte, n int) []byte {
	out := make([]byte, n)
	h := m.resume()
	head := append(append(append(h.pad[:0], 0, 0, 0, 1), label...), 0)
	h.Write(head)
	h.Write(context)
	h.Write(binary.BigEndian.AppendUint32(h.pad[:0], uint32(8*n)))
	m.finish(h, out)
	return out
}

func (p *aesSHA2) usageKey(k *Key, usage uint32, purpose byte, n int) []byte {
	c := usageConstant(usage, purpose)
	return p.kdf(p.keyMAC(k), c[:], nil, n)
}

func (p *aesSHA2) sealer(k *Key, usage uint32) sealer {
	return &cipherTagSealer{
		cts: cts{block: newAES(p.usageKey(k, usage, forEncrypt, k.s.keyBytes))},
		mac: mac{h: newHMAC(p.kind, p.usageKey(k, usage, forIntegrity, p.tag))},
		tag: p.tag,
	}
}

func (p *aesSHA2) summer(k *Key, usage uint32) *summer {
	return &summer{mac: mac{h: newHMAC(p.kind, p.usageKey(k, usage, forChecksum, p.tag))}, n: p.tag}
}

func (p *aesSHA2) prf(k *Key, in []byte) []byte {
	return p.kdf(p.keyMAC(k), []byte("prf"), in, p.prfLen)
}

func (p *aesSHA2) randomToKey(seed []byte) []byte { return seed }

// stringToKey salts PBKDF2 with the enctype's name too, so that one password gives unrelated
// keys (RFC 8009 section 4).
func (p *aesSHA2) stringToKey(s *suite, password, salt []byte, iterations int) ([]byte, error) {
	t, err := pbkdf2.Key(p.newHash, string(password), namedSalt(s.name, salt), iterations, s.keyBytes)
	if err != nil {
		return nil, err
	}
	return p.kdf(newHMAC(p.kind, t), []byte("kerberos"), nil, s.keyBytes), nil
}

func namedSalt(name string, salt []byte) []byte {
	out := make([]byte, 0, len(name)+1+len(salt))
	out = append(append(out, name...), 0)
	return append(out, salt...)
}

// cipherTagSealer encrypts with ciphertext stealing and authenticates the ciphertext, so
// that a forgery is refused before anything is decrypted.
type cipherTagSealer struct {
	cts cts
	mac mac
	tag int
}

func (s *cipherTagSealer) seal(msg []byte) {
	body, tag := msg[:len(msg)-s.tag], msg[len(msg)-s.tag:]
	s.cts.encrypt(body)
	s.mac.sum(tag, zeroIV[:], body)
}

func (s *cipherTagSealer) open(msg []byte) ([]byte, bool) {
	body, tag := msg[:len(msg)-s.tag], msg[len(msg)-s.tag:]
	if !s.mac.verify(tag, zeroIV[:], body) {
		return nil, false
	}
	s.cts.decrypt(body)
	return body[blockSize:], true
}
