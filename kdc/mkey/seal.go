package mkey

import (
	"encoding/binary"
	"errors"
	"fmt"

	"krealm/internal/krbcrypto"
)

// A sealed key is the length of the key, 16 bits, little end first, and the encryption of the
// key with usage 0. The length is there because des3 pads.
const sealedHead = 2

// maxSealedKey is the longest key that the length field can state.
const maxSealedKey = 0xffff

// SealUnder seals a key under another, mk: under a master key, or under the key of
// kadmin/history for password histories.
func SealUnder(mk, k *krbcrypto.Key) []byte { return sealBytes(mk, k.Bytes()) }

// OpenSealed opens a key of the given enctype that SealUnder, or MIT, sealed under mk. The
// error is krbcrypto.ErrIntegrity if mk did not seal it, krbcrypto.ErrUnsupported or
// ErrKeySize if the content is no key that we can use.
func OpenSealed(mk *krbcrypto.Key, sealed []byte, e krbcrypto.Enctype) (*krbcrypto.Key, error) {
	b, err := openBytes(mk, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return krbcrypto.NewKey(e, b)
}

func sealBytes(mk *krbcrypto.Key, b []byte) []byte {
	if len(b) > maxSealedKey {
		panic("mkey: key too long to seal")
	}
	dst := make([]byte, sealedHead, sealedHead+mk.CipherLen(len(b)))
	binary.LittleEndian.PutUint16(dst, uint16(len(b)))
	return mk.Encrypt(dst, krbcrypto.UsageDatabase, b)
}

var errSealedShort = errors.New("sealed key shorter than its length field")

func openBytes(mk *krbcrypto.Key, sealed []byte) ([]byte, error) {
	if len(sealed) < sealedHead {
		return nil, errors.Join(errSealedShort, krbcrypto.ErrIntegrity)
	}
	n := int(binary.LittleEndian.Uint16(sealed))
	b, err := mk.Decrypt(nil, krbcrypto.UsageDatabase, sealed[sealedHead:])
	if err != nil {
		return nil, err
	}
	if n > len(b) {
		clear(b)
		return nil, fmt.Errorf("sealed key of %d bytes says %d: %w", len(b), n, krbcrypto.ErrIntegrity)
	}
	return b[:n], nil
}
