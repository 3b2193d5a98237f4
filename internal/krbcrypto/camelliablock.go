package krbcrypto

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// camelliaBlock is the Camellia cipher (RFC 3713) as a cipher.Block, for keys of 128 and 256
// bits. It is safe for concurrent use. Like MIT's, it looks tables up by secret bytes.
type camelliaBlock struct {
	enc, dec camelliaKeys
}

// camelliaKeys is a key schedule for one direction.
type camelliaKeys struct {
	kw     [4]uint64  // whitening, before and after
	k      [24]uint64 // rounds
	ke     [6]uint64  // FL layers, one pair after each six rounds but the last
	rounds int        // 18 or 24
}

var camelliaSigma = [6]uint64{
	0xa09e667f3bcc908b, 0xb67ae8584caa73b2, 0xc6ef372fe94f82be,
	0x54ff53a5f1d36f1c, 0x10e527fade682d1d, 0xb05688c2b3e6c1fd,
}

var camelliaSBox = [256]byte{
	112, 130, 44, 236, 179, 39, 192, 229, 228, 133, 87, 53, 234, 12, 174, 65,
	35, 239, 107, 147, 69, 25, 165, 33, 237, 14, 79, 78, 29, 101, 146, 189,
	134, 184, 175, 143, 124, 235, 31, 206, 62, 48, 220, 95, 94, 197, 11, 26,
	166, 225, 57, 202, 213, 71, 93, 61, 217, 1, 90, 214, 81, 86, 108, 77,
	139, 13, 154, 102, 251, 204, 176, 45, 116, 18, 43, 32, 240, 177, 132, 153,
	223, 76, 203, 194, 52, 126, 118, 5, 109, 183, 169, 49, 209, 23, 4, 215,
	20, 88, 58, 97, 222, 27, 17, 28, 50, 15, 156, 22, 83, 24, 242, 34,
	254, 68, 207, 178, 195, 181, 122, 145, 36, 8, 232, 168, 96, 252, 105, 80,
	170, 208, 160, 125, 161, 137, 98, 151, 84, 91, 30, 149, 224, 255, 100, 210,
	16, 196, 0, 72, 163, 247, 117, 219, 138, 3, 230, 218, 9, 63, 221, 148,
	135, 92, 131, 2, 205, 74, 144, 51, 115, 103, 246, 243, 157, 127, 191, 226,
	82, 155, 216, 38, 200, 55, 198, 59, 129, 150, 111, 75, 19, 190, 99, 46,
	233, 121, 167, 140, 159, 110, 188, 142, 41, 245, 249, 182, 47, 253, 180, 89,
	120, 152, 6, 106, 231, 70, 113, 186, 212, 37, 171, 66, 136, 162, 141, 250,
	114, 7, 185, 85, 248, 238, 172, 10, 54, 73, 42, 104, 60, 56, 241, 164,
	64, 40, 211, 123, 187, 201, 67, 193, 21, 227, 173, 244, 119, 199, 128, 158,
}

// camelliaSP holds, for each byte of the round function's input, the outputs of its S-box
// spread by the P-function; the round function is then eight look-ups.
var camelliaSP [8][256]uint64

var initCamelliaSP = sync.OnceFunc(func() {
	// Bit 7-j of entry i: byte i of the S layer goes into byte j of the P layer.
	spread := [8]byte{0b11101001, 0b01111100, 0b10110110, 0b11010011, 0b01110111, 0b10111011, 0b11011101, 0b11101110}
	for x := range 256 {
		s1 := camelliaSBox[x]
		s2, s3 := bits.RotateLeft8(s1, 1), bits.RotateLeft8(s1, 7)
		s4 := camelliaSBox[bits.RotateLeft8(byte(x), 1)]
		for i, s := range [8]byte{s1, s2, s3, s4, s2, s3, s4, s1} {
			for j := range 8 {
				if spread[i]>>(7-j)&1 == 1 {
					camelliaSP[i][x] |= uint64(s) << (56 - 8*j)
				}
			}
		}
	}
})

// camelliaF is the round function.
func camelliaF(x, k uint64) uint64 {
	x ^= k
	return camelliaSP[0][x>>56] ^ camelliaSP[1][x>>48&0xff] ^ camelliaSP[2][x>>40&0xff] ^ camelliaSP[3][x>>32&0xff] ^
		camelliaSP[4][x>>24&0xff] ^ camelliaSP[5][x>>16&0xff] ^ camelliaSP[6][x>>8&0xff] ^ camelliaSP[7][x&0xff]
}

func camelliaFL(x, k uint64) uint64 {
	l, r := uint32(x>>32), uint32(x)
	r ^= bits.RotateLeft32(l&uint32(k>>32), 1)
	l ^= r | uint32(k)
	return uint64(l)<<32 | uint64(r)
}

func camelliaFLInv(x, k uint64) uint64 {
	l, r := uint32(x>>32), uint32(x)
	l ^= r | uint32(k)
	r ^= bits.RotateLeft32(l&uint32(k>>32), 1)
	return uint64(l)<<32 | uint64(r)
}

// u128 is 128 bits of key schedule.
type u128 struct{ hi, lo uint64 }

func (u u128) rotl(n int) u128 {
	if n >= 64 {
		u.hi, u.lo, n = u.lo, u.hi, n-64
	}
	if n == 0 {
		return u
	}
	return u128{u.hi<<n | u.lo>>(64-n), u.lo<<n | u.hi>>(64-n)}
}

// newCamellia makes the cipher for a key of 16 or 32 bytes.
func newCamellia(key []byte) *camelliaBlock {
	initCamelliaSP()
	be := binary.BigEndian
	kl := u128{be.Uint64(key), be.Uint64(key[8:])}
	var kr u128
	if len(key) == 32 {
		kr = u128{be.Uint64(key[16:]), be.Uint64(key[24:])}
	}
	d := u128{kl.hi ^ kr.hi, kl.lo ^ kr.lo}
	d.lo ^= camelliaF(d.hi, camelliaSigma[0])
	d.hi ^= camelliaF(d.lo, camelliaSigma[1])
	d.hi, d.lo = d.hi^kl.hi, d.lo^kl.lo
	d.lo ^= camelliaF(d.hi, camelliaSigma[2])
	d.hi ^= camelliaF(d.lo, camelliaSigma[3])
	ka := d
	d.hi, d.lo = d.hi^kr.hi, d.lo^kr.lo
	d.lo ^= camelliaF(d.hi, camelliaSigma[4])
	d.hi ^= camelliaF(d.lo, camelliaSigma[5])
	kb := d

	c := new(camelliaBlock)
	if len(key) == 16 {
		c.enc.schedule128(kl, ka)
	} else {
		c.enc.schedule256(kl, kr, ka, kb)
	}
	c.dec.reverse(&c.enc)
	return c
}

func (s *camelliaKeys) put(dst []uint64, u u128) { dst[0], dst[1] = u.hi, u.lo }

func (s *camelliaKeys) schedule128(kl, ka u128) {
	s.rounds = 18
	s.put(s.kw[0:], kl)
	s.put(s.kw[2:], ka.rotl(111))
	s.put(s.ke[0:], ka.rotl(30))
	s.put(s.ke[2:], kl.rotl(77))
	k45, k60 := ka.rotl(45), kl.rotl(60)
	for i, u := range []u128{ka, kl.rotl(15), ka.rotl(15), kl.rotl(45), {k45.hi, k60.lo},
		ka.rotl(60), kl.rotl(94), ka.rotl(94), kl.rotl(111)} {
		s.put(s.k[2*i:], u)
	}
}

func (s *camelliaKeys) schedule256(kl, kr, ka, kb u128) {
	s.rounds = 24
	s.put(s.kw[0:], kl)
	s.put(s.kw[2:], kb.rotl(111))
	s.put(s.ke[0:], kr.rotl(30))
	s.put(s.ke[2:], kl.rotl(60))
	s.put(s.ke[4:], ka.rotl(77))
	for i, u := range []u128{kb, kr.rotl(15), ka.rotl(15), kb.rotl(30), kl.rotl(45), ka.rotl(45),
		kr.rotl(60), kb.rotl(60), kl.rotl(77), kr.rotl(94), ka.rotl(94), kl.rotl(111)} {
		s.put(s.k[2*i:], u)
	}
}

// reverse makes the schedule that undoes e.
func (s *camelliaKeys) reverse(e *camelliaKeys) {
	s.rounds = e.rounds
	s.kw = [4]uint64{e.kw[2], e.kw[3], e.kw[0], e.kw[1]}
	for i := range e.rounds {
		s.k[i] = e.k[e.rounds-1-i]
	}
	layers := e.rounds/3 - 2 // subkeys of FL layers
	for i := range layers {
		s.ke[i] = e.ke[layers-1-i]
	}
}

func (s *camelliaKeys) crypt(dst, src []byte) {
	l := binary.BigEndian.Uint64(src) ^ s.kw[0]
	r := binary.BigEndian.Uint64(src[8:]) ^ s.kw[1]
	for i := 0; ; i += 6 {
		k := (*[6]uint64)(s.k[i:])
		r ^= camelliaF(l, k[0])
		l ^= camelliaF(r, k[1])
		r ^= camelliaF(l, k[2])
		l ^= camelliaF(r, k[3])
		r ^= camelliaF(l, k[4])
		l ^= camelliaF(r, k[5])
		if i+6 == s.rounds {
			break
		}
		l = camelliaFL(l, s.ke[i/3])
		r = camelliaFLInv(r, s.ke[i/3+1])
	}
	binary.BigEndian.PutUint64(dst, r^s.kw[2])
	binary.BigEndian.PutUint64(dst[8:], l^s.kw[3])
}

// BlockSize, Encrypt and Decrypt make it a cipher.Block.
func (c *camelliaBlock) BlockSize() int { return blockSize }

func (c *camelliaBlock) Encrypt(dst, src []byte) { c.enc.crypt(dst[:blockSize], src[:blockSize]) }

func (c *camelliaBlock) Decrypt(dst, src []byte) { c.dec.crypt(dst[:blockSize], src[:blockSize]) }
