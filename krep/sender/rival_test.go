package sender

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// TestRival: a slave that another krep takes from us again and again says so in the status, also
// while it streams, and is not fought for at full speed.
func TestRival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "krep/kdc9.example.org@EXAMPLE.ORG at 192.0.2.9:4711"
		quarrel := true
		var b *bench
		b = newBench(t, func(e *end) {
			at := baseOf(e.b)
			e.hello(at)
			e.send(&wire.Ack{Epoch: uint64(at.Epoch), Spooled: at.Serial, Applied: at.Serial}) // all is well so far
			b.mu.Lock()
			over := !quarrel
			b.mu.Unlock()
			if !over {
				e.send(&wire.Error{Reason: wire.ReasonDisplaced, Text: other})
			}
			for m := e.next(); m != nil; m = e.next() {
				e.send(&wire.Heartbeat{})
			}
		}, nil)
		b.run()
		<-time.After(2 * time.Minute)
		if n := len(b.dialled()); n < 4 || n > 15 {
			t.Errorf("%d dials in two minutes", n)
		}
		if st := b.status(); !st.Contested || !strings.Contains(st.LastError, other) {
			t.Errorf("%+v", st)
		}
		b.safely(func() { quarrel = false })
		<-time.After(time.Minute)
		if st := b.status(); st.State != "streaming" || !st.Contested || !strings.Contains(st.LastError, "another krep feeds this slave: "+other+" (") {
			t.Errorf("streaming again: %+v", st)
		}
		<-time.After(rivalTime)
		if st := b.status(); st.State != "streaming" || st.Contested || st.LastError != "" {
			t.Errorf("long after: %+v", st)
		}
		b.stop()
	})
}

// TestPauseEndsACopy: a slave that is paused while a full copy is made, or on its way, or loaded, is
// left alone at once and gets its copy when it is resumed.
func TestPauseEndsACopy(t *testing.T) {
	for at, when := range map[string]time.Duration{"made": 30 * time.Second, "loaded": 90 * time.Second} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil, nil)
				b.src.take, b.src.size = time.Minute, 3*wire.MaxData
				ends := 0
				b.serve = func(e *end) {
					e.hello(deltafile.State{})
					for m := e.any(); m != nil; m = e.any() {
						switch m := m.(type) {
						case *wire.Heartbeat:
							e.send(&wire.Heartbeat{})
						case *wire.Bye:
							b.safely(func() { ends++ })
						case *wire.SnapshotEnd:
							b.wg.Go(func() {
								<-time.After(time.Minute)
								e.send(&wire.SnapshotEnd{Size: m.Size})
							})
						}
					}
				}
				b.run()
				<-time.After(when)
				if err := b.set.Pause(b.status().Name, true); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				b.safely(func() {
					if st := b.status(); st.State != "paused" || ends != 1 {
						t.Errorf("%+v, %d goodbyes", st, ends)
					}
				})
				<-time.After(time.Hour)
				if n := len(b.dialled()); n != 1 {
					t.Errorf("%d dials while paused", n)
				}
				if err := b.set.Pause(b.status().Name, false); err != nil {
					t.Fatal(err)
				}
				<-time.After(3 * time.Minute)
				if st := b.status(); st.State != "streaming" {
					t.Errorf("resumed: %+v", st)
				}
				b.stop()
			})
		})
	}
}

// TestPauseAsACopyBegins: a pause that comes in the moment in which a place for a full copy is had, or
// the copy itself, leaves the place to the next one, and the copy closed.
func TestPauseAsACopyBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, func(o *Options) { o.MaxCopies = 1 })
		b.src.take, b.src.late = time.Minute, true
		b.serve = func(e *end) {
			e.hello(deltafile.State{})
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					e.send(&wire.SnapshotEnd{Size: m.Size})
				}
			}
		}
		b.run()
		pause := func(on bool) {
			if err := b.set.Pause(b.status().Name, on); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 { // several goroutines are ready at once; who goes first is up to the scheduler
			<-time.After(10 * time.Second) // the copy is being made
			if st := b.status(); st.State == "paused" {
				t.Fatalf("%+v", st)
			}
			pause(true)
			<-time.After(time.Second)
			pause(false)
			for range 3 {
				runtime.Gosched()
			}
			pause(true)
			synctest.Wait()
			if n := b.src.open.Load(); n != 0 {
				t.Fatalf("paused, and %d copies are open", n)
			}
			pause(false)
		}
		<-time.After(2 * time.Minute)
		if st := b.status(); st.State != "streaming" {
			t.Errorf("resumed: %+v", st)
		}
		b.stop()
	})
}

// TestBrokenAgainAndAgain: a slave that breaks after each full copy, for a reason that a copy does
// not mend, is not sent copies at full speed.
func TestBrokenAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		copies := 0
		b.serve = func(e *end) {
			var base deltafile.State
			e.hello(deltafile.State{})
			for m := e.next(); m != nil; m = e.next() {
				switch m := m.(type) {
				case *wire.SnapshotBegin:
					base = deltafile.State{Realm: realmName, Epoch: deltafile.Epoch(m.Base.Epoch), Serial: m.Base.Serial, Hash: m.Base.Hash}
				case *wire.SnapshotEnd:
					b.safely(func() { copies++ })
					e.send(&wire.SnapshotEnd{Size: m.Size})
					e.ack(base)
					e.send(&wire.Error{Reason: wire.ReasonDiverged, Serial: base.Serial})
				}
			}
		}
		b.run()
		<-time.After(10 * time.Minute)
		b.safely(func() {
			if copies < 10 || copies > 40 {
				t.Errorf("%d full copies in ten minutes", copies)
			}
		})
		if st := b.status(); st.State != "broken" {
			t.Errorf("%+v", st)
		}
		b.stop()
	})
}

// TestPrepare: nobody is dialled before the ticket is there, for a slave gives a handshake ten seconds
// and a KDC that does not answer takes as long.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, func(o *Options) {
			o.Prepare = func(ctx context.Context, principal string) error {
				if principal != slaveID {
					t.Errorf("for %q", principal)
				}
				<-time.After(16 * time.Second)
				return nil
			}
		})
		b.run()
		<-time.After(20 * time.Second)
		if d := b.dialled(); len(d) != 1 || d[0] < 16*time.Second {
			t.Errorf("dialled at %v", d)
		}
		b.stop()
	})
}

// TestBrokenAfterLongCopies: a slave that breaks after each full copy is spaced by the time that it works
// for, not by how long the copy has taken.
func TestBrokenAfterLongCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		b.src.take = 2 * time.Minute
		var broke, again []time.Duration
		b.serve = func(e *end) {
			b.safely(func() { again = append(again, time.Since(b.start)) })
			e.hello(deltafile.State{})
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					e.send(&wire.SnapshotEnd{Size: m.Size})
					e.send(&wire.Error{Reason: wire.ReasonDiverged})
					b.safely(func() { broke = append(broke, time.Since(b.start)) })
				}
			}
		}
		b.run()
		<-time.After(time.Hour)
		b.stop()
		if len(broke) < 20 || len(again) <= len(broke)-1 {
			t.Fatalf("broke %d times, dialled %d times", len(broke), len(again))
		}
		if d := again[len(broke)-1] - broke[len(broke)-2]; d < 15*time.Second {
			t.Errorf("after %d copies that were of no use the next one began after %v", len(broke)-1, d)
		}
	})
}

// TestNeverLoaded: a slave that is alive and never done with its full copy does not keep the place of others,
// nor the delta file, for ever; and the administrator hears of it.
func TestNeverLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		b.serve = func(e *end) {
			e.hello(deltafile.State{})
			for m := e.any(); m != nil; m = e.any() {
				if m.Kind() == wire.KindHeartbeat {
					e.send(&wire.Heartbeat{})
				}
			}
		}
		b.run()
		<-time.After(loadTime - time.Second)
		if st := b.status(); st.State != "full" || st.Percent != 100 || len(b.dialled()) != 1 {
			t.Errorf("while there is time: %+v", st)
		}
		<-time.After(2 * time.Second)
		if st := b.status(); !strings.Contains(b.log.String(), "full copy not loaded within 1h0m0s") || len(b.dialled()) != 2 {
			t.Errorf("later: %+v\n%s", st, b.log)
		}
		b.stop()
	})
}

// TestPauseBeforeTheHello: a slave that is paused while it is dialled gets nothing but the reason.
func TestPauseBeforeTheHello(t *testing.T) {
	for range 10 { // the pause and what there is to send are ready at once
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil, func(o *Options) {
				o.Prepare = func(context.Context, string) error { <-time.After(5 * time.Second); return nil }
			})
			b.feed.add(10, 100)
			var got []wire.Kind
			b.serve = func(e *end) {
				e.hello(baseOf(b))
				for m := e.any(); m != nil; m = e.any() {
					b.safely(func() { got = append(got, m.Kind()) })
				}
			}
			b.run()
			<-time.After(time.Second)
			if err := b.set.Pause(b.status().Name, true); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			if st := b.status(); st.State != "paused" {
				t.Errorf("%+v", st)
			}
			b.stop()
			if len(got) != 1 || got[0] != wire.KindBye {
				t.Errorf("it was sent %v", got)
			}
		})
	}
}

// TestCopiesInVain: a slave that is lost soon after each full copy, or ends its stream in order, and then needs
// another, is not sent copies at full speed either, but for the first time where all was in order.
func TestCopiesInVain(t *testing.T) {
	for _, orderly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil, nil)
			b.src.take = 10 * time.Second // more than makes a stream count as a good one
			var loaded []time.Duration
			b.serve = func(e *end) {
				e.hello(deltafile.State{})
				for m := e.next(); m != nil; m = e.next() {
					if m, ok := m.(*wire.SnapshotEnd); ok {
						b.safely(func() { loaded = append(loaded, time.Since(b.start)) })
						e.send(&wire.SnapshotEnd{Size: m.Size})
						e.send(&wire.Heartbeat{})
						if orderly {
							e.send(&wire.Bye{Text: "enough"})
						}
						return
					}
				}
			}
			b.run()
			<-time.After(time.Hour)
			b.stop()
			if n := len(loaded); n < 60 || n > 120 {
				t.Errorf("in order: %v, %d full copies in an hour", orderly, n)
			}
			if orderly && loaded[1]-loaded[0] != b.src.take {
				t.Errorf("the second began after %v", loaded[1]-loaded[0]-b.src.take)
			}
		})
	}
}
