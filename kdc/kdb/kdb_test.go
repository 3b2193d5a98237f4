package kdb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

const testRealm = "EXAMPLE.COM"

// newMaster creates a master's database in a directory of the test.
func newMaster(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Create(t.Context(), filepath.Join(t.TempDir(), "principal.sqlite"), testRealm, complain(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

// newSlave creates a slave's database in a directory of the test.
func newSlave(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := InitSlave(t.Context(), filepath.Join(t.TempDir(), "principal.sqlite"), testRealm, complain(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func complain(t testing.TB, o Options) Options {
	if o.OnDrainError == nil {
		o.OnDrainError = func(err error) { t.Errorf("drain: %v", err) }
	}
	return o
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func reopen(t testing.TB, db *DB) *DB {
	t.Helper()
	closeDB(t, db)
	again, err := Open(context.WithoutCancel(t.Context()), db.path, db.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, again) })
	return again
}

func load(t testing.TB, db *DB, dump []byte, o LoadOptions) LoadResult {
	t.Helper()
	res, err := db.Load(t.Context(), bytes.NewReader(dump), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func dump(t testing.TB, db *DB, o DumpOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := db.Dump(context.WithoutCancel(t.Context()), &b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verify(t testing.TB, db *DB) {
	t.Helper()
	if err := db.VerifyDigest(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t testing.TB, db *DB) deltafile.State {
	t.Helper()
	st, err := db.State(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func readFile(t testing.TB, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// princ makes an entry whose text depends on n.
func princ(name string, n uint32) *dumpfmt.Principal {
	p := &dumpfmt.Principal{Name: name + "@" + testRealm, MaxLife: 86400, Expire: n}
	p.SetModPrinc(n, "root/admin@"+testRealm)
	p.Keys = []dumpfmt.Key{{Ver: 1, Kvno: 1, Enctype: 18, Sealed: bytes.Repeat([]byte{byte(n)}, 62)}}
	return p
}

func policy(name string, n uint32) *dumpfmt.Policy {
	return &dumpfmt.Policy{Name: name, MinLength: n, MinClasses: 1, History: 1}
}

// bigDump makes a dump of n principals in order.
func bigDump(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := dumpfmt.NewWriter(&b, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(princ(fmt.Sprintf("u%07d", i), uint32(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put makes one change that puts p.
func put(t testing.TB, db *DB, p *dumpfmt.Principal) deltafile.State {
	t.Helper()
	st, err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutPrincipal(p) })
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// clock is one that ticks a second at each look.
func clock() func() time.Time {
	n := int64(1_700_000_000)
	return func() time.Time {
		n++
		return time.Unix(n, 123456000)
	}
}

func lines(dump []byte) []string { return strings.SplitAfter(string(dump), "\n") }

func diff(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	g, w := lines(got), lines(want)
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d differs:\n got %q\nwant %q", i+1, g[i], w[i])
		}
	}
	t.Fatalf("got %d lines, want %d", len(g), len(w))
}
