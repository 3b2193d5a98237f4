package spake

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"filippo.io/nistec"
)

// point is a point of one of the NIST curves.
type point[P any] interface {
	Add(p, q P) P
	Negate(p P) P
	ScalarMult(q P, scalar []byte) (P, error)
	ScalarBaseMult(scalar []byte) (P, error)
	SetBytes(b []byte) (P, error)
	BytesCompressed() []byte
	IsInfinity() int
}

// nist is P-256, P-384 or P-521. Numbers are big end first, points compressed as in SEC 1.
type nist[P point[P]] struct {
	curve ecdh.Curve
	fresh func() P
	m, n  P
}

var (
	p256 = newNIST(ecdh.P256(), nistec.NewP256Point,
		"02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f",
		"03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49")
	p384 = newNIST(ecdh.P384(), nistec.NewP384Point,
		"030ff0895ae5ebf6187080a82d82b42e2765e3b2f8749c7e05eba366434b363d3dc36f15314739074d2eb8613fceec2853",
		"02c72cf2e390853a1c1c4ad816a62fd15824f56078918f43f922ca21518f9c543bb252c5490214cf9aa3f0baab4b665c10")
	p521 = newNIST(ecdh.P521(), nistec.NewP521Point,
		"02003f06f38131b2ba2600791e82488e8d20ab889af753a41806c5db18d37d85608cfae06b82e4a72cd744c719193562a653ea1f119eef9356907edc9b56979962d7aa",
		"0200c7924b9ec017f3094562894336a53c50167ba8c5963876880542bc669e494b2532d76c5b53dfb349fdf69154b9e0048c58a42e8ed04cef052a3bc349d95575cd25")
)

func newNIST[P point[P]](curve ecdh.Curve, fresh func() P, m, n string) *nist[P] {
	c := &nist[P]{curve: curve, fresh: fresh}
	for _, x := range []struct {
		to   *P
		text string
	}{{&c.m, m}, {&c.n, n}} {
		b, err := hex.DecodeString(x.text)
		if err != nil {
			panic(err)
		}
		if *x.to, err = fresh().SetBytes(b); err != nil {
			panic(err)
		}
	}
	return c
}

// blinding returns the constant that a side adds to its public value.
func (c *nist[P]) blinding(r Role) P {
	if r == KDC {
		return c.m
	}
	return c.n
}

func (c *nist[P]) generate(r Role, w []byte) (private, public []byte, err error) {
	k, err := c.curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	private = k.Bytes()
	public, err = c.public(r, w, private)
	return private, public, err
}

func (c *nist[P]) public(r Role, w, private []byte) ([]byte, error) {
	p, err := c.fresh().ScalarBaseMult(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	blind, err := c.fresh().ScalarMult(c.blinding(r), w)
	if err != nil {
		return nil, err
	}
	return p.Add(p, blind).BytesCompressed(), nil
}

func (c *nist[P]) agree(r Role, w, private, peer []byte) ([]byte, error) {
	if _, err := c.curve.NewPrivateKey(private); err != nil {
		return nil, fmt.Errorf("%w: private number of %v", ErrState, c.curve)
	}
	if len(peer) == 1 {
		return nil, fmt.Errorf("%w: the point at infinity", ErrPoint)
	}
	p, err := c.fresh().SetBytes(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPoint, err)
	}
	blind, err := c.fresh().ScalarMult(c.blinding(1-r), w)
	if err != nil {
		return nil, err
	}
	if p, err = p.ScalarMult(p.Add(p, blind.Negate(blind)), private); err != nil {
		return nil, err
	}
	if p.IsInfinity() == 1 {
		return nil, fmt.Errorf("%w: nothing to agree on", ErrPoint)
	}
	return p.BytesCompressed(), nil
}
