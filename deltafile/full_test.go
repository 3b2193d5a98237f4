package deltafile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const testDump = "kdb5_util load_dump version 7\nprinc\t1\npolicy\t2\n"

func testFull(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewFullWriter(&b, testBase(), 3, int64(len(testDump)))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{testDump[:7], testDump[7:], ""} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, ErrClosed) {
		t.Error("closed twice:", err)
	}
	return b.Bytes()
}

func TestFullFrame(t *testing.T) {
	frame := testFull(t)
	begin := "begin\t0\t1700000000\t0\t3\t47\t;\n"
	sum := chain(testBase().Hash, []byte(begin+testDump))
	want := "krep load_full version 1\n" + string(testBase().AppendBase(nil)) + begin + testDump +
		"end\t0\tsha256\t" + sum.String() + "\t;\n"
	if string(frame) != want {
		t.Fatalf("frame\n%s\nwant\n%s", frame, want)
	}
	for name, under := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "early EOF": iotest.DataErrReader,
	} {
		rest := strings.NewReader("what follows the frame")
		r, err := ReadFull(under(io.MultiReader(bytes.NewReader(frame), rest)))
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != testDump || r.Base != testBase() || r.NLines != 3 || r.NBytes != 47 {
			t.Errorf("%s: %q, %v, %+v", name, got, err, r)
		}
		if left, _ := io.ReadAll(rest); name != "early EOF" && !strings.HasPrefix(string(left), "what") {
			t.Errorf("%s: read past the end", name)
		}
	}
}

// TestFullSealed frames a dump in place, in a real file.
func TestFullSealed(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(testDump), FullRoom); err != nil {
		t.Fatal(err)
	}
	start, size, err := SealFull(f, testBase(), 3, int64(len(testDump)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, start, size))
	if err != nil || !bytes.Equal(got, testFull(t)) {
		t.Errorf("sealed: %q, %v", got, err)
	}
	long := Initial(strings.Repeat("r", MaxRealm), testEpoch, time.Unix(1<<40, 999999000))
	if _, _, err := SealFull(f, long, 3, int64(len(testDump))); err != nil {
		t.Error("the longest head:", err)
	}
	for _, c := range []struct{ lines, bytes int64 }{{4, 47}, {3, 46}, {3, 48}, {0, 0}, {1, MaxFull + 1}} {
		if _, _, err := SealFull(f, testBase(), c.lines, c.bytes); err == nil {
			t.Errorf("%d lines in %d bytes accepted", c.lines, c.bytes)
		}
	}
}

func TestFullWriterRefuses(t *testing.T) {
	if _, err := NewFullWriter(io.Discard, State{}, 1, 1); err == nil {
		t.Error("no state accepted")
	}
	if _, err := NewFullWriter(io.Discard, testBase(), 2, 1); err == nil {
		t.Error("more lines than bytes accepted")
	}
	for _, c := range []struct {
		lines, bytes int64
		dump         string
	}{{3, 48, testDump}, {2, 47, testDump}, {3, 46, testDump}, {1, 3, "a\nb"}} {
		w, err := NewFullWriter(io.Discard, testBase(), c.lines, c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(w, c.dump)
		if err = errors.Join(err, w.Close()); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

// TestFullCutAndDamaged: a frame cut anywhere, or with any byte changed, never ends in io.EOF.
func TestFullCutAndDamaged(t *testing.T) {
	frame := testFull(t)
	read := func(b []byte) error {
		r, err := ReadFull(bytes.NewReader(b))
		if err != nil {
			return err
		}
		_, err = io.ReadAll(r)
		return err
	}
	for n := range frame {
		var fe *FormatError
		err := read(frame[:n])
		if !errors.As(err, &fe) || !errors.Is(err, io.ErrUnexpectedEOF) || fe.Offset != int64(n) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	// Serial and time of the base are under no hash here: the transport answers for them.
	from := bytes.Index(frame, []byte("\t0\t1700000000\t0\t")) + 1
	for n := range frame {
		if n >= from && n < from+len("0\t1700000000\t0") {
			continue
		}
		bad := bytes.Clone(frame)
		bad[n] ^= 1
		if err := read(bad); err == nil {
			t.Fatalf("byte %d changed: accepted", n)
		}
	}
	if err := read([]byte(testDump)); err == nil || !strings.Contains(err.Error(), "not a full copy") {
		t.Error("a bare dump:", err)
	}
	if err := read([]byte(FullHeader + strings.Repeat("b", maxBase+1))); err == nil {
		t.Error("an endless base line is accepted")
	}
	big := strings.Replace(string(frame), "\t47\t", "\t9999999999999\t", 1)
	if err := read([]byte(big)); !errors.Is(err, ErrTooLarge) {
		t.Error("too large:", err)
	}
	r, err := ReadFull(io.MultiReader(bytes.NewReader(frame[:len(frame)-40]), iotest.ErrReader(errInjected)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, errInjected) {
		t.Error("an error below:", err)
	}
}
