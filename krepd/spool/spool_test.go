package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"krealm/deltafile"
)

func initial(e deltafile.Epoch) deltafile.State {
	return deltafile.Initial("EXAMPLE.ORG", e, time.Unix(1700000000, 0))
}

// some makes n changesets behind a state.
func some(t *testing.T, after deltafile.State, n int) (css []*deltafile.Changeset, last deltafile.State) {
	t.Helper()
	for range n {
		cs, err := deltafile.Encode(after, time.Unix(1700000000, 0), fmt.Appendf(nil, "delprinc\t%d\t;\n", after.Serial))
		if err != nil {
			t.Fatal(err)
		}
		css, after = append(css, cs), after.After(cs)
	}
	return css, after
}

func open(t *testing.T, path string) *Spool {
	t.Helper()
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// filled is a spool that holds n changesets of epoch 7 behind serial 0, synced.
func filled(t *testing.T, n int) (s *Spool, base, last deltafile.State) {
	t.Helper()
	dir := private(t)
	s = open(t, filepath.Join(dir, "spool"))
	base = initial(7)
	if err := s.Reset(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	css, last := some(t, base, n)
	if err := s.Append(t.Context(), css); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Sync(); err != nil || !st.Same(last) {
		t.Fatalf("%v, %v", st, err)
	}
	return s, base, last
}

func TestDurableOnlyAfterSync(t *testing.T) {
	s, _, last := filled(t, 3)
	css, next := some(t, last, 2)
	if err := s.Append(t.Context(), css); err != nil {
		t.Fatal(err)
	}
	if !s.Durable().Same(last) || !s.Last().Same(next) {
		t.Errorf("durable %v, last %v", s.Durable(), s.Last())
	}
	if st, err := s.Sync(); err != nil || !st.Same(next) || !s.Durable().Same(next) {
		t.Errorf("%v, %v", st, err)
	}
	if err := s.Append(t.Context(), css); err == nil {
		t.Error("the same changesets were appended twice")
	}
}

func TestSettle(t *testing.T) {
	other := initial(9)
	for _, tt := range []struct {
		name string
		db   func(base, last deltafile.State) deltafile.State
		want func(base, last, db deltafile.State) deltafile.State
		anew bool
	}{
		{"database at the base", func(b, _ deltafile.State) deltafile.State { return b }, func(_, l, _ deltafile.State) deltafile.State { return l }, false},
		{"database up to date", func(_, l deltafile.State) deltafile.State { return l }, func(_, l, _ deltafile.State) deltafile.State { return l }, false},
		{"database beyond", func(_, l deltafile.State) deltafile.State { l.Serial += 5; return l }, func(_, _, db deltafile.State) deltafile.State { return db }, true},
		{"database with another change", func(_, l deltafile.State) deltafile.State { l.Hash[3] ^= 1; return l }, func(_, _, db deltafile.State) deltafile.State { return db }, true},
		{"database in another epoch", func(_, _ deltafile.State) deltafile.State { return other }, func(_, _, db deltafile.State) deltafile.State { return db }, true},
		{"database empty", func(_, _ deltafile.State) deltafile.State { return deltafile.State{} }, func(_, _, db deltafile.State) deltafile.State { return db }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, base, last := filled(t, 4)
			db := tt.db(base, last)
			got, anew, err := s.Settle(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.want(base, last, db); !got.Same(want) || (anew != "") != tt.anew {
				t.Errorf("settled at %v (%s), want %v", got, anew, want)
			}
			if !s.Durable().Same(got) || !s.Last().Same(got) {
				t.Errorf("durable %v, last %v", s.Durable(), s.Last())
			}
		})
	}
}

func TestSettleWithoutSpool(t *testing.T) {
	s := open(t, filepath.Join(private(t), "spool"))
	if st, anew, err := s.Settle(t.Context(), deltafile.State{}); err != nil || !st.IsZero() || anew != "" {
		t.Errorf("%v, %q, %v", st, anew, err)
	}
	if st, anew, err := s.Settle(t.Context(), initial(7)); err != nil || !st.Same(initial(7)) || anew == "" {
		t.Errorf("%v, %q, %v", st, anew, err)
	}
}

// What was acknowledged stands before what a power cut has spoiled, and stays.
func TestSettleKeepsWhatIsGood(t *testing.T) {
	for name, tail := range map[string]string{"zeros": "\x00\x00\x00\x00\x00", "noise": "begin\t5\tnonsense\n"} {
		t.Run(name, func(t *testing.T) {
			s, base, last := filled(t, 4)
			_ = s.Close()
			f, err := os.OpenFile(s.Path(), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(tail); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			s = open(t, s.Path())
			got, _, err := s.Settle(t.Context(), base)
			var damage *DamageError
			if !errors.As(err, &damage) || !got.Same(last) {
				t.Fatalf("%v, %v", got, err)
			}
			if _, err := os.Stat(s.Path() + ".damaged"); err != nil {
				t.Error(err)
			}
			if got, _, err := s.Settle(t.Context(), base); err != nil || !got.Same(last) {
				t.Errorf("the second time: %v, %v", got, err)
			}
		})
	}
}

func TestCut(t *testing.T) {
	s, _, last := filled(t, 4)
	before := last
	before.Serial--
	if err := s.Cut(t.Context(), before, true); err != nil {
		t.Fatal(err)
	}
	if r, err := deltafile.Check(s.Path()); err != nil || r.Base.Serial != 0 {
		t.Errorf("cut with something left to apply: %+v, %v", r, err)
	}
	if err := s.Cut(t.Context(), last, false); err != nil {
		t.Fatal(err)
	}
	if r, err := deltafile.Check(s.Path()); err != nil || r.Base.Serial != 0 {
		t.Errorf("cut although little and not quiet: %+v, %v", r, err)
	}
	if err := s.Cut(t.Context(), last, true); err != nil {
		t.Fatal(err)
	}
	if r, err := deltafile.Check(s.Path()); err != nil || !r.Base.Same(last) {
		t.Errorf("not cut: %+v, %v", r, err)
	}
}

// The Tail is woken by Append, sees cuts and new beginnings.
func TestTailFollows(t *testing.T) {
	s, base, last := filled(t, 2)
	tail, err := s.Tail(base)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tail.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if css, err := tail.Next(ctx); err != nil || len(css) != 2 {
		t.Fatalf("%d, %v", len(css), err)
	}
	if err := s.Cut(ctx, last, true); err != nil {
		t.Fatal(err)
	}
	css, _ := some(t, last, 1)
	if err := s.Append(ctx, css); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if got, err := tail.Next(ctx); err != nil || len(got) != 1 || got[0].Serial != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	if d := time.Since(start); d > 200*time.Millisecond {
		t.Errorf("woken after %v: by the poll, not by Append", d)
	}
	if err := s.Reset(ctx, initial(9)); err != nil {
		t.Fatal(err)
	}
	var epoch *deltafile.EpochError
	if _, err := tail.Next(ctx); !errors.As(err, &epoch) {
		t.Errorf("%v", err)
	}
}

func TestOneOwner(t *testing.T) {
	s, _, _ := filled(t, 1)
	if _, err := Open(s.Path(), nil); !errors.Is(err, deltafile.ErrPossessed) {
		t.Errorf("%v", err)
	}
	_ = s.Close()
	again, err := Open(s.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func TestModes(t *testing.T) {
	s, _, _ := filled(t, 1)
	_ = s.Close()
	if err := os.Chmod(s.Path(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Path(), nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("loose file: %v", err)
	}
	if err := os.Chmod(s.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range []os.FileMode{0o777, 0o755} {
		if err := os.Chmod(filepath.Dir(s.Path()), m); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(s.Path(), nil); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("directory of mode %o: %v", m, err)
		}
	}
}

func TestQuarantine(t *testing.T) {
	s, base, _ := filled(t, 1)
	css, _ := some(t, base, 1)
	for range 2 { // the second time over the first
		name, err := s.Quarantine(7, css[0])
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != string(css[0].Raw) || filepath.Base(name) != "spool.0000000000000007.1.bad" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	}
}

// A master that makes nothing but records that cannot be applied does not fill the disk with copies.
func TestQuarantineIsBounded(t *testing.T) {
	s, base, _ := filled(t, 1)
	css, _ := some(t, base, maxBad+5)
	for i, cs := range css {
		if _, err := s.Quarantine(7, cs); (err != nil) != (i >= maxBad) {
			t.Fatalf("copy %d: %v", i, err)
		}
	}
	if _, err := s.Quarantine(7, css[0]); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if names, err := filepath.Glob(s.Path() + ".*.bad"); err != nil || len(names) != maxBad {
		t.Errorf("%d copies, %v", len(names), err)
	}
}

// private is a directory closed to others.
func private(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
