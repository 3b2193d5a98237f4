package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

// benchDump is a dump of n users like those of a real realm: 434 bytes a line, two keys,
// four elements of tagged data (from testdata/delta). MIT's kdb5_util loads about 50,000
// records a second and prints about 60,000, its database included.
func benchDump(b *testing.B, n int) []byte {
	b.Helper()
	changes := readFile(b, "testdata/delta/changes.delta")
	var line []byte
	for _, l := range bytes.SplitAfter(changes, []byte("\n")) {
		if bytes.HasPrefix(l, []byte("princ\t")) {
			line = l
			break
		}
	}
	rec, err := ParseLine(line, Current)
	if err != nil {
		b.Fatal(err)
	}
	p := rec.(*Principal)
	out := []byte(head7)
	for i := range n {
		p.Name = fmt.Sprintf("user%06d@EXAMPLE.COM", i)
		if i%10 == 0 {
			p.LastSuccess = uint32(1700000000 + i)
		}
		if out, err = p.AppendLine(out, Current); err != nil {
			b.Fatal(err)
		}
	}
	return out
}

const benchRecords = 10000

func report(b *testing.B) {
	b.ReportMetric(float64(benchRecords)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkReaderNext(b *testing.B) {
	data := benchDump(b, benchRecords)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b)
}

// BenchmarkLoad does what a loader of lines does: validate, take the name, split.
func BenchmarkLoad(b *testing.B) {
	data := benchDump(b, benchRecords)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		for {
			_, _, line, err := r.NextLine()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if buf, _, err = SplitLockout(buf[:0], line); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b)
}

func BenchmarkWriterWrite(b *testing.B) {
	data := benchDump(b, 1)
	rec, err := ParseLine(data[len(head7):], Current)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)-len(head7)) * benchRecords)
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewWriter(io.Discard, Current)
		if err != nil {
			b.Fatal(err)
		}
		for range benchRecords {
			if err := w.Write(rec); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b)
}

func benchLine(b *testing.B) []byte {
	b.Helper()
	return benchDump(b, 1)[len(head7):]
}

func BenchmarkParseLine(b *testing.B) {
	line := benchLine(b)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseLine(line, Current); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitJoinLockout(b *testing.B) {
	line := benchLine(b)
	var stripped, joined []byte
	b.ReportAllocs()
	for b.Loop() {
		var l Lockout
		var err error
		if stripped, l, err = SplitLockout(stripped[:0], line); err != nil {
			b.Fatal(err)
		}
		if joined, err = JoinLockout(joined[:0], stripped, l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLineName(b *testing.B) {
	line := benchLine(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := LineName(line); err != nil {
			b.Fatal(err)
		}
	}
}
