package admin

import (
	"errors"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct{ pattern, match, not string }{
		{"*", "a@R b/c@R x@OTHER", ""},
		{"a*", "a@R ab@R a/b@R", "ba@R"},
		{"a", "a@R a@X", "ab@R b@R"},
		{"a?", "ab@R a/@R", "a@R abc@R"},
		{"?", "é@R a@R", "éa@R"},
		{"*@R", "a@R", "a@RR a@X"},
		{"[ab]c", "ac@R bc@R", "cc@R [ab]c@R"},
		{"[a-c]", "b@R", "d@R"},
		{"[^a]", "b@R", "a@R bb@R"},
		{"[]a]", "]@R a@R", "b@R"},
		{"[a-]", "-@R a@R", "b@R"},
		{"[[:digit:]x]", "5@R x@R", "a@R"},
		{`\*`, "*@R", "a@R"},
		{`a\[`, "a[@R", "a@R"},
		{"a.b+c", "a.b+c@R", "axb+c@R a.bbc@R"},
		{"*a*b*c", "abc@R xaxbxc@R aabbcc@R", "acb@R"},
		{"a$^(|)", "a$^(|)@R", "a@R"},
	} {
		g, err := compileGlob(c.pattern, true)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for _, s := range strings.Fields(c.match) {
			if !g.match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range strings.Fields(c.not) {
			if g.match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
	for _, p := range []string{`\`, `a\`, "[", "[]", "[a", "[b-a]", "[[:nosuch:]]", "[[:digit"} {
		if _, err := compileGlob(p, true); !errors.Is(err, ErrPattern) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*[b-c]?", "axb@R")
	f.Add("***", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := compileGlob(pattern, false)
		if err != nil {
			return
		}
		if g.match(name); !strings.ContainsAny(pattern, `*?[\`) && pattern != "" && g.match(name) != (pattern == name) {
			t.Fatalf("%q, without wildcards, and %q", pattern, name)
		}
	})
}
