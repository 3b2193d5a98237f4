package krbcrypto

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 the enctype's string-to-key is defined with it
)

// rc4HMAC is arcfour-hmac and its 40-bit variant (RFC 4757). The key for a message depends
// on the message's tag, so there is little to cache; realms keep these keys only until
// their owners next change the password.
type rc4HMAC struct {
	export bool
}

const (
	rc4Tag        = md5.Size
	rc4Confounder = 8
	rc4Key        = 16
	sha1Len       = 20 // of the PRF
)

// signatureKey is what the key of checksum -138 is derived with.
const signatureKey = "signaturekey\x00"

// rc4Usage is the number that RC4 uses for a usage: Microsoft had given some purposes the
// numbers of others before RFC 4757. MIT leaves 9 alone, against the RFC's table.
func rc4Usage(usage uint32) uint32 {
	switch usage {
	case UsageASRepEncPart:
		return UsageTGSRepSession
	case UsageGSSAcceptorSign:
		return UsageKRBPriv
	}
	return usage
}

func hmacMD5(key, data []byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func (p rc4HMAC) sealer(k *Key, usage uint32) sealer {
	var label []byte
	if p.export {
		label = []byte("fortybits\x00")
	}
	label = binary.LittleEndian.AppendUint32(label, rc4Usage(usage))
	macKey := hmacMD5(k.b, label)
	encKey := macKey
	if p.export {
		encKey = slices.Clone(macKey)
		for i := 7; i < len(encKey); i++ {
			encKey[i] = 0xab
		}
	}
	return &rc4Sealer{mac: newHMAC(hashMD5, macKey), enc: newHMAC(hashMD5, encKey)}
}

// rc4Sealer puts the tag, taken over the plaintext, in front, and encrypts the rest with a
// key made from the tag.
type rc4Sealer struct {
	mac, enc *hmacKey
}

func (s *rc4Sealer) crypt(tag, body []byte) {
	var key [rc4Key]byte
	s.enc.sum(key[:], tag, nil)
	c, err := rc4.NewCipher(key[:])
	if err != nil {
		panic("krbcrypto: " + err.Error())
	}
	c.XORKeyStream(body, body)
}

func (s *rc4Sealer) seal(msg []byte) {
	tag, body := msg[:rc4Tag], msg[rc4Tag:]
	s.mac.sum(tag, body, nil)
	s.crypt(tag, body)
}

func (s *rc4Sealer) open(msg []byte) ([]byte, bool) {
	tag, body := msg[:rc4Tag], msg[rc4Tag:]
	s.crypt(tag, body)
	return body[rc4Confounder:], mac{h: s.mac}.verify(tag, body, nil)
}

func (rc4HMAC) summer(k *Key, usage uint32) *summer {
	return newMD5Summer(hmacMD5(k.b, []byte(signatureKey)), usage)
}

// newMD5Summer is HMAC-MD5 over the MD5 of usage and data: the checksum types -138, with a
// key derived for signing, and -137, with the key itself.
func newMD5Summer(key []byte, usage uint32) *summer {
	s := &summer{mac: mac{h: newHMAC(hashMD5, key)}, n: md5.Size, digest: true}
	binary.LittleEndian.PutUint32(s.head[:], rc4Usage(usage))
	return s
}

func (rc4HMAC) prf(k *Key, in []byte) []byte {
	out := make([]byte, sha1Len)
	newHMAC(hashSHA1, k.b).sum(out, in, nil)
	return out
}

func (rc4HMAC) randomToKey(seed []byte) []byte { return seed }

// stringToKey is Microsoft's: MD4 of the password in UTF-16, no salt.
func (rc4HMAC) stringToKey(s *suite, password, _ []byte, _ int) ([]byte, error) {
	if !utf8.Valid(password) {
		return nil, fmt.Errorf("%s: the password is not UTF-8: %w", s.name, ErrParams)
	}
	h := md4.New()
	for _, u := range utf16.Encode([]rune(string(password))) {
		h.Write([]byte{byte(u), byte(u >> 8)})
	}
	return h.Sum(nil), nil
}
