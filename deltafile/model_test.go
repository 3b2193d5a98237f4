package deltafile

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model runs random steps of writers, a truncator, a follower and accidents over one file, and
// compares with what a slice says.
type model struct {
	t      *rapid.T
	m      *memFS
	o      *outbox // the truth
	a      []*Appender
	tail   *Tail
	got    uint64 // the last serial the follower has
	base   uint64 // where the file may begin at the latest
	epochs Epoch
}

func (s *model) append(t *rapid.T) {
	a := s.a[rapid.IntRange(0, len(s.a)-1).Draw(t, "appender")]
	last, err := a.Append(s.t.Context(), s.o.at(s.o.kept), s.o.fetch)
	if err != nil || !last.Same(s.o.state()) {
		t.Fatalf("append: %v, %v; want %v", last, err, s.o.state())
	}
	base, css, err := s.report()
	if err != nil {
		t.Fatalf("after an append: %v", err)
	}
	if base.Serial > s.base {
		t.Fatalf("file begins at %d, may begin at %d", base.Serial, s.base)
	}
	want := s.o.css[base.Serial:]
	if len(css) != len(want) {
		t.Fatalf("file holds %d changesets, want %d", len(css), len(want))
	}
	for i, cs := range css {
		if !bytes.Equal(cs.Raw, want[i].Raw) {
			t.Fatalf("changeset %d at place %d behind %d", cs.Serial, i+1, base.Serial)
		}
	}
}

func (s *model) report() (State, []*Changeset, error) {
	base, css, _, err := readBytes(s.m.get("/d/delta"))
	return base, css, err
}

func (s *model) commit(t *rapid.T) {
	n := rapid.IntRange(1, 5).Draw(t, "changesets")
	last := s.o.state()
	for range n {
		lines := bytes.Repeat(testLine(int(last.Serial)+1), rapid.IntRange(1, 4).Draw(t, "lines"))
		cs, err := Encode(last, time.Unix(int64(n), 0), lines)
		if err != nil {
			t.Fatal(err)
		}
		s.o.css = append(s.o.css, cs)
		last = last.After(cs)
	}
}

func (s *model) truncate(t *rapid.T) {
	upto := rapid.Uint64Range(0, s.got).Draw(t, "upto")
	base, err := TruncateFS(s.t.Context(), s.m, "/d/delta", s.o.base.Epoch, upto)
	var ee *EpochError
	switch {
	case errors.As(err, &ee) || len(s.m.get("/d/delta")) == 0 && err != nil:
		return // the file is not of this epoch yet, or not there
	case isDamage(err):
		return // an accident nobody has mended yet
	case err != nil:
		t.Fatalf("truncate: %v", err)
	case base.Serial > max(upto, s.base):
		t.Fatalf("truncated to %d, asked for %d", base.Serial, upto)
	}
	s.base = max(s.base, upto)
}

// follow reads what there is and compares it with the outbox.
func (s *model) follow(t *rapid.T) {
	for {
		css, more, err := s.tail.look(s.t.Context())
		var ee *EpochError
		switch {
		case errors.As(err, &ee): // the present one, or one that has passed meanwhile
			if ee.State.Epoch == s.o.base.Epoch {
				s.got = ee.State.Serial
			}
			continue
		case err != nil && isDamage(err):
			return
		case err != nil:
			t.Fatalf("follow: %v", err)
		}
		for _, cs := range css {
			if s.tail.Base().Epoch != s.o.base.Epoch {
				continue // the end of the old epoch's file
			}
			if cs.Serial != s.got+1 || !bytes.Equal(cs.Raw, s.o.css[cs.Serial-1].Raw) {
				t.Fatalf("read changeset %d, want %d", cs.Serial, s.got+1)
			}
			s.got = cs.Serial
		}
		if len(css) == 0 && !more {
			return
		}
	}
}

// reopen makes new processes over file system m, the follower from the state it has.
func (s *model) reopen(t *rapid.T, m *memFS) {
	s.m = m
	last := State{}
	if s.tail != nil {
		last = s.tail.Last()
		_ = s.tail.Close()
	}
	w := newFakeWatch().watch()
	w.FS = m
	tail, err := w.Open("/d/delta", last)
	if err != nil {
		t.Fatal(err)
	}
	s.tail = tail
	for i := range s.a {
		s.a[i], err = OpenAppender("/d/delta", AppenderOptions{FS: m, Verify: rapid.Int64Range(1, 2000).Draw(t, "verify")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *model) accident(t *rapid.T) {
	switch rapid.SampledFrom([]string{"kill", "torn", "power"}).Draw(t, "accident") {
	case "kill":
		s.reopen(t, s.m.after("kept", "kept"))
	case "torn":
		image := s.m.get("/d/delta")
		base, css, err := s.report()
		if err != nil || base.Epoch != s.o.base.Epoch {
			return
		}
		if n := int(base.Serial) + len(css); n < len(s.o.css) { // a writer dies in the middle of the next
			raw := s.o.css[n].Raw
			s.m.names["/d/delta"].data = append(image, raw[:rapid.IntRange(1, len(raw)-1).Draw(t, "bytes")]...)
		}
	case "power":
		data := rapid.SampledFrom([]string{"lost", "half", "zeros"}).Draw(t, "unsynced")
		names := rapid.SampledFrom([]string{"lost", "kept"}).Draw(t, "names")
		s.reopen(t, s.m.after(data, names))
	}
}

// TestModel: see model. A follower's state survives accidents, as a slave's does.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &model{t: t, o: newOutbox(testBase()), a: make([]*Appender, 2), epochs: testEpoch}
		s.reopen(t, newMemFS())
		t.Repeat(map[string]func(*rapid.T){
			"commit":   s.commit,
			"append":   s.append,
			"truncate": s.truncate,
			"follow":   s.follow,
			"accident": s.accident,
			"sync": func(t *rapid.T) {
				if err := s.a[0].Sync(); err != nil {
					t.Fatal(err)
				}
			},
			"epoch": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "rarely") == 0 {
					s.epochs++
					s.o, s.got, s.base = newOutbox(Initial("EXAMPLE.COM", s.epochs, time.Unix(1, 0))), 0, 0
				}
			},
		})
		s.append(t)
		s.follow(t)
		if s.got != s.o.state().Serial {
			t.Fatalf("followed to %d, committed %d", s.got, s.o.state().Serial)
		}
	})
}
