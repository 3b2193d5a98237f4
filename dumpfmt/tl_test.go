package dumpfmt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	data, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// allPrincipals calls fn for each principal of the fixtures, read without their order in
// mind.
func allPrincipals(t testing.TB, fn func(path string, p *Principal)) {
	t.Helper()
	for _, path := range fixtures(t, ".dump") {
		r, err := open(readFile(t, path))
		if err != nil {
			t.Fatal(err)
		}
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				break // the unloadable policies
			}
			if p, ok := rec.(*Principal); ok {
				fn(path, p)
			}
		}
	}
}

// TestDecodedTLPrintBack: every element in the fixtures that has a decoder is decoded, and
// setting the decoded value gives the same bytes. Exceptions are hand-made fixtures.
func TestDecodedTLPrintBack(t *testing.T) {
	seen := map[int16]int{}
	allPrincipals(t, func(path string, p *Principal) {
		if strings.Contains(path, "/tl/") || strings.Contains(path, "/heimdal/") {
			return
		}
		c := p.Clone()
		fail := func(err error) {
			if err != nil {
				t.Errorf("%s: %s: %v", path, p.Name, err)
			}
		}
		for i := range p.TL {
			seen[p.TL[i].Type]++
			switch p.TL[i].Type {
			case TLKadmData:
				k, err := p.KadmData()
				fail(err)
				c.SetKadmData(k)
			case TLStringAttrs:
				list, err := p.Strings()
				fail(err)
				for _, a := range list {
					fail(c.SetString(a.Key, a.Value))
				}
			case TLActKVNO:
				list, err := p.ActKVNO()
				fail(err)
				c.SetActKVNO(list)
			case TLMkeyAux:
				list, err := p.MkeyAux()
				fail(err)
				fail(c.SetMkeyAux(list))
			case TLModPrinc:
				when, by, ok := p.ModPrinc()
				if !ok {
					t.Errorf("%s: %s: no modifier", path, p.Name)
				}
				c.SetModPrinc(when, by)
			case TLLastPwdChange:
				c.SetLastPwdChange(p.LastPwdChange())
			case TLLastAdminUnlock:
				c.SetLastAdminUnlock(p.LastAdminUnlock())
			case TLMKVNO:
				kvno, _ := p.MKVNO()
				c.SetMKVNO(kvno)
			case TLAliasTarget:
				target, _ := p.AliasTarget()
				c.SetAliasTarget(target)
			}
		}
		if !reflect.DeepEqual(p, c) {
			t.Errorf("%s: %s: changed: %v, %v", path, p.Name, p.TL, c.TL)
		}
	})
	for _, typ := range []int16{
		TLKadmData, TLStringAttrs, TLActKVNO, TLMkeyAux, TLModPrinc,
		TLLastPwdChange, TLLastAdminUnlock, TLMKVNO, TLAliasTarget,
	} {
		if seen[typ] == 0 {
			t.Errorf("no fixture has an element of type %d", typ)
		}
	}
}

func TestSetTLKeepsOrder(t *testing.T) {
	p := &Principal{TL: []TL{{3, []byte{3}}, {2, []byte{2}}, {2, []byte{22}}, {1, []byte{1}}}}
	p.SetTL(2, []byte{9})
	p.SetTL(11, []byte{11})
	want := []TL{{11, []byte{11}}, {3, []byte{3}}, {2, []byte{9}}, {2, []byte{22}}, {1, []byte{1}}}
	if !reflect.DeepEqual(p.TL, want) {
		t.Errorf("got %v, want %v", p.TL, want)
	}
	p.RemoveTL(2)
	if !reflect.DeepEqual(p.TL, []TL{{11, []byte{11}}, {3, []byte{3}}, {1, []byte{1}}}) {
		t.Errorf("after RemoveTL: %v", p.TL)
	}
	if _, ok := p.FindTL(2); ok {
		t.Error("found what was removed")
	}
}

// TestNewPrincipalOrder: setting things in kadmin's order gives kadmin's order of types.
func TestNewPrincipalOrder(t *testing.T) {
	p := &Principal{Name: "u@R"}
	p.SetLastPwdChange(1)
	p.SetMKVNO(1)
	p.SetModPrinc(1, "admin@R")
	p.SetKadmData(KadmData{HistKVNO: 2})
	if err := p.SetString("k", "v"); err != nil {
		t.Fatal(err)
	}
	p.SetLastAdminUnlock(5)
	var order []int16
	for _, e := range p.TL {
		order = append(order, e.Type)
	}
	if !slices.Equal(order, []int16{1792, 11, 3, 2, 8, 1}) {
		t.Errorf("got %v", order)
	}
}

// TestDamagedTL: what does not decode reads as absent or is an error, as documented.
func TestDamagedTL(t *testing.T) {
	long := bytes.Repeat([]byte{1}, 8) // Heimdal writes type 1 with 8 bytes
	p := &Principal{TL: []TL{{TLLastPwdChange, long}, {TLLastAdminUnlock, nil}, {TLMKVNO, []byte{1}}}}
	if p.LastPwdChange() != 0 || p.LastAdminUnlock() != 0 {
		t.Error("a time of the wrong length is not 0")
	}
	if _, ok := p.MKVNO(); ok {
		t.Error("took a version of one byte")
	}
	for title, data := range map[string][]byte{
		"missing name": {1, 2, 3, 4}, "no NUL": []byte("1234name"), "two NUL": []byte("1234a\x00b\x00"), "empty": {},
	} {
		p.SetTL(TLModPrinc, data)
		if _, by, ok := p.ModPrinc(); ok {
			t.Errorf("%s: modifier %q", title, by)
		}
	}
	p.SetTL(TLModPrinc, []byte("1234\x00"))
	if _, by, ok := p.ModPrinc(); !ok || by != "" {
		t.Errorf("empty modifier: %q, %v", by, ok)
	}
	for _, data := range []string{"", "02000100", "0100", "01000100000000", "010001000000000000"} {
		p.SetTL(TLActKVNO, unhex(t, data))
		if list, err := p.ActKVNO(); (err == nil) != (data == "0100") {
			t.Errorf("ActKVNO of %s: %v, %v", data, list, err)
		}
	}
	for _, data := range []string{"", "0200", "0100", "010001000200120001", "01000100020012000200ff"} {
		p.SetTL(TLMkeyAux, unhex(t, data))
		if list, err := p.MkeyAux(); (err == nil) != (data == "0100") {
			t.Errorf("MkeyAux of %s: %v, %v", data, list, err)
		}
	}
}

func TestMkeyLists(t *testing.T) {
	p := &Principal{}
	if list, err := p.ActKVNO(); list != nil || err != nil {
		t.Errorf("absent ActKVNO: %v, %v", list, err)
	}
	if list, err := p.MkeyAux(); list != nil || err != nil {
		t.Errorf("absent MkeyAux: %v, %v", list, err)
	}
	p.SetActKVNO([]ActKVNO{{Kvno: 1}})
	if data, _ := p.FindTL(TLActKVNO); !bytes.Equal(data, unhex(t, "0100010000000000")) {
		t.Errorf("as created: %x", data)
	}
	if err := p.SetMkeyAux([]MkeyAux{{Sealed: make([]byte, 1<<16)}}); err == nil {
		t.Error("took a sealed key of 65536 bytes")
	}
	aux := []MkeyAux{{OldKvno: 2, NewKvno: 3, Enctype: 18, Sealed: []byte{1, 2}}, {OldKvno: 1, NewKvno: 3, Enctype: 17}}
	if err := p.SetMkeyAux(aux); err != nil {
		t.Fatal(err)
	}
	got, err := p.MkeyAux()
	if err != nil || len(got) != 2 || got[0].Enctype != 18 || !bytes.Equal(got[0].Sealed, []byte{1, 2}) || got[1].OldKvno != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := p.SetMkeyAux(nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.FindTL(TLMkeyAux); ok {
		t.Error("an empty list left an element")
	}
}

func TestStrings(t *testing.T) {
	p := &Principal{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.DeleteString("absent"))
	if len(p.TL) != 0 {
		t.Error("deleting nothing made an element")
	}
	must(p.SetString("a", "1"))
	must(p.SetString("b", ""))
	must(p.SetString("c", "3"))
	must(p.SetString("a", "one"))
	must(p.DeleteString("c"))
	if data, _ := p.FindTL(TLStringAttrs); string(data) != "a\x00one\x00b\x00\x00" {
		t.Errorf("got %q", data)
	}
	for title, kv := range map[string][2]string{
		"empty key": {"", "v"}, "NUL in key": {"a\x00b", "v"}, "NUL in value": {"a", "v\x00"},
		"too long": {"k", strings.Repeat("x", maxData)},
	} {
		if err := p.SetString(kv[0], kv[1]); err == nil {
			t.Errorf("%s: accepted", title)
		}
	}
	must(p.DeleteString("a"))
	must(p.DeleteString("b"))
	if data, ok := p.FindTL(TLStringAttrs); !ok || len(data) != 0 {
		t.Errorf("after the last: %q, %v, want an empty element", data, ok)
	}
	for _, damaged := range []string{"a", "a\x00", "a\x00b", "\x00"} {
		p.SetTL(TLStringAttrs, []byte(damaged))
		if _, err := p.Strings(); err == nil {
			t.Errorf("%q: accepted", damaged)
		}
		if p.SetString("k", "v") == nil || p.DeleteString("k") == nil {
			t.Errorf("%q: changed a damaged element", damaged)
		}
	}
}

func TestKvno(t *testing.T) {
	for _, c := range []struct {
		kvnos         []uint16
		current, next uint16
	}{
		{nil, 0, 1},
		{[]uint16{1}, 1, 2},
		{[]uint16{1, 3, 2, 3}, 3, 4},
		{[]uint16{300}, 300, 301},
		{[]uint16{65534}, 65534, 65535},
		{[]uint16{65535, 1}, 65535, 1},
	} {
		p := &Principal{}
		for i, kvno := range c.kvnos {
			p.Keys = append(p.Keys, Key{Ver: 1, Kvno: kvno, Enctype: int16(i)})
		}
		if p.CurrentKvno() != c.current || MaxKvnoNext(p) != c.next {
			t.Errorf("%v: current %d, next %d", c.kvnos, p.CurrentKvno(), MaxKvnoNext(p))
		}
		p.SortKeys()
		if !slices.IsSortedFunc(p.Keys, func(a, b Key) int { return int(b.Kvno) - int(a.Kvno) }) {
			t.Errorf("%v: sorted as %v", c.kvnos, p.Keys)
		}
	}
	p := &Principal{Keys: []Key{{Kvno: 1, Enctype: 1}, {Kvno: 2, Enctype: 2}, {Kvno: 1, Enctype: 3}}}
	p.SortKeys()
	if p.Keys[1].Enctype != 1 || p.Keys[2].Enctype != 3 {
		t.Errorf("not stable: %v", p.Keys)
	}
}

func TestCloneIsDeep(t *testing.T) {
	p := &Principal{
		Name: "u@R", TL: []TL{{1, []byte{1}}},
		Keys: []Key{{Ver: 2, Sealed: []byte{1}, Salt: []byte{1}}},
	}
	c := p.Clone()
	c.TL[0].Data[0], c.Keys[0].Sealed[0], c.Keys[0].Salt[0] = 9, 9, 9
	c.SetTL(5, nil)
	if p.TL[0].Data[0] != 1 || p.Keys[0].Sealed[0] != 1 || p.Keys[0].Salt[0] != 1 || len(p.TL) != 1 {
		t.Errorf("changing the copy changed %v", p)
	}
	pol := &Policy{Name: "p", TL: []TL{{1, []byte{1}}}}
	d := pol.Clone()
	d.TL[0].Data[0] = 9
	if pol.TL[0].Data[0] != 1 {
		t.Error("changing the copy changed the policy")
	}
}
