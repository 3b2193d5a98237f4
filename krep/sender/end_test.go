package sender

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/krbmsg"
	"krealm/internal/wire"
)

// TestOrderlyEndIsNoLoss: a slave that hangs up as soon as it hears the goodbye does not make a loss of
// it, which would be logged, and waited after.
func TestOrderlyEndIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		ends := 0
		b = newBench(t, func(e *end) {
			e.hello(baseOf(e.b))
			for m := e.any(); m != nil; m = e.any() {
				switch m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.Bye:
					b.safely(func() { ends++ })
					_ = e.conn.Close()
				}
			}
		}, nil)
		b.realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = time.Now().Unix() + 12 }
		b.run()
		<-time.After(30 * time.Minute)
		b.stop()
		if ends < 250 || strings.Contains(b.log.String(), "stream lost") {
			t.Errorf("%d streams ended in order; the log says:\n%.500s", ends, b.log)
		}
	})
}

// TestResyncAtTheEndOfACopy: a full copy that is asked for when the one before is loaded, but krep is not
// done with it, is not forgotten.
func TestResyncAtTheEndOfACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		copies := 0
		b = newBench(t, func(e *end) {
			e.hello(deltafile.State{})
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					b.safely(func() { copies++ })
					b.wg.Go(func() { // loading
						<-time.After(time.Minute)
						e.send(&wire.SnapshotEnd{Size: m.Size})
					})
				}
			}
		}, nil)
		b.run()
		<-time.After(30 * time.Second)
		r, err := b.set.find(b.status().Name)
		if err != nil {
			t.Fatal(err)
		}
		r.nudge() // as a resync does that comes just after the slave's word
		<-time.After(5 * time.Minute)
		b.safely(func() {
			if copies < 2 {
				t.Errorf("%d full copies: the nudge was lost", copies)
			}
		})
		b.stop()
	})
}

// TestResyncBehindACopy: a full copy that is asked for when the slave may have loaded the one before, but has not
// said so, is another one.
func TestResyncBehindACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		copies := 0
		b = newBench(t, func(e *end) {
			at := deltafile.State{}
			n := 0
			if b.safely(func() { n = copies }); n > 0 {
				at = baseOf(b)
			}
			e.hello(at)
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					b.safely(func() { copies++ })
					b.wg.Go(func() { // it is loaded, and its word takes its time
						<-time.After(time.Second)
						e.send(&wire.SnapshotEnd{Size: m.Size})
					})
				}
			}
		}, nil)
		b.run()
		<-time.After(500 * time.Millisecond)
		if err := b.set.Resync(b.status().Name); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		b.stop()
		if copies != 2 {
			t.Errorf("%d full copies", copies)
		}
	})
}

// TestErrorIsOver: what was wrong is not said of a stream that runs, and is said of one of many that all
// break. Whichever it is, it is logged once.
func TestErrorIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const away, well, full = 0, 1, 2
		var b *bench
		mode := away
		var shown []string // of the slave when krep has sent its first heartbeat, and then each
		b = newBench(t, func(e *end) {
			now := away
			refuse := func(why string) {
				e.send(&wire.Error{Reason: wire.ReasonInternal, Text: why})
				for e.any() != nil { // krep hangs up
				}
			}
			if b.safely(func() { now = mode }); now == away {
				e.next() // krep's hello
				refuse("not yet")
				return
			}
			e.hello(baseOf(e.b))
			for m := e.any(); m != nil; m = e.any() {
				st := b.status()
				b.safely(func() { now, shown = mode, append(shown, st.State+": "+st.LastError) })
				if now == full {
					refuse("full disk")
					return
				}
				e.send(&wire.Heartbeat{})
			}
		}, nil)
		b.run()
		<-time.After(10 * time.Minute)
		b.safely(func() { mode = well })
		<-time.After(2 * time.Minute)
		b.safely(func() {
			if len(shown) < 2 || shown[0] != "streaming: " {
				t.Errorf("of a stream that runs at last: %q", shown)
			}
			mode, shown = full, nil
		})
		<-time.After(10 * time.Minute)
		b.stop()
		if len(shown) < 20 {
			t.Errorf("%d streams in ten minutes", len(shown))
		}
		for i, s := range shown { // the first was well until then, and the second may be well again
			if want := "streaming: slave says: internal: full disk"; i > 1 && s != want {
				t.Errorf("of stream %d: %q, want %q", i, s, want)
			}
		}
		for text, want := range map[string]int{"stream lost": 26, `"message":"streaming"`: 13, "slave is fed again": 1} {
			if n := strings.Count(b.log.String(), text); n > want || n < want*3/4 {
				t.Errorf("%d lines with %s:\n%s", n, text, b.log)
			}
		}
	})
}

// TestGoodbyeToTheUnlisted: a slave that is taken off the list hears that, and not that krep stops.
func TestGoodbyeToTheUnlisted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last wire.Message
		b := newBench(t, func(e *end) {
			e.hello(baseOf(e.b))
			for m := e.next(); m != nil; m = e.next() {
				e.b.safely(func() { last = m })
			}
		}, nil)
		b.run()
		synctest.Wait()
		b.set.Update(nil)
		synctest.Wait()
		if m, ok := last.(*wire.Bye); !ok || m.Text != "no longer on the slave list" {
			t.Errorf("the last word was %+v", last)
		}
		b.stop()
	})
}

// TestCopyAfterTheTrouble: the full copy that mends a night of lost streams is told, and why it was due.
func TestCopyAfterTheTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		up := false
		b = newBench(t, func(e *end) {
			there := false
			b.safely(func() { there = up })
			if !there {
				return
			}
			e.hello(deltafile.State{})
			for m := e.next(); m != nil; m = e.next() {
				if m, ok := m.(*wire.SnapshotEnd); ok {
					e.send(&wire.SnapshotEnd{Size: m.Size})
				}
			}
		}, nil)
		b.run()
		<-time.After(2 * time.Hour)
		before := len(b.log.String())
		b.safely(func() { up = true })
		<-time.After(40 * time.Second) // less than a stream must last to end the trouble
		b.stop()
		for _, text := range []string{"slave needs a full copy", "slave is empty", "sending full copy", "full copy loaded"} {
			if !strings.Contains(b.log.String()[before:], text) {
				t.Errorf("%q is not told", text)
			}
		}
	})
}

// TestWantedBeforeTheStart: a full copy that was asked for before a restart of krep is given though the slave has all there is,
// and noted when it is loaded; one that is asked for meanwhile is not taken for that one.
func TestWantedBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		var b *bench
		b = newBench(t, func(e *end) {
			e.hello(baseOf(b))
			for m := e.any(); m != nil; m = e.any() {
				switch m := m.(type) {
				case *wire.Heartbeat:
					e.send(&wire.Heartbeat{})
				case *wire.SnapshotEnd:
					first := false
					if b.safely(func() { first = len(told) == 0 }); first {
						if err := b.set.Resync(b.status().Name); err != nil {
							t.Error(err)
						}
					}
					e.send(&wire.SnapshotEnd{Size: m.Size})
				}
			}
		}, func(o *Options) {
			o.Wanted = func(string) bool { return true }
			o.Rebuilt = func(_ string, wanted func() bool) { b.safely(func() { told = append(told, wanted()) }) }
		})
		if st := b.status(); st.FullDue != byAdministrator {
			t.Errorf("before the first stream: %+v", st)
		}
		b.run()
		<-time.After(time.Minute)
		b.stop()
		if !slices.Equal(told, []bool{true, false}) {
			t.Errorf("another one wanted behind each full copy: %v", told)
		}
	})
}

// TestRebuiltAndGone: that a full copy is loaded is noted though the stream ends in the same moment, by a pause or the slave.
func TestRebuiltAndGone(t *testing.T) {
	for i := range 200 {
		synctest.Test(t, func(t *testing.T) {
			told := false
			var b *bench
			b = newBench(t, func(e *end) {
				e.hello(baseOf(b))
				for m := e.any(); m != nil; m = e.any() {
					if m, ok := m.(*wire.SnapshotEnd); ok {
						if i%2 == 0 {
							b.wg.Go(func() { _ = b.set.Pause(b.status().Name, true) })
						}
						e.send(&wire.SnapshotEnd{Size: m.Size})
						if i%2 == 1 {
							_ = b.set.Pause(b.status().Name, true) // no second stream
							return
						}
					}
				}
			}, func(o *Options) {
				o.Wanted = func(string) bool { return true }
				o.Rebuilt = func(string, func() bool) { b.safely(func() { told = true }) }
			})
			b.run()
			<-time.After(time.Second)
			b.stop()
			if st := b.status(); st.FullDue == "" && !told {
				t.Errorf("attempt %d: nobody was told of a full copy that was loaded: %+v", i, st)
			}
		})
	}
}
