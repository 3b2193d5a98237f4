package dumpfmt

import (
	"bytes"
	"errors"
	"testing"
)

// princLines returns the principal lines of the fixtures that are in canonical form.
func princLines(t testing.TB) [][]byte {
	t.Helper()
	var lines [][]byte
	for _, path := range fixtures(t, ".dump") {
		for _, line := range bytes.SplitAfter(readFile(t, path), []byte("\n")) {
			if bytes.HasPrefix(line, tagPrinc) {
				if _, err := ParseDeltaLine(line); err == nil {
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}

// TestLockoutSurgery: splitting a line is what parsing, zeroing and printing would give,
// and joining undoes it.
func TestLockoutSurgery(t *testing.T) {
	nonZero := 0
	for _, line := range princLines(t) {
		rec, err := ParseLine(line, Current)
		if err != nil {
			t.Fatal(err)
		}
		p := rec.(*Principal)
		want := p.Lockout()
		if want != (Lockout{}) {
			nonZero++
		}
		p.SetLockout(Lockout{})
		zeroed, err := p.AppendLine(nil, Current)
		if err != nil {
			t.Fatal(err)
		}

		stripped, got, err := SplitLockout([]byte("x"), line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got != want || string(stripped) != "x"+string(zeroed) {
			t.Fatalf("%s: split into %v and %s", line, got, stripped)
		}
		joined, err := JoinLockout([]byte("y"), stripped[1:], got)
		if err != nil || string(joined) != "y"+string(line) {
			t.Fatalf("%s: joined to %s, %v", line, joined, err)
		}
	}
	if nonZero == 0 {
		t.Error("no fixture has lockout fields")
	}
}

func TestLockoutExtremes(t *testing.T) {
	p := &Principal{Name: "u@R", TL: []TL{{Type: -5, Data: []byte{1}}}}
	zero, err := p.AppendLine(nil, Current)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Lockout{{}, {1, 2, 3}, {1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, {0, 0, 1 << 31}, {0, 5, 0}} {
		p.SetLockout(l)
		want, err := p.AppendLine(nil, Current)
		if err != nil {
			t.Fatal(err)
		}
		joined, err := JoinLockout(nil, zero, l)
		if err != nil || !bytes.Equal(joined, want) {
			t.Errorf("%v: joined to %s, %v, want %s", l, joined, err, want)
		}
		stripped, got, err := SplitLockout(nil, want)
		if err != nil || got != l || !bytes.Equal(stripped, zero) {
			t.Errorf("%v: split into %v %s %v", l, got, stripped, err)
		}
	}
}

func TestLockoutRefuses(t *testing.T) {
	for title, line := range map[string]string{
		"empty":          "",
		"policy":         "policy\tp\t0\t0\t1\t1\t1\t0\t0\t0\t0\t0\t0\t0\t-\t0\n",
		"cut":            "princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0",
		"cut in front":   "princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0\t0\t0",
		"cut within":     "princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0\t0\t0\t1\t2",
		"cut name":       "princ\t38\t9\t0\t0\t0\tu@R",
		"name too short": "princ\t38\t2\t0\t0\t0\tu@R\t0\t0\t0\t0\t0\t1\t2\t3\t-1;\n",
		"loose number":   "princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0\t0\t0\t01\t2\t3\t-1;\n",
		"tag only":       "princ\t",
	} {
		t.Run(title, func(t *testing.T) {
			var syntax *SyntaxError
			got, _, err := SplitLockout([]byte("x"), []byte(line))
			if !errors.As(err, &syntax) || string(got) != "x" {
				t.Errorf("split: %q, %v", got, err)
			}
			got, err = JoinLockout([]byte("x"), []byte(line), Lockout{FailCount: 1})
			if !errors.As(err, &syntax) || string(got) != "x" {
				t.Errorf("join: %q, %v", got, err)
			}
		})
	}
	full := []byte("princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0\t0\t0\t1\t2\t3\t-1;\n")
	if _, err := JoinLockout(nil, full, Lockout{FailCount: 1}); err == nil {
		t.Error("joined a line that was not split")
	}
}

func TestLineName(t *testing.T) {
	for _, c := range []struct {
		line string
		kind Kind
		name string
	}{
		{"princ\t38\t3\t0\t0\t0\tu@R\tnothing more is looked at", KindPrincipal, "u@R"},
		{"princ\t38\t5\t0\t0\t0\t\\ u@R\t0", KindPrincipal, " u@R"},
		{"policy\tp\t0\t0", KindPolicy, "p"},
		{"policy\t\\ p\t0\t0", 0, ""},
		{"delprinc\t3\tu@R\t;\n", KindDeletePrincipal, "u@R"},
		{"delprinc\t5\t\\ u@R\t;\n", KindDeletePrincipal, " u@R"},
		{"delpolicy\t3\t\\pp\t;\n", KindDeletePolicy, `\pp`},
		{"delpolicy\t3\tp\t;\n", 0, ""},
		{"frob\tx\n", 0, ""},
		{"princ", 0, ""},
		{"", 0, ""},
	} {
		kind, name, err := LineName([]byte(c.line))
		if kind != c.kind || name != c.name || (err != nil) != (c.kind == 0) {
			t.Errorf("%q: got %v %q %v, want %v %q", c.line, kind, name, err, c.kind, c.name)
		}
	}
}
