package largerealm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"hash"
)

// sealer seals keys under an AES key of RFC 3962 with a confounder that the caller chooses: the
// project's own sealing draws it at random, and a dump would never be the same twice. A sealer is
// used by one goroutine.
type sealer struct {
	block cipher.Block
	mac   hash.Hash
}

const (
	macLen        = 12 // of the enctypes of RFC 3962
	confounderLen = aes.BlockSize
)

func newSealer(key []byte) *sealer {
	// Usage number 0, then the constants of encryption and of integrity (RFC 3961 section 5.3).
	ke := derive(key, []byte{0, 0, 0, 0, 0xaa})
	ki := derive(key, []byte{0, 0, 0, 0, 0x55})
	return &sealer{block: newAES(ke), mac: hmac.New(sha1.New, ki)}
}

func newAES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a length of our own making
	}
	return b
}

// derive is DK of RFC 3961 section 5.1.
func derive(key, constant []byte) []byte {
	b := newAES(key)
	var out []byte
	for block := nfold(constant, aes.BlockSize); len(out) < len(key); {
		b.Encrypt(block, block)
		out = append(out, block...)
	}
	return out[:len(key)]
}

// nfold of RFC 3961 section 5.1, for inputs of a few bytes: copies of the input, each rotated 13
// bits further right, are added up in ones' complement.
func nfold(in []byte, size int) []byte {
	bits := 8 * len(in)
	var all []byte
	for n := 0; len(all) == 0 || len(all)%size != 0; n++ {
		copied := make([]byte, len(in))
		for i := range bits {
			from := ((i-13*n)%bits + bits) % bits
			copied[i/8] |= in[from/8] >> (7 - from%8) & 1 << (7 - i%8)
		}
		all = append(all, copied...)
	}
	out := make([]byte, size)
	for ; len(all) > 0; all = all[size:] {
		carry := 0
		for i := size - 1; i >= 0; i-- {
			carry += int(out[i]) + int(all[i])
			out[i] = byte(carry)
			carry >>= 8
		}
		for i := size - 1; carry > 0; i-- { // around the end
			carry += int(out[i])
			out[i] = byte(carry)
			carry >>= 8
		}
	}
	return out
}

// seal returns a sealed key: the length, 16 bits, little end first, then the encryption.
func (s *sealer) seal(confounder [confounderLen]byte, key []byte) []byte {
	plain := append(confounder[:], key...)
	s.mac.Reset()
	s.mac.Write(plain)
	out := make([]byte, 2, 2+len(plain)+sha1.Size)
	binary.LittleEndian.PutUint16(out, uint16(len(key)))
	out = append(out, s.cts(plain)...)
	return s.mac.Sum(out)[:len(out)+macLen]
}

// cts is CBC with ciphertext stealing, zero IV (RFC 3962 section 5): the last two blocks change
// places, the one that is last then is cut. plain is longer than a block.
func (s *sealer) cts(plain []byte) []byte {
	n := (len(plain) + aes.BlockSize - 1) / aes.BlockSize * aes.BlockSize
	out := make([]byte, n)
	copy(out, plain)
	cipher.NewCBCEncrypter(s.block, make([]byte, aes.BlockSize)).CryptBlocks(out, out)
	last, before := out[n-aes.BlockSize:], out[n-2*aes.BlockSize:n-aes.BlockSize]
	for i := range aes.BlockSize {
		last[i], before[i] = before[i], last[i]
	}
	return out[:len(plain)]
}
