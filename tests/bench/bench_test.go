package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func samples(walls ...time.Duration) []sample {
	var list []sample
	for _, w := range walls {
		list = append(list, sample{wall: w})
	}
	return list
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		walls []time.Duration
		want  string
	}{
		{[]time.Duration{2 * time.Second}, "2.00 (2.00-2.00)"},
		{[]time.Duration{3 * time.Second, time.Second, 2 * time.Second}, "2.00 (1.00-3.00)"},
		{[]time.Duration{4 * time.Second, time.Second}, "2.50 (1.00-4.00)"},
	} {
		if got := spreadOf(samples(c.walls...), quantities[0].of).String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.walls, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		op          operation
		q           string
		ours, ratio float64
		want        string
	}{
		{loadNew, "wall s", 100, 0.5, "at most 0.50: met"},
		{loadNew, "wall s", 1, 0.51, "MISSED: want at most 0.50"},
		{dump, "wall s", 1, 0.34, "MISSED: want at most 0.33"},
		{dump, "peak MiB", 201, 0.1, "MISSED: want at most 200.00"},
		{dump, "peak MiB", 20, 7, "at most 200.00: met"},
		{dump, "cpu s", 1, 1, ""},
	} {
		if got := verdict(c.op, c.q, c.ours, c.ratio); got != c.want {
			t.Errorf("%s, %s, %v, %v: %q, want %q", c.op, c.q, c.ours, c.ratio, got, c.want)
		}
	}
}

func TestSameContents(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "", false}, {"", "a", false}, {"a", "b", false},
		{long, long, true}, {long, long + "y", false}, {long + "y", long, false}, {long + "y", long + "z", false},
		{strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20), true},
	} {
		got, err := sameContents(strings.NewReader(c.a), strings.NewReader(c.b))
		if err != nil || got != c.want {
			t.Errorf("%d and %d bytes: %v, %v, want %v", len(c.a), len(c.b), got, err, c.want)
		}
	}
}

// TestExecute runs this test's own program as the one measured.
func TestExecute(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := execute(t.Context(), os.Environ(), t.TempDir(), []string{self, "-test.run", "TestSameContents", "-test.count", "50"})
	if err != nil {
		t.Fatal(err)
	}
	if s.wall <= 0 || s.cpu <= 0 || s.peak < 1<<20 {
		t.Errorf("wall %v, cpu %v, peak %d: a program that takes none of it", s.wall, s.cpu, s.peak)
	}
	if _, err := execute(t.Context(), nil, t.TempDir(), []string{self, "-test.no-such-option"}); err == nil {
		t.Error("a command that fails is no error")
	}
}

func TestReport(t *testing.T) {
	b := &bench{size: 4e6, result: make(map[operation]map[program][]sample)}
	for _, op := range operations {
		b.result[op] = map[program][]sample{
			ours:  {{wall: time.Second, cpu: time.Second, peak: 30 << 20}},
			stock: {{wall: 4 * time.Second, cpu: 3 * time.Second, peak: 4 << 20}},
		}
	}
	var out bytes.Buffer
	if err := b.report(&out, 1000, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1000 principals, a dump of 4.0 MB", "4.00 (4.00-4.00)", "0.25  at most 0.33: met", "1000 entries/s, 4 MB/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
