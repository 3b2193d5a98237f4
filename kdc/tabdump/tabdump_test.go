package tabdump

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krealm/dumpfmt"
)

// entries reads the principals of a dump in the order of their names.
func entries(t *testing.T, path string) iter.Seq2[*dumpfmt.Principal, error] {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dumpfmt.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var list []*dumpfmt.Principal
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := rec.(*dumpfmt.Principal); ok {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *dumpfmt.Principal) int { return strings.Compare(a.Name, b.Name) })
	return seq(list...)
}

func seq(list ...*dumpfmt.Principal) iter.Seq2[*dumpfmt.Principal, error] {
	return func(yield func(*dumpfmt.Principal, error) bool) {
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func print(t *testing.T, table string, o Options, all iter.Seq2[*dumpfmt.Principal, error]) string {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, table, o, all, func(name string, err error) { t.Errorf("%s: %s: %v", table, name, err) })
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s: %d rows, want %d; row %d differs:\n got %q\nwant %q", what, len(g), len(w), i+1,
				strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""), strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
}

// TestTablesOfRealms: the tables of two realms with every feature, as MIT 1.20.1 and its
// successor printed them.
func TestTablesOfRealms(t *testing.T) {
	const dumps = "../../dumpfmt/testdata/full/"
	files, err := filepath.Glob("testdata/full/*/*.tsv")
	if err != nil || len(files) != 13 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		dump := dumps + filepath.Base(filepath.Dir(f)) + ".dump"
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		table := strings.TrimSuffix(filepath.Base(f), ".tsv")
		same(t, f, print(t, table, Options{MKVNO: 1}, entries(t, dump)), string(want))
	}
}

// TestOddEntries: what MIT 1.20.1 prints of values that no real entry has, with all its options.
func TestOddEntries(t *testing.T) {
	options := map[string]Options{
		"":     {},
		"-n":   {Numeric: true},
		"-c":   {CSV: true},
		"-H":   {NoHeader: true},
		"-cen": {CSV: true, EmptyHex: true, Numeric: true},
	}
	for _, table := range Tables()[:7] { // not aliases, which 1.20.1 does not know
		for letters, o := range options {
			o.MKVNO = 1
			f := "testdata/odd/" + table + letters
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			same(t, f, print(t, table, o, entries(t, "testdata/odd.dump")), string(want))
		}
	}
}

func TestDamagedEntriesAreLeftOut(t *testing.T) {
	good := &dumpfmt.Principal{Name: "good@R"}
	good.SetModPrinc(1, "admin@R")
	none, short, bad := &dumpfmt.Principal{Name: "none@R"}, &dumpfmt.Principal{Name: "short@R"}, &dumpfmt.Principal{Name: "bad@R"}
	short.SetTL(dumpfmt.TLModPrinc, []byte{1, 2, 3})
	bad.SetTL(dumpfmt.TLModPrinc, []byte("\x01\x00\x00\x00a@b@c\x00"))
	foreign := &dumpfmt.Principal{Name: "foreign@R"}
	foreign.SetModPrinc(2, "someone")
	var b bytes.Buffer
	var damaged []string
	err := Write(&b, "princ_meta", Options{NoHeader: true, Numeric: true}, seq(none, short, bad, good, foreign), func(name string, err error) {
		if !errors.Is(err, ErrModifier) {
			t.Errorf("%s: %v", name, err)
		}
		damaged = append(damaged, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(damaged, []string{"none@R", "short@R", "bad@R"}) {
		t.Errorf("reported %q", damaged)
	}
	same(t, "what is left", b.String(), "good@R\tadmin@R\t1\t0\t\t0\t0\nforeign@R\tsomeone@R\t2\t0\t\t0\t0\n")
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	f.left -= len(p)
	if f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestErrorsEndIt(t *testing.T) {
	if err := Write(io.Discard, "nonsense", Options{}, seq(), nil); err == nil {
		t.Error("a table that does not exist is no error")
	}
	n := 0
	endless := func(yield func(*dumpfmt.Principal, error) bool) {
		for p := (&dumpfmt.Principal{Name: "p@R"}); n < 1_000_000 && yield(p, nil); n++ {
			continue
		}
	}
	if err := Write(&failing{left: 100_000}, "princ_flags", Options{}, endless, nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error of writing: %v", err)
	}
	if n > 10_000 {
		t.Errorf("printed %d entries after the first that failed", n)
	}
	boom := errors.New("boom")
	failed := func(yield func(*dumpfmt.Principal, error) bool) { yield(nil, boom) }
	if err := Write(io.Discard, "princ_flags", Options{}, failed, nil); !errors.Is(err, boom) {
		t.Errorf("error of reading: %v", err)
	}
}
