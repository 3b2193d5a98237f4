package dumpfmt

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// addLines adds every line of the fixtures that has one of the words, and of the cases.
func addLines(f *testing.F, words ...string) {
	f.Helper()
	add := func(data []byte) {
		for _, line := range bytes.SplitAfter(data, []byte("\n")) {
			word, _, _ := strings.Cut(string(line), "\t")
			for _, w := range words {
				if w == word && len(line) < 4096 {
					f.Add(line)
				}
			}
		}
	}
	for _, path := range append(fixtures(f, "names-1.20.1.dump"), "testdata/full/1.23pre.dump",
		"testdata/policies/all-fields.dump", "testdata/tl/all-types.dump",
		"testdata/names/leadspace-broken.dump", "testdata/delta/changes.delta") {
		add(readFile(f, path))
	}
	for _, c := range readCases(f) {
		add(latin1(c.Body))
	}
}

// FuzzDeltaLine: a delta line that is taken prints back identically, has one name for all
// who ask, and loses nothing by lockout surgery.
func FuzzDeltaLine(f *testing.F) {
	addLines(f, "princ", "policy", "delprinc", "delpolicy")
	f.Fuzz(func(t *testing.T, line []byte) {
		kind, name, nameErr := LineName(line)
		stripped, lockout, splitErr := SplitLockout(nil, line)
		rec, err := ParseDeltaLine(line)
		if err != nil {
			return
		}
		got, err := rec.AppendLine(nil, Current)
		if err != nil {
			t.Fatalf("read %q, cannot print it: %v", line, err)
		}
		if want := append(bytes.TrimSuffix(line, []byte("\n")), '\n'); !bytes.Equal(got, want) {
			t.Fatalf("read %q, printed %q", want, got)
		}
		if nameErr != nil {
			t.Fatalf("no name in %q: %v", line, nameErr)
		}
		wantKind, wantName := kindAndName(rec)
		if kind != wantKind || name != wantName {
			t.Fatalf("%q: LineName gives %v %q, want %v %q", line, kind, name, wantKind, wantName)
		}
		p, ok := rec.(*Principal)
		if !ok {
			if splitErr == nil {
				t.Fatalf("split %q", line)
			}
			return
		}
		if splitErr != nil || lockout != p.Lockout() {
			t.Fatalf("%q: split gives %v, %v, want %v", line, lockout, splitErr, p.Lockout())
		}
		if joined, err := JoinLockout(nil, stripped, lockout); err != nil || !bytes.Equal(joined, line) {
			t.Fatalf("%q: joined to %q, %v", line, joined, err)
		}
	})
}

func kindAndName(rec Record) (Kind, string) {
	switch r := rec.(type) {
	case *Principal:
		return KindPrincipal, r.Name
	case *Policy:
		return KindPolicy, r.Name
	case *DeletePrincipal:
		return KindDeletePrincipal, r.Name
	case *DeletePolicy:
		return KindDeletePolicy, r.Name
	}
	return 0, ""
}

// FuzzLine: a dump line of any version that is taken prints as a line that is taken, and
// that one prints back identically; in version 7 it is a delta line.
func FuzzLine(f *testing.F) {
	addLines(f, "princ", "policy")
	versions := []Version{Version4, Version5, Version6, Version7, Iprop, Ipropx}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, v := range versions {
			rec, err := ParseLine(line, v)
			if err != nil {
				continue
			}
			first, err := rec.AppendLine(nil, v)
			if err != nil {
				t.Fatalf("version %v: read %q, cannot print it: %v", v, line, err)
			}
			again, err := ParseLine(first, v)
			if err != nil {
				t.Fatalf("version %v: %q printed as %q: %v", v, line, first, err)
			}
			if second, err := again.AppendLine(nil, v); err != nil || !bytes.Equal(first, second) {
				t.Fatalf("version %v: %q, then %q, %v", v, first, second, err)
			}
			current, err := rec.AppendLine(nil, Current)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseDeltaLine(current); err != nil {
				t.Fatalf("version %v: %q is no delta line: %v", v, current, err)
			}
		}
	})
}

// FuzzReader: any file is read to an end or an error with a place, by both ways alike, and
// what is read whole prints as a dump that is read whole.
func FuzzReader(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(append(latin1(c.Header), latin1(c.Body)...))
	}
	for _, v := range []string{"v4-b7", "v6-r18", "iprop", "ipropx"} {
		f.Add(readFile(f, "testdata/versions/1.20.1-"+v+".dump")[:4096])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		byRecord, err := open(data)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line != 1 {
				t.Fatalf("header: %v", err)
			}
			return
		}
		byLine, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		for {
			rec, err := byRecord.Next()
			kind, name, line, lineErr := byLine.NextLine()
			if errText(err) != errText(lineErr) {
				t.Fatalf("Next: %v; NextLine: %v", err, lineErr)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				var syntax *SyntaxError
				if !errors.As(err, &syntax) || syntax.Line < 2 {
					t.Fatalf("no place in %v", err)
				}
				return
			}
			want, err := rec.AppendLine(nil, Current)
			if k, n := kindAndName(rec); err != nil || !bytes.Equal(line, want) || k != kind || n != name {
				t.Fatalf("NextLine gives %v %q %q; want %q, %v", kind, name, line, want, err)
			}
		}
		if byLine.Offset() != int64(len(data)) {
			t.Fatalf("ended at %d of %d", byLine.Offset(), len(data))
		}
		once, err := rewrite(data)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := rewrite(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("printed as %q, then %q, %v", once, twice, err)
		}
	})
}

// FuzzName: what parses prints canonically, and the canonical form parses to the same.
func FuzzName(f *testing.F) {
	for _, c := range readCases(f) {
		if c.Group == "name" {
			fields := strings.Split(string(latin1(c.Body)), "\t")
			f.Add(fields[6], "")
		}
	}
	f.Add(`a\/b/c\@d\\e@R\tS`, "")
	f.Add("alice", "EXAMPLE.COM")
	f.Fuzz(func(t *testing.T, text, realm string) {
		n, err := ParseName(text, realm)
		if err != nil {
			if realm == "" && classify(text) != nameBad {
				t.Fatalf("%q: classified as a name: %v", text, err)
			}
			return
		}
		printed := n.String()
		if classify(printed) != nameCanonical {
			t.Fatalf("%q printed as %q, which is not canonical", text, printed)
		}
		again, err := ParseName(printed, "other")
		if err != nil || again.String() != printed || again.Realm != n.Realm {
			t.Fatalf("%q printed as %q, read as %q, %v", text, printed, again, err)
		}
		if len(again.Components) != len(n.Components) {
			t.Fatalf("%q: %d components, then %d", text, len(n.Components), len(again.Components))
		}
		if classify(text) == nameCanonical && printed != text {
			t.Fatalf("%q is canonical and printed as %q", text, printed)
		}
	})
}

// addTL adds the contents of all elements of type t in the fixtures.
func addTL(f *testing.F, typ int16) {
	f.Helper()
	allPrincipals(f, func(_ string, p *Principal) {
		if data, ok := p.FindTL(typ); ok {
			f.Add(data)
		}
	})
}

// FuzzKadmData: what parses prints back identically.
func FuzzKadmData(f *testing.F) {
	addTL(f, TLKadmData)
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKadmData(data)
		if err != nil {
			return
		}
		if got := appendKadmData(nil, &k); !bytes.Equal(got, data) {
			t.Fatalf("read %x, printed %x", data, got)
		}
	})
}

// FuzzStrings: what parses prints back identically.
func FuzzStrings(f *testing.F) {
	addTL(f, TLStringAttrs)
	f.Add([]byte("a\x00b\x00a\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseStrings(data)
		if err != nil {
			return
		}
		if got := appendStrings(nil, list); !bytes.Equal(got, data) {
			t.Fatalf("read %q, printed %q", data, got)
		}
	})
}

// FuzzMkeyLists: what parses of either list in K/M prints back identically.
func FuzzMkeyLists(f *testing.F) {
	addTL(f, TLActKVNO)
	addTL(f, TLMkeyAux)
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseActKVNO(data); err == nil {
			if got := appendActKVNO(nil, list); !bytes.Equal(got, data) {
				t.Fatalf("read %x, printed %x", data, got)
			}
		}
		if list, err := parseMkeyAux(data); err == nil {
			if got, err := appendMkeyAux(nil, list); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("read %x, printed %x, %v", data, got, err)
			}
		}
	})
}

// FuzzTL: the accessors take any contents.
func FuzzTL(f *testing.F) {
	f.Add(int16(2), []byte("1234name\x00"))
	f.Fuzz(func(t *testing.T, typ int16, data []byte) {
		p := &Principal{Name: "u@R", TL: []TL{{Type: typ, Data: data}}}
		_, by, ok := p.ModPrinc()
		if ok && strings.Contains(by, "\x00") {
			t.Fatalf("modifier %q", by)
		}
		p.LastPwdChange()
		p.LastAdminUnlock()
		p.MKVNO()
		p.AliasTarget()
		if err := p.SetString("k", "v"); err == nil {
			if list, err := p.Strings(); err != nil || len(list) == 0 {
				t.Fatalf("set, then %v, %v", list, err)
			}
		}
	})
}
