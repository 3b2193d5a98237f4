package kdb

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Sizes of the benchmarks: a realm of some size, and a change that no real one exceeds.
const benchEntries = 200_000

func benchDump(b *testing.B) []byte {
	d := bigDump(b, benchEntries)
	b.SetBytes(int64(len(d)))
	return d
}

func BenchmarkLoad(b *testing.B) {
	d := benchDump(b)
	for b.Loop() {
		db := newMaster(b, Options{})
		load(b, db, d, LoadOptions{})
	}
	b.ReportMetric(float64(b.N)*benchEntries/b.Elapsed().Seconds(), "entries/s")
}

// A load over a database that has as many entries.
func BenchmarkReload(b *testing.B) {
	d := benchDump(b)
	db := newMaster(b, Options{})
	load(b, db, d, LoadOptions{})
	for b.Loop() {
		load(b, db, d, LoadOptions{})
	}
}

func BenchmarkLoadUpdate(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, bigDump(b, benchEntries), LoadOptions{})
	rev := [2][]byte{bigDump(b, 10_000)}
	rev[1] = bytes.ReplaceAll(rev[0], []byte("\t86400\t"), []byte("\t86401\t"))
	n := 0
	for b.Loop() {
		n++
		load(b, db, rev[n%2], LoadOptions{Update: true})
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkDump(b *testing.B) {
	d := benchDump(b)
	db := newMaster(b, Options{})
	load(b, db, d, LoadOptions{})
	for b.Loop() {
		if _, err := db.Dump(b.Context(), io.Discard, DumpOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	d := benchDump(b)
	db, dir := newMaster(b, Options{}), b.TempDir()
	load(b, db, d, LoadOptions{})
	for b.Loop() {
		s, err := db.Snapshot(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// What krep verify costs each host.
func BenchmarkContent(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, benchDump(b), LoadOptions{})
	for b.Loop() {
		if _, err := db.Content(b.Context(), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadSnapshot(b *testing.B) {
	d := benchDump(b)
	db, slave := newMaster(b, Options{}), newSlave(b, Options{})
	load(b, db, d, LoadOptions{})
	s, err := db.Snapshot(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := slave.LoadSnapshot(b.Context(), io.NewSectionReader(s, 0, s.Size())); err != nil {
			b.Fatal(err)
		}
	}
}

// One change, with and without a delta file, as a mutation of kadmin makes it.
func BenchmarkUpdate(b *testing.B) {
	for _, delta := range []bool{false, true} {
		b.Run(fmt.Sprintf("delta=%v", delta), func(b *testing.B) {
			o := Options{}
			if delta {
				o.DeltaFile = filepath.Join(b.TempDir(), "delta")
			}
			db := newMaster(b, o)
			load(b, db, bigDump(b, 20_000), LoadOptions{})
			n := uint32(0)
			for b.Loop() {
				n++
				put(b, db, princ(fmt.Sprintf("u%07d", n*7919%20_000), n))
			}
		})
	}
}

// Batches of changes on a slave; the metric is changes, not batches.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			master, slave := newMaster(b, Options{}), newSlave(b, Options{})
			load(b, master, bigDump(b, 20_000), LoadOptions{})
			copyTo(b, master, slave)
			st, n := stateOf(b, master), uint32(0)
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				css := make([]*deltafile.Changeset, 0, batch)
				for range batch {
					n++
					line, err := princ(fmt.Sprintf("u%07d", n*7919%20_000), n).AppendLine(nil, dumpfmt.Current)
					if err != nil {
						b.Fatal(err)
					}
					cs, err := deltafile.Encode(st, st.Time(), line)
					if err != nil {
						b.Fatal(err)
					}
					st = st.After(cs)
					css = append(css, cs)
				}
				b.StartTimer()
				if _, err := slave.Apply(b.Context(), css); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(batch)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

func copyTo(t testing.TB, master, slave *DB) {
	t.Helper()
	s, err := master.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st, err := slave.LoadSnapshot(t.Context(), io.NewSectionReader(s, 0, s.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || st != s.State() {
		t.Fatal(st, s.State(), err)
	}
}

func BenchmarkView(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, bigDump(b, benchEntries), LoadOptions{})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			v, err := OpenView(b.Context(), db)
			if err != nil {
				b.Fatal(err)
			}
			if err := v.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	v, err := OpenView(b.Context(), db)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = fmt.Sprintf("u%07d@%s", i*7919%benchEntries, testRealm)
	}
	b.Run("line", func(b *testing.B) {
		var n atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := int(n.Add(7777))
			for ; pb.Next(); i++ {
				if _, ok := v.Line(names[i&(1<<16-1)]); !ok {
					b.Fatal("not found")
				}
			}
		})
	})
	b.Run("principal", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok := v.Principal(names[i&(1<<16-1)]); !ok {
				b.Fatal("not found")
			}
		}
	})
}

func BenchmarkPrincipal(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, bigDump(b, benchEntries), LoadOptions{})
	for i := 0; b.Loop(); i++ {
		if _, err := db.Principal(b.Context(), fmt.Sprintf("u%07d@%s", i*7919%benchEntries, testRealm)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetLockout(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, bigDump(b, 20_000), LoadOptions{})
	n := uint32(0)
	for b.Loop() {
		n++
		if err := db.SetLockout(b.Context(), fmt.Sprintf("u%07d@%s", n*7919%20_000, testRealm), dumpfmt.Lockout{LastSuccess: n}); err != nil {
			b.Fatal(err)
		}
	}
}
