package command

import "testing"

func TestPosixMatcher(t *testing.T) {
	for _, c := range []struct {
		expr, name string
		want       bool
	}{
		{"a|ab", "ab", true},
		{"b", "ab", false},
		{"a*?", "aaa", true},
		{"a{2}{2}", "aaaa", true},
		{"(a|b)+*c", "abc", true},
		{"x(a)**y", "xaay", true},
		{"a{,2}b", "b", true},
		{"a{,2}b", "aaab", false},
		{`[\]`, `\`, true},
		{`[]x]+`, "]x", true},
		{`[^]x]`, "]", false},
		{"[[.-.]a]*", "a-", true},
		{`\d`, "d", true},
		{`\.`, "x", false},
		{"a)", "a)", true},
		{"日?x", "x", true},
		{"[[:alpha:]]+", "日本", true},
		{"()", "", true},
	} {
		re, err := posixMatcher(c.expr)
		if err != nil || re.MatchString(c.name) != c.want {
			t.Errorf("%q, %q: %v, want %v", c.expr, c.name, err, c.want)
		}
	}
	for _, expr := range []string{"*", "a|*", "(+a)", "^*", "a{", "a{1", "a{x}", "a{-1}", "a{1,0}", "a{1,2,3}", "a{99999}", "(", "[", "[]", "[a", "[b-a]",
		"[[:nope:]]", "[[:alpha:", "[[.ab.]]", `\`, `(a)\1`, `\<a`, "(?i)"} {
		if re, err := posixMatcher(expr); err == nil {
			t.Errorf("%q: taken as %v", expr, re)
		}
	}
}

// FuzzPosixMatcher: an expression is refused or compiles, and it matches only what is asked.
func FuzzPosixMatcher(f *testing.F) {
	for _, expr := range []string{"a{,2}b|[^]x]*", `\w+\W(a|b)**$`, "[[:alpha:][.-.]]?+"} {
		f.Add(expr)
	}
	f.Fuzz(func(_ *testing.T, expr string) {
		if re, err := posixMatcher(expr); err == nil {
			re.MatchString("anna.albers@EXAMPLE.COM")
		}
	})
}
