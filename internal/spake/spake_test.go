package spake

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"filippo.io/edwards25519"

	"krealm/internal/krbcrypto"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vector struct {
	Etype                 krbcrypto.Enctype
	Group                 Group
	Support               bool
	Key, W, X, Y, T, S, K hexBytes
	Challenge, THash      hexBytes
	Keys                  []hexBytes
}

func vectors(tb testing.TB) (list []vector, body []byte) {
	tb.Helper()
	data, err := os.ReadFile("testdata/rfc9588.json")
	if err != nil {
		tb.Fatal(err)
	}
	var f struct {
		Body    hexBytes
		Vectors []vector
	}
	if err := json.Unmarshal(data, &f); err != nil {
		tb.Fatal(err)
	}
	return f.Vectors, f.Body
}

func exchangeOf(tb testing.TB, v *vector) *Exchange {
	tb.Helper()
	k, err := krbcrypto.NewKey(v.Etype, v.Key)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := New(v.Group, k)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func same(t *testing.T, what string, got, want []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s %x, %v, want %x", what, got, err, want)
	}
}

// TestRFCVectors computes everything in RFC 9588 appendix B, on both sides.
func TestRFCVectors(t *testing.T) {
	list, body := vectors(t)
	if len(list) != 8 {
		t.Fatalf("%d vectors", len(list))
	}
	for i := range list {
		v := &list[i]
		t.Run(fmt.Sprint(i, " ", v.Group), func(t *testing.T) {
			e := exchangeOf(t, v)
			same(t, "w", e.w, v.W, nil)
			for _, side := range []struct {
				role               Role
				private, own, peer []byte
			}{{KDC, v.X, v.T, v.S}, {Client, v.Y, v.S, v.T}} {
				public, err := e.params.math.public(side.role, e.w, side.private)
				same(t, "public value", public, side.own, err)
				k, err := e.Agree(side.role, side.private, side.peer)
				same(t, "K", k, v.K, err)
			}
			var support []byte
			if v.Support { // one group, in the same message as always
				support = []byte{0xa0, 9, 0x30, 7, 0xa0, 5, 0x30, 3, 2, 1, byte(v.Group)}
			}
			th := e.Transcript(e.Transcript(nil, support, v.Challenge), v.S)
			same(t, "transcript", th, v.THash, nil)
			for n, want := range v.Keys {
				k, err := e.Key(uint32(n), v.K, th, append(body[:len(body):len(body)], byte(v.Etype)))
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("K'[%d]", n), k.Bytes(), want, nil)
			}
		})
	}
}

// TestAgree lets both sides make their own numbers.
func TestAgree(t *testing.T) {
	for g := range groups {
		for _, password := range []string{"right", "wrong"} {
			kdc, client := passwordExchange(t, g, "right"), passwordExchange(t, g, password)
			x, pubT, err := kdc.Generate(KDC)
			if err != nil {
				t.Fatal(err)
			}
			y, pubS, err := client.Generate(Client)
			if err != nil {
				t.Fatal(err)
			}
			k1, err := kdc.Agree(KDC, x, pubS)
			if err != nil {
				t.Fatal(err)
			}
			k2, err := client.Agree(Client, y, pubT)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(k1, k2) != (password == "right") {
				t.Errorf("%v, %s password: %x and %x", g, password, k1, k2)
			}
			if z, _, err := kdc.Generate(KDC); err != nil || bytes.Equal(z, x) {
				t.Errorf("%v: the same private number twice, %v", g, err)
			}
		}
	}
}

func passwordExchange(tb testing.TB, g Group, password string) *Exchange {
	tb.Helper()
	k, err := krbcrypto.StringToKey(krbcrypto.ETypeAES128SHA1, []byte(password), []byte("salt"), nil)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := New(g, k)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// TestBadPoints: what is no point, and the points with which nothing can be agreed on.
func TestBadPoints(t *testing.T) {
	for g := range groups {
		e := passwordExchange(t, g, "x")
		x, public, err := e.Generate(KDC)
		if err != nil {
			t.Fatal(err)
		}
		off := bytes.Clone(public)
		for { // a coordinate without a point
			off[len(off)-2]++
			if _, err := e.Agree(KDC, x, off); err != nil {
				break
			}
		}
		for name, peer := range map[string][]byte{
			"empty": nil, "short": public[1:], "long": append(bytes.Clone(public), 0), "infinity": {0},
			"off the curve": off, "blinding itself": e.blind(t),
		} {
			if _, err := e.Agree(KDC, x, peer); !errors.Is(err, ErrPoint) {
				t.Errorf("%v, %s: %v, want ErrPoint", g, name, err)
			}
		}
		for name, private := range map[string][]byte{"empty": nil, "short": x[1:], "all ones": bytes.Repeat([]byte{0xff}, len(x))} {
			if _, err := e.Agree(KDC, private, public); !errors.Is(err, ErrState) {
				t.Errorf("%v, private number %s: %v, want ErrState", g, name, err)
			}
		}
	}
}

// blind is w*N: a client's value without the client's part.
func (e *Exchange) blind(t *testing.T) []byte {
	t.Helper()
	switch c := e.params.math.(type) {
	case edwards:
		return new(edwards25519.Point).ScalarMult(c.multiplier(e.w), edwardsN).Bytes()
	case interface{ blindForTest([]byte) []byte }:
		return c.blindForTest(e.w)
	}
	t.Fatal("no such group")
	return nil
}

func (c *nist[P]) blindForTest(w []byte) []byte {
	p, err := c.fresh().ScalarMult(c.n, w)
	if err != nil {
		panic(err)
	}
	return p.BytesCompressed()
}

// TestSmallOrder: adding a point of order 8 to a public value changes nothing, as the private
// numbers are multiples of 8; such a point alone is refused when it meets its blinding.
func TestSmallOrder(t *testing.T) {
	e := passwordExchange(t, Edwards25519, "x")
	torsion, err := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	if err != nil {
		t.Fatal(err)
	}
	small, err := new(edwards25519.Point).SetBytes(torsion)
	if err != nil {
		t.Fatal(err)
	}
	x, _, err := e.Generate(KDC)
	if err != nil {
		t.Fatal(err)
	}
	_, public, err := e.Generate(Client)
	if err != nil {
		t.Fatal(err)
	}
	p, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		t.Fatal(err)
	}
	want, err := e.Agree(KDC, x, public)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Agree(KDC, x, p.Add(p, small).Bytes())
	same(t, "K", got, want, err)
	b, err := new(edwards25519.Point).SetBytes(e.blind(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Agree(KDC, x, b.Add(b, small).Bytes()); !errors.Is(err, ErrPoint) {
		t.Errorf("a value without the client's part: %v", err)
	}
}

func TestParseGroups(t *testing.T) {
	known, unknown := ParseGroups("p-256, edwards25519,P-521 P-256\tnonsense P-384")
	if !slices.Equal(known, []Group{P256, Edwards25519, P521, P384}) || !slices.Equal(unknown, []string{"nonsense"}) {
		t.Errorf("%v, %q", known, unknown)
	}
	if _, err := ParseGroup("P-257"); !errors.Is(err, ErrGroup) {
		t.Errorf("%v", err)
	}
	if Group(9).Known() || Group(9).String() != "group 9" {
		t.Error("group 9 is known")
	}
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(0, k); !errors.Is(err, ErrGroup) {
		t.Errorf("%v", err)
	}
}

func TestState(t *testing.T) {
	for g := range groups {
		e := passwordExchange(t, g, "x")
		x, public, err := e.Generate(KDC)
		if err != nil {
			t.Fatal(err)
		}
		in := State{Group: g, Private: x, Transcript: e.Transcript(nil, nil, public)}
		b := in.Append(nil)
		out, err := ParseState(b)
		if err != nil || out.Group != g || !bytes.Equal(out.Private, x) || !bytes.Equal(out.Transcript, in.Transcript) {
			t.Errorf("%v: %+v, %v", g, out, err)
		}
		for i := range b {
			if _, err := ParseState(b[:i]); !errors.Is(err, ErrState) && !errors.Is(err, ErrGroup) {
				t.Fatalf("%v cut at %d: %v", g, i, err)
			}
		}
		if _, err := ParseState(append(bytes.Clone(b), 0)); !errors.Is(err, ErrState) {
			t.Errorf("%v with more behind: %v", g, err)
		}
		b[3] = 1
		if _, err := ParseState(b); !errors.Is(err, ErrState) {
			t.Errorf("%v of stage 1: %v", g, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	for g, p := range groups {
		f.Add((&State{Group: g, Private: make([]byte, p.size), Transcript: p.hash()}).Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseState(b)
		if err == nil && !bytes.Equal(s.Append(nil), b) {
			t.Errorf("%x is printed as %x", b, s.Append(nil))
		}
	})
}

// FuzzAgree gives the arithmetic any public value.
func FuzzAgree(f *testing.F) {
	list, _ := vectors(f)
	for i := range list {
		f.Add(int32(list[i].Group), []byte(list[i].S))
	}
	exchanges, privates := map[Group]*Exchange{}, map[Group][]byte{}
	for g := range groups {
		exchanges[g] = passwordExchange(f, g, "x")
		x, _, err := exchanges[g].Generate(KDC)
		if err != nil {
			f.Fatal(err)
		}
		privates[g] = x
	}
	f.Fuzz(func(t *testing.T, group int32, peer []byte) {
		g := Group(group)
		if !g.Known() {
			return
		}
		if _, err := exchanges[g].Agree(KDC, privates[g], peer); err != nil && !errors.Is(err, ErrPoint) {
			t.Errorf("%v: %v", g, err)
		}
	})
}

// BenchmarkKDC is the KDC's part of a login: a challenge and what the response takes.
func BenchmarkKDC(b *testing.B) {
	for g := Edwards25519; g <= P521; g++ {
		b.Run(g.String(), func(b *testing.B) {
			e := passwordExchange(b, g, "x")
			_, public, err := e.Generate(Client)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				x, _, err := e.Generate(KDC)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := e.Agree(KDC, x, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
