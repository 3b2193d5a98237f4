package krbcrypto

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"pgregory.net/rapid"
)

func allEtypes() []Enctype {
	var list []Enctype
	for _, s := range suites {
		list = append(list, s.etype)
	}
	return list
}

func randomKey(t testing.TB, e Enctype) *Key {
	t.Helper()
	k, err := RandomKey(e)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSuites: every number that IANA gave is there with its sizes.
func TestSuites(t *testing.T) {
	for e, want := range map[Enctype][5]int{ // key, seed, overhead, checksum type and length
		16: {24, 21, 28, 12, 20}, 17: {16, 16, 28, 15, 12}, 18: {32, 32, 28, 16, 12},
		19: {16, 16, 32, 19, 16}, 20: {32, 32, 40, 20, 24}, 23: {16, 16, 24, -138, 16},
		24: {16, 16, 24, -138, 16}, 25: {16, 16, 32, 17, 16}, 26: {32, 32, 32, 18, 16},
	} {
		k := randomKey(t, e)
		got := [5]int{KeyBytes(e), SeedBytes(e), k.Overhead(), int(k.ChecksumType()), k.ChecksumLen()}
		if got != want || !Supported(e) || k.Enctype() != e {
			t.Errorf("%v: %v, want %v", e, got, want)
		}
	}
	if len(suites) != 9 {
		t.Errorf("%d suites", len(suites))
	}
	for _, e := range []Enctype{0, 1, 6, 22, -135, 1 << 30} {
		_, err1 := NewKey(e, make([]byte, 16))
		_, err2 := RandomKey(e)
		_, err3 := KeyFromSeed(e, make([]byte, 16))
		_, err4 := StringToKey(e, nil, nil, nil)
		for _, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%d: %v", e, err)
			}
		}
		if Supported(e) || KeyBytes(e) != 0 || SeedBytes(e) != 0 {
			t.Errorf("%d is supported", e)
		}
	}
}

func TestNewKey(t *testing.T) {
	for _, e := range allEtypes() {
		n := KeyBytes(e)
		for _, bad := range []int{0, n - 1, n + 1} {
			if _, err := NewKey(e, make([]byte, bad)); !errors.Is(err, ErrKeySize) {
				t.Errorf("%v with %d bytes: %v", e, bad, err)
			}
		}
		if _, err := KeyFromSeed(e, make([]byte, SeedBytes(e)+1)); !errors.Is(err, ErrKeySize) {
			t.Errorf("%v: %v", e, err)
		}
		b := bytes.Repeat([]byte{1}, n)
		k := mustKey(t, e, b)
		b[0] = 2
		if k.Bytes()[0] != 1 {
			t.Errorf("%v keeps the caller's bytes", e)
		}
		o := mustKey(t, e, b)
		if k.Equal(o) || !k.Equal(mustKey(t, e, bytes.Repeat([]byte{1}, n))) || randomKey(t, e).Equal(randomKey(t, e)) {
			t.Errorf("%v: equality", e)
		}
	}
	if mustKey(t, 17, make([]byte, 16)).Equal(mustKey(t, 19, make([]byte, 16))) {
		t.Error("keys of two types are equal")
	}
}

// TestKeyDoesNotPrint: no verb shows a byte of a key.
func TestKeyDoesNotPrint(t *testing.T) {
	k := mustKey(t, ETypeAES128SHA1, []byte("0123456789abcdef"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "<aes128-cts-hmac-sha1-96 key>" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if got := fmt.Sprint((*Key)(nil)); got != "<no key>" {
		t.Errorf("nil prints %q", got)
	}
}

// padded is what Decrypt gives back for a message.
func padded(k *Key, msg []byte) []byte {
	return append(slices.Clone(msg), make([]byte, k.CipherLen(len(msg))-k.Overhead()-len(msg))...)
}

// TestRoundTrip: any message under any usage comes back, appended, alone or in place, and a
// change anywhere is noticed.
func TestRoundTrip(t *testing.T) {
	for _, e := range allEtypes() {
		t.Run(e.String(), func(t *testing.T) {
			k := randomKey(t, e)
			rapid.Check(t, func(t *rapid.T) {
				msg := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "msg")
				usage := rapid.Uint32().Draw(t, "usage")
				head := []byte("head")
				ct := k.Encrypt(slices.Clone(head), usage, msg)
				if !bytes.HasPrefix(ct, head) || len(ct) != len(head)+k.CipherLen(len(msg)) {
					t.Fatalf("ciphertext of %d bytes", len(ct))
				}
				ct = ct[len(head):]
				kept := slices.Clone(ct)
				got, err := k.Decrypt(slices.Clone(head), usage, ct)
				if err != nil || !bytes.Equal(got, append(slices.Clone(head), padded(k, msg)...)) {
					t.Fatalf("decrypted %x, %v", got, err)
				}
				if !bytes.Equal(ct, kept) {
					t.Fatal("decryption changed its input")
				}
				at := rapid.IntRange(0, len(ct)-1).Draw(t, "at")
				bit := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
				ct[at] ^= bit
				if got, err := k.Decrypt(head, usage, ct); !errors.Is(err, ErrIntegrity) || !bytes.Equal(got, head) {
					t.Fatalf("bit of byte %d changed: %x, %v", at, got, err)
				}
				ct[at] ^= bit
				if _, err := k.Decrypt(nil, usage^1<<20, ct); !errors.Is(err, ErrIntegrity) {
					t.Fatalf("other usage: %v", err)
				}
				if got, err = k.Decrypt(ct[:0], usage, ct); err != nil || !bytes.Equal(got, padded(k, msg)) {
					t.Fatalf("in place: %x, %v", got, err)
				}
			})
		})
	}
}

// TestShort: no ciphertext of any length up to the shortest valid one, and none cut from a
// valid one, is accepted or panics.
func TestShort(t *testing.T) {
	for _, e := range allEtypes() {
		k := randomKey(t, e)
		ct := k.Encrypt(nil, 7, message(40))
		for n := range ct {
			if _, err := k.Decrypt(nil, 7, ct[:n]); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%v: %d of %d bytes: %v", e, n, len(ct), err)
			}
			_, err := k.Decrypt(nil, 7, make([]byte, n))
			if short := n < k.Overhead() || e == ETypeDES3 && (n-k.Overhead())%8 != 0; !errors.Is(err, ErrIntegrity) || errors.Is(err, ErrLength) != short {
				t.Errorf("%v: %d zeros: %v", e, n, err)
			}
		}
		if _, err := k.Decrypt(nil, 7, nil); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%v: nothing: %v", e, err)
		}
	}
}

// TestFailedDecryptLeavesNothing: what was decrypted before the tag was found wrong does not
// stay in the caller's buffer.
func TestFailedDecryptLeavesNothing(t *testing.T) {
	for _, e := range allEtypes() {
		k := randomKey(t, e)
		ct := k.Encrypt(nil, 7, bytes.Repeat([]byte("secret"), 8))
		ct[len(ct)-1] ^= 1 // of the tag, or, for rc4, of the message
		buf := make([]byte, 0, 200)
		if _, err := k.Decrypt(buf, 7, ct); err == nil {
			t.Fatalf("%v: accepted", e)
		}
		if bytes.Contains(buf[:cap(buf)], []byte("secret")) {
			t.Errorf("%v: plaintext left behind", e)
		}
	}
}

// TestChecksum: pieces do not matter, usages do, and lengths are checked.
func TestChecksum(t *testing.T) {
	for _, e := range allEtypes() {
		k := randomKey(t, e)
		msg := message(70)
		sum := k.Checksum([]byte("x"), 17, msg)[1:]
		if !bytes.Equal(sum, k.Checksum(nil, 17, msg[:1], nil, msg[1:40], msg[40:])) || len(sum) != k.ChecksumLen() {
			t.Errorf("%v: checksum in pieces differs", e)
		}
		if err := k.VerifyChecksum(17, msg, sum); err != nil {
			t.Errorf("%v: %v", e, err)
		}
		for name, err := range map[string]error{
			"other usage":   k.VerifyChecksum(18, msg, sum),
			"other message": k.VerifyChecksum(17, msg[1:], sum),
			"cut":           k.VerifyChecksum(17, msg, sum[:len(sum)-1]),
			"longer":        k.VerifyChecksum(17, msg, append(slices.Clone(sum), 0)),
			"empty":         k.VerifyChecksum(17, msg, nil),
			"other key":     randomKey(t, e).VerifyChecksum(17, msg, sum),
		} {
			if length := slices.Contains([]string{"cut", "longer", "empty"}, name); !errors.Is(err, ErrIntegrity) || errors.Is(err, ErrLength) != length {
				t.Errorf("%v, %s: %v", e, name, err)
			}
		}
	}
}

func TestVerifyAny(t *testing.T) {
	aes, rc4 := randomKey(t, ETypeAES256SHA1), randomKey(t, ETypeRC4)
	for name, err := range map[string]error{
		"no key":            VerifyAny(nil, SumAES256SHA1, 1, nil, make([]byte, 12)),
		"other enctype":     VerifyAny(aes, SumAES128SHA1, 1, nil, make([]byte, 12)),
		"-137 without rc4":  VerifyAny(aes, SumMD5HMACRC4, 1, nil, make([]byte, 16)),
		"unknown type":      VerifyAny(rc4, 1, 1, nil, make([]byte, 4)),
		"none":              VerifyAny(rc4, 0, 1, nil, nil),
		"hmac without key":  VerifyAny(nil, SumHMACMD5, 1, nil, make([]byte, 16)),
		"hmac-sha1 for rc4": VerifyAny(rc4, SumHMACSHA1DES3, 1, nil, make([]byte, 20)),
	} {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, typ := range []int32{SumMD5, SumSHA1, SumAES128SHA1, SumMD5HMACRC4, 1, 99} {
		if sum, err := aes.ChecksumAs(typ, 1, nil); !errors.Is(err, ErrUnsupported) {
			t.Errorf("type %d with %v: %x, %v", typ, aes, sum, err)
		}
	}
	for _, typ := range []int32{SumMD5, SumSHA1, SumSHA1NIST, SumHMACMD5, SumMD5HMACRC4} {
		if err := VerifyAny(rc4, typ, 1, []byte("x"), nil); !errors.Is(err, ErrLength) {
			t.Errorf("type %d without checksum: %v", typ, err)
		}
		if !IsCollisionProof(typ) || IsKeyed(typ) != (typ < 0) {
			t.Errorf("properties of type %d", typ)
		}
	}
	if !IsKeyed(SumCamellia128) || IsKeyed(1) || IsCollisionProof(0) {
		t.Error("properties")
	}
}

func TestPRFPlus(t *testing.T) {
	for _, e := range allEtypes() {
		k := randomKey(t, e)
		long := k.PRFPlus([]byte("in"), maxPRFPlus*len(k.PRF(nil)))
		if !bytes.HasPrefix(long, k.PRFPlus([]byte("in"), 7)) || len(k.PRFPlus(nil, 0)) != 0 {
			t.Errorf("%v: lengths", e)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: no end to PRF+", e)
				}
			}()
			k.PRFPlus([]byte("in"), len(long)+1)
		}()
	}
	if _, err := CF2(nil, randomKey(t, 17), "a", "b"); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// TestStringToKeyLimits: too few iterations, too many, and parameters of other shapes are
// refused before any work is done.
func TestStringToKeyLimits(t *testing.T) {
	for _, e := range allEtypes() {
		for _, params := range []string{"\x00\x00\x0f\xff", "\x00\x10\x00\x01", "\xff\xff\xff\xff", "\x00\x00\x00\x00", "x", "\x00\x00\x80\x00\x00"} {
			if _, err := StringToKey(e, []byte("pw"), []byte("salt"), []byte(params)); !errors.Is(err, ErrParams) {
				t.Errorf("%v with %x: %v", e, params, err)
			}
		}
	}
	if _, err := StringToKey(ETypeRC4, []byte("\xff"), nil, nil); !errors.Is(err, ErrParams) {
		t.Errorf("rc4 with Latin-1: %v", err)
	}
	if _, err := StringToKey(ETypeDES3, make([]byte, maxFold+1), nil, nil); !errors.Is(err, ErrParams) {
		t.Errorf("des3 with a huge password: %v", err)
	}
}

// TestConcurrent has many goroutines meet new usages of one key at once. Run with -race.
func TestConcurrent(t *testing.T) {
	for _, e := range allEtypes() {
		k := randomKey(t, e)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 100 {
					usage := uint32((i + g) % 20)
					msg := message(i)
					got, err := k.Decrypt(nil, usage, k.Encrypt(nil, usage, msg))
					if err != nil || !bytes.Equal(got, padded(k, msg)) {
						t.Errorf("%v: %x, %v", e, got, err)
						return
					}
					if err := k.VerifyChecksum(usage, msg, k.Checksum(nil, usage, msg)); err != nil {
						t.Errorf("%v: %v", e, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestCacheBound: a key does not remember usages without end.
func TestCacheBound(t *testing.T) {
	k := randomKey(t, ETypeAES256SHA1)
	for usage := range uint32(3 * maxCached) {
		k.Encrypt(nil, usage, nil)
		k.Checksum(nil, usage)
	}
	seals, sums := 0, 0
	for n := k.seals.Load(); n != nil; n = n.next {
		seals++
	}
	for n := k.sums.Load(); n != nil; n = n.next {
		sums++
	}
	if seals != maxCached || sums != maxCached {
		t.Errorf("%d and %d remembered", seals, sums)
	}
	if _, err := k.Decrypt(nil, 150, k.Encrypt(nil, 150, nil)); err != nil {
		t.Error(err)
	}
}

// TestGokrb5 exchanges messages and checksums with gokrb5 in both directions, where gokrb5
// is right: it fails on usage 0, and for RC4 on usages 9 and from 128 on.
func TestGokrb5(t *testing.T) {
	usages := []uint32{1, 2, 3, 7, 8, 10, 17, 23, 56, 127, 513, 1026, 1 << 27}
	for _, e := range []Enctype{16, 17, 18, 19, 20, 23} {
		k := randomKey(t, e)
		their, err := crypto.GetEtype(int32(e))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 130 {
			usage := usages[n%len(usages)]
			if e == ETypeRC4 && usage > 127 {
				continue
			}
			msg := message(n)
			_, ct, err := their.EncryptMessage(k.Bytes(), msg, usage)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Decrypt(nil, usage, ct); err != nil || !bytes.Equal(got, padded(k, msg)) {
				t.Errorf("%v, usage %d: we get %x, %v", e, usage, got, err)
			}
			if got, err := their.DecryptMessage(k.Bytes(), k.Encrypt(nil, usage, msg), usage); err != nil || !bytes.Equal(got, padded(k, msg)) {
				t.Errorf("%v, usage %d: gokrb5 gets %x, %v", e, usage, got, err)
			}
			sum, err := their.GetChecksumHash(k.Bytes(), msg, usage)
			if err != nil || !bytes.Equal(sum, k.Checksum(nil, usage, msg)) {
				t.Errorf("%v, usage %d: checksum differs: %v", e, usage, err)
			}
		}
	}
}

func TestKeysDoNotAlias(t *testing.T) {
	for _, e := range DefaultEnctypes() {
		seed := make([]byte, SeedBytes(e))
		k, err := KeyFromSeed(e, seed)
		if err != nil {
			t.Fatal(err)
		}
		raw := bytes.Clone(k.Bytes())
		k2, err := NewKey(e, raw)
		if err != nil {
			t.Fatal(err)
		}
		for i := range seed {
			seed[i] = 0xff
		}
		for i := range raw {
			raw[i] = 0xff
		}
		if !k.Equal(k2) {
			t.Errorf("%v: a key changed with the bytes it was made of", e)
		}
	}
}
