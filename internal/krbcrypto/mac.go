package krbcrypto

import "crypto/subtle"

// maxTag is the longest tag or checksum of any enctype, in bytes.
const maxTag = 24

// mac is a message authentication code under one key: one of its fields is set. (An
// interface here would send every caller's buffer to the heap.)
type mac struct {
	h *hmacKey
	c *cmacKey
}

// sum writes the first len(out) bytes of the code of a‖b. out must not overlap a or b.
func (m mac) sum(out, a, b []byte) {
	if m.c != nil {
		m.c.sum(out, a, b)
		return
	}
	m.h.sum(out, a, b)
}

// verify compares tag, of at most maxTag bytes, with the code of a‖b in constant time.
func (m mac) verify(tag, a, b []byte) bool {
	var want [maxTag]byte
	m.sum(want[:len(tag)], a, b)
	return subtle.ConstantTimeCompare(want[:len(tag)], tag) == 1
}

// sumAll writes the first len(out) bytes of the code of the concatenated data.
func (m mac) sumAll(out []byte, data [][]byte) {
	if m.c != nil {
		m.c.sumAll(out, data)
		return
	}
	m.h.sumAll(out, data)
}

// summer computes one checksum type under a key derived for one usage. It is immutable and
// safe for concurrent use.
type summer struct {
	mac    mac
	n      int     // length of the checksum
	digest bool    // RC4's way: the code is taken of the MD5 of head and data
	head   [4]byte // usage, little end first
}

// sum writes the checksum of the concatenated data into out, which has its length.
func (s *summer) sum(out []byte, data [][]byte) {
	if !s.digest {
		s.mac.sumAll(out, data)
		return
	}
	h := hashMD5.pool.Get().(*hashScratch)
	h.Reset()
	h.Write(s.head[:])
	for _, d := range data {
		h.Write(d)
	}
	s.mac.sum(out, h.Sum(h.sum[:0]), nil)
	hashMD5.pool.Put(h)
}

// check compares in constant time. It fails with ErrLength or ErrIntegrity.
func (s *summer) check(sum, data []byte) error {
	if len(sum) != s.n {
		return ErrLength
	}
	var want [maxTag]byte
	s.sum(want[:s.n], [][]byte{data})
	if subtle.ConstantTimeCompare(want[:s.n], sum) != 1 {
		return ErrIntegrity
	}
	return nil
}
