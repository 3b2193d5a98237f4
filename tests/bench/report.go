package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// sameContents reads both to the end.
func sameContents(a, b io.Reader) (bool, error) {
	one, two := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(a, one)
		m, errB := io.ReadFull(b, two)
		if n != m || !bytes.Equal(one[:n], two[:m]) {
			return false, nil
		}
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case end:
			return true, nil
		case err != nil || errB != nil:
			return false, errors.Join(err, errB)
		}
	}
}

// quantity is one column of the report.
type quantity struct {
	name string
	of   func(sample) float64
}

var quantities = []quantity{
	{"wall s", func(s sample) float64 { return s.wall.Seconds() }},
	{"cpu s", func(s sample) float64 { return s.cpu.Seconds() }},
	{"peak MiB", func(s sample) float64 { return float64(s.peak) / (1 << 20) }},
}

// spread is what repetitions gave: the median and the extremes.
type spread struct{ low, median, high float64 }

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", s.median, s.low, s.high) }

func spreadOf(samples []sample, of func(sample) float64) spread {
	var list []float64
	for _, s := range samples {
		list = append(list, of(s))
	}
	slices.Sort(list)
	mid := len(list) / 2
	median := list[mid]
	if len(list)%2 == 0 {
		median = (list[mid-1] + median) / 2
	}
	return spread{low: list[0], median: median, high: list[len(list)-1]}
}

// goal is what the ratio of ours to MIT's, or our own figure, shall not exceed.
type goal struct {
	op       operation
	quantity string
	ratio    float64 // 0: none
	limit    float64 // of our own figure; 0: none
}

var goals = []goal{
	{op: loadNew, quantity: "wall s", ratio: 1. / 2},
	{op: loadNew, quantity: "cpu s", ratio: 1},
	{op: loadOver, quantity: "wall s", ratio: 1. / 2},
	{op: loadOver, quantity: "cpu s", ratio: 1},
	{op: dump, quantity: "wall s", ratio: 1. / 3},
	{op: loadNew, quantity: "peak MiB", limit: 200},
	{op: loadOver, quantity: "peak MiB", limit: 200},
	{op: dump, quantity: "peak MiB", limit: 200},
}

// verdict says how one figure stands to its goal, "" where there is none.
func verdict(op operation, q string, ours, ratio float64) string {
	for _, g := range goals {
		if g.op != op || g.quantity != q {
			continue
		}
		word, bound, value := "at most", g.ratio, ratio
		if g.limit > 0 {
			bound, value = g.limit, ours
		}
		if value > bound {
			return fmt.Sprintf("MISSED: want %s %.2f", word, bound)
		}
		return fmt.Sprintf("%s %.2f: met", word, bound)
	}
	return ""
}

// report prints the table of one size.
func (b *bench) report(w io.Writer, n, reps int) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "\n%d principals, a dump of %.1f MB; median (extremes) of %d\n", n, float64(b.size)/1e6, reps)
	fmt.Fprintf(&out, "%-20s %-9s %-22s %-22s %9s  %s\n", "", "", "ours", "MIT", "ours/MIT", "goal")
	for _, op := range operations {
		for i, q := range quantities {
			mine, theirs := spreadOf(b.result[op][ours], q.of), spreadOf(b.result[op][stock], q.of)
			ratio := mine.median / theirs.median
			what := ""
			if i == 0 {
				what = string(op)
			}
			fmt.Fprintf(&out, "%-20s %-9s %-22s %-22s %9.2f  %s\n", what, q.name, mine, theirs, ratio, verdict(op, q.name, mine.median, ratio))
		}
		wall := time.Duration(spreadOf(b.result[op][ours], quantities[0].of).median * float64(time.Second))
		fmt.Fprintf(&out, "%-20s %.0f entries/s, %.0f MB/s\n", "", float64(n)/wall.Seconds(), float64(b.size)/1e6/wall.Seconds())
	}
	_, err := w.Write(out.Bytes())
	return err
}
