package dumpfmt

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestKadmDataAbsent(t *testing.T) {
	p := &Principal{}
	k, err := p.KadmData()
	if err != nil || !reflect.DeepEqual(k, KadmData{HistKVNO: 2}) {
		t.Errorf("got %+v, %v", k, err)
	}
	p.SetKadmData(k)
	if data, _ := p.FindTL(TLKadmData); !bytes.Equal(data, unhex(t, "12345c010000000000000000000000000000000200000000")) {
		t.Errorf("printed %x", data)
	}
}

func TestKadmDataPolicy(t *testing.T) {
	var k KadmData
	k.HistKVNO = 2
	k.SetPolicy("staff")
	data := appendKadmData(nil, &k)
	want := unhex(t, "12345c01"+"00000006"+"7374616666000000"+"00000800"+"00000000"+"00000002"+"00000000")
	if !bytes.Equal(data, want) {
		t.Errorf("printed %x, want %x", data, want)
	}
	got, err := parseKadmData(data)
	if err != nil || got.Policy != "staff" || got.Aux != KadmAuxPolicy {
		t.Errorf("got %+v, %v", got, err)
	}
	k.SetPolicy("")
	if k.Policy != "" || k.Aux != 0 {
		t.Errorf("cleared: %+v", k)
	}
}

func TestKadmDataHistory(t *testing.T) {
	k := KadmData{OldKeyNext: 1, HistKVNO: 2, History: [][]HistKey{
		{{Ver: 1, Kvno: 3, Enctype: 18, Sealed: []byte{1, 2, 3}}, {Ver: 2, Kvno: 3, Enctype: -128, Sealed: []byte{4}, SaltType: 4, Salt: []byte("salt")}},
		nil,
	}}
	data := appendKadmData(nil, &k)
	got, err := parseKadmData(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(appendKadmData(nil, &got), data) || len(got.History) != 2 || len(got.History[0]) != 2 {
		t.Errorf("got %+v", got)
	}
	if h := got.History[0][1]; h.Enctype != -128 || string(h.Salt) != "salt" || h.SaltType != 4 || h.Ver != 2 || h.Kvno != 3 {
		t.Errorf("got %+v", h)
	}
}

// TestKadmDataFixtures: the histories that MIT wrote are seen, in every shape.
func TestKadmDataFixtures(t *testing.T) {
	longest, policies := 0, 0
	allPrincipals(t, func(path string, p *Principal) {
		if strings.Contains(path, "/tl/") {
			return
		}
		k, err := p.KadmData()
		if err != nil {
			t.Errorf("%s: %s: %v", path, p.Name, err)
		}
		longest = max(longest, len(k.History))
		if k.Policy != "" {
			policies++
			if k.Aux != KadmAuxPolicy {
				t.Errorf("%s: %s: aux %x", path, p.Name, k.Aux)
			}
		}
	})
	if longest < 3 || policies == 0 {
		t.Errorf("longest history %d, %d entries with a policy", longest, policies)
	}
}

func TestKadmDataRefuses(t *testing.T) {
	good := appendKadmData(nil, &KadmData{Policy: "staff", Aux: 0x800, HistKVNO: 2, History: [][]HistKey{
		{{Ver: 2, Kvno: 3, Enctype: 18, Sealed: []byte{1, 2, 3}, SaltType: 4, Salt: []byte("s")}},
	}})
	for n := range good {
		if _, err := parseKadmData(good[:n]); err == nil {
			t.Errorf("took %d bytes of %d", n, len(good))
		}
	}
	head := "12345c01" + "00000000" + "00000000" + "00000000" + "00000002"
	for title, data := range map[string]string{
		"another version":   "12345c02" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000",
		"trailing bytes":    head + "00000000" + "00",
		"name without NUL":  "12345c01" + "00000001" + "61000000" + "00000000" + "00000000" + "00000002" + "00000000",
		"empty name":        "12345c01" + "00000001" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000",
		"NUL in the name":   "12345c01" + "00000004" + "61006200" + "00000000" + "00000000" + "00000002" + "00000000",
		"padding not zero":  "12345c01" + "00000002" + "61000001" + "00000000" + "00000000" + "00000002" + "00000000",
		"huge count":        head + "ffffffff",
		"huge inner count":  head + "00000001" + "ffffffff",
		"huge name":         "12345c01" + "fffffffe",
		"kvno out of range": head + "00000001" + "00000001" + "00000001" + "00010000" + strings.Repeat("00000000", 6),
		"ver out of range":  head + "00000001" + "00000001" + "00010000" + "00000001" + strings.Repeat("00000000", 6),
		"lengths that differ": head + "00000001" + "00000001" + "00000001" + "00000001" + "00000012" + "00000000" +
			"00000002" + "00000000" + "00000001" + "ff000000" + "00000000",
	} {
		t.Run(title, func(t *testing.T) {
			if k, err := parseKadmData(unhex(t, data)); err == nil {
				t.Errorf("got %+v", k)
			}
		})
	}
}
