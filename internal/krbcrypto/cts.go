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

// cbcMode is a CBC mode whose initial vector can be set back, with a block of memory.
type cbcMode struct {
	cipher.BlockMode
	iv   interface{ SetIV([]byte) } // the same mode; nil: not reusable
	last [blockSize]byte
}

var zeroIV [blockSize]byte

// take returns a mode from the slot, or a new one; its vector is zero.
func (c *cts) take(slot *atomic.Pointer[cbcMode], newMode func(cipher.Block, []byte) cipher.BlockMode) *cbcMode {
	m := slot.Swap(nil)
	if m == nil {
		m = &cbcMode{BlockMode: newMode(c.block, zeroIV[:c.block.BlockSize()])}
		m.iv, _ = m.BlockMode.(interface{ SetIV([]byte) })
	}
	return m
}

func (c *cts) release(slot *atomic.Pointer[cbcMode], m *cbcMode) {
	if m.iv != nil {
		m.iv.SetIV(zeroIV[:c.block.BlockSize()])
		slot.Store(m)
	}
}

// encryptCBC is CBC mode without stealing, for whole blocks.
func (c *cts) encryptCBC(b []byte) {
	m := c.take(&c.enc, cipher.NewCBCEncrypter)
	m.CryptBlocks(b, b)
	c.release(&c.enc, m)
}

func (c *cts) decryptCBC(b []byte) {
	m := c.take(&c.dec, cipher.NewCBCDecrypter)
	m.CryptBlocks(b, b)
	c.release(&c.dec, m)
}

// encrypt works in place; len(b) is at least one block. The last two blocks change places
// and the one that is now last loses what its plaintext did not fill.
func (c *cts) encrypt(b []byte) {
	if len(b) == blockSize {
		c.encryptCBC(b)
		return
	}
	full := (len(b) - 1) / blockSize * blockSize // all but the last, perhaps partial, block
	m := c.take(&c.enc, cipher.NewCBCEncrypter)
	clear(m.last[copy(m.last[:], b[full:]):])
	m.CryptBlocks(b[:full], b[:full])
	prev := b[full-blockSize : full]
	subtle.XORBytes(m.last[:], m.last[:], prev)
	copy(b[full:], prev)
	c.block.Encrypt(prev, m.last[:])
	c.release(&c.enc, m)
}

// decrypt works in place; len(b) is at least one block.
func (c *cts) decrypt(b []byte) {
	if len(b) == blockSize {
		c.decryptCBC(b)
		return
	}
	full := (len(b) - 1) / blockSize * blockSize
	prev, tail := b[full-blockSize:full], b[full:]
	m := c.take(&c.dec, cipher.NewCBCDecrypter)
	c.block.Decrypt(m.last[:], prev)
	// last is now the zero-padded final plaintext xored with the full block whose head
	// is tail: the part beyond the tail is that block's own.
	copy(prev, tail)
	copy(prev[len(tail):], m.last[len(tail):])
	subtle.XORBytes(tail, tail, m.last[:len(tail)])
	m.CryptBlocks(b[:full], b[:full])
	clear(m.last[:]) // plaintext
	c.release(&c.dec, m)
}
