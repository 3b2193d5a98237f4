package krbcrypto

import (
	"crypto/cipher"
	"crypto/subtle"
	"sync/atomic"
)

// blockSize is the block of AES and Camellia.
const blockSize = 16

// cts is a block cipher in CBC mode with ciphertext stealing (RFC 3962 section 5, RFC 2040)
// and a zero initial vector. It is safe for concurrent use.
//
// A CBC mode of the standard library copies the key schedule, half a kilobyte for AES. One
// of each direction is kept for reuse; a second concurrent user makes his own.
type cts struct {
	block    cipher.Block
	enc, dec atomic.Pointer[cbcMode]
}

// cbcMode is a CBC mode whose initial vector can be set back.
type cbcMode struct {
	cipher.BlockMode
	iv interface{ SetIV([]byte) } // the same mode; nil: not reusable
}

var zeroIV [blockSize]byte

func newMode(m cipher.BlockMode) *cbcMode {
	iv, _ := m.(interface{ SetIV([]byte) })
	return &cbcMode{m, iv}
}

func (c *cts) encryptCBC(b []byte) {
	m := c.enc.Swap(nil)
	if m == nil {
		m = newMode(cipher.NewCBCEncrypter(c.block, zeroIV[:c.block.BlockSize()]))
	}
	m.CryptBlocks(b, b)
	m.release(&c.enc, c.block.BlockSize())
}

func (c *cts) decryptCBC(b []byte) {
	m := c.dec.Swap(nil)
	if m == nil {
		m = newMode(cipher.NewCBCDecrypter(c.block, zeroIV[:c.block.BlockSize()]))
	}
	m.CryptBlocks(b, b)
	m.release(&c.dec, c.block.BlockSize())
}

func (m *cbcMode) release(slot *atomic.Pointer[cbcMode], n int) {
	if m.iv != nil {
		m.iv.SetIV(zeroIV[:n])
		slot.Store(m)
	}
}

// encrypt works in place; len(b) is at least one block. The last two blocks change places
// and the one that is now last loses what its plaintext did not fill.
func (c *cts) encrypt(b []byte) {
	if len(b) == blockSize {
		c.encryptCBC(b)
		return
	}
	full := (len(b) - 1) / blockSize * blockSize // all but the last, perhaps partial, block
	var last [blockSize]byte
	copy(last[:], b[full:])
	c.encryptCBC(b[:full])
	prev := b[full-blockSize : full]
	subtle.XORBytes(last[:], last[:], prev)
	copy(b[full:], prev)
	c.block.Encrypt(prev, last[:])
}

// decrypt works in place; len(b) is at least one block.
func (c *cts) decrypt(b []byte) {
	if len(b) == blockSize {
		c.decryptCBC(b)
		return
	}
	full := (len(b) - 1) / blockSize * blockSize
	prev, tail := b[full-blockSize:full], b[full:]
	var last [blockSize]byte
	c.block.Decrypt(last[:], prev)
	// last is now the zero-padded final plaintext xored with the full block whose head
	// is tail: the part beyond the tail is that block's own.
	copy(prev, tail)
	copy(prev[len(tail):], last[len(tail):])
	subtle.XORBytes(tail, tail, last[:len(tail)])
	c.decryptCBC(b[:full])
}
