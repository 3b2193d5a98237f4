package deltafile

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// benchBody is a body of the size of a typical principal's line.
func benchBody() []byte {
	return append(append([]byte("princ\t"), bytes.Repeat([]byte("x"), 445)...), '\n')
}

func BenchmarkEncode(b *testing.B) {
	s, body, now := testBase(), benchBody(), time.Unix(1, 0)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := Encode(s, now, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	s := testBase()
	cs, err := Encode(s, time.Unix(1, 0), benchBody())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(cs.Raw)))
	for b.Loop() {
		if _, _, err := Decode(s, cs.Raw); err != nil {
			b.Fatal(err)
		}
	}
}

// benchAppend appends one changeset an iteration and gives each to after.
func benchAppend(b *testing.B, o AppenderOptions, after func(*Changeset)) {
	path := filepath.Join(b.TempDir(), "delta")
	a, err := OpenAppender(path, o)
	if err != nil {
		b.Fatal(err)
	}
	s, body, now := testBase(), benchBody(), time.Unix(1, 0)
	if err := a.Reset(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cs, err := Encode(s, now, body)
		if err != nil {
			b.Fatal(err)
		}
		if s, err = a.AppendRaw(b.Context(), []*Changeset{cs}); err != nil {
			b.Fatal(err)
		}
		after(cs)
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	benchAppend(b, AppenderOptions{}, func(*Changeset) {})
}

func BenchmarkAppendSync(b *testing.B) {
	benchAppend(b, AppenderOptions{Sync: true}, func(*Changeset) {})
}

// BenchmarkAppendToTail is the time from the call of the append to the changeset in the hands of
// a follower in another goroutine, with a real watch.
func BenchmarkAppendToTail(b *testing.B) {
	path := filepath.Join(b.TempDir(), "delta")
	tail, err := TailOptions{Poll: time.Hour}.Open(path, State{})
	if err != nil {
		b.Fatal(err)
	}
	defer tail.Close()
	seen := make(chan uint64, 1)
	go func() {
		for {
			css, err := tail.Next(b.Context())
			if err != nil {
				return
			}
			for _, cs := range css {
				seen <- cs.Serial
			}
		}
	}()
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	s, body, now := testBase(), benchBody(), time.Unix(1, 0)
	if err := a.Reset(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		cs, err := Encode(s, now, body)
		if err != nil {
			b.Fatal(err)
		}
		if s, err = a.AppendRaw(b.Context(), []*Changeset{cs}); err != nil {
			b.Fatal(err)
		}
		if n := <-seen; n != s.Serial {
			b.Fatalf("seen %d, appended %d", n, s.Serial)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

// BenchmarkOpenLarge is the first look of a process at a file of 64 MiB.
func BenchmarkOpenLarge(b *testing.B) {
	path := filepath.Join(b.TempDir(), "delta")
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s := testBase()
	if err := a.Reset(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	for size := 0; size < 64<<20; {
		var css []*Changeset
		for range 1000 {
			cs, err := Encode(s, time.Unix(1, 0), benchBody())
			if err != nil {
				b.Fatal(err)
			}
			css, s = append(css, cs), s.After(cs)
			size += len(cs.Raw)
		}
		if _, err := a.AppendRaw(b.Context(), css); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		p, err := OpenAppender(path, AppenderOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if got, err := p.Last(b.Context()); err != nil || !got.Same(s) {
			b.Fatal(got, err)
		}
		_ = p.Close()
	}
	_ = a.Close()
}
