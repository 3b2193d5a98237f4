package krbcrypto

import (
	"crypto/subtle"
	"slices"
)

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

// appendSum appends the first n bytes of the code of the concatenated data.
func (m mac) appendSum(dst []byte, n int, data [][]byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	if m.c != nil {
		m.c.sumAll(dst[at:], data)
	} else {
		m.h.sumAll(dst[at:], data)
	}
	return dst
}
