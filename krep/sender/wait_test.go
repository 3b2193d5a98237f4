package sender

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/quorum"
	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

func want(t *testing.T, s string) quorum.Want {
	t.Helper()
	w, err := quorum.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A waiting command is told at the moment of the acknowledgement that was missing.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 700 * time.Millisecond
		b := newBench(t, func(e *end) {
			at := baseOf(e.b)
			e.hello(at)
			for m := e.next(); m != nil; m = e.next() {
				r, ok := m.(*wire.Records)
				if !ok {
					continue
				}
				<-time.After(late) // it has it, and is slow to apply
				cs, _, err := deltafile.Decode(at, r.Data)
				if err != nil {
					t.Error(err)
					return
				}
				at = at.After(cs)
				e.ack(at)
			}
		}, nil)
		b.run()
		last := b.feed.add(1, 10)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		a := b.set.Wait(ctx, last.Epoch, last.Serial, quorum.All)
		if took := time.Since(start); !a.Enough || a.Applied != 1 || a.Need != 1 || a.Listed != 1 || len(a.Missing) > 0 || took != late {
			t.Errorf("%+v after %v", a, took)
		}
		if a := b.set.Wait(ctx, last.Epoch, last.Serial-1, quorum.Quorum); !a.Enough {
			t.Errorf("a serial of before: %+v", a)
		}
		// What does not come in time, or cannot come.
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		a = b.set.Wait(short, last.Epoch, last.Serial+1, quorum.All)
		if took := time.Since(start); a.Enough || a.Applied != 0 || len(a.Missing) != 1 || took != time.Second {
			t.Errorf("%+v after %v", a, took)
		}
		if m := a.Missing[0]; m.Slave != b.status().Name || m.State != "streaming" || m.Serial != last.Serial || m.Epoch != last.Epoch.String() {
			t.Errorf("%+v", m)
		}
		start = time.Now()
		if a := b.set.Wait(ctx, last.Epoch, last.Serial, want(t, "2")); a.Enough || a.Need != 2 || a.Listed != 1 || time.Since(start) != 0 {
			t.Errorf("two of one: %+v", a)
		}
		if a := b.set.Wait(ctx, last.Epoch, last.Serial, quorum.None); !a.Enough {
			t.Errorf("none: %+v", a)
		}
		b.stop()
		if a := b.set.Wait(ctx, last.Epoch, last.Serial, quorum.All); !a.Enough {
			t.Errorf("after the stream's end: %+v", a)
		}
	})
}

// A slave that is taken off the list is not waited for any longer.
func TestWaitFollowsTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		b.run()
		done := make(chan quorum.Answer)
		go func() { done <- b.set.Wait(t.Context(), 1, 7, quorum.All) }()
		synctest.Wait()
		select {
		case a := <-done:
			t.Fatalf("%+v", a)
		default:
		}
		b.set.Update([]slavelist.Slave{})
		if a := <-done; !a.Enough || a.Listed != 0 {
			t.Errorf("%+v", a)
		}
		b.stop()
	})
}

// A slave that was to get a full copy and went away before it had loaded it has not applied the
// change, not even where the copy is of the very beginning of an epoch.
func TestWaitForALostCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(e *end) {
			e.hello(deltafile.State{})
			for m := e.next(); m != nil; m = e.next() {
				if m.Kind() == wire.KindSnapshotEnd {
					return // without a word
				}
			}
		}, nil)
		b.run()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, last, _ := b.feed.View()
		if a := b.set.Wait(ctx, last.Epoch, last.Serial, quorum.All); a.Enough || last.Serial != 0 || len(b.dialled()) < 2 {
			t.Errorf("%+v after %d copies", a, len(b.dialled()))
		}
		b.stop()
	})
}

// Whoever waits is woken when enough slaves seem to have the change, not by each of them.
func TestBell(t *testing.T) {
	const epoch, serial = 7, 5
	b := new(bell)
	w := b.await(epoch, serial)
	one, two := new(Sender), new(Sender)
	woken := func(want int) {
		t.Helper()
		if len(w.c) != want {
			t.Errorf("%d wakes, want %d", len(w.c), want)
		}
		if len(w.c) > 0 {
			<-w.c
		}
	}
	b.begin(w, 2)
	b.ring(one, reached{epoch: epoch, applied: serial})
	b.ring(one, reached{epoch: epoch, applied: serial + 1})
	b.ring(two, reached{epoch: epoch, applied: serial - 1})
	b.ring(two, reached{epoch: epoch + 1, applied: serial})
	b.ring(two, reached{epoch: epoch, applied: serial, unloaded: true})
	woken(0)
	b.ring(two, reached{epoch: epoch, applied: serial})
	woken(1)

	// A slave that moves while another is looked at counts, and so does one that had it before.
	b.begin(w, 2)
	b.ring(two, reached{epoch: epoch, applied: serial})
	woken(0)
	b.saw(w, []*Sender{one})
	woken(1)

	b.begin(w, 2)
	c := b.listen()
	b.ringAll() // the list has changed
	woken(1)
	<-c
	b.leave(w)
	b.ring(one, reached{epoch: epoch, applied: serial})
	if len(b.awaited) > 0 || len(w.c) > 0 {
		t.Error("woken after it has left")
	}
}
