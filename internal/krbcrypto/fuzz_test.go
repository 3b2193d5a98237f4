package krbcrypto

import (
	"errors"
	"testing"
)

// FuzzDecrypt gives any bytes to Decrypt and VerifyAny under every enctype, MIT's ciphertexts
// among them.
func FuzzDecrypt(f *testing.F) {
	vs, keys := readVectors(f)
	for _, v := range vs {
		if v.Op == "encrypt" && v.N < 40 {
			f.Add(int32(v.Etype), v.Usage, unhex(f, *v.Out))
		}
	}
	f.Fuzz(func(t *testing.T, e int32, usage uint32, ct []byte) {
		k := keys[Enctype(e)]
		if k == nil {
			for _, k = range keys { // whatever the number, some enctype gets the bytes
				break
			}
		}
		got, err := k.Decrypt(nil, usage, ct)
		if err != nil && !errors.Is(err, ErrIntegrity) {
			t.Fatalf("%v: %v", k, err)
		}
		if err == nil && len(got) > len(ct)-k.Overhead() {
			t.Fatalf("%v: %d bytes out of %d", k, len(got), len(ct))
		}
		for _, typ := range []int32{k.ChecksumType(), SumHMACMD5, SumMD5, SumMD5HMACRC4, e} {
			if VerifyAny(k, typ, usage, ct, ct) == nil {
				t.Fatalf("%v: message is its own checksum of type %d", k, typ)
			}
		}
	})
}
