package kdb

import (
	"slices"
	"testing"
)

func TestPrincipalsAfter(t *testing.T) {
	db := newMaster(t, Options{})
	load(t, db, readFile(t, "names", "names-1.20.1.dump"), LoadOptions{})
	var want, got []string
	for name, err := range db.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for after := ""; ; after = got[len(got)-1] {
		page, err := db.PrincipalsAfter(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			got = append(got, p.Name)
		}
	}
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
