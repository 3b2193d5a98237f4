package krbcrypto

import (
	"fmt"
	"testing"
)

// BenchmarkEncrypt and BenchmarkDecrypt: "cached" is a key that has met the usage before,
// as long-term keys have; "fresh" is a session key's first message, derivation included.
func BenchmarkEncrypt(b *testing.B) {
	for _, e := range allEtypes() {
		k := randomKey(b, e)
		for _, n := range []int{200, 1000} {
			msg := message(n)
			buf := make([]byte, 0, k.CipherLen(n))
			b.Run(fmt.Sprintf("%v/%d/cached", e, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					k.Encrypt(buf, 2, msg)
				}
			})
			b.Run(fmt.Sprintf("%v/%d/fresh", e, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					newKey(k.s, k.b).Encrypt(buf, 2, msg)
				}
			})
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	for _, e := range allEtypes() {
		k := randomKey(b, e)
		ct := k.Encrypt(nil, 2, message(200))
		buf := make([]byte, 0, len(ct))
		b.Run(fmt.Sprintf("%v/200/cached", e), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Decrypt(buf, 2, ct); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, e := range allEtypes() {
		k := randomKey(b, e)
		msg, buf := message(200), make([]byte, 0, 24)
		b.Run(e.String()+"/200/cached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Checksum(buf, 17, msg)
			}
		})
	}
}

// BenchmarkSessionKey is the work of one TGS request on its session key: checksum and
// authenticator in, reply out, nothing cached before.
func BenchmarkSessionKey(b *testing.B) {
	for _, e := range []Enctype{ETypeAES256SHA1, ETypeAES256SHA2} {
		k := randomKey(b, e)
		body, auth := message(250), k.Encrypt(nil, UsageTGSReqAuth, message(120))
		sum := k.Checksum(nil, UsageTGSReqAuthCksum, body)
		var buf []byte
		b.Run(e.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := newKey(k.s, k.b)
				var err error
				if buf, err = s.Decrypt(buf[:0], UsageTGSReqAuth, auth); err != nil {
					b.Fatal(err)
				}
				if err := s.VerifyChecksum(UsageTGSReqAuthCksum, body, sum); err != nil {
					b.Fatal(err)
				}
				buf = s.Encrypt(buf[:0], UsageTGSRepSession, body)
			}
		})
	}
}

func BenchmarkStringToKey(b *testing.B) {
	for _, e := range allEtypes() {
		b.Run(e.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := StringToKey(e, []byte("password"), []byte("EXAMPLE.ORGalice"), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCF2(b *testing.B) {
	k1, k2 := randomKey(b, ETypeAES256SHA1), randomKey(b, ETypeAES256SHA1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CF2(k1, k2, "subkeyarmor", "ticketarmor"); err != nil {
			b.Fatal(err)
		}
	}
}
