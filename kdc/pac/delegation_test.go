package pac

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdcfixture"
)

// recordedDelegations are those of MIT krb5kdc 1.23.
func recordedDelegations(t testing.TB) (out [][]byte) {
	t.Helper()
	recorded(t, func(_ string, _ kdcfixture.Step, _ bool, _ *krbmsg.EncTicketPart, p *PAC, _, _ *krbcrypto.Key) {
		if b, err := p.Find(TypeDelegation); err == nil {
			out = append(out, b.Data)
		}
	})
	if len(out) < 2 {
		t.Fatalf("only %d recorded", len(out))
	}
	return out
}

func TestDelegationIsByteIdentical(t *testing.T) {
	for i, b := range recordedDelegations(t) {
		d, err := ParseDelegation(b)
		if err != nil {
			t.Fatal(err)
		}
		want := &Delegation{Target: []string{"service/2", "service/3"}[i], Via: []string{"service/1@T.TEST"}}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("%+v, want %+v", d, want)
		}
		if got, err := d.Encode(); err != nil || !bytes.Equal(got, b) {
			t.Errorf("encoded\n %x, %v\nwant\n %x", got, err, b)
		}
	}
}

func TestDelegationRoundTrip(t *testing.T) {
	for _, d := range []Delegation{
		{Target: ""},
		{Target: "odd"},
		{Target: "é😀", Via: []string{"a@B", "", "ccc@D"}},
		{Target: "x", Via: slices.Repeat([]string{"host/some.where@SOME.WHERE"}, maxVia)},
	} {
		b, err := d.Encode()
		if err != nil || len(b)%8 != 0 {
			t.Fatalf("%d octets, %v", len(b), err)
		}
		if got, err := ParseDelegation(b); err != nil || got.Target != d.Target || !slices.Equal(got.Via, d.Via) {
			t.Errorf("%+v, %v, want %+v", got, err, d)
		}
	}
	for name, d := range map[string]Delegation{
		"not UTF-8": {Target: "\xff"},
		"long":      {Target: strings.Repeat("x", 0x8000)},
		"chain":     {Via: make([]string, maxVia+1)},
	} {
		if _, err := d.Encode(); !errors.Is(err, ErrDelegations) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDelegationMalformed cuts a good one short and changes each octet: an error or another
// value, never a panic, and never more than the input could hold.
func TestDelegationMalformed(t *testing.T) {
	good := recordedDelegations(t)[0]
	for n := range len(good) - 4 { // the last 4 octets are padding
		if d, err := ParseDelegation(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d octets: %+v, %v", n, d, err)
		}
	}
	for i := range good {
		for _, x := range []byte{1, 0x80, 0xff} {
			b := slices.Clone(good)
			b[i] ^= x
			if _, err := ParseDelegation(b); err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("octet %d: %v", i, err)
			}
		}
	}
}

func FuzzDelegation(f *testing.F) {
	for _, b := range recordedDelegations(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDelegation(b)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseDelegation(again); err != nil || got.Target != d.Target || !slices.Equal(got.Via, d.Via) {
			t.Errorf("%+v became %+v, %v", d, got, err)
		}
	})
}
