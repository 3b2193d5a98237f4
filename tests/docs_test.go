package tests

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the top of the tree.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tracked lists the files of the tree: those git knows and those it would take; in a copy
// without git, what lies there.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root(t)
	if out, err := cmd.Output(); err == nil {
		return strings.Fields(string(out))
	}
	var files []string
	err := filepath.WalkDir(root(t), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, relErr := filepath.Rel(root(t), p)
			files, err = append(files, filepath.ToSlash(rel)), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are all Markdown files but those among test data, which speak of their own files.
func documents(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(tracked(t), func(f string) bool {
		return !strings.HasSuffix(f, ".md") || strings.Contains(f, "/testdata/")
	})
}

var (
	makeWord   = regexp.MustCompile("(?m)(?:^\\s*\\$? ?|`)make ([a-z][a-z-]*)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z]+):.*## `)
	mdLink     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	codeWord   = regexp.MustCompile("`([^`\n]+)`")
	treePath   = regexp.MustCompile(`^(?:krep|krepd|kdc|dumpfmt|deltafile|internal|tests|docs|\.ci)(?:/[A-Za-z0-9_.\-]+)*/?$`)
	testName   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z][A-Za-z0-9_]*)`")
)

func TestMakeTargetsInDocumentsExist(t *testing.T) {
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, m[1])
	}
	for _, doc := range documents(t) {
		for _, m := range makeWord.FindAllStringSubmatch(read(t, doc), -1) {
			if !slices.Contains(targets, m[1]) {
				t.Errorf("%s says make %s, which the Makefile does not have", doc, m[1])
			}
		}
	}
	readme := read(t, "README.md")
	for _, want := range []string{"make run", "make test"} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not name %q", want)
		}
	}
}

func TestLinksInDocumentsExist(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range mdLink.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := path.Join(path.Dir(doc), m[1])
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", doc, m[1])
			}
		}
	}
}

// TestPathsInDocumentsExist looks at words in code quotes that look like a path of this tree.
func TestPathsInDocumentsExist(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range codeWord.FindAllStringSubmatch(read(t, doc), -1) {
			if !strings.Contains(m[1], "/") || !treePath.MatchString(m[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root(t), m[1])); err != nil {
				t.Errorf("%s names `%s`, which does not exist", doc, m[1])
			}
		}
	}
}

// TestTestsInDocumentsExist holds docs/INVARIANTS.md to its "proved by" column.
func TestTestsInDocumentsExist(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)[A-Za-z0-9_]+)\(`)
	exists := map[string]bool{}
	for _, f := range tracked(t) {
		if !strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(read(t, f), -1) {
			exists[m[1]] = true
		}
	}
	for _, doc := range documents(t) {
		for _, m := range testName.FindAllStringSubmatch(read(t, doc), -1) {
			if !exists[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", doc, m[1])
			}
		}
	}
}
