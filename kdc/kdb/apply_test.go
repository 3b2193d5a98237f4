package kdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"pgregory.net/rapid"
)

// The worked example of the delta format: base and changes give what MIT's tools give.
func TestApplyFixture(t *testing.T) {
	base, css, err := deltafile.ReadAll("testdata/delta/changes.delta")
	if err != nil {
		t.Fatal(err)
	}
	slave := newSlave(t, Options{})
	if _, err := slave.LoadSnapshot(t.Context(), bytes.NewReader(frame(t, base, readFile(t, "delta", "base.dump")))); err != nil {
		t.Fatal(err)
	}
	st, err := slave.Apply(t.Context(), css)
	if err != nil || st != base.After(css[len(css)-1]) {
		t.Fatal(st, err)
	}
	diff(t, dump(t, slave, DumpOptions{}), readFile(t, "delta", "after.dump"))
	verify(t, slave)
	verifyChanges(t, slave)
}

// frame puts a dump into the frame of a full copy.
func frame(t testing.TB, base deltafile.State, dump []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := deltafile.NewFullWriter(&b, base, int64(bytes.Count(dump, []byte("\n"))), int64(len(dump)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(dump); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pair makes a master with some content and a slave that has the same.
func pair(t testing.TB) (master, slave *DB) {
	t.Helper()
	master, slave = newMaster(t, Options{}), newSlave(t, Options{})
	load(t, master, readFile(t, "full", "1.20.1.dump"), LoadOptions{})
	copyTo(t, master, slave)
	return master, slave
}

// encode makes the changesets that lines make after st, one each.
func encode(t testing.TB, st deltafile.State, lines ...string) []*deltafile.Changeset {
	t.Helper()
	var css []*deltafile.Changeset
	for _, l := range lines {
		cs, err := deltafile.Encode(st, time.Unix(1_800_000_000, 0), []byte(l))
		if err != nil {
			t.Fatal(err)
		}
		st = st.After(cs)
		css = append(css, cs)
	}
	return css
}

func lineOf(t testing.TB, rec dumpfmt.Record) string {
	t.Helper()
	l, err := rec.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	return string(l)
}

// What cannot be applied is refused with its serial and its reason, and nothing of its batch stays.
func TestApplyRefuses(t *testing.T) {
	master, slave := pair(t)
	st := stateOf(t, slave)
	good := lineOf(t, princ("good", 1))
	ok := encode(t, st, good, lineOf(t, princ("good2", 1)), lineOf(t, princ("good3", 1)))
	other := encode(t, deltafile.Initial(testRealm, deltafile.NewEpoch(), st.Time()), good)
	damaged := *ok[2]
	damaged.Raw = bytes.Replace(slices.Clone(ok[2].Raw), []byte("good3"), []byte("evil3"), 1)
	longer := *ok[2]
	longer.Raw = append(slices.Clone(ok[2].Raw), "x"...)
	short := *ok[2]
	short.Raw = short.Raw[:len(short.Raw)-1]
	unparsed := encode(t, st, good, strings.Replace(good, "\t38\t", "\t39\t", 1))
	loose := encode(t, st, good, strings.Replace(good, "\t16\t1\t1\t0\tgood", "\t17\t1\t1\t0\t\\good", 1))
	var syntax *dumpfmt.SyntaxError
	for _, c := range []struct {
		name   string
		css    []*deltafile.Changeset
		serial uint64
		check  func(error) bool
	}{
		{"gap", []*deltafile.Changeset{ok[0], ok[2]}, 3, func(err error) bool { return errors.Is(err, ErrGap) }},
		{"other epoch", other, 1, func(err error) bool { return errors.Is(err, ErrHistory) }},
		{"damaged", []*deltafile.Changeset{ok[0], ok[1], &damaged}, 3, func(err error) bool { return errors.Is(err, ErrHistory) }},
		{"too long", []*deltafile.Changeset{ok[0], ok[1], &longer}, 3, func(err error) bool { return err != nil }},
		{"too short", []*deltafile.Changeset{ok[0], ok[1], &short}, 3, func(err error) bool { return errors.Is(err, deltafile.ErrIncomplete) }},
		{"no record", unparsed, 2, func(err error) bool { return errors.As(err, &syntax) }},
		{"not canonical", loose, 2, func(err error) bool { return errors.As(err, &syntax) }},
	} {
		before := dump(t, slave, DumpOptions{})
		_, err := slave.Apply(t.Context(), c.css)
		var rec *RecordError
		if !errors.As(err, &rec) || rec.Serial != c.serial || !c.check(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := stateOf(t, slave); got != st {
			t.Errorf("%s: state %v", c.name, got)
		}
		diff(t, dump(t, slave, DumpOptions{}), before)
		verify(t, slave)
	}
	if _, err := master.Apply(t.Context(), ok); !errors.Is(err, ErrMaster) {
		t.Error(err)
	}
	if _, err := slave.Apply(t.Context(), ok); err != nil {
		t.Error(err)
	}
}

// What was applied before is dropped, unless it was something else.
func TestApplyAgain(t *testing.T) {
	master, slave := pair(t)
	follow(t, master, slave, func() {
		put(t, master, princ("x", 1))
		put(t, master, princ("x", 2))
	})
	css, err := master.Changes(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	put(t, master, princ("x", 3))
	more, err := master.Changes(t.Context(), 2, 10)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := slave.Apply(t.Context(), css); err != nil || st.Serial != 2 {
		t.Error(st, err)
	}
	if st, err := slave.Apply(t.Context(), slices.Concat(css[1:], more)); err != nil || st.Serial != 3 {
		t.Error(st, err)
	}
	same(t, master, slave)
	fork := encode(t, deltafile.Initial(testRealm, stateOf(t, slave).Epoch, time.Unix(1, 0)), lineOf(t, princ("y", 1)))
	var rec *RecordError
	if _, err := slave.Apply(t.Context(), fork); !errors.As(err, &rec) || !errors.Is(err, ErrHistory) {
		t.Error(err)
	}
	if st, err := slave.Apply(t.Context(), nil); err != nil || st.Serial != 3 {
		t.Error(st, err)
	}
}

// A slave keeps its own lockout fields; of entries it does not know it takes the master's.
func TestApplyKeepsLockout(t *testing.T) {
	master, slave := pair(t)
	follow(t, master, slave, func() { put(t, master, princ("x", 1)) })
	mine := dumpfmt.Lockout{LastSuccess: 1, LastFailed: 2, FailCount: 3}
	theirs := dumpfmt.Lockout{LastSuccess: 4, LastFailed: 5, FailCount: 6}
	if err := slave.SetLockout(t.Context(), "x@"+testRealm, mine); err != nil {
		t.Fatal(err)
	}
	follow(t, master, slave, func() {
		for _, name := range []string{"x", "y"} {
			p := princ(name, 2)
			p.SetLockout(theirs)
			put(t, master, p)
		}
	})
	wantLockout := func(name string, want dumpfmt.Lockout) {
		t.Helper()
		p, err := slave.Principal(t.Context(), name+"@"+testRealm)
		if err != nil || p.Lockout() != want || p.Expire != 2 {
			t.Error(p, err)
		}
	}
	wantLockout("x", mine)
	wantLockout("y", theirs)
	// So does a snapshot.
	if err := slave.SetLockout(t.Context(), "y@"+testRealm, dumpfmt.Lockout{}); err != nil {
		t.Fatal(err)
	}
	p := princ("z", 2)
	p.SetLockout(theirs)
	put(t, master, p)
	copyTo(t, master, slave)
	wantLockout("x", mine)
	wantLockout("y", dumpfmt.Lockout{})
	wantLockout("z", theirs)
	verify(t, slave)
}

// A snapshot is taken whole or not at all.
func TestLoadSnapshotRefuses(t *testing.T) {
	master, slave := pair(t)
	put(t, master, princ("x", 1))
	s, err := master.Snapshot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	whole := make([]byte, s.Size())
	if _, err := s.ReadAt(whole, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	at := bytes.Index(whole, []byte("x@EXAMPLE.COM"))
	spoilt := slices.Clone(whole)
	spoilt[at] = 'w'
	foreign := deltafile.Initial("OTHER.ORG", deltafile.NewEpoch(), time.Unix(1, 0))
	st := stateOf(t, master)
	old := dump(t, master, DumpOptions{Version: 6})
	before := dump(t, slave, DumpOptions{})
	for name, b := range map[string][]byte{
		"empty":             {},
		"cut in the head":   whole[:30],
		"cut in the middle": whole[:len(whole)/2],
		"cut at the end":    whole[:len(whole)-1],
		"one bit":           spoilt,
		"other realm":       frame(t, foreign, before),
		"old version":       frame(t, st, old),
		"no dump":           frame(t, st, []byte("hello\n")),
		"damaged dump":      frame(t, st, bytes.Replace(before, []byte("\t38\t"), []byte("\t39\t"), 3)),
	} {
		if _, err := slave.LoadSnapshot(t.Context(), bytes.NewReader(b)); err == nil {
			t.Errorf("%s: taken", name)
		}
		diff(t, dump(t, slave, DumpOptions{}), before)
	}
	if _, err := master.LoadSnapshot(t.Context(), bytes.NewReader(whole)); !errors.Is(err, ErrMaster) {
		t.Error(err)
	}
	if _, err := slave.LoadSnapshot(t.Context(), bytes.NewReader(whole)); err != nil {
		t.Error(err)
	}
	same(t, master, slave)
}

// A snapshot is of one state though changes go on.
func TestSnapshotConsistent(t *testing.T) {
	master, slave := newMaster(t, Options{}), newSlave(t, Options{})
	load(t, master, bigDump(t, 2000), LoadOptions{})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := uint32(1); ; i++ {
			select {
			case <-stop:
				return
			default:
				put(t, master, princ(fmt.Sprintf("u%07d", i*7919%2000), i))
			}
		}
	}()
	for range 5 {
		copyTo(t, master, slave)
		verify(t, slave)
		css, err := master.Changes(t.Context(), stateOf(t, slave).Serial, 100)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := slave.Apply(t.Context(), css); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	follow(t, master, slave, func() {})
	same(t, master, slave)
}

// Invariant 5 of the design: whatever is done to a master, a slave that follows by changesets and
// one that starts from a snapshot end with the same state, digest and dump.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		master, slave := newMaster(t, Options{KeepChanges: 4}), newSlave(t, Options{})
		defer func() { _, _ = master.Close(), slave.Close() }()
		copyTo(t, master, slave)
		name := rapid.Custom(func(r *rapid.T) string { return string(rapid.SampledFrom([]byte("abcd")).Draw(r, "name")) })
		change := func(tx *Tx) {
			n := name.Draw(r, "entry")
			switch rapid.IntRange(0, 5).Draw(r, "what") {
			case 0, 1, 2:
				p := princ(n, rapid.Uint32Range(0, 3).Draw(r, "value"))
				p.FailCount = rapid.Uint32Range(0, 2).Draw(r, "fails")
				if err := tx.PutPrincipal(p); err != nil {
					r.Fatal(err)
				}
			case 3:
				if err := tx.DeletePrincipal(n + "@" + testRealm); err != nil && !errors.Is(err, ErrNotFound) {
					r.Fatal(err)
				}
			case 4:
				if err := tx.PutPolicy(policy(n, rapid.Uint32Range(0, 3).Draw(r, "value"))); err != nil {
					r.Fatal(err)
				}
			case 5:
				if err := tx.DeletePolicy(n); err != nil && !errors.Is(err, ErrNotFound) {
					r.Fatal(err)
				}
			}
		}
		for range rapid.IntRange(1, 12).Draw(r, "updates") {
			_, err := master.Update(t.Context(), func(tx *Tx) error {
				for range rapid.IntRange(0, 4).Draw(r, "changes") {
					change(tx)
					if rapid.Bool().Draw(r, "cut") {
						if err := tx.Cut(); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				r.Fatal(err)
			}
			if rapid.Bool().Draw(r, "apply") {
				css, err := master.Changes(t.Context(), stateOf(t, slave).Serial, 100)
				if errors.Is(err, ErrPruned) {
					copyTo(t, master, slave)
				} else if err != nil {
					r.Fatal(err)
				} else if _, err := slave.Apply(t.Context(), css); err != nil {
					r.Fatal(err)
				}
			}
			if rapid.IntRange(0, 9).Draw(r, "load") == 0 {
				d := dump(t, master, DumpOptions{})
				load(t, master, d, LoadOptions{})
			}
			if stateOf(t, slave).Epoch != stateOf(t, master).Epoch {
				copyTo(t, master, slave)
			}
		}
		if css, err := master.Changes(t.Context(), stateOf(t, slave).Serial, 100); err != nil {
			copyTo(t, master, slave)
		} else if _, err := slave.Apply(t.Context(), css); err != nil {
			r.Fatal(err)
		}
		// Lockout fields are each database's own, so dumps may differ there.
		_, a, err := master.Digest(t.Context())
		_, b, err2 := slave.Digest(t.Context())
		if err := errors.Join(err, err2); err != nil || a != b || stateOf(t, master) != stateOf(t, slave) {
			r.Fatal(a, b, err)
		}
		verify(t, master)
		verify(t, slave)
		verifyChanges(t, master)
		verifyChanges(t, slave)
	})
}

// TestSnapshotOfTampered: a snapshot says that somebody has changed the rows by hand, holds what is
// there, and a replica that loads it agrees with itself.
func TestSnapshotOfTampered(t *testing.T) {
	master, slave := newMaster(t, Options{}), newSlave(t, Options{})
	put(t, master, princ("a", 1))
	put(t, master, princ("b", 1))
	for _, tampered := range []bool{false, true} {
		if tampered {
			if _, err := master.write(t.Context(), func(c *conn, _ *state) error {
				return c.exec("DELETE FROM principal WHERE name LIKE 'a%'")
			}); err != nil {
				t.Fatal(err)
			}
		}
		s, err := master.Snapshot(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if got := errors.Is(s.Tampered(), ErrDigest); got != tampered {
			t.Errorf("tampered %v: %v", tampered, s.Tampered())
		}
		if _, err := slave.LoadSnapshot(t.Context(), io.NewSectionReader(s, 0, s.Size())); err != nil {
			t.Fatal(err)
		}
		verify(t, slave)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
