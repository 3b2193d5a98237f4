package krbcrypto

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/subtle"
	"fmt"
	"hash"
	"slices"
)

// Checksum types (IANA registry "Kerberos Checksum Type Numbers").
const (
	SumMD5          int32 = 7  // rsa-md5, unkeyed
	SumSHA1NIST     int32 = 9  // MIT's number for unkeyed SHA-1
	SumHMACSHA1DES3 int32 = 12 // hmac-sha1-des3-kd
	SumSHA1         int32 = 14 // unkeyed SHA-1, RFC 3961
	SumAES128SHA1   int32 = 15 // hmac-sha1-96-aes128
	SumAES256SHA1   int32 = 16 // hmac-sha1-96-aes256
	SumCamellia128  int32 = 17 // cmac-camellia128
	SumCamellia256  int32 = 18 // cmac-camellia256
	SumAES128SHA2   int32 = 19 // hmac-sha256-128-aes128
	SumAES256SHA2   int32 = 20 // hmac-sha384-192-aes256
	SumMD5HMACRC4   int32 = -137
	SumHMACMD5      int32 = -138 // hmac-md5-rc4; [MS-SFU] uses it with keys of any type
)

// ChecksumType returns the mandatory checksum type of the key's enctype.
func (k *Key) ChecksumType() int32 { return k.s.sumType }

// ChecksumLen returns the length of the mandatory checksum in bytes.
func (k *Key) ChecksumLen() int { return k.s.sumBytes }

// Checksum appends the mandatory checksum of the concatenated data to dst.
func (k *Key) Checksum(dst []byte, usage uint32, data ...[]byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, k.s.sumBytes)[:n+k.s.sumBytes]
	k.summer(usage).sum(dst[n:], data)
	return dst
}

// VerifyChecksum checks a mandatory checksum. Every failure is ErrIntegrity, one of another
// length ErrLength.
func (k *Key) VerifyChecksum(usage uint32, data, sum []byte) error {
	return k.summer(usage).check(sum, data)
}

// VerifyAny checks a checksum of a type named by the peer: the mandatory one of the key,
// one of the two RC4 types with a key they take, or an unkeyed one (k may then be nil).
// Whether an unkeyed type is good enough is the caller's decision: ask IsKeyed first.
// It fails with ErrUnsupported for a type that is unknown or does not fit the key, with
// ErrLength for a checksum of another length than its type's, and with ErrIntegrity.
func VerifyAny(k *Key, sumtype int32, usage uint32, data, sum []byte) error {
	if newHash := unkeyed(sumtype); newHash != nil {
		h := newHash()
		h.Write(data)
		if len(sum) != h.Size() {
			return ErrLength
		}
		if subtle.ConstantTimeCompare(h.Sum(nil), sum) != 1 {
			return ErrIntegrity
		}
		return nil
	}
	m, err := k.keyed(sumtype, usage)
	if err != nil {
		return err
	}
	return m.check(sum, data)
}

// ChecksumAs computes a keyed checksum of a type that the peer chose: the mandatory one of the
// key, or one of the two RC4 types with a key they take. For any other it fails with
// ErrUnsupported.
func (k *Key) ChecksumAs(sumtype int32, usage uint32, data []byte) ([]byte, error) {
	m, err := k.keyed(sumtype, usage)
	if err != nil {
		return nil, err
	}
	out := make([]byte, m.n)
	m.sum(out, [][]byte{data})
	return out, nil
}

// keyed finds what computes a checksum type under a key, which may be nil.
func (k *Key) keyed(sumtype int32, usage uint32) (*summer, error) {
	switch {
	case k == nil:
		return nil, fmt.Errorf("checksum type %d without a key: %w", sumtype, ErrUnsupported)
	case sumtype == k.s.sumType:
		return k.summer(usage), nil
	case sumtype == SumHMACMD5:
		return newMD5Summer(hmacMD5(k.b, []byte(signatureKey)), usage), nil
	case sumtype == SumMD5HMACRC4 && k.s.sumType == SumHMACMD5:
		return newMD5Summer(k.b, usage), nil
	}
	return nil, fmt.Errorf("checksum type %d with a %s key: %w", sumtype, k.s.name, ErrUnsupported)
}

func unkeyed(sumtype int32) func() hash.Hash {
	switch sumtype {
	case SumMD5:
		return md5.New
	case SumSHA1, SumSHA1NIST:
		return sha1.New
	}
	return nil
}

// IsKeyed reports whether a checksum type is implemented and depends on a key.
func IsKeyed(sumtype int32) bool {
	if sumtype == SumMD5HMACRC4 || sumtype == SumHMACMD5 {
		return true
	}
	for _, s := range suites {
		if s.sumType == sumtype {
			return true
		}
	}
	return false
}

// IsCollisionProof reports whether a checksum type is implemented and counts, in the sense
// of RFC 3961 section 4, as collision-proof. Every type implemented here does: MIT counts
// plain MD5 among them.
func IsCollisionProof(sumtype int32) bool { return IsKeyed(sumtype) || unkeyed(sumtype) != nil }
