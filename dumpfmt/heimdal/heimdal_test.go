package heimdal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"krealm/dumpfmt"
)

const realm = "@EXAMPLE.COM"

func open(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read reads a dump in Heimdal's own form.
func read(t testing.TB, r io.Reader) map[string]*Entry {
	t.Helper()
	in := NewReader(r)
	list := make(map[string]*Entry)
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list[e.Principal.Name] = e
	}
}

func own(t testing.TB, path string) map[string]*Entry {
	t.Helper()
	return read(t, bytes.NewReader(open(t, path)))
}

// mit reads a dump in MIT's form, as Heimdal writes it.
func mit(t testing.TB, path string) map[string]*Entry {
	t.Helper()
	in, err := dumpfmt.NewReader(bytes.NewReader(open(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[string]*Entry)
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		p := rec.(*dumpfmt.Principal)
		list[p.Name] = FromMIT(p)
	}
}

// brief describes an entry without its keys' bytes.
func brief(e *Entry) string {
	p := e.Principal
	when, by, _ := p.ModPrinc()
	iso := func(t uint32) string { return time.Unix(int64(t), 0).UTC().Format("060102T150405") }
	s := fmt.Sprintf("%x %d %d", p.Attributes, p.MaxLife, p.MaxRenewLife)
	if p.Expire != 0 || p.PwExpire != 0 {
		s += " until " + iso(p.Expire) + " " + iso(p.PwExpire)
	}
	s += fmt.Sprintf(" pw %s by %s %s", iso(p.LastPwdChange()), by, iso(when))
	for _, k := range e.Keys {
		s += fmt.Sprintf(" %d:%d:%d", k.Kvno, k.Enctype, len(k.Value))
		if k.Sealed {
			s += fmt.Sprintf("/%d", k.MKVNO)
		}
		if k.Ver == 2 {
			s += fmt.Sprintf("(%d %q)", k.SaltType, k.Salt)
		}
	}
	for _, a := range e.Aliases {
		s += " alias " + a
	}
	for _, l := range e.Lost {
		s += " lost " + l
	}
	for _, tl := range p.TL {
		if tl.Type == dumpfmt.TLConstrainedDelACL {
			s += " to " + string(tl.Data)
		}
	}
	return s
}

// made is the time at which make.sh ran.
var made = regexp.MustCompile(`\b2611\d\dT\d{6}\b`)

func TestOwnForm(t *testing.T) {
	const noLimit = math.MaxInt32
	list := own(t, "testdata/aes/native.dump")
	if len(list) != 17 {
		t.Errorf("%d entries", len(list))
	}
	for name, want := range map[string]string{
		"bob":                  "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 5:18:60/1 5:16:52/1 5:23:44/1 alias robert@EXAMPLE.COM alias bob\\@example.com@EXAMPLE.COM",
		"alice":                "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 3:18:60/1 3:16:52/1 3:23:44/1 1:18:60/1 1:16:52/1 1:23:44/1 2:18:60/1 2:16:52/1 2:23:44/1",
		"flags":                "300242 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"expires":              "0 86400 604800 until 400101T235959 300601T235959 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"longer":               fmt.Sprintf("0 0 %d pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1", noLimit),
		"joe user":             "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"odd\\/na\\@me\\\\x":   "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"üser":                 "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"default":              "40 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"krbtgt/EXAMPLE.COM":   fmt.Sprintf("0 0 %d pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1", noLimit),
		"kadmin/changepw":      "209d 300 300 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1",
		"host/www.example.com": "0 86400 604800 pw NOW by kadmin/admin@EXAMPLE.COM NOW 1:18:60/1 1:16:52/1 1:23:44/1 to host/a.example.com@EXAMPLE.COM",
	} {
		e := list[name+realm]
		if e == nil {
			t.Errorf("no entry %q", name)
			continue
		}
		if got := made.ReplaceAllString(brief(e), "NOW"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// TestSameInEveryForm: sealed, decrypted and in MIT's form the entries are the same, as far as each
// form can say it.
func TestSameInEveryForm(t *testing.T) {
	for _, dir := range []string{"testdata/des3/", "testdata/aes/"} {
		native, decrypted, converted := own(t, dir+"native.dump"), own(t, dir+"decrypted.dump"), mit(t, dir+"mit.dump")
		if len(native) != len(decrypted) || len(native) != len(converted) {
			t.Fatal(len(native), len(decrypted), len(converted))
		}
		for name, e := range native {
			d, m := decrypted[name], converted[name]
			if d == nil || m == nil {
				t.Errorf("%s: not in every form", name)
				continue
			}
			if !reflect.DeepEqual(e.Principal, d.Principal) || !slices.Equal(e.Aliases, d.Aliases) {
				t.Errorf("%s: sealed and decrypted differ:\n%s\n%s", name, brief(e), brief(d))
			}
			sameKeys(t, name, e.Keys, m.Keys)
			for i, k := range d.Keys {
				if k.Sealed != k.Old || !k.Old && len(k.Value) != map[int32]int{18: 32, 16: 24, 23: 16}[k.Enctype] {
					t.Errorf("%s: decrypted key %d: sealed %v, %d bytes", name, i, k.Sealed, len(k.Value))
				}
			}
			sameEntry(t, name, e.Principal, m.Principal)
		}
	}
}

// sameKeys compares keys of the own form with those of MIT's, which does not say the version of the
// master key, nor that a salt is one that nobody gave.
func sameKeys(t *testing.T, name string, own, mit []Key) {
	t.Helper()
	own, mit = slices.Clone(own), slices.Clone(mit)
	for i := range own {
		own[i].MKVNO = -1
	}
	order := func(a, b Key) int {
		return (int(b.Kvno)-int(a.Kvno))*1000 + int(b.Enctype-a.Enctype)
	}
	slices.SortFunc(own, order)
	slices.SortFunc(mit, order)
	if !reflect.DeepEqual(own, mit) {
		t.Errorf("%s: keys differ:\n%+v\n%+v", name, own, mit)
	}
}

func sameEntry(t *testing.T, name string, own, mit *dumpfmt.Principal) {
	t.Helper()
	when, by, _ := own.ModPrinc()
	when2, by2, ok := mit.ModPrinc()
	if !ok || when != when2 && when2 != 0 || by != by2 && by2 != "kdb5_util@EXAMPLE.COM" && by2 != "kdb5_util@WELLKNOWN:ORG.H5L" {
		t.Errorf("%s: changed by %s at %d, in MIT's form by %s at %d", name, by, when, by2, when2)
	}
	if own.LastPwdChange() != mit.LastPwdChange() || own.Expire != mit.Expire || own.PwExpire != mit.PwExpire || own.MaxLife != mit.MaxLife {
		t.Errorf("%s: times differ:\n%+v\n%+v", name, own, mit)
	}
	const dropped = dumpfmt.AttrOKAsDelegate | dumpfmt.AttrOKToAuthAsDelegate | dumpfmt.AttrRequiresPwChange
	if own.Attributes&^dropped != mit.Attributes {
		t.Errorf("%s: attributes %#x, in MIT's form %#x", name, own.Attributes, mit.Attributes)
	}
}

func TestClear(t *testing.T) {
	list := own(t, "testdata/clear.dump")
	alice := list["alice"+realm]
	if len(list) != 10 || alice == nil || len(alice.Keys) != 6 || alice.Keys[0].Sealed || alice.Keys[5].Sealed || alice.Keys[5].Kvno != 1 {
		t.Errorf("%d entries; %+v", len(list), alice)
	}
}

func TestLooks(t *testing.T) {
	first := open(t, "testdata/aes/native.dump")
	first, _, _ = bytes.Cut(first, []byte("\n"))
	for _, c := range []struct {
		line string
		want bool
	}{
		{string(first), true},
		{string(first[:len(first)-40]), true},
		{"a@R 1 - - - - - - - 126 - -", true},
		{"a@R 1 - - - - - - - 126 -", true},
		{"a@R 1 - - - - - - - 126", false},
		{"a@R x - - - - - - - 126 - -", false},
		{"a@R 1 - - - - - - - x - -", false},
		{"a 1 - - - - - - - 126 - -", false},
		{"kdb5_util load_dump version 7", false},
		{"a@R 1 - - - - - - - 126 - - more", false},
		{"", false},
	} {
		if got := Looks([]byte(c.line)); got != c.want {
			t.Errorf("%.60q: %v", c.line, got)
		}
	}
}

// The columns of a line that is as short as can be.
const short = "a@R 1 - - - - - - - 126 - -"

func TestFaults(t *testing.T) {
	ext := func(hex string) string { return short[:len(short)-1] + hex }
	keys := func(s string) string { return "a@R " + s + " - - - - - - - 126 - -" }
	for _, c := range []struct {
		line  string
		field int
	}{
		{"", 0},
		{"a@R 1 - - - - - - - 126", 0},
		{short + " x", 0},
		{strings.Replace(short, "a@R", "a", 1), 1},
		{strings.Replace(short, "a@R", "a@R@S", 1), 1},
		{keys(""), 2},
		{keys("-1"), 2},
		{keys("65536"), 2},
		{keys("1:2"), 2},
		{keys("1::18:zz:-"), 2},
		{keys("1::x:00:-"), 2},
		{keys("1:x:18:00:-"), 2},
		{keys("1::18::-"), 2},
		{keys("1::18:00:3"), 2},
		{keys("1::18:00:4/00"), 2},
		{keys("1::18:00:3/0"), 2},
		{"a@R 1 x - - - - - - 126 - -", 3},
		{"a@R 1 - 20260101:a@R - - - - - 126 - -", 4},
		{"a@R 1 - 20261301000000:a@R - - - - - 126 - -", 4},
		{"a@R 1 - 20260101000000:a - - - - - 126 - -", 4},
		{"a@R 1 - - x - - - - 126 - -", 5},
		{"a@R 1 - - - x - - - 126 - -", 6},
		{"a@R 1 - - - - 2026 - - 126 - -", 7},
		{"a@R 1 - - - - - x - 126 - -", 8},
		{"a@R 1 - - - - - - 4294967296 126 - -", 9},
		{"a@R 1 - - - - - - - - - -", 10},
		{"a@R 1 - - - - - - - 126 5 -", 11},
		{ext("0"), 12},
		{ext("00"), 12},
		{ext("301AA003010100A113A711180F32303236313132323032333531365A00"), 12},
		{ext("300AA0030101FFA103BE0100"), 12}, // mandatory, not known
		{ext("300BA003010100A104AC020C00"), 0},
	} {
		_, err := ParseLine([]byte(c.line))
		var syntax *dumpfmt.SyntaxError
		if c.field == 0 && strings.HasPrefix(c.line, short[:20]) && len(c.line) > len(short)+5 {
			if err != nil {
				t.Errorf("%.60q: %v", c.line, err)
			}
			continue
		}
		if !errors.As(err, &syntax) || syntax.Field != c.field {
			t.Errorf("%.60q: %v, want field %d", c.line, err, c.field)
		}
	}
}

func TestReader(t *testing.T) {
	text := string(open(t, "testdata/aes/native.dump"))
	whole := read(t, strings.NewReader(text))
	if bits := read(t, iotest.OneByteReader(strings.NewReader(text))); !reflect.DeepEqual(whole, bits) {
		t.Error("read byte by byte the dump is another")
	}
	boom := errors.New("boom")
	for _, c := range []struct {
		r    io.Reader
		line int // of the syntax error; 0: another error
		want error
	}{
		{strings.NewReader(short), 1, dumpfmt.ErrTorn},
		{strings.NewReader(short + "\n" + short + "\nnonsense\n"), 3, nil},
		{io.MultiReader(strings.NewReader(short+"\n"), iotest.ErrReader(boom)), 0, boom},
		{io.MultiReader(strings.NewReader(short+"\n"), endless{}), 2, dumpfmt.ErrTooLong},
	} {
		in := NewReader(c.r)
		var err error
		for err == nil {
			_, err = in.Next()
		}
		var syntax *dumpfmt.SyntaxError
		if errors.As(err, &syntax) != (c.line > 0) || c.line > 0 && syntax.Line != c.line || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%v, want line %d, %v", err, c.line, c.want)
		}
		if _, again := in.Next(); !errors.Is(again, err) {
			t.Errorf("after %v: %v", err, again)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestFromMITRepairs(t *testing.T) {
	p := &dumpfmt.Principal{Name: "a@R"}
	p.SetTL(dumpfmt.TLLastPwdChange, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	p.SetTL(dumpfmt.TLModPrinc, []byte("\x02\x00\x00\x00\xffju\x00who@R\x00"))
	if !LooksMIT(p) {
		t.Error("not taken for Heimdal's")
	}
	q := FromMIT(p).Principal
	if when, by, ok := q.ModPrinc(); when != 2 || by != "who@R" || !ok || q.LastPwdChange() != 1 || LooksMIT(q) {
		t.Errorf("%d %s %v, %d", when, by, ok, q.LastPwdChange())
	}
	p.SetTL(dumpfmt.TLLastPwdChange, []byte{0, 0, 0, 0, 0, 0, 0, 1})
	p.SetTL(dumpfmt.TLModPrinc, []byte("\x02\x00\x00\x00\xffju\x00w@o@R\x00"))
	e := FromMIT(p)
	if when, by, ok := e.Principal.ModPrinc(); when != 2 || by != "kdb5_util@R" || !ok || e.Principal.LastPwdChange() != 0 || len(e.Lost) != 1 {
		t.Errorf("%d %s %v, %q", when, by, ok, e.Lost)
	}
	p.RemoveTL(dumpfmt.TLLastPwdChange)
	p.RemoveTL(dumpfmt.TLModPrinc)
	if when, by, ok := FromMIT(p).Principal.ModPrinc(); when != 0 || by != "kdb5_util@R" || !ok {
		t.Errorf("%d %s %v", when, by, ok)
	}
}

func FuzzParseLine(f *testing.F) {
	for _, path := range []string{"testdata/clear.dump", "testdata/aes/native.dump", "testdata/des3/decrypted.dump"} {
		for line := range bytes.Lines(open(f, path)) {
			f.Add(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	f.Add([]byte(short))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := ParseLine(line)
		if err != nil {
			var syntax *dumpfmt.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatal(err)
			}
			return
		}
		// What was read has a place in MIT's format.
		text, err := e.Principal.AppendLine(nil, dumpfmt.Current)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dumpfmt.ParseDeltaLine(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, a := range e.Aliases {
			if n, err := dumpfmt.ParseName(a, ""); err != nil || n.String() != a {
				t.Fatalf("alias %q: %v", a, err)
			}
		}
		for _, k := range e.Keys {
			if k.Old == (k.Kvno == e.Keys[0].Kvno) && !e.Keys[0].Old {
				t.Fatalf("version %d beside %d, old %v", k.Kvno, e.Keys[0].Kvno, k.Old)
			}
		}
	})
}
