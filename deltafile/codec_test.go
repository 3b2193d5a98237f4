package deltafile

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fixture reads a file of testdata/delta. The files are those of the format's worked example
// (docs/formats/delta.md), written and judged by an independent implementation.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "delta", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readBytes reads a whole file image: its base, its good changesets, where they end and
// ErrIncomplete, *FormatError or nil.
func readBytes(b []byte) (base State, css []*Changeset, good int64, err error) {
	r := bytes.NewReader(b)
	base, head, err := readHead(r, "", int64(len(b)))
	if err != nil {
		return State{}, nil, 0, err
	}
	s := scanner{f: r, state: base, off: head}
	for {
		more, err := s.batch(int64(len(b)))
		css = append(css, more...)
		if err != nil || len(more) == 0 {
			return base, css, s.off, err
		}
	}
}

func TestFixtures(t *testing.T) {
	for _, c := range []struct {
		name   string
		last   uint64 // the last good serial
		reason error  // nil: clean end
		offset int64  // of the damage
	}{
		{"changes.delta", 6, nil, 0},
		{"torn-body.delta", 5, ErrIncomplete, 0},
		{"torn-end.delta", 5, ErrIncomplete, 0},
		{"bad-hash.delta", 1, ErrHash, 752},
		{"gap.delta", 2, ErrSerial, 832},
		{"unknown-kind.delta", 0, ErrKind, 176},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, css, _, err := readBytes(fixture(t, c.name))
			if len(css) != int(c.last) || !errors.Is(err, c.reason) {
				t.Fatalf("%d changesets, error %v; want %d, %v", len(css), err, c.last, c.reason)
			}
			var fe *FormatError
			if damage := c.reason != nil && c.reason != ErrIncomplete; damage != errors.As(err, &fe) {
				t.Fatalf("damage %v, error %v", damage, err)
			} else if damage && fe.Offset != c.offset {
				t.Errorf("damage at %d, want %d", fe.Offset, c.offset)
			}
			want := Initial("EXAMPLE.COM", 0x5f0c1d2e3a4b5c6d, time.Unix(1700000000, 0))
			if base != want {
				t.Errorf("base %+v, want %+v", base, want)
			}
		})
	}
}

// TestFixtureContent pins what the worked example says of changes.delta.
func TestFixtureContent(t *testing.T) {
	image := fixture(t, "changes.delta")
	base, css, good, err := readBytes(image)
	if err != nil || good != int64(len(image)) {
		t.Fatal(good, err)
	}
	again := appendHead(nil, base)
	state := base
	for i, cs := range css {
		if cs.Serial != uint64(i+1) || cs.Sec != 1700000100+int64(i) || cs.Usec != 1000*(i+1) {
			t.Errorf("changeset %d: serial %d, time %d.%06d", i+1, cs.Serial, cs.Sec, cs.Usec)
		}
		made, err := Encode(state, cs.Time(), cs.Lines)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made.Raw, cs.Raw) || made.Hash != cs.Hash || made.NLines != cs.NLines {
			t.Errorf("changeset %d: encoding it again gives other bytes", cs.Serial)
		}
		again = append(again, cs.Raw...)
		state = state.After(cs)
	}
	if !bytes.Equal(again, image) {
		t.Error("head and changesets do not add up to the file")
	}
	const last = "f060036a896bda6c8daa1ea36fb8c783dd2b0d209c35aaa81328aa026e6aacac"
	if state.Hash.String() != last || css[3].NLines != 2 || string(css[1].Lines) != "delprinc\t15\tbob@EXAMPLE.COM\t;\n" {
		t.Errorf("content: last hash %s, %d lines in 4, 2 is %q", state.Hash, css[3].NLines, css[1].Lines)
	}
}

// TestTornAnywhere cuts the example after every byte: a tear is never damage, and what stands
// before it is read.
func TestTornAnywhere(t *testing.T) {
	image := fixture(t, "changes.delta")
	_, css, _, err := readBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	headLen := len(image)
	for _, cs := range css {
		headLen -= len(cs.Raw)
	}
	ends := map[int]int{headLen: 0} // offset where a changeset ends -> how many there are
	for i, off := 0, headLen; i < len(css); i++ {
		off += len(css[i].Raw)
		ends[off] = i + 1
	}
	want := -1 // the head itself is torn
	for cut := range len(image) + 1 {
		n, clean := ends[cut]
		if clean {
			want = n
		}
		_, got, _, err := readBytes(image[:cut])
		if clean && err != nil || !clean && !errors.Is(err, ErrIncomplete) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if len(got) != max(want, 0) {
			t.Fatalf("cut at %d: %d changesets, want %d", cut, len(got), want)
		}
	}
}

// TestDamageAnywhere changes every byte of the example in turn: the result is refused, or
// looks torn, but never read as anything else than a beginning of what was written.
func TestDamageAnywhere(t *testing.T) {
	image := fixture(t, "changes.delta")
	_, want, _, err := readBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(image, []byte("\t1700000000\t0\t")) + 1 // the base's time, which is informative
	to := from + len("1700000000\t0")
	head := bytes.Index(image, []byte("begin\t"))
	for i := range image {
		if i >= from && i < to {
			continue
		}
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(image)
			bad[i] ^= flip
			_, got, _, err := readBytes(bad)
			if err == nil {
				t.Fatalf("byte %d xor %#x: accepted", i, flip)
			}
			if errors.Is(err, ErrIncomplete) && i >= head && len(got) < len(want)-1 {
				t.Fatalf("byte %d xor %#x: passes for torn, %d changesets would be cut off", i, flip, len(want)-len(got))
			}
			for k, cs := range got {
				if !bytes.Equal(cs.Raw, want[k].Raw) {
					t.Fatalf("byte %d xor %#x: changeset %d is another", i, flip, k+1)
				}
			}
		}
	}
}

// TestSizeDamagedUpwards: a begin line that announces more than there is does not pass for a
// torn changeset, for the end line then stands where a body line must.
func TestSizeDamagedUpwards(t *testing.T) {
	image := fixture(t, "changes.delta")
	for _, size := range []string{"450", "949", "9999999"} {
		bad := bytes.Replace(image, []byte("\t449\t;"), []byte("\t"+size+"\t;"), 1) // of the last changeset
		_, css, _, err := readBytes(bad)
		if len(css) != 5 || !isDamage(err) {
			t.Errorf("%s bytes: %d changesets, %v", size, len(css), err)
		}
	}
}

var testEpoch = Epoch(0x0123456789abcdef)

func testBase() State { return Initial("EXAMPLE.COM", testEpoch, time.Unix(1700000000, 0)) }

// testLine is a body line that tells its number.
func testLine(n int) []byte {
	return fmt.Appendf(nil, "delprinc\t%d\tu%07d@EXAMPLE.COM\t;\n", 20, n)
}

// testChain makes n changesets that follow s.
func testChain(t testing.TB, s State, n int) []*Changeset {
	t.Helper()
	css := make([]*Changeset, n)
	for i := range css {
		cs, err := Encode(s, time.Unix(1700000000+int64(s.Serial), 0), testLine(int(s.Serial)+1))
		if err != nil {
			t.Fatal(err)
		}
		css[i], s = cs, s.After(cs)
	}
	return css
}

// reseal gives a changeset text the hash and end line it should have had.
func reseal(prev Hash, serial uint64, framed string) []byte {
	return appendEnd([]byte(framed), serial, chain(prev, []byte(framed)))
}

func TestDecodeRefuses(t *testing.T) {
	s := testBase()
	line := string(testLine(1))
	n := len(line)
	begin := func(format string, a ...any) string { return fmt.Sprintf("begin\t"+format+"\t;\n", a...) }
	seal := func(framed string) []byte { return reseal(s.Hash, 1, framed) }
	good := seal(begin("1\t5\t0\t1\t%d", n) + line)
	if cs, k, err := Decode(s, good); err != nil || k != len(good) || cs.Serial != 1 {
		t.Fatal("the good one:", err)
	}
	sub := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
	for _, c := range []struct {
		name   string
		raw    []byte
		reason error // nil: any
		offset int64
	}{
		{"nothing like it", []byte("bogus"), nil, 0},
		{"NULs", make([]byte, 8), nil, 0},
		{"serial 0", seal(begin("0\t5\t0\t1\t%d", n) + line), ErrSerial, 0},
		{"serial 2", seal(begin("2\t5\t0\t1\t%d", n) + line), ErrSerial, 0},
		{"leading zero", seal(begin("01\t5\t0\t1\t%d", n) + line), nil, 0},
		{"plus sign", seal(begin("+1\t5\t0\t1\t%d", n) + line), nil, 0},
		{"empty number", seal(begin("1\t\t0\t1\t%d", n) + line), nil, 0},
		{"serial too large", seal(begin("18446744073709551617\t5\t0\t1\t%d", n) + line), nil, 0},
		{"negative second", seal(begin("1\t-5\t0\t1\t%d", n) + line), nil, 0},
		{"second too large", seal(begin("1\t9223372036854775808\t0\t1\t%d", n) + line), nil, 0},
		{"microsecond too large", seal(begin("1\t5\t1000000\t1\t%d", n) + line), nil, 0},
		{"no lines", seal(begin("1\t5\t0\t0\t0")), nil, 0},
		{"lines in no bytes", seal(begin("1\t5\t0\t1\t0")), nil, 0},
		{"more lines than bytes", seal(begin("1\t5\t0\t%d\t%d", n+1, n) + line), nil, 0},
		{"line count", seal(begin("1\t5\t0\t2\t%d", n) + line), nil, 0},
		{"too large", []byte(begin("1\t5\t0\t1\t%d", MaxBody+1)), ErrTooLarge, 0},
		{"size overflow", []byte(begin("1\t5\t0\t1\t9223372036854775808")), nil, 0},
		{"begin without its end", []byte("begin" + strings.Repeat("\t1", 60)), ErrTooLarge, 0},
		{"blank for TAB", sub("begin\t1\t", "begin\t1 "), nil, 0},
		{"no semicolon", sub("\t;\n", "\t\n"), nil, 0},
		{"extra field", sub("\t;\n", "\t7\t;\n"), nil, 0},
		{"CR", sub("\t;\n", "\t;\r\n"), nil, 0},
		{"unknown kind", sub("delprinc", "delprunc"), ErrKind, int64(len(good) - n - len("end\t1\tsha256\t\t;\n") - 64)},
		{"empty line", seal(begin("1\t5\t0\t1\t1") + "\n"), ErrKind, int64(len(begin("1\t5\t0\t1\t1")))},
		{"line without LF", seal(begin("1\t5\t0\t1\t%d", n-1) + line[:n-1]), nil, int64(len(begin("1\t5\t0\t1\t%d", n-1)))},
		{"word without TAB", seal(begin("1\t5\t0\t1\t6") + "princ\n"), ErrKind, int64(len(begin("1\t5\t0\t1\t6")))},
		{"end of another", sub("end\t1", "end\t2"), ErrSerial, int64(len(good) - len("end\t1\tsha256\t\t;\n") - 64)},
		{"another digest", sub("sha256", "sha512"), nil, int64(len(good) - len("end\t1\tsha256\t\t;\n") - 64)},
		{"upper case hex", []byte(upperHex(string(good))), nil, int64(len(good) - len("end\t1\tsha256\t\t;\n") - 64)},
		{"time changed", sub("\t5\t", "\t6\t"), ErrHash, int64(len(good) - len("end\t1\tsha256\t\t;\n") - 64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Decode(s, c.raw)
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("error %v, want a FormatError", err)
			}
			if c.reason != nil && !errors.Is(err, c.reason) {
				t.Errorf("error %v, want %v", err, c.reason)
			}
			if fe.Offset != c.offset {
				t.Errorf("offset %d, want %d: %v", fe.Offset, c.offset, err)
			}
			if errors.Is(err, ErrIncomplete) {
				t.Errorf("%v is incomplete as well", err)
			}
		})
	}
}

// upperHex writes the hash in the end line in capitals.
func upperHex(raw string) string {
	i := strings.LastIndex(raw, "sha256\t") + len("sha256\t")
	return raw[:i] + strings.ToUpper(raw[i:i+64]) + raw[i+64:]
}

// TestErrorsKeepSecrets: a line holds sealed keys, and no error repeats it.
func TestErrorsKeepSecrets(t *testing.T) {
	s := testBase()
	framed := "begin\t1\t5\t0\t1\t26\t;\nprunc\t6b65796d6174657269616c\t;\n"
	_, _, err := Decode(s, reseal(s.Hash, 1, framed))
	if err == nil || strings.Contains(err.Error(), "6b65") {
		t.Errorf("error %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	s := testBase()
	now := time.Unix(1, 0)
	last := s
	last.Serial = math.MaxUint64
	big := bytes.Repeat([]byte("princ\t\n"), MaxBody/7+1)
	for _, c := range []struct {
		name   string
		prev   State
		lines  []byte
		reason error
	}{
		{"no lines", s, nil, nil},
		{"no LF", s, []byte("princ\t1"), nil},
		{"unknown kind", s, []byte("rename\ta\n"), ErrKind},
		{"framing inside", s, []byte("princ\t1\nend\t1\n"), ErrKind},
		{"too large", s, big, ErrTooLarge},
		{"last serial", last, testLine(1), ErrSerial},
		{"no state", State{}, testLine(1), nil},
	} {
		cs, err := Encode(c.prev, now, c.lines)
		if err == nil || cs != nil || c.reason != nil && !errors.Is(err, c.reason) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	full := big[:MaxBody/7*7]
	cs, err := Encode(s, now, full)
	if err != nil {
		t.Fatal(err)
	}
	if got, n, err := Decode(s, cs.Raw); err != nil || n != len(cs.Raw) || len(got.Lines) != len(full) {
		t.Error("one of the full size:", err)
	}
}

func TestEncodeTimes(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		sec  int64
		usec int
	}{
		{time.Unix(1700000000, 123456789), 1700000000, 123456},
		{time.Unix(-5, 0), 0, 0},
		{time.Time{}, 0, 0},
		{time.Unix(253402300800, 999999999), 253402300800, 999999},
	} {
		cs, err := Encode(testBase(), c.t, testLine(1))
		if err != nil || cs.Sec != c.sec || cs.Usec != c.usec {
			t.Errorf("%v: %d.%06d, %v", c.t, cs.Sec, cs.Usec, err)
		}
	}
}

func TestBaseLine(t *testing.T) {
	for _, realm := range []string{"EXAMPLE.COM", "a", " b c ", "tab\\tin", "x@y;\xff", strings.Repeat("r", MaxRealm)} {
		s := Initial(realm, testEpoch, time.Unix(7, 8000))
		s.Serial, s.Hash = math.MaxUint64, Hash{1, 2, 3}
		line := s.AppendBase(nil)
		if len(line) > maxBase {
			t.Errorf("base line of %d bytes, limit %d", len(line), maxBase)
		}
		got, err := ParseBase(line)
		if err != nil || got != s {
			t.Errorf("realm %q: %+v, %v", realm, got, err)
		}
	}
	good := string(testBase().AppendBase(nil))
	for _, c := range []struct{ name, old, new string }{
		{"word", "base", "bass"},
		{"length short", "\t11\t", "\t10\t"},
		{"length long", "\t11\t", "\t12\t"},
		{"length past the end", "\t11\t", "\t1111\t"},
		{"realm too long", "\t11\t", "\t99999\t"},
		{"no realm", "\t11\tEXAMPLE.COM", "\t0\t"},
		{"NUL in realm", "EXAMPLE.COM", "EXAMPLE\x00COM"},
		{"TAB in realm", "EXAMPLE.COM", "EXAMPLE\tCOM"},
		{"zero epoch", testEpoch.String(), strings.Repeat("0", 16)},
		{"short epoch", testEpoch.String(), "123"},
		{"capital epoch", "abcdef", "ABCDEF"},
		{"hash of another epoch", "abcdef", "abcdee"},
		{"no end", "\t;\n", "\t\n"},
		{"no LF", ";\n", ";"},
	} {
		if s, err := ParseBase([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil {
			t.Errorf("%s: accepted as %+v", c.name, s)
		}
	}
}

func TestEpoch(t *testing.T) {
	e := NewEpoch()
	if e == 0 || e == NewEpoch() {
		t.Error("not random:", e)
	}
	if got, err := ParseEpoch(e.String()); err != nil || got != e {
		t.Errorf("%v: %v, %v", e, got, err)
	}
	for _, s := range []string{"", "0000000000000000", "123", "ABCDEF0123456789", "0123456789abcdeg", "0123456789abcdef0"} {
		if _, err := ParseEpoch(s); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
	h := testBase().Hash
	if got, err := ParseHash(h.String()); err != nil || got != h {
		t.Errorf("hash %v: %v, %v", h, got, err)
	}
}
