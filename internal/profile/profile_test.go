package profile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write puts files into a fresh directory and returns their paths, named 0.conf, 1.conf …
func write(t *testing.T, texts ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for i, text := range texts {
		name := filepath.Join(dir, fmt.Sprintf("%d.conf", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// TestAgainstMIT repeats what MIT's library was asked and compares.
func TestAgainstMIT(t *testing.T) {
	data, err := os.ReadFile("testdata/mit-1.20.1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, 1<<20)
	var head struct{ Queries [][]string }
	if !sc.Scan() || json.Unmarshal(sc.Bytes(), &head) != nil {
		t.Fatal("no queries in the fixture")
	}
	cases := 0
	for sc.Scan() {
		cases++
		var c struct {
			Files  []string
			Error  string
			Values [][]string
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		for i := range c.Files {
			c.Files[i] = strings.ReplaceAll(c.Files[i], "@DIR@", dir)
		}
		p, err := Load(write(t, c.Files...)...)
		if (err != nil) != (c.Error != "") {
			t.Errorf("case %d: MIT %q, we %v; files %q", cases, c.Error, err, c.Files)
			continue
		}
		for i, q := range head.Queries {
			if err == nil && !slices.Equal(p.Strings(q...), c.Values[i]) {
				t.Errorf("case %d %q: MIT %q, we %q; files %q", cases, q, c.Values[i], p.Strings(q...), c.Files)
			}
		}
	}
	if cases < 100 {
		t.Errorf("only %d cases in the fixture", cases)
	}
}

func TestErrorsNameFileAndLine(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text string
		line       int
		want       error
	}{
		{"no equals", "[a]\nx = 1\nfoo\n", 3, ErrRelation},
		{"two words", "[a]\nx y = 1\n", 2, ErrRelation},
		{"open header", "[a]\n[b\n", 2, ErrSection},
		{"text after header", "[a]\n[b] c\n", 2, ErrSection},
		{"header inside", "[a]\nx = {\n[b]\n", 3, ErrSectionNotTop},
		{"too many braces", "[a]\nx = {\n}\n}\n", 4, ErrExtraBrace},
		{"missing brace", "[a]\nx =\ny = 1\n", 3, ErrMissingBrace},
		{"include nothing", "[a]\n\ninclude " + dir + "/none\n", 3, os.ErrNotExist},
		{"includedir nothing", "includedir " + dir + "/none\n", 1, os.ErrNotExist},
		{"zero byte", "[a]\nx = \x00\n", 2, ErrNUL},
		{"deep", "[a]\n" + strings.Repeat("x = {\n", 70), 65, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := write(t, c.text)[0]
			_, err := Load(name)
			var syn *SyntaxError
			if !errors.As(err, &syn) || !errors.Is(err, c.want) {
				t.Fatalf("got %v, want a SyntaxError for %v", err, c.want)
			}
			if syn.File != name || syn.Line != c.line {
				t.Errorf("error at %s:%d, want line %d of %s", syn.File, syn.Line, c.line, name)
			}
		})
	}
}

func TestIncludeBounds(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "self.conf")
	if err := os.WriteFile(self, []byte("[a]\nx = 1\ninclude "+self+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(self); !errors.Is(err, errInclude) {
		t.Errorf("a file that includes itself: %v", err)
	}
	big := filepath.Join(dir, "big.conf")
	if err := os.WriteFile(big, bytes.Repeat([]byte("#\n"), maxFileSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large file: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory was read as a file")
	}
}

func TestLoadLists(t *testing.T) {
	n := write(t, "[a]\nx = first\n", "[a]\nx = second\ny = 2\n")
	missing := filepath.Join(t.TempDir(), "none")
	p, err := Load(missing, n[0]+":"+missing+":"+n[1])
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := p.String("a", "x"); v != "first" {
		t.Errorf("x = %q, want that of the first file", v)
	}
	if got, want := p.Source("a", "y"), n[1]+":3"; got != want {
		t.Errorf("source %q, want %q", got, want)
	}
	if got := p.Names("a"); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("names %q", got)
	}
	if got := p.Files(); !slices.Equal(got, n) {
		t.Errorf("files %q", got)
	}
	if _, err := Load(missing); !errors.Is(err, ErrNoFile) {
		t.Errorf("no file at all: %v", err)
	}
}

func TestValues(t *testing.T) {
	p, err := Parse("t", []byte("\xef\xbb\xbf[a]\nyes = ON\nno = nil\nodd = maybe\nn = -12\nbig = 99999999999\n"+
		"d = 1d 2h\nneg = -5\nsub = {\n z = {\n deep = 1\n}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Bool(false, "a", "yes"); !v || err != nil {
		t.Errorf("yes: %v %v", v, err)
	}
	if v, err := p.Bool(true, "a", "no"); v || err != nil {
		t.Errorf("no: %v %v", v, err)
	}
	if v, err := p.Bool(true, "a", "absent"); !v || err != nil {
		t.Errorf("absent: %v %v", v, err)
	}
	var ve *ValueError
	if _, err := p.Bool(true, "a", "odd"); !errors.As(err, &ve) || ve.Source != "t:4" {
		t.Errorf("odd: %v", err)
	}
	if v, err := p.Int(0, "a", "n"); v != -12 || err != nil {
		t.Errorf("n: %v %v", v, err)
	}
	if _, err := p.Int(0, "a", "big"); !errors.Is(err, ErrInteger) {
		t.Errorf("big: %v", err)
	}
	if v, err := p.Duration(0, "a", "d"); v != 26*time.Hour || err != nil {
		t.Errorf("d: %v %v", v, err)
	}
	if _, err := p.Duration(0, "a", "neg"); !errors.Is(err, ErrDuration) {
		t.Errorf("neg: %v", err)
	}
	if v, ok := p.String("a", "sub", "z", "deep"); v != "1" || !ok {
		t.Errorf("deep: %q %v", v, ok)
	}
	if _, ok := p.String(); ok || p.Strings() != nil {
		t.Error("an empty path has a value")
	}
	if got := p.Sections(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("sections %q", got)
	}
	if got := p.Sections("a"); !slices.Equal(got, []string{"sub"}) || slices.Contains(p.Relations("a"), "sub") {
		t.Errorf("sections of a %q, relations %q", got, p.Relations("a"))
	}
}

func TestParseDelta(t *testing.T) {
	data, err := os.ReadFile("testdata/deltat-1.20.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		in, want, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		in = strings.Trim(in, `"`)
		got := "ERROR"
		if n, err := ParseDelta(in); err == nil {
			got = fmt.Sprint(n)
		}
		if got != want {
			t.Errorf("%q: got %s, MIT %s", in, got, want)
		}
	}
	for _, s := range []string{"1w", "1.5h", "1D", "3hours", "1h 30m extra", "+5"} {
		if n, err := ParseDelta(s); err == nil {
			t.Errorf("%q: got %d, want an error (MIT stops at what it does not know)", s, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[s]\na = 1\nx = {\n b* = \"q\\n\"\n}*\n[t]*\n")
	f.Add("[s]\nx =\n{\n}\n# c\n; c\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			return // would read files of this machine
		}
		p, err := Parse("f", []byte(text))
		if err != nil {
			var syn *SyntaxError
			if !errors.As(err, &syn) || syn.Line < 0 || syn.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("error without a place in the file: %v", err)
			}
			return
		}
		for _, s := range p.Sections() {
			for _, n := range p.Names(s) {
				if p.Source(s, n) == "" {
					t.Fatalf("%q in %q has no source", n, s)
				}
			}
		}
	})
}

func FuzzParseDelta(f *testing.F) {
	f.Add("1d 2h 3m 4s")
	f.Add("10-8:45:0")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseDelta(s)
		if err != nil || n < 0 {
			return
		}
		if again, err := ParseDelta(fmt.Sprint(n)); err != nil || again != n {
			t.Fatalf("%q is %d, which is %d, %v", s, n, again, err)
		}
	})
}
