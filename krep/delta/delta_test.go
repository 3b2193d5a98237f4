package delta

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

var realm = deltafile.Initial("EXAMPLE.COM", 0x5f0c1d2e3a4b5c6d, time.Unix(1700000000, 0))

func fixture(name string) string { return filepath.Join("testdata", name+".delta") }

// write makes a delta file with one changeset for each body.
func write(t testing.TB, bodies ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delta")
	a, err := deltafile.OpenAppender(path, deltafile.AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var all [][]byte
	for _, b := range bodies {
		all = append(all, []byte(b))
	}
	if _, err := a.AppendLines(t.Context(), realm, time.Unix(1700000100, 0), all...); err != nil {
		t.Fatal(err)
	}
	return path
}

func line(t testing.TB, rec dumpfmt.Record) string {
	t.Helper()
	b, err := rec.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func princ(t testing.TB, name string, attributes uint32) string {
	return line(t, &dumpfmt.Principal{Name: name, Attributes: attributes})
}

func delprinc(t testing.TB, name string) string {
	return line(t, &dumpfmt.DeletePrincipal{Name: name})
}

func TestEach(t *testing.T) {
	var got []string
	_, err := Each(fixture("changes"), func(base deltafile.State, cs *deltafile.Changeset, changes []Change) error {
		if base.Realm != "EXAMPLE.COM" {
			t.Errorf("realm %q", base.Realm)
		}
		for _, c := range changes {
			got = append(got, fmt.Sprint(cs.Serial, " ", c.Kind, " ", c.Name))
		}
		return nil
	})
	want := []string{"1 princ alice@EXAMPLE.COM", "2 delprinc bob@EXAMPLE.COM", "3 policy staff", "4 princ caroline@EXAMPLE.COM",
		"4 delprinc carol@EXAMPLE.COM", "5 delpolicy temp", "6 princ dave@EXAMPLE.COM"}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name       string
		changesets int
		torn       bool
		reason     error
	}{
		{"changes", 6, false, nil},
		{"torn-body", 5, true, nil},
		{"torn-end", 5, true, nil},
		{"bad-hash", 1, false, deltafile.ErrHash},
		{"gap", 2, false, deltafile.ErrSerial},
		{"unknown-kind", 0, false, deltafile.ErrKind},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Check(fixture(c.name))
			if s.Changesets != c.changesets || s.Torn() > 0 != c.torn && c.reason == nil || !errors.Is(err, c.reason) {
				t.Errorf("%+v, %v", s, err)
			}
			var fe *deltafile.FormatError
			if c.reason != nil && (!errors.As(err, &fe) || fe.File != fixture(c.name)) {
				t.Errorf("%v", err)
			}
		})
	}
	s, err := Check(fixture("changes"))
	if err != nil || s.Principals != 3 || s.Policies != 1 || s.DeletedPrincipals != 2 || s.DeletedPolicies != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCheckNamesTheLine: a chain that is right around a line that is not; the error has the place
// and nothing of the line.
func TestCheckNamesTheLine(t *testing.T) {
	good, bad := delprinc(t, "a@EXAMPLE.COM"), "princ\t38\tfrob\tc0ffeec0ffee\n"
	path := write(t, good, good+bad+good)
	_, err := Check(path)
	var fe *deltafile.FormatError
	if !errors.As(err, &fe) {
		t.Fatal(err)
	}
	text, readErr := os.ReadFile(path)
	if readErr != nil || !strings.HasPrefix(string(text[fe.Offset:]), bad) {
		t.Errorf("offset %d, %v", fe.Offset, readErr)
	}
	for _, want := range []string{"change 2", "line 2", "field 3"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "c0ffee") {
		t.Errorf("the error repeats the line: %v", err)
	}
}

func TestExport(t *testing.T) {
	a1, a2 := princ(t, "a@EXAMPLE.COM", 1), princ(t, "a@EXAMPLE.COM", 2)
	b, pol := princ(t, "b@EXAMPLE.COM", 0), line(t, &dumpfmt.Policy{Name: "a@EXAMPLE.COM"}) // a policy of a principal's name
	odd := `two "words"@EXAMPLE.COM`
	path := write(t, a1, pol+b, delprinc(t, "b@EXAMPLE.COM")+delprinc(t, odd), a2+line(t, &dumpfmt.DeletePolicy{Name: "gone"}), a2)
	const header = "kdb5_util load_dump version 7\n"
	for _, c := range []struct {
		after           uint64
		dump, deletions string
	}{
		{0, header + pol + a2, "delete_principal -force b@EXAMPLE.COM\ndelete_principal -force \"two \"\"words\"\"@EXAMPLE.COM\"\ndelete_policy -force gone\n"},
		{3, header + a2, "delete_policy -force gone\n"},
		{5, header, ""},
		{9, header, ""},
	} {
		var dump, deletions bytes.Buffer
		x, err := Export(path, c.after, &dump, &deletions)
		if err != nil || dump.String() != c.dump || deletions.String() != c.deletions {
			t.Errorf("after %d: %v\n%s%s", c.after, err, &dump, &deletions)
		}
		if x.Principals+x.Policies+x.Deletions+x.Superseded != x.Changes || x.Last.Serial != 5 {
			t.Errorf("after %d: %+v", c.after, x)
		}
	}
	if _, err := deltafile.Truncate(t.Context(), path, realm.Epoch, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(path, 2, new(bytes.Buffer), new(bytes.Buffer)); !errors.Is(err, ErrAfter) {
		t.Errorf("a file that begins later: %v", err)
	}
	if _, err := Export(fixture("gap"), 0, new(bytes.Buffer), new(bytes.Buffer)); !errors.Is(err, deltafile.ErrSerial) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestParseLines(t *testing.T) {
	p, d := princ(t, "a@EXAMPLE.COM", 1), delprinc(t, "b@EXAMPLE.COM")
	old := "policy\tstaff\t0\t0\t8\t1\t1\t5\n" // version 5 counts references
	for _, c := range []struct{ name, text, want, err string }{
		{"none", "", "", ""},
		{"delta lines", p + d, p + d, ""},
		{"a dump", "kdb5_util load_dump version 7\n" + p, p, ""},
		{"an old dump", "kdb5_util load_dump version 5\n" + old, line(t, &dumpfmt.Policy{Name: "staff", MinLength: 8, MinClasses: 1, History: 1}), ""},
		{"unknown header", "kdb5_util load_dump version 9\n" + p, "", "header"},
		{"old line without header", old, "", "line 1"},
		{"torn", p + p[:20], "", "line 2"},
		{"empty line", p + "\n" + p, "", "line 2"},
		{"line behind a header", "kdb5_util load_dump version 7\n" + p + "frob\t1\n", "", "line 3"},
		{"framing", "begin\t1\t2\t3\t1\t5\t;\n", "", "line 1"},
	} {
		lines, err := ParseLines(strings.NewReader(c.text))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if got := string(bytes.Join(lines, nil)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	lines, err := Deletions("EXAMPLE.COM", []string{"a", `odd\@name/x@OTHER.ORG`}, []string{"staff"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Append(t.Context(), path, deltafile.State{}, lines, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file, no realm: %v", err)
	}
	if s, err := Append(t.Context(), path, realm, lines, false); err != nil || s.Serial != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	if s, err := Append(t.Context(), path, deltafile.State{}, lines, true); err != nil || s.Serial != 4 {
		t.Fatalf("%v, %v", s, err)
	}
	s, err := Check(path)
	if err != nil || s.DeletedPrincipals != 4 || s.DeletedPolicies != 2 || s.Changesets != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	for _, bad := range []string{"a", "@EXAMPLE.COM\x00"} {
		if _, err := Deletions("", []string{bad}, nil); err == nil {
			t.Errorf("%q without a realm was taken", bad)
		}
	}
	if _, err := Deletions("", nil, []string{"two words"}); err == nil {
		t.Error("a policy that cannot be was taken")
	}
}

func TestBegin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	if s, err := Begin(t.Context(), path, realm, false); err != nil || s != realm {
		t.Fatalf("%v, %v", s, err)
	}
	next := deltafile.Initial("EXAMPLE.COM", realm.Epoch+1, time.Unix(1700000200, 0))
	if s, err := Begin(t.Context(), path, next, false); err != nil || s != realm {
		t.Fatalf("a file that is there stays: %v, %v", s, err)
	}
	if _, err := Append(t.Context(), path, deltafile.State{}, [][]byte{[]byte(delprinc(t, "a@EXAMPLE.COM"))}, false); err != nil {
		t.Fatal(err)
	}
	if s, err := Begin(t.Context(), path, next, true); err != nil || s != next {
		t.Fatalf("%v, %v", s, err)
	}
	if s, err := Check(path + "." + realm.Epoch.String()); err != nil || s.Changesets != 1 {
		t.Errorf("the old epoch is kept: %+v, %v", s, err)
	}
}

// FuzzAppend: what ParseLines takes can be appended, and the file then checks and exports.
func FuzzAppend(f *testing.F) {
	f.Add([]byte(princ(f, "a@EXAMPLE.COM", 1) + delprinc(f, "b@EXAMPLE.COM")))
	f.Add([]byte("kdb5_util load_dump version 5\npolicy\tstaff\t0\t0\t8\t1\t1\t5\n"))
	f.Add([]byte("delpolicy\t4\ttemp\t;\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := ParseLines(bytes.NewReader(text))
		if err != nil || len(lines) == 0 {
			return
		}
		cs, err := deltafile.Encode(realm, time.Unix(0, 0), bytes.Join(lines, nil))
		if err != nil {
			t.Fatalf("parsed, not encoded: %v", err)
		}
		changes, err := Changes(cs)
		if err != nil || len(changes) != len(lines) {
			t.Fatalf("%d changes of %d lines: %v", len(changes), len(lines), err)
		}
		var dump bytes.Buffer
		w, err := dumpfmt.NewWriter(&dump, dumpfmt.Current)
		if err != nil {
			t.Fatal(err)
		}
		var x Exported
		for i, c := range changes {
			var deletions bytes.Buffer
			if err := x.write(w, &deletions, c, lines[i]); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(deletions.Bytes(), []byte("\n")); c.Delete() != (n == 1) || n > 1 {
				t.Fatalf("a deletion of %q is %d commands", c.Name, n)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r, err := dumpfmt.NewReader(&dump)
		for err == nil {
			_, err = r.Next()
		}
		if err.Error() != "EOF" {
			t.Fatalf("the export does not read: %v", err)
		}
	})
}
