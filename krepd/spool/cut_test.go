package spool

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"krealm/deltafile"
)

// A slave on which something new has always come before the last is applied does not keep all of it.
func TestCutUnderConstantLoad(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	s, _ := sickSpool(t, base)
	at, most := base, int64(0)
	for range 40 {
		css, last := some(t, at, 3000) // about 400 KiB
		if err := s.Append(ctx, css); err != nil {
			t.Fatal(err)
		}
		applied := at.After(css[len(css)-2]) // when that is in the database one more has come
		if err := s.Cut(ctx, applied, false); err != nil {
			t.Fatal(err)
		}
		at = last
		info, err := os.Stat(s.Path())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Size())
	}
	if most > 2*cutAt {
		t.Errorf("the spool has grown to %d octets", most)
	}
	if st, err := s.Sync(); err != nil || !st.Same(at) {
		t.Errorf("synced %v, %v, want %v", st, err, at)
	}
	if r, err := deltafile.Check(s.Path()); err != nil || !r.Last.Same(at) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A spool whose size could not be asked for as it was settled is cut all the same.
func TestCutOfUnknownSize(t *testing.T) {
	ctx, base := t.Context(), initial(7)
	s, fsys := sickSpool(t, base)
	css, last := some(t, base, 3)
	if err := s.Append(ctx, css); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s, err := Open(s.Path(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	fsys.stats = 0
	for range 2 { // the last one that asks is the spool itself
		fsys.stats, fsys.blind = 0, fsys.stats
		if st, _, err := s.Settle(ctx, base); err != nil || !st.Same(last) {
			t.Fatalf("%v, %v", st, err)
		}
	}
	if fsys.stats != fsys.blind {
		t.Fatalf("asked %d times, and then %d times", fsys.blind, fsys.stats)
	}
	if err := s.Cut(ctx, last, true); err != nil {
		t.Fatal(err)
	}
	if r, err := deltafile.Check(s.Path()); err != nil || r.Changesets != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A spool that somebody has removed, or put another in the place of, is missed also when nothing
// comes that could not be appended, and begun anew.
func TestCutMissesTheFile(t *testing.T) {
	for name, harm := range map[string]func(path string, old []byte) error{
		"removed": func(path string, _ []byte) error { return os.Remove(path) },
		"replaced": func(path string, old []byte) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, old, 0o600))
		},
	} {
		for _, left := range []int{0, 1} { // to be applied
			t.Run(fmt.Sprint(name, left), func(t *testing.T) {
				ctx := t.Context()
				s, _, at := filled(t, 3)
				old, err := os.ReadFile(s.Path())
				if err != nil {
					t.Fatal(err)
				}
				css, last := some(t, at, left+1)
				if err := s.Append(ctx, css); err != nil {
					t.Fatal(err)
				}
				applied := at.After(css[0])
				for range 2 {
					if err := s.Cut(ctx, applied, true); err != nil {
						t.Fatal(err)
					}
				}
				if err := harm(s.Path(), old); err != nil {
					t.Fatal(err)
				}
				if err := s.Cut(ctx, applied, true); err == nil {
					t.Error("the spool is gone, and nobody notices")
				}
				if st, anew, err := s.Settle(ctx, applied); err != nil || anew == "" || !st.Same(applied) {
					t.Errorf("%v, %q, %v", st, anew, err)
				}
				if css, _ = some(t, applied, 2); s.Append(ctx, css) != nil || s.Last().Serial != applied.Serial+2 {
					t.Errorf("at %v, before %v", s.Last(), last)
				}
			})
		}
	}
}
