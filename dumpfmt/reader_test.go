package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	head7 = "kdb5_util load_dump version 7\n"
	lineU = "princ\t38\t3\t0\t0\t0\tu@R\t0\t86400\t0\t0\t0\t0\t0\t0\t-1;\n"
	lineP = "policy\tp\t1\t2\t3\t4\t5\t0\t7\t8\t9\t10\t11\t12\t-\t0\n"
)

func TestReaderHeaders(t *testing.T) {
	for header, want := range map[string]Version{
		"kdb5_util load_dump version 4\n": Version4,
		"kdb5_util load_dump version 5\n": Version5,
		"kdb5_util load_dump version 6\n": Version6,
		"kdb5_util load_dump version 7\n": Version7,
	} {
		r, err := NewReader(strings.NewReader(header))
		if err != nil {
			t.Errorf("%q: %v", header, err)
			continue
		}
		if r.Version() != want || r.Line() != 1 || r.Offset() != int64(len(header)) {
			t.Errorf("%q: version %v, line %d, offset %d", header, r.Version(), r.Line(), r.Offset())
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%q: %v, want io.EOF", header, err)
		}
	}
	for _, header := range []string{
		"", "\n", "kdb5_util load_dump version 7", "kdb5_util load_dump version 77\n",
		"kdb5_util load_dump version \n", strings.Repeat("x", 1<<20), strings.Repeat("x", 200) + "\n",
		"iprop 1 2 3\n", "\x00\xff\n",
	} {
		_, err := NewReader(strings.NewReader(header))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != 1 || !errors.Is(err, ErrHeader) {
			t.Errorf("%.40q: %v, want ErrHeader at line 1", header, err)
		}
	}
	broken := errors.New("cable cut")
	if _, err := NewReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

func TestIpropHeaders(t *testing.T) {
	for header, want := range map[string]Version{
		"iprop 5 6 7\n":                   Iprop,
		"ipropx 1 5 6 7\n":                Ipropx,
		"ipropx 1 4294967295 0 0\n":       Ipropx,
		"iprop 05 6 7\n":                  0,
		"iprop 4294967296 6 7\n":          0,
		"iprop 5 6\n":                     0,
		"iprop 5 6 7 8\n":                 0,
		"iprop  5 6 7\n":                  0,
		"ipropx 0 5 6 7\n":                Iprop,
		"ipropx 2 5 6 7\n":                0,
		"kdb5_util load_dump version 7\n": 0,
	} {
		r, err := NewIpropReader(strings.NewReader(header))
		if want == 0 {
			if !errors.Is(err, ErrIpropHeader) {
				t.Errorf("%q: %v, want ErrIpropHeader", header, err)
			}
			continue
		}
		if err != nil || r.Version() != want {
			t.Errorf("%q: %v", header, err)
			continue
		}
		var out bytes.Buffer
		w, err := NewIpropWriter(&out, r.Version(), r.Iprop())
		header = strings.Replace(header, "ipropx 0", "iprop", 1) // what it means
		if err != nil || w.Flush() != nil || out.String() != header {
			t.Errorf("%q: written as %q, %v", header, out.String(), err)
		}
	}
}

// TestReaderChunks: however the bytes arrive, the records are the same.
func TestReaderChunks(t *testing.T) {
	data := readFile(t, "testdata/full/1.23pre.dump")
	for title, src := range map[string]io.Reader{
		"one byte":       iotest.OneByteReader(bytes.NewReader(data)),
		"half":           iotest.HalfReader(bytes.NewReader(data)),
		"error with EOF": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		t.Run(title, func(t *testing.T) {
			r, err := NewReader(src)
			if err != nil {
				t.Fatal(err)
			}
			got := []byte(head7)
			for {
				if _, err := r.Next(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				got = append(got, r.RawLine()...)
				if r.Offset() != int64(len(got)) {
					t.Fatalf("offset %d behind %d bytes", r.Offset(), len(got))
				}
			}
			if !bytes.Equal(got, data) {
				t.Error("raw lines do not make up the file")
			}
		})
	}
}

func TestReaderErrorsStick(t *testing.T) {
	r, err := NewReader(strings.NewReader(head7 + lineU + "frob\n" + lineU))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	_, first := r.Next()
	_, second := r.Next()
	_, _, _, third := r.NextLine()
	var syntax *SyntaxError
	if !errors.As(first, &syntax) || syntax.Line != 3 || syntax.Field != 1 {
		t.Errorf("got %v, want line 3, field 1", first)
	}
	if second != first || third != first {
		t.Errorf("then %v and %v", second, third)
	}
}

func TestReaderSourceError(t *testing.T) {
	broken := errors.New("cable cut")
	src := io.MultiReader(strings.NewReader(head7+lineU+"princ\t38"), iotest.ErrReader(broken))
	r, err := NewReader(src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, broken) || errors.Is(err, ErrTorn) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

func TestReaderTorn(t *testing.T) {
	whole := head7 + lineU + lineP
	for n := len(head7) + 1; n < len(whole); n++ {
		_, err := rewrite([]byte(whole[:n]))
		atEnd := n == len(head7)+len(lineU)
		if atEnd != (err == nil) || !atEnd && !errors.Is(err, ErrTorn) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// endless gives the same byte for ever, and counts.
type endless struct{ given int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.given += len(p)
	return len(p), nil
}

func TestReaderBoundsLines(t *testing.T) {
	src := new(endless)
	r, err := NewReader(io.MultiReader(strings.NewReader(head7), src))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
	if src.given > MaxLine {
		t.Errorf("read %d bytes of one line", src.given)
	}
	if _, err := ParseLine(make([]byte, MaxLine+1), Current); err == nil {
		t.Error("took a longer line than MaxLine")
	}
}

// TestLongLine: the largest element of tagged data, many times, beyond the first buffer.
func TestLongLine(t *testing.T) {
	p := &Principal{Name: "big@R"}
	for i := range 100 {
		p.TL = append(p.TL, TL{Type: int16(i), Data: bytes.Repeat([]byte{byte(i)}, maxData)})
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, Current)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	again, err := rewrite(out.Bytes())
	if err != nil || !bytes.Equal(again, out.Bytes()) {
		t.Errorf("did not come back: %v", err)
	}
	for range 30 {
		p.TL = append(p.TL, p.TL[1])
	}
	if err := w.Write(p); !errors.Is(err, ErrTooLong) {
		t.Errorf("a line of 17 MB: %v, want ErrTooLong", err)
	}
}

// TestNoProgress: a reader that never gives anything does not hang us.
func TestNoProgress(t *testing.T) {
	_, err := NewReader(iotest.ErrReader(nil))
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

// TestRecordsAreTheCallers: what Next gave does not change when reading goes on.
func TestRecordsAreTheCallers(t *testing.T) {
	data := readFile(t, "testdata/full/1.20.1.dump")
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var recs []Record
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
	got := []byte(head7)
	for _, rec := range recs {
		if got, err = rec.AppendLine(got, Current); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, data) {
		t.Error("records changed")
	}
}

func TestHugeCountsAllocateLittle(t *testing.T) {
	line := []byte("princ\t38\t3\t32767\t32767\t0\tu@R\t0\t0\t0\t0\t0\t0\t0\t0\t-1;\n")
	got := testing.AllocsPerRun(10, func() {
		if _, err := ParseLine(line, Current); err == nil {
			t.Error("accepted")
		}
	})
	if got > 20 {
		t.Errorf("%v allocations", got)
	}
	var p Principal
	if _, _, err := parsePrincipal(line, &p, nil); err == nil || cap(p.TL) > 10 {
		t.Errorf("made room for %d elements", cap(p.TL))
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, v := range []Version{0, 3, 8, Iprop, Ipropx} {
		if _, err := NewWriter(io.Discard, v); err == nil {
			t.Errorf("NewWriter took version %v", v)
		}
	}
	if _, err := NewIpropWriter(io.Discard, Version7, IpropHeader{}); err == nil {
		t.Error("NewIpropWriter took version 7")
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, Current)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []Record{&DeletePrincipal{Name: "u@R"}, &DeletePolicy{Name: "p"}} {
		if err := w.Write(rec); !errors.Is(err, ErrDeltaOnly) {
			t.Errorf("%T: %v, want ErrDeltaOnly", rec, err)
		}
	}
	for _, raw := range []string{"", "x", "x\ny", "x\ny\n", "\n\n"} {
		if err := w.WriteLine([]byte(raw)); err == nil {
			t.Errorf("WriteLine took %q", raw)
		}
	}
	if err := w.WriteLine([]byte(lineU)); err != nil {
		t.Error(err)
	}
	if err := w.Write(&Principal{Name: "no realm"}); !errors.Is(err, ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
	if err := w.Flush(); err != nil || out.String() != head7+lineU {
		t.Errorf("wrote %q, %v", out.String(), err)
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space left")

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		n := d.room
		d.room = 0
		return n, errFull
	}
	d.room -= len(p)
	return len(p), nil
}

func TestWriterReportsFullDisk(t *testing.T) {
	w, err := NewWriter(&fullDisk{room: 100}, Current)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if err = w.WriteLine([]byte(lineU)); err != nil {
			break
		}
	}
	if !errors.Is(err, errFull) || !errors.Is(w.Flush(), errFull) {
		t.Errorf("got %v", err)
	}
	if !errors.Is(w.Write(&Policy{Name: "p"}), errFull) {
		t.Error("the error does not stick")
	}
}

func TestSyntaxErrorText(t *testing.T) {
	cause := errors.New("cause")
	for want, e := range map[string]SyntaxError{
		"dumpfmt: cause":                  {Err: cause},
		"dumpfmt: field 3: cause":         {Field: 3, Err: cause},
		"dumpfmt: line 2: cause":          {Line: 2, Err: cause},
		"dumpfmt: line 2, field 3: cause": {Line: 2, Field: 3, Err: cause},
	} {
		if e.Error() != want || !errors.Is(&e, cause) {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}

// TestErrorsKeepSecrets: no message repeats what stood in a field.
func TestErrorsKeepSecrets(t *testing.T) {
	secret := "5ec4e75ec4e75ec4e75ec4e7"
	for _, line := range []string{
		"princ\t38\t3\t0\t1\t0\tu@R\t0\t0\t0\t0\t0\t0\t0\t0\t1\t1\t18\t" + secret + "\t00\t-1;\n",
		"princ\t38\t3\t0\t1\t0\tu@R\t0\t0\t0\t0\t0\t0\t0\t0\t1\t1\t18\t3\t" + secret + "\t-1;\n",
		"princ\t38\t3\t0\t0\t0\tu@R\t0\t0\t0\t0\t0\t0\t0\t0\t" + secret + "\n",
		secret + "\n",
		"princ\t" + secret + "\t3\n",
		"policy\tp\t" + secret + "\n",
	} {
		_, err := ParseLine([]byte(line), Current)
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, errors.Unwrap(err)), secret[:6]) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestSkip(t *testing.T) {
	const good = "policy\tp\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t-\t0\n"
	text := "kdb5_util load_dump version 7\n" + good + "bad\n" + good + "policy\tx\n" + "\n" + good + "policy\ttorn"
	for _, next := range []func(r *Reader) error{
		func(r *Reader) error { _, err := r.Next(); return err },
		func(r *Reader) error { _, _, _, err := r.NextLine(); return err },
	} {
		r, err := NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var read, bad []int
		for {
			err := next(r)
			var syntax *SyntaxError
			switch {
			case err == nil:
				read = append(read, r.Line())
				if r.Skip() {
					t.Fatal("skipped a line that was good")
				}
				continue
			case !errors.As(err, &syntax):
				t.Fatal(err)
			}
			bad = append(bad, syntax.Line)
			if !r.Skip() {
				break
			}
		}
		if !slices.Equal(read, []int{2, 4, 7}) || !slices.Equal(bad, []int{3, 5, 6, 8}) {
			t.Errorf("read lines %v, refused %v", read, bad)
		}
		if err := next(r); !errors.Is(err, ErrTorn) || r.Skip() {
			t.Errorf("behind a torn line: %v, and it can be skipped", err)
		}
	}
}

// TestReaderOfReader: an error with a line of its own, of what the source reads, keeps it.
func TestReaderOfReader(t *testing.T) {
	inner := &SyntaxError{Line: 77, Field: 5, Err: errors.New("boom")}
	r, err := NewReader(io.MultiReader(strings.NewReader(head7+lineU), iotest.ErrReader(inner)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var syntax *SyntaxError
	if _, err := r.Next(); !errors.As(err, &syntax) || syntax.Line != 77 || syntax.Field != 5 || r.Skip() {
		t.Errorf("%v", err)
	}
}
