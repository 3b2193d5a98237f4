package repeats

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// One failure every twenty seconds, for a day: the first three are told, then one a minute for ten minutes,
// then one an hour.
func TestSpell(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		pace  Pace
		hour  int // lines in the first hour
		later int // in the 23 behind it
	}{{Trouble, 3 + 9, 23}, {Calm, 1, 23}} {
		var s Spell
		var told []time.Duration
		for at := time.Duration(0); at < 24*time.Hour; at += 20 * time.Second {
			now := start.Add(at)
			quiet := s.Quiet(c.pace, now)
			tell := s.Again(c.pace, "broken", now)
			if tell {
				told = append(told, at)
			}
			if at > 0 && quiet == tell {
				t.Errorf("%v: quiet %v, told %v", at, quiet, tell)
			}
		}
		first := slices.IndexFunc(told, func(d time.Duration) bool { return d >= time.Hour })
		if first != c.hour || len(told)-first != c.later {
			t.Errorf("%+v: %d and %d lines: %v", c.pace, first, len(told)-first, told)
		}
		if s.Times() != 24*180 {
			t.Errorf("%d times", s.Times())
		}
		if times, since, tell := s.Over(c.pace); times != 24*180 || !since.Equal(start) || !tell || s.Times() != 0 {
			t.Errorf("%d since %v, %v", times, since, tell)
		}
		if times, _, tell := s.Over(c.pace); times != 0 || tell {
			t.Errorf("over again: %d, %v", times, tell)
		}
	}
}

// A new kind of failure is told at once, but not any number of them; and so is one after some time without.
func TestKinds(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var s Spell
	told := 0
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		if s.Again(Calm, fmt.Sprint("kind ", i), now) {
			told++
		}
	}
	if told != maxKinds {
		t.Errorf("%d of 1000 kinds told", told)
	}
	now = now.Add(Gap)
	if s.Quiet(Trouble, now) || !s.Again(Trouble, "kind 0", now) || s.Times() != 1 {
		t.Errorf("after a gap: %+v", s)
	}
	if _, _, tell := s.Over(Trouble); tell {
		t.Error("all of it was told already")
	}
}

// A failure of a new kind is told in a spell that has lasted for days, too, however many others were; and so is
// one that comes back after another has gone on for a while. Several that alternate are no news, and new ones
// without end are told once a minute.
func TestKindsOfALongSpell(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var s Spell
	again := func(kind string) bool {
		now = now.Add(30 * time.Second)
		return s.Again(Trouble, kind, now)
	}
	night := func(kinds ...string) (told int) {
		for i := range 2 * 60 { // an hour
			if again(kinds[i%len(kinds)]) {
				told++
			}
		}
		return told
	}
	for i := range 2 * maxKinds {
		again(fmt.Sprint("trouble ", i))
	}
	night("connection refused")
	if !again("no space left") {
		t.Error("a new kind is not told")
	}
	if n := night("no space left"); n != 1 {
		t.Errorf("an hour of it is told %d times", n)
	}
	if !again("connection refused") {
		t.Error("an old kind that is back is not told")
	}
	if n := night("connection refused", "no space left"); n != 1 { // by the hour
		t.Errorf("two in turns are told %d times", n)
	}
	told := 0
	for i := range 2 * 60 {
		if again(fmt.Sprint("another ", i)) {
			told++
		}
	}
	if told < 55 || told > 62+maxKinds {
		t.Errorf("new ones for an hour are told %d times", told)
	}
}

func TestKind(t *testing.T) {
	reset := func(port int) error { return fmt.Errorf("read tcp 192.0.2.1:%d: connection reset by peer", port) }
	if a, b := Kind(reset(7754)), Kind(reset(40123)); a != b || a == Kind(errors.New("other")) {
		t.Errorf("%q, %q", a, b)
	}
}

// TestEfforts: those that are done are told as they are asked for, until there are many.
func TestEfforts(t *testing.T) {
	told := func(each time.Duration, n int, done bool) (told int) {
		var e Efforts
		now := time.Unix(0, 0)
		for range n {
			if e.Again("asked for", now) {
				told++
			}
			if done {
				e.Done()
			}
			now = now.Add(each)
		}
		return told
	}
	for _, c := range []struct {
		each time.Duration
		n    int
		done bool
		want int
	}{
		{time.Second, 9, true, 9},
		{time.Second, 9, false, 3},
		{time.Second, 60, true, 10},
		{time.Hour, 100, true, 100},
	} {
		if got := told(c.each, c.n, c.done); got != c.want {
			t.Errorf("%d, one each %v, done %v: %d told, want %d", c.n, c.each, c.done, got, c.want)
		}
	}
}
