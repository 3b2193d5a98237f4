package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The budgets of a file and a function, in lines.
const (
	maxFile     = 500
	maxTestFile = 800
	maxFunction = 80
)

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, f := range tracked(t) {
		if strings.HasSuffix(f, ".go") && !strings.Contains(f, "/testdata/") {
			files = append(files, f)
		}
	}
	return files
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, f := range goFiles(t) {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root(t), f), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		limit := maxFile
		if strings.HasSuffix(f, "_test.go") {
			limit = maxTestFile
		}
		if n := set.Position(file.FileEnd).Line; n > limit {
			t.Errorf("%s has %d lines, more than %d", f, n, limit)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || limit == maxTestFile { // a table of cases may be long
				continue
			}
			if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", f, fn.Name.Name, n, maxFunction)
			}
		}
	}
}

// TestNothingSleepsOrSkips: a test waits for what it needs, and a missing tool is an error.
func TestNothingSleepsOrSkips(t *testing.T) {
	sleep := regexp.MustCompile(`\btime\.` + `Sleep\(`)
	skip := regexp.MustCompile(`\b(?:t|b|f|tb)\.Skip(?:f|Now)?\(`)
	later := regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	for _, f := range goFiles(t) {
		text := read(t, f)
		if m := sleep.FindString(text); m != "" {
			t.Errorf("%s sleeps: %s", f, m)
		}
		if m := skip.FindString(text); m != "" && strings.HasSuffix(f, "_test.go") && !strings.Contains(text, "func Fuzz") {
			t.Errorf("%s skips a test: %s", f, m)
		}
		if m := later.FindString(text); m != "" {
			t.Errorf("%s leaves something for later: %s", f, m)
		}
	}
}
