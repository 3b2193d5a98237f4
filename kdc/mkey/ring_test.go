package mkey

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// TestActive follows the active version through the rollover of the fixtures.
func TestActive(t *testing.T) {
	for stage, want := range map[string]uint16{
		"0-before": 1, "1-added": 1, "2-used": 2, "3-mixed": 2, "4-stashed": 2,
		"5-reencrypted": 2, "6-purged": 2, "7-third": 2,
	} {
		_, ring := openRealm(t, "testdata/mkey/1.20.1/"+stage)
		if got := ring.Active(at); got.Kvno != want || !got.Key.Equal(ring.Key(want)) {
			t.Errorf("%s: version %d, want %d", stage, got.Kvno, want)
		}
	}
	r, ring := openRealm(t, "testdata/mkey/1.20.1/8-future")
	act, err := r.km().ActKVNO()
	if err != nil || len(act) != 2 || act[1].Kvno != 3 {
		t.Fatalf("%v, %v", act, err)
	}
	then := time.Unix(int64(act[1].Time), 0)
	if got := ring.Active(then.Add(-time.Second)).Kvno; got != 2 {
		t.Errorf("before its time: version %d", got)
	}
	if got := ring.Active(then).Kvno; got != 3 {
		t.Errorf("at its time: version %d", got)
	}
	if got := ring.Active(time.Unix(0, 0)).Kvno; got != 2 {
		t.Errorf("before all times: version %d, want the first of the list", got)
	}
}

// TestActiveWithoutList: no list, or one that names only versions that are gone, means the
// lowest version.
func TestActiveWithoutList(t *testing.T) {
	r := loadDump(t, "testdata/mkey/1.20.1/2-used.dump")
	st, err := ReadStash("testdata/mkey/1.20.1/2-used.stash", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	km := r.km()
	km.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: 9, Time: 0}})
	ring, err := Open(st, km)
	if err != nil || ring.Active(at).Kvno != 1 {
		t.Errorf("list of strangers: %v, %v", ring, err)
	}
	km.RemoveTL(dumpfmt.TLActKVNO)
	ring, err = Open(st, km)
	if err != nil || ring.Active(at).Kvno != 1 {
		t.Errorf("no list: %v, %v", ring, err)
	}
	km.SetActKVNO([]dumpfmt.ActKVNO{{Kvno: 2, Time: 200}, {Kvno: 1, Time: 100}}) // out of order
	ring, err = Open(st, km)
	if err != nil || ring.Active(time.Unix(150, 0)).Kvno != 1 || ring.Active(at).Kvno != 2 {
		t.Errorf("unordered list: %v, %v", ring, err)
	}
}

// TestSealPrincipal seals an entry whose recorded version is wrong, and one with several
// versions of keys, under the active master key.
func TestSealPrincipal(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/3-mixed")
	for name, p := range r {
		if name == "K/M@"+testRealm {
			before := p.Clone()
			if err := ring.SealPrincipal(p, at); !errors.Is(err, ErrMaster) {
				t.Errorf("K/M: %v", err)
			}
			if fmt.Sprint(before) != fmt.Sprint(p) {
				t.Error("K/M was changed")
			}
			continue
		}
		var want []*krbcrypto.Key
		for i := range p.Keys {
			k, err := ring.OpenKey(p, &p.Keys[i])
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, k)
		}
		if err := ring.SealPrincipal(p, at); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v, ok := p.MKVNO(); !ok || v != 2 {
			t.Errorf("%s: version %d recorded", name, v)
		}
		for i := range p.Keys {
			got, version, err := ring.OpenKeyVersion(p, &p.Keys[i])
			if err != nil || version != 2 || !got.Equal(want[i]) {
				t.Errorf("%s: key %d: version %d, %v", name, i, version, err)
			}
		}
	}
}

// TestSealPrincipalLost: an entry with one key that nothing opens stays as it was.
func TestSealPrincipalLost(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/6-purged")
	p := r["svc/new@"+testRealm]
	before := p.Clone()
	err := ring.SealPrincipal(p, at)
	if !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "svc/new@EXAMPLE.COM") {
		t.Error(err)
	}
	if fmt.Sprint(before) != fmt.Sprint(p) {
		t.Error("the entry was changed")
	}
}

// TestSealUnknownEnctype: keys of enctypes that we do not know are carried over as bytes,
// and keys without data stay.
func TestSealUnknownEnctype(t *testing.T) {
	_, ring := openRealm(t, "testdata/mkey/1.20.1/3-mixed")
	des := []byte("8 bytes!")
	p := &dumpfmt.Principal{Name: "old@" + testRealm, Keys: []dumpfmt.Key{
		{Ver: 1, Kvno: 2, Enctype: 3, Sealed: sealBytes(ring.Key(1), des)},
		{Ver: 0, Kvno: 1},
	}}
	if _, err := ring.OpenKey(p, &p.Keys[0]); !errors.Is(err, krbcrypto.ErrUnsupported) {
		t.Errorf("OpenKey of DES: %v", err)
	}
	if err := ring.SealPrincipal(p, at); err != nil {
		t.Fatal(err)
	}
	got, err := openBytes(ring.Key(2), p.Keys[0].Sealed)
	if err != nil || !bytes.Equal(got, des) {
		t.Errorf("%x, %v", got, err)
	}
	if p.Keys[1].Sealed != nil {
		t.Error("a key without data got some")
	}
}

// TestSeal seals keys of all enctypes under master keys of all enctypes, with the lengths
// that MIT's databases have.
func TestSeal(t *testing.T) {
	overhead := map[krbcrypto.Enctype]int{17: 30, 18: 30, 19: 34, 20: 42, 25: 34, 26: 34, 23: 26, 24: 26, 16: 30}
	for me, extra := range overhead {
		mk, err := krbcrypto.RandomKey(me)
		if err != nil {
			t.Fatal(err)
		}
		km, ring, err := NewMaster("K/M@"+testRealm, 1, mk, at)
		if err != nil {
			t.Fatal(err)
		}
		for e := range overhead {
			k, err := krbcrypto.RandomKey(e)
			if err != nil {
				t.Fatal(err)
			}
			sealed, mkvno := ring.Seal(k, at)
			if len(sealed) != len(k.Bytes())+extra || mkvno != 1 {
				t.Errorf("%v under %v: %d bytes, version %d", e, me, len(sealed), mkvno)
			}
			got, err := OpenSealed(mk, sealed, e)
			if err != nil || !got.Equal(k) {
				t.Errorf("%v under %v: %v", e, me, err)
			}
		}
		again, err := Open(&Stash{Path: "stash", Master: km.Name, Keys: ring.Versions()}, km)
		if err != nil || !again.Key(1).Equal(mk) {
			t.Errorf("%v: opening the new entry: %v", me, err)
		}
	}
}

// TestOpenSealedRefuses: no length of a sealed key makes a panic, and a length field beyond
// the contents is refused.
func TestOpenSealedRefuses(t *testing.T) {
	mk, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
	if err != nil {
		t.Fatal(err)
	}
	sealed := SealUnder(mk, mk)
	for n := range sealed {
		if _, err := OpenSealed(mk, sealed[:n], 18); !errors.Is(err, krbcrypto.ErrIntegrity) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	sealed[0]++
	if _, err := OpenSealed(mk, sealed, 18); !errors.Is(err, krbcrypto.ErrIntegrity) {
		t.Errorf("length field too large: %v", err)
	}
	sealed[0] -= 2
	if _, err := OpenSealed(mk, sealed, 18); !errors.Is(err, krbcrypto.ErrKeySize) {
		t.Errorf("length field too small: %v", err)
	}
}

// TestNewMaster compares the entry with the one that MIT makes.
func TestNewMaster(t *testing.T) {
	want := loadDump(t, "testdata/basic/created-1.20.1.dump").km()
	made, _, ok := want.ModPrinc()
	if !ok {
		t.Fatal("no modifier")
	}
	k, err := PasswordKey(krbcrypto.ETypeAES256SHA1, "K/M@"+testRealm, []byte("dumpfmt-master-1"))
	if err != nil {
		t.Fatal(err)
	}
	got, ring, err := NewMaster("K/M@"+testRealm, 1, k, time.Unix(int64(made), 0))
	if err != nil {
		t.Fatal(err)
	}
	if ring.Active(time.Unix(0, 0)).Kvno != 1 {
		t.Error("not active")
	}
	if len(got.Keys[0].Sealed) != len(want.Keys[0].Sealed) {
		t.Errorf("sealed key of %d bytes", len(got.Keys[0].Sealed))
	}
	got.Keys[0].Sealed = want.Keys[0].Sealed // the confounder is random
	got.MaxLife = want.MaxLife               // the realm's
	a, err := got.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
	if _, err := ring.OpenKey(want, &want.Keys[0]); err != nil {
		t.Errorf("MIT's entry with our ring: %v", err)
	}
	for name, kvno := range map[string]uint16{"K/M": 1, "K/M@" + testRealm: 0} {
		if _, _, err := NewMaster(name, kvno, k, at); err == nil {
			t.Errorf("%q version %d accepted", name, kvno)
		}
	}
}

// TestFromPassword opens each stage with each password that should, and should not, open it.
func TestFromPassword(t *testing.T) {
	for _, c := range []struct {
		stage    string
		password string
		ok       bool
	}{
		{"0-before", "dumpfmt-master-1", true},
		{"0-before", "dumpfmt-master-2", false},
		{"1-added", "dumpfmt-master-1", true},
		{"1-added", "dumpfmt-master-2", true},
		{"4-stashed", "dumpfmt-master-1", true},
		{"6-purged", "dumpfmt-master-1", false},
		{"6-purged", "dumpfmt-master-2", true},
		{"7-third", "dumpfmt-master-2", true},
		{"7-third", "dumpfmt-master-3", true},
		{"7-third", "", false},
	} {
		r, ring := openRealm(t, "testdata/mkey/1.23pre/"+c.stage)
		got, err := FromPassword(r.km(), []byte(c.password))
		if c.ok && (err != nil || len(got.Versions()) != len(ring.Versions())) {
			t.Errorf("%s with %q: %v", c.stage, c.password, err)
		}
		if !c.ok && !errors.Is(err, ErrWrongPassword) {
			t.Errorf("%s with %q: %v", c.stage, c.password, err)
		}
	}
}

// TestDamagedMaster: a K/M that cannot be used is refused with its name, never half opened.
func TestDamagedMaster(t *testing.T) {
	st, err := ReadStash("testdata/mkey/1.20.1/4-stashed.stash", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(km *dumpfmt.Principal)
		want   error
	}{
		"no keys":         {func(km *dumpfmt.Principal) { km.Keys = nil }, ErrMaster},
		"enctype 6":       {func(km *dumpfmt.Principal) { km.Keys[0].Enctype = 6 }, ErrUnsupported},
		"old enctype 6":   {func(km *dumpfmt.Principal) { km.Keys[1].Enctype = 6 }, ErrUnsupported},
		"old key damaged": {func(km *dumpfmt.Principal) { km.Keys[1].Sealed[9] ^= 1 }, ErrMaster},
		"new key damaged": {func(km *dumpfmt.Principal) {
			km.Keys[0].Sealed[9] ^= 1
			km.RemoveTL(dumpfmt.TLMkeyAux)
		}, ErrWrongStash},
		"active list": {func(km *dumpfmt.Principal) { km.SetTL(dumpfmt.TLActKVNO, []byte{1}) }, ErrMaster},
		"sealed list": {func(km *dumpfmt.Principal) { km.SetTL(dumpfmt.TLMkeyAux, []byte{1}) }, ErrMaster},
	} {
		km := loadDump(t, "testdata/mkey/1.20.1/4-stashed.dump").km()
		c.damage(km)
		r, err := Open(st, km)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "K/M@EXAMPLE.COM") {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

func BenchmarkOpenKey(b *testing.B) {
	r, ring := openRealm(b, "testdata/basic/created-1.20.1")
	p := r["krbtgt/EXAMPLE.COM@EXAMPLE.COM"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.OpenKey(p, &p.Keys[0]); err != nil {
			b.Fatal(err)
		}
	}
}
