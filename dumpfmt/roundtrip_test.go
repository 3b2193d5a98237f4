package dumpfmt

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixtures returns the paths below testdata that end in suffix.
func fixtures(t testing.TB, suffix string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no %s below testdata", suffix)
	}
	return paths
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// open reads the header of either family of dumps.
func open(data []byte) (*Reader, error) {
	r, err := NewReader(bytes.NewReader(data))
	if errors.Is(err, ErrHeader) {
		return NewIpropReader(bytes.NewReader(data))
	}
	return r, err
}

// rewrite reads a whole dump and writes it again in the same form.
func rewrite(data []byte) ([]byte, error) {
	r, err := open(data)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := writerLike(&out, r)
	if err != nil {
		return nil, err
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			err = w.Flush()
			return out.Bytes(), err
		}
		if err != nil {
			return nil, err
		}
		if err := w.Write(rec); err != nil {
			return nil, err
		}
	}
}

func writerLike(out io.Writer, r *Reader) (*Writer, error) {
	if r.Version().iprop() {
		return NewIpropWriter(out, r.Version(), r.Iprop())
	}
	return NewWriter(out, r.Version())
}

// TestFixturesRoundTrip: what MIT wrote comes out byte for byte as it went in.
func TestFixturesRoundTrip(t *testing.T) {
	// What differs, and what comes out instead.
	normalised := map[string]string{
		"testdata/names/leadspace-broken.dump": "testdata/names/leadspace-safe.dump",
	}
	refused := map[string]SyntaxError{
		"testdata/policies/name-space-unloadable.dump":     {Line: 6, Field: 2},
		"testdata/policies/keysalts-space-unloadable.dump": {Line: 6, Field: 15},
	}
	for _, path := range fixtures(t, ".dump") {
		t.Run(path, func(t *testing.T) {
			data := readFile(t, path)
			got, err := rewrite(data)
			if want, ok := refused[path]; ok {
				var syntax *SyntaxError
				if !errors.As(err, &syntax) || syntax.Line != want.Line || syntax.Field != want.Field {
					t.Fatalf("got %v, want a refusal at line %d, field %d", err, want.Line, want.Field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := normalised[path]; ok {
				data = readFile(t, other)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("came out differently:\n%s", firstDifference(got, data))
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := bytes.SplitAfter(got, []byte("\n")), bytes.SplitAfter(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return "got  " + string(g[i]) + "want " + string(w[i])
		}
	}
	return "one is longer"
}

// TestVersionsConvert: every version written from the version 7 dump of a database is what
// MIT wrote from that database.
func TestVersionsConvert(t *testing.T) {
	for _, build := range []string{"1.20.1", "1.23pre"} {
		for _, suffix := range []string{"v4-b7", "v5-r13", "v6-r18", "v7", "iprop", "ipropx"} {
			t.Run(build+"-"+suffix, func(t *testing.T) {
				r, err := open(readFile(t, "testdata/versions/"+build+"-v7.dump"))
				if err != nil {
					t.Fatal(err)
				}
				want := readFile(t, "testdata/versions/"+build+"-"+suffix+".dump")
				like, err := open(want)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				w, err := writerLike(&out, like)
				if err != nil {
					t.Fatal(err)
				}
				copyRecords(t, w, r)
				if !bytes.Equal(out.Bytes(), want) {
					t.Errorf("differs from MIT's:\n%s", firstDifference(out.Bytes(), want))
				}
			})
		}
	}
}

func copyRecords(t *testing.T, w *Writer, r *Reader) {
	t.Helper()
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestNextLineAgreesWithNext: for every fixture, NextLine gives the version 7 line of the
// record that Next gives, or the same error.
func TestNextLineAgreesWithNext(t *testing.T) {
	for _, path := range fixtures(t, ".dump") {
		data := readFile(t, path)
		byRecord, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		byLine, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		for {
			rec, err := byRecord.Next()
			kind, name, line, lineErr := byLine.NextLine()
			if errText(err) != errText(lineErr) {
				t.Fatalf("%s: Next: %v; NextLine: %v", path, err, lineErr)
			}
			if err != nil {
				break
			}
			want, err := rec.AppendLine(nil, Current)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(line, want) {
				t.Errorf("%s:%d: NextLine gives %s, want %s", path, byLine.Line(), line, want)
			}
			if k, n, err := LineName(line); k != kind || n != name || err != nil {
				t.Errorf("%s:%d: LineName gives %v %q %v, want %v %q", path, byLine.Line(), k, n, err, kind, name)
			}
			if byRecord.Offset() != byLine.Offset() || byRecord.Line() != byLine.Line() {
				t.Fatalf("%s: positions differ", path)
			}
		}
		if byLine.Offset() > int64(len(data)) {
			t.Errorf("%s: offset %d of %d", path, byLine.Offset(), len(data))
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestDeltaLines: every line between begin and end of the delta fixtures prints back.
func TestDeltaLines(t *testing.T) {
	unknown := 0
	for _, path := range fixtures(t, ".delta") {
		for _, line := range bytes.SplitAfter(readFile(t, path), []byte("\n")) {
			word, _, _ := strings.Cut(string(line), "\t")
			switch word {
			case "princ", "policy", "delprinc", "delpolicy":
			case "begin", "end", "base", "krep load_delta version 1\n", "":
				continue
			default:
				unknown++
			}
			if !bytes.HasSuffix(line, []byte("\n")) {
				continue // torn-body
			}
			rec, err := ParseDeltaLine(line)
			if strings.Contains(path, "unknown-kind") {
				if err == nil {
					t.Errorf("%s: accepted %s", path, line)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v: %s", path, err, line)
				continue
			}
			got, err := rec.AppendLine(nil, Current)
			if err != nil || !bytes.Equal(got, line) {
				t.Errorf("%s: got %s %v, want %s", path, got, err, line)
			}
			kind, _, err := LineName(line)
			if err != nil || kind.String() != word {
				t.Errorf("%s: kind %v %v of %s", path, kind, err, line)
			}
		}
	}
	if unknown == 0 {
		t.Error("no fixture with an unknown kind")
	}
}
