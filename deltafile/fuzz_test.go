package deltafile

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzDecode: no input makes Decode panic, what it accepts is encoded again to the same bytes,
// and no beginning of it is damage.
func FuzzDecode(f *testing.F) {
	s := testBase()
	cs := testChain(f, s, 2)
	f.Add(cs[0].Raw)
	f.Add(append(bytes.Clone(cs[0].Raw), cs[1].Raw...))
	f.Add(cs[0].Raw[:40])
	f.Add([]byte("begin\t1\t0\t0\t1\t67108864\t;\nprinc\t"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, n, err := Decode(s, raw)
		var fe *FormatError
		if err != nil {
			if damage := errors.As(err, &fe); damage == errors.Is(err, ErrIncomplete) {
				t.Fatalf("neither damaged nor incomplete, or both: %v", err)
			}
			if fe != nil && (fe.Offset < 0 || fe.Offset > int64(len(raw))) {
				t.Fatalf("offset %d of %d", fe.Offset, len(raw))
			}
			return
		}
		again, err := Encode(s, got.Time(), got.Lines)
		if err != nil || !bytes.Equal(again.Raw, raw[:n]) || again.Hash != got.Hash {
			t.Fatalf("encoded again: %v", err)
		}
		if _, _, err := Decode(s, raw[:n-1]); !errors.Is(err, ErrIncomplete) {
			t.Fatalf("cut by one byte: %v", err)
		}
	})
}

// FuzzReseal builds changesets of arbitrary bodies with a right hash, which mutation alone
// would never find.
func FuzzReseal(f *testing.F) {
	f.Add([]byte("princ\t1\n"), uint64(1), int64(1), int64(8))
	f.Add([]byte("delpolicy\t\npolicy\t\n"), uint64(1), int64(2), int64(19))
	f.Fuzz(func(t *testing.T, body []byte, serial uint64, nlines, nbytes int64) {
		s := testBase()
		framed := append(appendBegin(nil, serial, 5, 6, nlines, nbytes), body...)
		cs, _, err := Decode(s, reseal(s.Hash, serial, string(framed)))
		n, _, lerr := scanLines(body)
		ok := lerr == nil && serial == 1 && nlines == int64(n) && nbytes == int64(len(body))
		if ok != (err == nil) {
			t.Fatalf("well formed %v, error %v", ok, err)
		}
		if ok && !bytes.Equal(cs.Lines, body) {
			t.Fatal("another body")
		}
	})
}

// FuzzFile: whatever a file holds, reading it ends, its good part reads the same again, and a
// window gives the same end as a reading from the start.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"changes", "torn-body", "torn-end", "bad-hash", "gap", "unknown-kind"} {
		f.Add(fixture(f, name+".delta"), 500)
	}
	f.Add([]byte(nil), 0)
	f.Add([]byte(Header), 1)
	f.Fuzz(func(t *testing.T, image []byte, window int) {
		base, css, good, err := readBytes(image)
		if good > int64(len(image)) {
			t.Fatalf("%d good bytes of %d", good, len(image))
		}
		if base.IsZero() {
			return
		}
		if _, again, end, aerr := readBytes(image[:good]); aerr != nil || len(again) != len(css) || end != good {
			t.Fatalf("the good part alone: %d changesets, %v", len(again), aerr)
		}
		e, werr := findEnd(bytes.NewReader(image), "", int64(len(image)), int64(uint32(window)))
		if err == nil && (werr != nil || e.off != good || e.base != base) {
			t.Fatalf("with a window: end %d, %v; want %d", e.off, werr, good)
		}
		if errors.Is(err, ErrIncomplete) && (!errors.Is(werr, ErrIncomplete) || e.off != good) {
			t.Fatalf("with a window: end %d, %v; want %d, torn", e.off, werr, good)
		}
	})
}

// FuzzBase: what ParseBase accepts is written again to the same bytes.
func FuzzBase(f *testing.F) {
	f.Add(testBase().AppendBase(nil))
	f.Add([]byte("base\t3\ta\tb\t0000000000000001\t1\t0\t0\t"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := ParseBase(line)
		if err != nil {
			return
		}
		if got := s.AppendBase(nil); !bytes.Equal(got, line) {
			t.Fatalf("read %q, written %q", line, got)
		}
	})
}

// FuzzFull: reading a full copy ends in io.EOF only for a frame that its parts would make again.
func FuzzFull(f *testing.F) {
	frame := testFull(f)
	f.Add(frame)
	f.Add(frame[:len(frame)-3])
	f.Add(append(bytes.Clone(frame), "more"...))
	f.Fuzz(func(t *testing.T, image []byte) {
		r, err := ReadFull(bytes.NewReader(image))
		if err != nil {
			return
		}
		dump, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if err != nil || int64(len(dump)) != r.NBytes {
			return
		}
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			return
		}
		if int64(bytes.Count(dump, []byte{'\n'})) != r.NLines || !bytes.Contains(image, dump) {
			t.Fatal("an accepted frame is not what it says")
		}
	})
}
