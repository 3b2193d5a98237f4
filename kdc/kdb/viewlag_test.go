package kdb

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// BenchmarkViewFollows is the time from a commit until a running view shows it.
func BenchmarkViewFollows(b *testing.B) {
	db := newMaster(b, Options{})
	load(b, db, bigDump(b, 20_000), LoadOptions{})
	v := newView(b, db)
	await := runView(b, v)
	var lags []time.Duration
	n := uint32(0)
	for b.Loop() {
		n++
		st := put(b, db, princ("u0000001", n))
		lags = append(lags, await("change", func() bool { return v.State() == st }))
	}
	slices.Sort(lags)
	at := func(q float64) float64 { return float64(lags[int(q*float64(len(lags)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "p50-us")
	b.ReportMetric(at(0.99), "p99-us")
	b.ReportMetric(at(1), "max-us")
}

// A look shows what has just been committed, to a view that nobody runs; but not in a flood of
// looks, not while somebody reads everything, and not more than a little.
func TestViewLook(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("a", 1))
	v := newView(t, db)
	for i := range uint32(lookBurst) {
		st := put(t, db, princ("b", i))
		if v.Look(t.Context()); v.State() != st {
			t.Fatal("a change is not seen")
		}
	}
	if _, ok := v.Ref("b@" + testRealm); !ok {
		t.Error("the entry is not seen")
	}
	before := v.State()
	blind := func(why string) {
		t.Helper()
		if v.Look(t.Context()); v.State() != before {
			t.Error("looked " + why)
		}
	}
	put(t, db, princ("c", 1))
	v.looks, v.counted = 0, time.Now().Add(time.Hour)
	blind("in a flood")
	v.counted = time.Time{}
	v.long.Store(true)
	<-v.token // as if everything was being read
	blind("while everything is read")
	v.long.Store(false)
	blind("while somebody else does")
	if !v.long.Load() {
		t.Error("the next one would wait, too")
	}
	v.long.Store(false)
	v.token <- struct{}{}
	for i := range uint32(lookMost) {
		put(t, db, princ("c", i+10))
	}
	blind("at many changes")
	await := runView(t, v)
	await("the rest", func() bool { return v.State() == stateOf(t, db) })
	sameView(t, v, db)
}

// Whoever catches up sees what was announced, once for each announcement; what was not announced is
// left to Run.
func TestViewCatch(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("a", 1))
	v := newView(t, db)
	before := v.State()
	st := put(t, db, princ("a", 2))
	if v.Catch(t.Context()); v.State() != before {
		t.Error("looked without an announcement")
	}
	v.announced.Add(1)
	if v.Catch(t.Context()); v.State() != st {
		t.Error("what was announced is not seen")
	}
	put(t, db, princ("a", 3))
	if v.Catch(t.Context()); v.State() != st {
		t.Error("looked twice for one announcement")
	}
	await := runView(t, v)
	await("what came before Run", func() bool { return v.State() == stateOf(t, db) })
	st = put(t, db, princ("a", 4))
	await("the announcement", func() bool {
		v.Catch(t.Context())
		return v.State() == st
	})
}

// A view that was closed takes no new connection, whoever asks.
func TestViewLookClosed(t *testing.T) {
	db := newMaster(t, Options{})
	v := newView(t, db)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v.Look(t.Context())
	if err := v.Refresh(t.Context()); !errors.Is(err, errClosed) || v.c != nil {
		t.Errorf("%v, connection %v", err, v.c != nil)
	}
}

// What a refused request costs: nearly always nothing but the lock.
func BenchmarkViewLook(b *testing.B) {
	db := newMaster(b, Options{})
	put(b, db, princ("a", 1))
	v := newView(b, db)
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			v.Look(b.Context())
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			v.looks = 1
			v.Look(b.Context())
		}
	})
}
