package der

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func encode(f func(w *Writer)) []byte {
	var w Writer
	f(&w)
	return w.Bytes()
}

func TestIntegersRoundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, math.MaxInt32, math.MinInt32,
		math.MaxUint32, math.MaxInt64, math.MinInt64} {
		b := encode(func(w *Writer) { w.Int(v) })
		r := NewReader(b)
		if got := r.Int64(); r.Err() != nil || got != v {
			t.Errorf("%d: %x gives %d, %v", v, b, got, r.Err())
		}
	}
}

func TestIntegersAreMinimal(t *testing.T) {
	for _, b := range []string{"\x02\x00", "\x02\x02\x00\x7f", "\x02\x02\xff\x80", "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00"} {
		r := NewReader([]byte(b))
		if r.Int64(); !errors.Is(r.Err(), ErrValue) {
			t.Errorf("%x: %v", b, r.Err())
		}
	}
}

func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<24 - 1, 1 << 24} {
		want := bytes.Repeat([]byte{7}, n)
		b := encode(func(w *Writer) { w.Octets(want) })
		r := NewReader(b)
		if got := r.Octets(); r.Err() != nil || !bytes.Equal(got, want) || r.More() {
			t.Errorf("%d octets: %d back, %v", n, len(got), r.Err())
		}
	}
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"indefinite":           {"\x04\x80\x00\x00", ErrLength},
		"long form of a short": {"\x04\x81\x01\x00", ErrLength},
		"leading zero":         {"\x04\x82\x00\x81" + string(make([]byte, 200)), ErrLength},
		"five octets":          {"\x04\x85\x00\x00\x00\x00\x01\x00", ErrLength},
		"beyond the input":     {"\x04\x05\x00", ErrTruncated},
		"four octets of ff":    {"\x04\x84\xff\xff\xff\xff\x00", ErrTruncated},
		"tag only":             {"\x04", ErrTruncated},
		"nothing":              {"", ErrTruncated},
		"length cut":           {"\x04\x82\x01", ErrTruncated},
		"multi-octet tag":      {"\x1f\x01\x00", ErrTag},
	} {
		r := NewReader([]byte(c.in))
		if r.Octets(); !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v, want %v", name, r.Err(), c.want)
		}
	}
}

func TestNothingIsReadPastTheParent(t *testing.T) {
	// The inner octet string claims three octets; its parent has two, the input more.
	r := NewReader([]byte{0x30, 4, 4, 3, 1, 2, 3, 4})
	r.Enter(TagSequence)
	if r.Octets(); !errors.Is(r.Err(), ErrTruncated) {
		t.Errorf("%v", r.Err())
	}
	var se *SyntaxError
	if !errors.As(r.Err(), &se) || se.Offset != 2 {
		t.Errorf("error %v, want offset 2", r.Err())
	}
}

func TestDepthIsBounded(t *testing.T) {
	b := encode(func(w *Writer) {
		for range MaxDepth + 1 {
			w.Wrap(TagSequence, 0)
		}
	})
	r := NewReader(b)
	for range MaxDepth {
		if !r.Enter(TagSequence) {
			t.Fatal(r.Err())
		}
	}
	if r.Enter(TagSequence) || !errors.Is(r.Err(), ErrDepth) {
		t.Errorf("depth %d: %v", MaxDepth+1, r.Err())
	}
}

func TestErrorsStick(t *testing.T) {
	r := NewReader([]byte{4, 1, 9, 2, 1, 5})
	r.Int64() // an octet string: the wrong tag
	first := r.Err()
	if r.Octets() != nil || r.Int64() != 0 || r.More() || r.Peek() != 0 || r.Rest() != nil ||
		r.Time() != 0 || r.Flags() != 0 || r.Bool() || r.Raw(4) != nil || r.Since(0) != nil || r.Enter(4) {
		t.Error("a reader with an error still reads")
	}
	if r.Fail(ErrValue); r.Err() != first || !errors.Is(first, ErrTag) {
		t.Errorf("error became %v", r.Err())
	}
}

func TestOptionalAndTrailing(t *testing.T) {
	b := encode(func(w *Writer) {
		w.Int(9)
		w.Int(5)
		w.Wrap(TagSequence, 0)
	})
	r := NewReader(b)
	if r.TryEnter(Context(0)) || !r.TryEnter(TagSequence) || r.TryEnter(TagSequence) || r.Int64() != 5 {
		t.Fatal(r.Err())
	}
	r.Leave()
	if r.Err() != nil || r.More() {
		t.Errorf("Leave skips the rest: %v", r.Err())
	}
	r.Reset(b)
	r.Enter(TagSequence)
	r.Int64()
	if r.Close(); !errors.Is(r.Err(), ErrTrailing) {
		t.Errorf("Close refuses the rest: %v", r.Err())
	}
}

func TestTimesAgreeWithTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sec := rapid.Int64Range(minTime, maxTime).Draw(t, "sec")
		b := encode(func(w *Writer) { w.Time(sec) })
		if want := time.Unix(sec, 0).UTC().Format("20060102150405Z"); string(b[2:]) != want {
			t.Fatalf("%d written as %s, want %s", sec, b[2:], want)
		}
		r := NewReader(b)
		if got := r.Time(); r.Err() != nil || got != sec {
			t.Fatalf("%s read as %d, %v", b[2:], got, r.Err())
		}
	})
	if b := encode(func(w *Writer) { w.Time(math.MaxInt64) }); string(b[2:]) != "99991231235959Z" {
		t.Errorf("the end of time is %s", b[2:])
	}
}

func TestUint32TakesBothForms(t *testing.T) {
	for in, want := range map[int64]uint32{-1: math.MaxUint32, math.MinInt32: 1 << 31, 5: 5, math.MaxUint32: math.MaxUint32} {
		r := NewReader(encode(func(w *Writer) { w.Int(in) }))
		if got := r.Uint32(); r.Err() != nil || got != want {
			t.Errorf("%d: %d, %v", in, got, r.Err())
		}
	}
	r := NewReader(encode(func(w *Writer) { w.Int(1 << 32) }))
	if r.Uint32(); r.Err() == nil {
		t.Error("2^32 accepted")
	}
}

func TestWriterKeepsWhatItHasWhenItGrows(t *testing.T) {
	w := NewWriter(4)
	for i := range 300 {
		w.Int(int64(i))
	}
	w.Wrap(TagSequence, 0)
	r := NewReader(w.Clone())
	r.Enter(TagSequence)
	for i := 299; i >= 0; i-- {
		if got := r.Int64(); got != int64(i) {
			t.Fatalf("%d, want %d: %v", got, i, r.Err())
		}
	}
	r.Close()
	if w.Reset(); len(w.Bytes()) != 0 || r.Err() != nil {
		t.Error("reset", r.Err())
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0x30, 3, 2, 1, 5}, []byte{0, 1})
	f.Add([]byte{0x30, 0x82, 1, 0}, []byte{0, 4, 2})
	f.Fuzz(func(t *testing.T, b, ops []byte) {
		r, depth := NewReader(b), 0
		for _, op := range ops {
			before := r.Offset()
			switch op % 10 {
			case 0:
				if r.TryEnter(Tag(op) | 0x20) {
					depth++
				}
			case 1:
				if r.Peek() != 0 && r.TryEnter(r.Peek()) {
					depth++
				}
			case 2:
				if depth > 0 && r.Err() == nil {
					r.Leave()
					depth--
				}
			case 3:
				r.Int64()
			case 4:
				r.Flags()
			case 5:
				r.Time()
			case 6:
				r.Raw(r.Peek())
			case 7:
				r.Octets()
			case 8:
				r.Bool()
			case 9:
				r.Rest()
			}
			if r.Offset() < before && r.Err() == nil || r.Offset() > len(b) {
				t.Fatalf("offset %d after %d of %d", r.Offset(), before, len(b))
			}
		}
	})
}
