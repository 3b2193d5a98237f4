package dumpfmt

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		title, text, defaultRealm string
		want                      Name
		printed                   string // "": as text
	}{
		{"user", "alice@R", "", Name{"R", []string{"alice"}}, ""},
		{"service", "host/a.example@R", "", Name{"R", []string{"host", "a.example"}}, ""},
		{"three components", "a/b/c@R", "", Name{"R", []string{"a", "b", "c"}}, ""},
		{"default realm", "alice", "D", Name{"D", []string{"alice"}}, "alice@D"},
		{"default realm unused", "alice@R", "D", Name{"R", []string{"alice"}}, ""},
		{"default realm with a slash", "alice", "D/E", Name{"D/E", []string{"alice"}}, `alice@D\/E`},
		{"empty realm", "u@", "D", Name{"", []string{"u"}}, ""},
		{"one empty component", "@R", "", Name{"R", []string{""}}, ""},
		{"two empty components", "/@R", "", Name{"R", []string{"", ""}}, ""},
		{"empty in the middle", "x//y@R", "", Name{"R", []string{"x", "", "y"}}, ""},
		{"empty at the end", "x/@R", "", Name{"R", []string{"x", ""}}, ""},
		{"escaped separators", `a\/b\@c\\d@R`, "", Name{"R", []string{`a/b@c\d`}}, ""},
		{"control characters", `a\tb\nc\bd\0e@R`, "", Name{"R", []string{"a\tb\nc\bd\x00e"}}, ""},
		{"escapes in the realm", `x@REALM\/Y\@Z\t`, "", Name{"REALM/Y@Z\t", []string{"x"}}, ""},
		{"needless backslash", `q\qx@R`, "", Name{"R", []string{"qqx"}}, "qqx@R"},
		{"guard", `\ lead@R`, "", Name{"R", []string{" lead"}}, " lead@R"},
		{"raw TAB", "a\tb@R", "", Name{"R", []string{"a\tb"}}, `a\tb@R`},
		{"raw LF", "a\nb@R", "", Name{"R", []string{"a\nb"}}, `a\nb@R`},
		{"raw CR, VT, FF", "a\rb\vc\fd@R", "", Name{"R", []string{"a\rb\vc\fd"}}, ""},
		{"blanks", " a b @R", "", Name{"R", []string{" a b "}}, ""},
		{"not UTF-8", "\xff\xfe@R", "", Name{"R", []string{"\xff\xfe"}}, ""},
		{"UTF-8", "\u00e9@R", "", Name{"R", []string{"\u00e9"}}, ""},
		{"minus and semicolon", "-1;@R", "", Name{"R", []string{"-1;"}}, ""},
		{"nothing but the default", "", "D", Name{"D", []string{""}}, "@D"},
	} {
		t.Run(c.title, func(t *testing.T) {
			n, err := ParseName(c.text, c.defaultRealm)
			if err != nil {
				t.Fatal(err)
			}
			if n.Realm != c.want.Realm || !slices.Equal(n.Components, c.want.Components) {
				t.Errorf("got %q, want %q", n, c.want)
			}
			printed := c.printed
			if printed == "" {
				printed = c.text
			}
			if n.String() != printed {
				t.Errorf("prints as %q, want %q", n.String(), printed)
			}
			if classify(printed) != nameCanonical {
				t.Errorf("%q is not taken for canonical", printed)
			}
		})
	}
}

func TestParseNameRefuses(t *testing.T) {
	for title, text := range map[string]string{
		"no realm":              "alice",
		"empty":                 "",
		"two realms":            "a@b@C",
		"slash in the realm":    "x@R/Y",
		"backslash at the end":  `bad\`,
		"backslash in realm":    `x@R\`,
		"zero byte":             "a\x00b@R",
		"zero behind backslash": "a\\\x00@R",
	} {
		t.Run(title, func(t *testing.T) {
			if n, err := ParseName(text, ""); !errors.Is(err, ErrName) {
				t.Errorf("got %q, %v, want ErrName", n, err)
			}
		})
	}
}

// TestNameWithoutComponents: MIT prints it like one empty component, so do we.
func TestNameWithoutComponents(t *testing.T) {
	if got := (Name{Realm: "R"}).String(); got != "@R" {
		t.Errorf("got %q, want @R", got)
	}
}

func TestClassify(t *testing.T) {
	for text, want := range map[string]nameForm{
		"a@R":       nameCanonical,
		`a\ b@R`:    nameLoose,
		`\a@R`:      nameLoose,
		"a":         nameBad,
		"a\tb@R":    nameBad,
		"a\bb@R":    nameBad,
		"a\\\tb@R":  nameBad,
		`a@R\`:      nameBad,
		`a@\R`:      nameLoose,
		"a@b@c":     nameBad,
		"a@b/c":     nameBad,
		`a@b\/c\@d`: nameCanonical,
	} {
		if got := classify(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// TestWireName covers the guard of a leading white space.
func TestWireName(t *testing.T) {
	for _, c := range []struct {
		text, name string
		strict     bool
	}{
		{"a@R", "a@R", true},
		{`\ a@R`, " a@R", true},
		{"\\\ra@R", "\ra@R", true},
		{"\\\va@R", "\va@R", true},
		{"\\\fa@R", "\fa@R", true},
		{" a@R", " a@R", false},
		{"\ra@R", "\ra@R", false},
		{`\  a@R`, "  a@R", true},
		{`\ a\ b@R`, " a b@R", false},
		{`\\ a@R`, `\\ a@R`, true},
		{`\q@R`, "q@R", false},
		{`\ @R`, " @R", true},
		{"\u00a0a@R", "\u00a0a@R", true}, // not white for scanf
	} {
		name, strict, err := wireName([]byte(c.text))
		if err != nil || string(name) != c.name || strict != c.strict {
			t.Errorf("%q: got %q %v %v, want %q %v", c.text, name, strict, err, c.name, c.strict)
			continue
		}
		if !strict {
			continue
		}
		line, err := (&DeletePrincipal{Name: c.name}).AppendLine(nil, Current)
		if err != nil || !strings.Contains(string(line), "\t"+c.text+"\t;") {
			t.Errorf("%q: prints as %q %v, want %q", c.name, line, err, c.text)
		}
	}
}

func TestNameLengthLimit(t *testing.T) {
	longest := strings.Repeat("x", MaxName-2) + "@R"
	for _, c := range []struct {
		title, name string
		ok          bool
	}{
		{"longest", longest, true},
		{"longest with a guard", " " + longest[1:], true},
		{"one more", "x" + longest, false},
		{"one more with a guard", " " + longest, false},
	} {
		t.Run(c.title, func(t *testing.T) {
			p := &Principal{Name: c.name}
			line, err := p.AppendLine(nil, Current)
			if (err == nil) != c.ok {
				t.Fatalf("printing: %v", err)
			}
			if err != nil {
				return
			}
			rec, err := ParseDeltaLine(line)
			if err != nil {
				t.Fatal(err)
			}
			if got := rec.(*Principal).Name; got != c.name {
				t.Errorf("comes back with %d bytes", len(got))
			}
		})
	}
}
