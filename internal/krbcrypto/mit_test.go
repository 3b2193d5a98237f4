package krbcrypto

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
)

// mitVector is one line of testdata/mit.jsonl, written by mitvectors.py with MIT's library.
type mitVector struct {
	Op       string
	Etype    Enctype
	Etype2   Enctype
	Usage    uint32
	Type     int32
	N, Size  int
	Seed     string
	Key      string
	Password string
	Salt     string
	Params   string
	Out      *string // nil: MIT refuses
}

// message is the plaintext convention of the vectors.
func message(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(7*i + n)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustKey(t testing.TB, e Enctype, b []byte) *Key {
	t.Helper()
	k, err := NewKey(e, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// readVectors returns all vectors, and the key of each enctype that they use.
func readVectors(t testing.TB) ([]mitVector, map[Enctype]*Key) {
	t.Helper()
	f, err := os.Open("testdata/mit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var vs []mitVector
	keys := make(map[Enctype]*Key)
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var v mitVector
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.Op == "random-to-key" {
			keys[v.Etype] = mustKey(t, v.Etype, unhex(t, v.Key))
		}
		vs = append(vs, v)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return vs, keys
}

// TestMIT compares every operation of every enctype with MIT's library.
func TestMIT(t *testing.T) {
	vs, keys := readVectors(t)
	count := make(map[string]int)
	for i, v := range vs {
		count[v.Op]++
		t.Run(fmt.Sprintf("%d-%s-%d", i+1, v.Op, v.Etype), func(t *testing.T) {
			var want []byte
			if v.Out != nil {
				want = unhex(t, *v.Out)
			}
			k := keys[v.Etype]
			switch v.Op {
			case "random-to-key":
				got, err := KeyFromSeed(v.Etype, unhex(t, v.Seed))
				if err != nil || !got.Equal(k) {
					t.Errorf("got %x, %v, want %s", got.Bytes(), err, v.Key)
				}
			case "encrypt":
				checkEncrypt(t, k, v, want)
			case "checksum":
				checkSum(t, k, v, want)
			case "prf":
				checkBytes(t, k.PRF(message(v.N)), want)
			case "prf+":
				checkBytes(t, k.PRFPlus(message(v.N), v.Size), want)
			case "cf2":
				got, err := CF2(k, keys[v.Etype2], "one", "two")
				if err != nil {
					t.Fatal(err)
				}
				checkBytes(t, got.Bytes(), want)
			case "string-to-key":
				checkStringToKey(t, v, want)
			default:
				t.Fatalf("unknown operation %q", v.Op)
			}
		})
	}
	for _, op := range []string{"random-to-key", "encrypt", "checksum", "prf", "prf+", "cf2", "string-to-key"} {
		if count[op] == 0 {
			t.Errorf("no vector for %q", op)
		}
	}
}

func checkBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// checkEncrypt opens MIT's ciphertext; that our own ciphertexts are right follows from
// opening them (TestRoundTrip) with the same code.
func checkEncrypt(t *testing.T, k *Key, v mitVector, ct []byte) {
	t.Helper()
	if got := k.CipherLen(v.N); got != len(ct) {
		t.Errorf("CipherLen(%d) = %d, MIT's ciphertext has %d", v.N, got, len(ct))
	}
	got, err := k.Decrypt(nil, v.Usage, ct)
	if err != nil {
		t.Fatal(err)
	}
	want := message(v.N)
	if pad := got[min(v.N, len(got)):]; v.Etype == ETypeDES3 && len(pad) < 8 {
		got = got[:v.N]
	}
	checkBytes(t, got, want)
}

func checkSum(t *testing.T, k *Key, v mitVector, want []byte) {
	t.Helper()
	msg := message(v.N)
	if err := VerifyAny(k, v.Type, v.Usage, msg, want); err != nil {
		t.Errorf("VerifyAny: %v", err)
	}
	if err := VerifyAny(k, v.Type, v.Usage, append(msg, 0), want); !errors.Is(err, ErrIntegrity) {
		t.Errorf("VerifyAny of another message: %v", err)
	}
	if IsKeyed(v.Type) {
		got, err := k.ChecksumAs(v.Type, v.Usage, msg)
		if err != nil {
			t.Error(err)
		}
		checkBytes(t, got, want)
	}
	if k != nil && v.Type == k.ChecksumType() {
		checkBytes(t, k.Checksum(nil, v.Usage, msg[:v.N/2], msg[v.N/2:]), want)
		if err := k.VerifyChecksum(v.Usage, msg, want); err != nil || len(want) != k.ChecksumLen() {
			t.Errorf("VerifyChecksum: %v, ChecksumLen %d", err, k.ChecksumLen())
		}
	}
}

func checkStringToKey(t *testing.T, v mitVector, want []byte) {
	t.Helper()
	got, err := StringToKey(v.Etype, []byte(v.Password), []byte(v.Salt), unhex(t, v.Params))
	if v.Out == nil || v.Etype == ETypeDES3 && v.Params != "" { // MIT ignores parameters for des3
		if !errors.Is(err, ErrParams) {
			t.Errorf("got error %v, want ErrParams", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	checkBytes(t, got.Bytes(), want)
}
