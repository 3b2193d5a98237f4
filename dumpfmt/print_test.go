package dumpfmt

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestPrintRefuses: what the format cannot hold is an error, and dst stays as it was.
func TestPrintRefuses(t *testing.T) {
	big := make([]byte, maxData+1)
	for title, rec := range map[string]Record{
		"no name":                 &Principal{},
		"no realm":                &Principal{Name: "u"},
		"needless backslash":      &Principal{Name: `\u@R`},
		"guard in the name":       &Principal{Name: `\ u@R`},
		"raw TAB":                 &Principal{Name: "a\tb@R"},
		"two realms":              &Principal{Name: "a@b@c"},
		"database arguments":      &Principal{Name: "u@R", TL: []TL{{TLDBArgs, []byte("x")}}},
		"long data":               &Principal{Name: "u@R", TL: []TL{{1, big}}},
		"too many data":           &Principal{Name: "u@R", TL: make([]TL, maxCount+1)},
		"too many keys":           &Principal{Name: "u@R", Keys: make([]Key, maxCount+1)},
		"key version 3":           &Principal{Name: "u@R", Keys: []Key{{Ver: 3}}},
		"key version -1":          &Principal{Name: "u@R", Keys: []Key{{Ver: -1}}},
		"long key":                &Principal{Name: "u@R", Keys: []Key{{Ver: 1, Sealed: big}}},
		"long salt":               &Principal{Name: "u@R", Keys: []Key{{Ver: 2, Salt: big}}},
		"salt that would be lost": &Principal{Name: "u@R", Keys: []Key{{Ver: 1, Salt: big[:1]}}},
		"salt type lost":          &Principal{Name: "u@R", Keys: []Key{{Ver: 1, SaltType: 4}}},
		"key that would be lost":  &Principal{Name: "u@R", Keys: []Key{{Sealed: big[:1]}}},
		"policy without name":     &Policy{},
		"blank in policy":         &Policy{Name: "a b"},
		"NUL in policy":           &Policy{Name: "a\x00b"},
		"long policy":             &Policy{Name: strings.Repeat("p", maxPolName+1)},
		"blank in key salts":      &Policy{Name: "p", KeySalts: "a b"},
		"long key salts":          &Policy{Name: "p", KeySalts: strings.Repeat("k", maxKeySalts+1)},
		"policy with arguments":   &Policy{Name: "p", TL: []TL{{TLDBArgs, nil}}},
		"deletion without realm":  &DeletePrincipal{Name: "u"},
		"deletion, blank":         &DeletePolicy{Name: "a b"},
	} {
		t.Run(title, func(t *testing.T) {
			got, err := rec.AppendLine([]byte("x"), Current)
			if err == nil || string(got) != "x" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestPrintVersions(t *testing.T) {
	for _, rec := range []Record{&Principal{Name: "u@R"}, &Policy{Name: "p"}} {
		for _, v := range []Version{0, 3, 8, 99, 102} {
			if _, err := rec.AppendLine(nil, v); err == nil {
				t.Errorf("%T: printed in version %v", rec, v)
			}
			if _, err := ParseLine([]byte(lineU), v); err == nil {
				t.Errorf("parsed in version %v", v)
			}
		}
	}
	for _, rec := range []Record{&DeletePrincipal{Name: "u@R"}, &DeletePolicy{Name: "p"}} {
		if _, err := rec.AppendLine(nil, Version6); !errors.Is(err, ErrDeltaOnly) {
			t.Errorf("%T: %v, want ErrDeltaOnly", rec, err)
		}
	}
}

// TestPolicyForms: a policy in each form, and what of it comes back.
func TestPolicyForms(t *testing.T) {
	full := &Policy{
		Name: "p", MinLife: 1, MaxLife: 1 << 31, MinLength: 3, MinClasses: 4, History: 5,
		MaxFail: 7, FailInterval: 8, LockoutDuration: 9,
		Attributes: 1<<32 - 1, MaxTicketLife: 11, MaxRenewLife: 12, KeySalts: "aes256-cts:normal,aes128-cts:normal",
		TL: []TL{{256, []byte("a")}, {-3, nil}},
	}
	seven := &Policy{Name: "p", MinLife: 1, MaxLife: 1 << 31, MinLength: 3, MinClasses: 4, History: 5}
	ten := *seven
	ten.MaxFail, ten.FailInterval, ten.LockoutDuration = 7, 8, 9
	const short = "policy\tp\t1\t-2147483648\t3\t4\t5\t0"
	const long = "\t7\t8\t9\t-1\t11\t12\taes256-cts:normal,aes128-cts:normal\t2\t256\t1\t61\t-3\t0\t-1"
	for _, c := range []struct {
		v    Version
		line string
		back *Policy
	}{
		{Version4, short + "\n", seven},
		{Version5, short + "\n", seven},
		{Iprop, short + "\n", seven},
		{Version6, short + "\t7\t8\t9\n", &ten},
		{Version7, short + long + "\n", full},
		{Ipropx, short + long + "\n", full},
	} {
		line, err := full.AppendLine(nil, c.v)
		if err != nil || string(line) != c.line {
			t.Errorf("version %v: %q, %v, want %q", c.v, line, err, c.line)
			continue
		}
		rec, err := ParseLine(line, c.v)
		if err != nil || !reflect.DeepEqual(rec, c.back) {
			t.Errorf("version %v: %+v, %v, want %+v", c.v, rec, err, c.back)
		}
	}
	// Masters of 1.8 to 1.10 wrote ten values into the ipropx form.
	rec, err := ParseLine([]byte(short+"\t7\t8\t9\n"), Ipropx)
	if err != nil || !reflect.DeepEqual(rec, &ten) {
		t.Errorf("old ipropx: %+v, %v", rec, err)
	}
}

// TestKeySaltsUnset: "" and "-" print the same, and read as "".
func TestKeySaltsUnset(t *testing.T) {
	for _, s := range []string{"", "-"} {
		line, err := (&Policy{Name: "p", KeySalts: s}).AppendLine(nil, Current)
		if err != nil || !bytes.HasSuffix(line, []byte("\t-\t0\n")) {
			t.Errorf("%q: %q, %v", s, line, err)
		}
		rec, err := ParseDeltaLine(line)
		if err != nil || rec.(*Policy).KeySalts != "" {
			t.Errorf("%q: read as %+v, %v", s, rec, err)
		}
	}
}

// TestDeltaRefusesLooseForms: what ParseLine normalises, a delta line may not hold, for
// its bytes are hashed.
func TestDeltaRefusesLooseForms(t *testing.T) {
	for title, line := range map[string]string{
		"blank without guard":          "princ\t38\t4\t0\t0\t0\t u@R\t0\t0\t0\t0\t0\t0\t0\t0\t-1;\n",
		"needless backslash":           "princ\t38\t4\t0\t0\t0\t\\u@R\t0\t0\t0\t0\t0\t0\t0\t0\t-1;\n",
		"reference count":              "policy\tp\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\t11\t12\t-\t0\n",
		"deletion without guard":       "delprinc\t4\t u@R\t;\n",
		"deletion, needless backslash": "delprinc\t4\t\\u@R\t;\n",
		"deletion, no realm":           "delprinc\t1\tu\t;\n",
		"deletion, wrong length":       "delprinc\t4\tu@R\t;\n",
		"deletion, no semicolon":       "delprinc\t3\tu@R\n",
		"deletion, more text":          "delprinc\t3\tu@R\t;\tx\n",
		"deletion, two line feeds":     "delprinc\t3\tu@R\t;\n\n",
		"policy deletion, blank":       "delpolicy\t3\ta b\t;\n",
		"policy deletion, empty":       "delpolicy\t0\t\t;\n",
		"begin":                        "begin\t1\t2\t3\t4\t5\t;\n",
		"empty":                        "",
		"line feed":                    "\n",
	} {
		t.Run(title, func(t *testing.T) {
			rec, err := ParseDeltaLine([]byte(line))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || rec != nil {
				t.Errorf("got %+v, %v", rec, err)
			}
		})
	}
}

// TestHeimdalDump: Heimdal's MIT format, damaged modifiers included, is read and kept.
func TestHeimdalDump(t *testing.T) {
	data := readFile(t, "testdata/heimdal/heimdal-7.8-mit.dump")
	r, err := NewReader(bytes.NewReader(data))
	if err != nil || r.Version() != Version5 {
		t.Fatalf("version %v, %v", r.Version(), err)
	}
	rec, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	p := rec.(*Principal)
	if last, ok := p.FindTL(TLLastPwdChange); ok && len(last) == 8 && p.LastPwdChange() != 0 {
		t.Errorf("a time of 8 bytes reads as %d", p.LastPwdChange())
	}
}

// TestParseKeepsNothingOfTheLine: the caller may reuse its buffer.
func TestParseKeepsNothingOfTheLine(t *testing.T) {
	for _, line := range princLines(t) {
		own := bytes.Clone(line)
		rec, err := ParseLine(own, Current)
		if err != nil {
			t.Fatal(err)
		}
		clear(own)
		if got, err := rec.AppendLine(nil, Current); err != nil || !bytes.Equal(got, line) {
			t.Fatalf("got %s, %v, want %s", got, err, line)
		}
	}
}

// TestElementsDoNotTouch: growing one element does not write into the next.
func TestElementsDoNotTouch(t *testing.T) {
	line := "princ\t38\t3\t2\t0\t0\tu@R\t0\t0\t0\t0\t0\t0\t0\t0\t1\t1\t61\t2\t1\t62\t-1;\n"
	rec, err := ParseLine([]byte(line), Current)
	if err != nil {
		t.Fatal(err)
	}
	p := rec.(*Principal)
	_ = append(p.TL[0].Data, 'X')
	if p.TL[1].Data[0] != 'b' {
		t.Error("the second element changed")
	}
}
