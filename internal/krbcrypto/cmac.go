package krbcrypto

import "crypto/subtle"

// cmacKey is CMAC (NIST SP 800-38B) with Camellia under one key. It is immutable and safe
// for concurrent use.
type cmacKey struct {
	block *camelliaBlock
	full  [blockSize]byte // xored into a complete last block
	part  [blockSize]byte // into a padded one
}

func newCMAC(key []byte) *cmacKey {
	k := &cmacKey{block: newCamellia(key)}
	k.block.Encrypt(k.full[:], k.full[:])
	double(&k.full)
	k.part = k.full
	double(&k.part)
	return k
}

// double multiplies by x in GF(2^128), in constant time.
func double(b *[blockSize]byte) {
	top := b[0] >> 7
	for i := range blockSize - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[blockSize-1] = b[blockSize-1]<<1 ^ top*0x87
}

// cmacState is one computation. The last block is held back until the end is known.
type cmacState struct {
	key  *cmacKey
	x    [blockSize]byte // chaining value
	held [blockSize]byte
	n    int // bytes in held
}

func (s *cmacState) write(p []byte) {
	for len(p) > 0 {
		if s.n == blockSize {
			subtle.XORBytes(s.x[:], s.x[:], s.held[:])
			s.key.block.Encrypt(s.x[:], s.x[:])
			s.n = 0
		}
		c := copy(s.held[s.n:], p)
		s.n += c
		p = p[c:]
	}
}

// finish writes the first len(out) bytes of the code, at most 16.
func (s *cmacState) finish(out []byte) {
	last := &s.key.full
	if s.n < blockSize {
		s.held[s.n] = 0x80
		clear(s.held[s.n+1:])
		last = &s.key.part
	}
	subtle.XORBytes(s.x[:], s.x[:], s.held[:])
	subtle.XORBytes(s.x[:], s.x[:], last[:])
	s.key.block.Encrypt(s.x[:], s.x[:])
	copy(out, s.x[:])
}

func (k *cmacKey) sum(out, a, b []byte) {
	s := cmacState{key: k}
	s.write(a)
	s.write(b)
	s.finish(out)
}

func (k *cmacKey) sumAll(out []byte, data [][]byte) {
	s := cmacState{key: k}
	for _, d := range data {
		s.write(d)
	}
	s.finish(out)
}
