package spake

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"filippo.io/edwards25519"
)

// edwards is edwards25519. Numbers are little end first. A private number is a multiple of the
// cofactor 8, so that what a peer adds of small order drops out.
type edwards struct{}

var (
	edwardsM = edwardsPoint("d048032c6ea0b6d697ddc2e86bda85a33adac920f1bf18e1b0c6d166a5cecdaf")
	edwardsN = edwardsPoint("d3bfb518f44f3430f29d0c92af503865a1ed3281dc69b35dd868ba85f886c4ab")
)

func edwardsPoint(s string) *edwards25519.Point {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		panic(err)
	}
	return p
}

// blinding returns the constant that a side adds to its public value.
func (edwards) blinding(r Role) *edwards25519.Point {
	if r == KDC {
		return edwardsM
	}
	return edwardsN
}

// multiplier reduces w by the order of the group.
func (edwards) multiplier(w []byte) *edwards25519.Scalar {
	var wide [64]byte
	copy(wide[:], w)
	s, err := new(edwards25519.Scalar).SetUniformBytes(wide[:])
	if err != nil {
		panic(err) // the length is right
	}
	return s
}

func (e edwards) generate(r Role, w []byte) (private, public []byte, err error) {
	var seed [64]byte
	_, _ = rand.Read(seed[:]) // never fails
	y, err := new(edwards25519.Scalar).SetUniformBytes(seed[:])
	if err != nil {
		return nil, nil, err
	}
	clear(seed[:])
	private = shift(y.Bytes())
	public, err = e.public(r, w, private)
	return private, public, err
}

// shift multiplies a number below 2^253 by 8.
func shift(y []byte) []byte {
	x := make([]byte, len(y))
	carry := byte(0)
	for i, b := range y {
		x[i] = b<<3 | carry
		carry = b >> 5
	}
	return x
}

// unshift divides a private number by 8; ErrState if it is no multiple of 8, or too large.
func (edwards) unshift(x []byte) (*edwards25519.Scalar, error) {
	y := make([]byte, len(x))
	for i := range x {
		y[i] = x[i] >> 3
		if i+1 < len(x) {
			y[i] |= x[i+1] << 5
		}
	}
	defer clear(y)
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(y)
	if err != nil || x[0]&7 != 0 {
		return nil, fmt.Errorf("%w: private number of %v", ErrState, Edwards25519)
	}
	return s, nil
}

func (e edwards) public(r Role, w, private []byte) ([]byte, error) {
	y, err := e.unshift(private)
	if err != nil {
		return nil, err
	}
	p := new(edwards25519.Point).ScalarBaseMult(y)
	p.MultByCofactor(p)
	blind := new(edwards25519.Point).ScalarMult(e.multiplier(w), e.blinding(r))
	return p.Add(p, blind).Bytes(), nil
}

func (e edwards) agree(r Role, w, private, peer []byte) ([]byte, error) {
	y, err := e.unshift(private)
	if err != nil {
		return nil, err
	}
	p, err := new(edwards25519.Point).SetBytes(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPoint, err)
	}
	p.Subtract(p, new(edwards25519.Point).ScalarMult(e.multiplier(w), e.blinding(1-r)))
	p.MultByCofactor(p)
	if p.Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("%w: nothing to agree on", ErrPoint)
	}
	return p.ScalarMult(y, p).Bytes(), nil
}
