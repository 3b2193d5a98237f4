package krbcrypto

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"hash"
	"sync"
)

// hashKind is a hash function with a pool of instances. A derived key holds only the two
// hash states that the HMAC key pads lead to; the instances that resume from them are shared
// by all keys of the process.
type hashKind struct {
	pool     sync.Pool
	stateLen int // bytes of a marshalled state
}

// hashScratch is one pooled instance and the memory of one computation, kept beside it so
// that nothing escapes to the heap per message.
type hashScratch struct {
	hash.Hash
	state encoding.BinaryUnmarshaler // the same instance
	sum   [sha512.Size]byte
	pad   [sha512.BlockSize]byte
}

func newHashKind(newHash func() hash.Hash) *hashKind {
	state, err := newHash().(encoding.BinaryAppender).AppendBinary(nil)
	if err != nil {
		panic("krbcrypto: hash state: " + err.Error())
	}
	k := &hashKind{stateLen: len(state)}
	k.pool.New = func() any {
		h := newHash()
		return &hashScratch{Hash: h, state: h.(encoding.BinaryUnmarshaler)}
	}
	return k
}

var (
	hashMD5    = newHashKind(md5.New)
	hashSHA1   = newHashKind(sha1.New)
	hashSHA256 = newHashKind(sha256.New)
	hashSHA384 = newHashKind(sha512.New384)
)

// hmacKey is HMAC (RFC 2104) under one key. It is immutable and safe for concurrent use.
type hmacKey struct {
	kind         *hashKind
	inner, outer []byte // hash states after the padded key
}

func newHMAC(kind *hashKind, key []byte) *hmacKey {
	s := kind.pool.Get().(*hashScratch)
	defer kind.pool.Put(s)
	if len(key) > s.BlockSize() {
		s.Reset()
		s.Write(key)
		key = s.Sum(nil)
	}
	pad := s.pad[:s.BlockSize()]
	state := s.absorb(make([]byte, 0, 2*kind.stateLen), pad, key, 0x36)
	n := len(state)
	state = s.absorb(state, pad, key, 0x5c)
	clear(pad)
	return &hmacKey{kind: kind, inner: state[:n:n], outer: state[n:]}
}

// absorb appends the state after one block of key bytes, each xored with x.
func (s *hashScratch) absorb(dst, pad, key []byte, x byte) []byte {
	for i := range pad {
		pad[i] = x
	}
	for i, b := range key {
		pad[i] ^= b
	}
	s.Reset()
	s.Write(pad)
	dst, err := s.Hash.(encoding.BinaryAppender).AppendBinary(dst)
	if err != nil {
		panic("krbcrypto: hash state: " + err.Error())
	}
	return dst
}

// resume returns a pooled instance that has taken in the inner pad.
func (k *hmacKey) resume() *hashScratch {
	s := k.kind.pool.Get().(*hashScratch)
	s.load(k.inner)
	return s
}

func (s *hashScratch) load(state []byte) {
	if err := s.state.UnmarshalBinary(state); err != nil {
		panic("krbcrypto: hash state: " + err.Error())
	}
}

// finish computes the code of what was written since resume, hands the instance back and
// writes the first len(out) bytes.
func (k *hmacKey) finish(s *hashScratch, out []byte) {
	in := s.Sum(s.sum[:0])
	s.load(k.outer)
	s.Write(in)
	copy(out, s.Sum(s.sum[:0]))
	clear(s.sum[:])
	k.kind.pool.Put(s)
}

func (k *hmacKey) sum(out, a, b []byte) {
	s := k.resume()
	s.Write(a)
	s.Write(b)
	k.finish(s, out)
}

func (k *hmacKey) sumAll(out []byte, data [][]byte) {
	s := k.resume()
	for _, d := range data {
		s.Write(d)
	}
	k.finish(s, out)
}
