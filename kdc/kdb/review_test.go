package kdb

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"krealm/dumpfmt"
)

// collect returns options that write down what changes, and the list.
func collect(o LoadOptions) (LoadOptions, *[]string) {
	list := new([]string)
	o.Changed = func(c LoadChange) {
		what := ""
		if c.Kind == dumpfmt.KindPolicy {
			what = "policy "
		}
		*list = append(*list, fmt.Sprintf("%v %s%s", c.What, what, c.Name))
	}
	return o, list
}

func text(t *testing.T, records ...dumpfmt.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := dumpfmt.NewWriter(&b, dumpfmt.Current)
	for _, r := range records {
		if err == nil {
			err = w.Write(r)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// locked is princ with lockout fields.
func locked(name string, n uint32) *dumpfmt.Principal {
	p := princ(name, n)
	p.SetLockout(dumpfmt.Lockout{LastFailed: 5, FailCount: 1})
	return p
}

// TestLoadChanges: a load, dry or not, full or not, says what it changes.
func TestLoadChanges(t *testing.T) {
	first := text(t, princ("a", 1), princ("b", 1), princ("c", 1), princ("d", 1), policy("p", 1), policy("q", 1))
	second := text(t, princ("d", 2), locked("b", 1), princ("e", 9), princ("a", 2), princ("e", 1), policy("q", 2), policy("r", 1))
	at := func(name string) string { return name + "@" + testRealm }
	for _, update := range []bool{false, true} {
		want := []string{"changed " + at("a"), "removed " + at("c"), "changed " + at("d"), "added " + at("e"),
			"removed policy p", "changed policy q", "added policy r"}
		if update { // in the order of the file, record by record
			want = []string{"changed " + at("d"), "added " + at("e"), "changed " + at("a"), "changed " + at("e"), "changed policy q", "added policy r"}
		}
		for _, dry := range []bool{true, false} {
			db := newMaster(t, Options{})
			load(t, db, first, LoadOptions{})
			before, st := dump(t, db, DumpOptions{}), stateOf(t, db)
			o, list := collect(LoadOptions{Update: update, DryRun: dry})
			res := load(t, db, second, o)
			if !slices.Equal(*list, want) {
				t.Errorf("update %v, dry %v: %q, want %q", update, dry, *list, want)
			}
			if res.Principals != 5 || res.Policies != 2 || res.State != stateOf(t, db) {
				t.Errorf("update %v, dry %v: %+v", update, dry, res)
			}
			verify(t, db)
			after := dump(t, db, DumpOptions{})
			if dry && (!bytes.Equal(before, after) || stateOf(t, db) != st) || !dry && bytes.Equal(before, after) {
				t.Errorf("update %v, dry %v: the database is\n%s", update, dry, after)
			}
			// The same again makes no difference.
			if !dry {
				o, list = collect(LoadOptions{Update: update})
				load(t, db, text(t, princ("a", 2)), LoadOptions{Update: true})
				load(t, db, after, o)
				if len(*list) > 0 {
					t.Errorf("update %v: loading what is there changes %q", update, *list)
				}
			}
		}
	}
}

// TestReview: what a full load is about to do is shown before it does, and can be refused.
func TestReview(t *testing.T) {
	db := newMaster(t, Options{})
	km := princ("K/M", 1)
	load(t, db, text(t, km, princ("a", 1), princ("b", 1), policy("p", 1)), LoadOptions{})
	before, st := dump(t, db, DumpOptions{}), stateOf(t, db)
	refused := errors.New("refused")
	calls := 0
	o := LoadOptions{Master: km.Name, Review: func(r *Review) error {
		calls++
		if r.Before != (Counts{3, 1}) || r.After != (Counts{2, 0}) {
			t.Errorf("%+v, %+v", r.Before, r.After)
		}
		if r.Master[0] == nil || r.Master[0].MaxLife == 0 || r.Master[1] == nil || r.Master[1].Name != km.Name {
			t.Errorf("%+v", r.Master)
		}
		n := 0
		if err := r.Changes(func(LoadChange) error { n++; return nil }); err != nil || n != 5 {
			t.Errorf("%d changes, %v", n, err)
		}
		stop := errors.New("stop")
		if err := r.Changes(func(LoadChange) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("the error of fn is %v", err)
		}
		return refused
	}}
	file := text(t, princ("z", 1), princ("K/M", 2), princ("z", 2))
	if _, err := db.Load(t.Context(), bytes.NewReader(file), o); !errors.Is(err, refused) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if after := dump(t, db, DumpOptions{}); !bytes.Equal(before, after) || stateOf(t, db) != st {
		t.Errorf("the database is\n%s", after)
	}
	o.Update = true // nothing is replaced
	load(t, db, file, o)
	if calls != 1 {
		t.Error("Review of a load that replaces nothing")
	}
	load(t, db, before, LoadOptions{Master: "none@" + testRealm, Review: func(r *Review) error {
		if r.Master[0] != nil || r.Master[1] != nil {
			t.Errorf("%+v", r.Master)
		}
		return nil
	}})
	diff(t, dump(t, db, DumpOptions{}), before)
}

// TestDryRunLeavesNoRoom: the -wal that a dry run has filled is emptied.
func TestDryRunLeavesNoRoom(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, bigDump(t, 100), LoadOptions{})
	load(t, db, bigDump(t, 20_000), LoadOptions{DryRun: true})
	fi, err := os.Stat(db.Path() + "-wal")
	if err != nil || fi.Size() > 1<<20 {
		t.Errorf("%d bytes, %v", fi.Size(), err)
	}
	if n, _, err := db.Count(t.Context()); err != nil || n != 100 {
		t.Errorf("%d entries, %v", n, err)
	}
}
