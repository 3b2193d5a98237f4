package kdb

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"krealm/dumpfmt"
)

// Frozen content, brought forward by the changes made since, is the content there is then: what
// krep verify relies on.
func TestContentFollowsChanges(t *testing.T) {
	db := newMaster(t, Options{DeltaFile: filepath.Join(t.TempDir(), "delta")})
	load(t, db, bigDump(t, 300), LoadOptions{})
	for _, p := range []*dumpfmt.Policy{policy("p", 1), policy("q", 1)} {
		if _, err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutPolicy(p) }); err != nil {
			t.Fatal(err)
		}
	}
	f, err := db.Freeze(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	was := f.Content()
	if _, d, err := db.Digest(t.Context()); err != nil || d != was.Digest() || d != was.Kept || was.Count != 302 {
		t.Fatal(was.Digest(), was.Kept, was.Count, err)
	}
	put(t, db, princ("u0000007", 99))
	put(t, db, princ("new", 1))
	_, err = db.Update(t.Context(), func(tx *Tx) error {
		if err := tx.DeletePrincipal("u0000008@" + testRealm); err != nil {
			return err
		}
		if err := tx.DeletePolicy("p"); err != nil {
			return err
		}
		return tx.PutPolicy(policy("q", 2))
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, princ("new", 2))
	now, err := db.Content(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	css, err := db.Changes(t.Context(), was.State.Serial, 100)
	if err != nil {
		t.Fatal(err)
	}
	type named struct {
		kind dumpfmt.Kind
		name string
	}
	seen := map[named]*[sha256.Size]byte{}
	for _, cs := range css {
		outcomes, err := Outcomes(cs)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			old, ok := seen[named{o.Kind, o.Name}]
			if !ok {
				if old, err = f.Hash(o.Kind, o.Name); err != nil {
					t.Fatal(err)
				}
			}
			was.Swap(o.Kind, o.Name, old, o.Hash)
			seen[named{o.Kind, o.Name}] = o.Hash
		}
	}
	if was.Parts != now.Parts || now.Digest() != now.Kept {
		t.Error("brought forward, the parts are not those of the present content")
	}
	if n := countItems(t, f); n != 302 {
		t.Errorf("%d entries in the frozen state", n)
	}
}

func countItems(t *testing.T, f *Frozen) (n int) {
	t.Helper()
	err := f.Each(t.Context(), func(int) bool { return true }, func(it Item) error {
		n++
		if h, err := f.Hash(it.Kind, it.Name); err != nil || h == nil || *h != it.Hash {
			return fmt.Errorf("%q: %v, %w", it.Name, h, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// Rows changed by hand show in the parts and leave what is kept as it was.
func TestContentReadsTheRows(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, bigDump(t, 50), LoadOptions{})
	before, err := db.Content(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := "u0000007@" + testRealm
	_, err = db.write(t.Context(), func(c *conn, _ *state) error {
		return c.exec("UPDATE principal SET line = ? WHERE name = ?", []byte("princ\n"), name)
	})
	if err != nil {
		t.Fatal(err)
	}
	part := PartOf(dumpfmt.KindPrincipal, name)
	var names []string
	after, err := db.Content(t.Context(), func(p int) bool { return p == part }, func(it Item) error {
		names = append(names, it.Name)
		if PartOf(it.Kind, it.Name) != part {
			t.Errorf("%q is of another part", it.Name)
		}
		return nil
	})
	if err != nil || after.Kept != before.Kept || after.Digest() == before.Digest() {
		t.Error(err, after.Kept == before.Kept)
	}
	for p := range after.Parts {
		if same := after.Parts[p] == before.Parts[p]; same != (p != part) {
			t.Errorf("part %d: the same: %v", p, same)
		}
	}
	if len(names) == 0 {
		t.Error("nothing listed")
	}
}
