package mkey

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// modTime is when an entry was changed.
func modTime(t *testing.T, p *dumpfmt.Principal) time.Time {
	t.Helper()
	when, _, ok := p.ModPrinc()
	if !ok {
		t.Fatal("no modification time")
	}
	return time.Unix(int64(when), 0)
}

func sameLine(t *testing.T, got, want *dumpfmt.Principal) {
	t.Helper()
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
}

// withSealed replaces what is sealed in K/M, and so random, by what another K/M has, after
// checking that the lengths agree.
func withSealed(t *testing.T, km, from *dumpfmt.Principal) *dumpfmt.Principal {
	t.Helper()
	out := km.Clone()
	for i := range out.Keys {
		if len(from.Keys) <= i || len(out.Keys[i].Sealed) != len(from.Keys[i].Sealed) {
			t.Fatalf("key %d: sealed length differs", i)
		}
		out.Keys[i].Sealed = from.Keys[i].Sealed
	}
	mine, err := out.MkeyAux()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := from.MkeyAux()
	if err != nil || len(mine) != len(theirs) {
		t.Fatalf("%d sealed copies, MIT has %d, %v", len(mine), len(theirs), err)
	}
	for i := range mine {
		if len(mine[i].Sealed) != len(theirs[i].Sealed) {
			t.Fatalf("copy %d: sealed length differs", i)
		}
		mine[i].Sealed = theirs[i].Sealed
	}
	if err := out.SetMkeyAux(mine); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAddVersion makes the steps that MIT's add_mkey made, and opens the result with every
// version by itself.
func TestAddVersion(t *testing.T) {
	for _, c := range []struct {
		before, after string
		etype         krbcrypto.Enctype
		password      string
	}{
		{"0-before", "1-added", krbcrypto.ETypeAES256SHA2, "dumpfmt-master-2"},
		{"6-purged", "7-third", krbcrypto.ETypeAES128SHA1, "dumpfmt-master-3"},
	} {
		r, ring := openRealm(t, "testdata/mkey/1.20.1/"+c.before)
		want := loadDump(t, "testdata/mkey/1.20.1/"+c.after+".dump").km()
		k, err := PasswordKey(c.etype, ring.Master(), []byte(c.password))
		if err != nil {
			t.Fatal(err)
		}
		unchanged := r.km().Clone()
		km, added, err := ring.AddVersion(r.km(), k, modTime(t, want))
		if err != nil {
			t.Fatal(err)
		}
		sameLine(t, r.km(), unchanged)
		sameLine(t, withSealed(t, km, want), want)
		if added.Active(at).Kvno != ring.Active(at).Kvno {
			t.Errorf("%s: version %d is active", c.after, added.Active(at).Kvno)
		}
		for _, v := range added.Versions() {
			again, err := Open(&Stash{Path: "stash", Master: km.Name, Keys: []StashKey{v}}, km)
			if err != nil || len(again.Versions()) != len(ring.Versions())+1 {
				t.Errorf("%s: with version %d alone: %v", c.after, v.Kvno, err)
			}
		}
	}
}

// TestActivate makes the steps of use_mkey, to the byte.
func TestActivate(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/1-added")
	want := loadDump(t, "testdata/mkey/1.20.1/2-used.dump").km()
	now := modTime(t, want)
	km, used, err := ring.Activate(r.km(), 2, now, now)
	if err != nil {
		t.Fatal(err)
	}
	sameLine(t, km, want)
	if used.Active(now).Kvno != 2 || used.Active(now.Add(-time.Hour)).Kvno != 1 {
		t.Error("not active from its time on")
	}

	r, ring = openRealm(t, "testdata/mkey/1.20.1/7-third")
	want = loadDump(t, "testdata/mkey/1.20.1/8-future.dump").km()
	act, err := want.ActKVNO()
	if err != nil {
		t.Fatal(err)
	}
	km, _, err = ring.Activate(r.km(), 3, time.Unix(int64(act[1].Time), 0), modTime(t, want))
	if err != nil {
		t.Fatal(err)
	}
	sameLine(t, km, want)
}

func TestActivateList(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/1-added")
	sec := func(n int64) time.Time { return time.Unix(n, 0) }
	now := sec(1000)
	for _, c := range []struct {
		name string
		list []dumpfmt.ActKVNO
		kvno uint16
		from int64
		want []dumpfmt.ActKVNO
		err  error
	}{
		{"no list", nil, 2, 500, []dumpfmt.ActKVNO{{Kvno: 1}, {Kvno: 2, Time: 500}}, nil},
		{"no list, the lowest", nil, 1, 500, []dumpfmt.ActKVNO{{Kvno: 1, Time: 500}}, nil},
		{"in front", []dumpfmt.ActKVNO{{Kvno: 1, Time: 700}}, 2, 600, []dumpfmt.ActKVNO{{Kvno: 2, Time: 600}, {Kvno: 1, Time: 700}}, nil},
		{"same time", []dumpfmt.ActKVNO{{Kvno: 1, Time: 700}}, 2, 700, []dumpfmt.ActKVNO{{Kvno: 1, Time: 700}, {Kvno: 2, Time: 700}}, nil},
		{"again, later", []dumpfmt.ActKVNO{{Kvno: 2, Time: 5}, {Kvno: 1, Time: 700}}, 2, 800, []dumpfmt.ActKVNO{{Kvno: 1, Time: 700}, {Kvno: 2, Time: 800}}, nil},
		{"in the future", []dumpfmt.ActKVNO{{Kvno: 1}}, 2, 2000, []dumpfmt.ActKVNO{{Kvno: 1}, {Kvno: 2, Time: 2000}}, nil},
		{"the only one into the future", []dumpfmt.ActKVNO{{Kvno: 1}}, 1, 2000, nil, ErrNoneActive},
		{"the first one into the future", []dumpfmt.ActKVNO{{Kvno: 1}, {Kvno: 2, Time: 1500}}, 1, 2000, nil, ErrNoneActive},
		{"unknown", nil, 3, 500, nil, ErrVersion},
		{"before 1970", nil, 2, -1, nil, ErrVersion},
		{"after 2106", nil, 2, 1 << 32, nil, ErrVersion},
	} {
		km := r.km().Clone()
		km.RemoveTL(dumpfmt.TLActKVNO)
		if c.list != nil {
			km.SetActKVNO(c.list)
		}
		out, _, err := ring.Activate(km, c.kvno, sec(c.from), now)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.err != nil {
			continue
		}
		got, err := out.ActKVNO()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// TestPurge makes MIT's step, but only once the entry that MIT's purge loses is mended.
func TestPurge(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/5-reencrypted")
	st, err := ReadStash("testdata/mkey/1.20.1/5-reencrypted.stash", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	want := loadDump(t, "testdata/mkey/1.20.1/6-purged.dump").km()
	now := modTime(t, want)
	used := func() []uint16 {
		var list []uint16
		for _, p := range r {
			if p.Name != ring.Master() {
				list = append(list, ring.Uses(p)...)
			}
		}
		return list
	}
	km, _, gone, err := ring.Purge(r.km(), used(), st, now)
	if err != nil || len(gone) != 0 || km != r.km() {
		t.Errorf("with a key that only version 1 opens: purged %v, %v", gone, err)
	}
	if got := ring.Uses(r["svc/new@"+testRealm]); !slices.Equal(got, []uint16{2, 1}) {
		t.Errorf("svc/new uses %v", got)
	}
	if err := ring.SealPrincipal(r["svc/new@"+testRealm], at); err != nil {
		t.Fatal(err)
	}
	km, purged, gone, err := ring.Purge(r.km(), used(), st, now)
	if err != nil || !slices.Equal(gone, []uint16{1}) || purged.Key(1) != nil {
		t.Fatalf("purged %v, %v", gone, err)
	}
	sameLine(t, km, want)

	old, err := ReadStash("testdata/mkey/1.20.1/3-mixed.stash", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ring.Purge(r.km(), used(), old, now); !errors.Is(err, ErrStashOld) {
		t.Errorf("with a stash of version 1: %v", err)
	}
}

// TestPurgeKeeps: versions that are active, newest or to become active stay without any
// entry that needs them, and so does the order of what is left.
func TestPurgeKeeps(t *testing.T) {
	r, ring := openRealm(t, "testdata/mkey/1.20.1/1-added") // 1 active, 2 newest
	if _, _, gone, err := ring.Purge(r.km(), nil, nil, at); err != nil || gone != nil {
		t.Errorf("purged %v, %v", gone, err)
	}
	km := r.km()
	var err error
	for range 3 { // versions 3, 4, 5
		k, kerr := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA2)
		if kerr != nil {
			t.Fatal(kerr)
		}
		if km, ring, err = ring.AddVersion(km, k, at); err != nil {
			t.Fatal(err)
		}
	}
	for kvno, from := range map[uint16]time.Time{2: at.Add(-time.Hour), 4: at.Add(time.Hour)} {
		if km, ring, err = ring.Activate(km, kvno, from, at); err != nil {
			t.Fatal(err)
		}
	}
	km, ring, gone, err := ring.Purge(km, nil, nil, at)
	if err != nil || !slices.Equal(gone, []uint16{3, 1}) {
		t.Fatalf("purged %v, %v", gone, err)
	}
	var left []uint16
	for _, k := range km.Keys {
		left = append(left, k.Kvno)
	}
	aux, err := km.MkeyAux()
	if err != nil || !slices.Equal(left, []uint16{5, 4, 2}) || len(aux) != 2 || aux[0].OldKvno != 4 || aux[1].OldKvno != 2 {
		t.Errorf("left %v, %v, %v", left, aux, err)
	}
	if ring.Active(at).Kvno != 2 || ring.Active(at.Add(2*time.Hour)).Kvno != 4 {
		t.Error("active versions changed")
	}
}

func TestVersionLimits(t *testing.T) {
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
	if err != nil {
		t.Fatal(err)
	}
	km, ring, err := NewMaster("K/M@"+testRealm, 65535, k, at)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ring.AddVersion(km, k, at); !errors.Is(err, ErrVersion) {
		t.Errorf("version 65536: %v", err)
	}
	p := &dumpfmt.Principal{Name: "a@" + testRealm}
	if err := ring.SealPrincipalWith(p, 1); !errors.Is(err, ErrVersion) {
		t.Errorf("sealing with version 1: %v", err)
	}
}
