package krbcrypto

import (
	"encoding/binary"
	"sync"
)

// The last byte of a derivation constant says what the derived key is for (RFC 3961
// section 5.3).
const (
	forChecksum  = 0x99
	forEncrypt   = 0xaa
	forIntegrity = 0x55
)

// usageConstant is the derivation constant of a usage and purpose.
func usageConstant(usage uint32, purpose byte) (c [5]byte) {
	binary.BigEndian.PutUint32(c[:], usage)
	c[4] = purpose
	return c
}

// maxFold bounds the input of nfold, whose work grows with it.
const maxFold = 1 << 16

// nfold stretches or folds in to len(out) bytes (RFC 3961 section 5.1): copies of in, each
// rotated 13 bits further to the right, are laid end to end up to the least common multiple
// of the two lengths, and the pieces of len(out) bytes are added in ones' complement.
func nfold(out, in []byte) {
	n, k := len(out), len(in)
	total := n / gcd(n, k) * k
	laid := make([]byte, total)
	for i := 0; i < total; i += k {
		rot := 13 * (i / k) % (8 * k)
		from, bits := k-rot/8, rot%8
		for j := range k {
			laid[i+j] = in[(from+j)%k]>>bits | in[(from+j+k-1)%k]<<(8-bits)
		}
	}
	var carry uint
	for j := n - 1; j >= 0; j-- {
		for i := j; i < total; i += n {
			carry += uint(laid[i])
		}
		out[j] = byte(carry)
		carry >>= 8
	}
	for j := n - 1; carry != 0; j-- { // the end-around carry; it cannot pass the front twice
		if j < 0 {
			j = n - 1
		}
		carry += uint(out[j])
		out[j] = byte(carry)
		carry >>= 8
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// foldedUsages is how many usages have their folded constants in a table: all that RFC 4120
// and RFC 6113 define.
const foldedUsages = 66

// foldTable holds, per usage, the constants for checksum, encryption and integrity folded to
// the AES block.
var foldTable = sync.OnceValue(func() *[foldedUsages][3][16]byte {
	t := new([foldedUsages][3][16]byte)
	for usage := range t {
		for i, purpose := range [3]byte{forChecksum, forEncrypt, forIntegrity} {
			c := usageConstant(uint32(usage), purpose)
			nfold(t[usage][i][:], c[:])
		}
	}
	return t
})

// foldUsage writes the folded constant of a usage into out, which has the length of a
// cipher block.
func foldUsage(out []byte, usage uint32, purpose byte) {
	if usage < foldedUsages && len(out) == 16 {
		i := 0
		switch purpose {
		case forEncrypt:
			i = 1
		case forIntegrity:
			i = 2
		}
		copy(out, foldTable()[usage][i][:])
		return
	}
	c := usageConstant(usage, purpose)
	nfold(out, c[:])
}
