package sender

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

// TestPausedSlaveConnects: a slave that connects by itself while it is paused hears why it is not fed, is
// logged once an hour for that, and is fed at once when it is no longer paused.
func TestPausedSlaveConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		list, err := slavelist.Parse(strings.NewReader("branch.example.org "+slaveID+" connects"), slavelist.Defaults{Realm: realmName, Port: 7754})
		if err != nil {
			t.Fatal(err)
		}
		b.set.Update(list)
		entry := list[0]
		b.log.Reset()
		b.run()
		if err := b.set.Pause(entry.Name(), true); err != nil {
			t.Fatal(err)
		}
		heard := make(map[string]int)
		calls, stopped := 0, false
		b.wg.Go(func() { // krepd
			for over := false; !over; {
				near, far := b.realm.Pair(t, slaveID, masterID)
				b.wg.Go(func() {
					if err := b.set.Take(t.Context(), far); err != nil {
						t.Error(err)
					}
					_ = far.Close()
				})
				e := &end{b: b, conn: near}
				near.SetPatience(10 * time.Second)
				switch m := e.any().(type) {
				case *wire.Bye:
					b.safely(func() { heard[m.Text]++ })
				case *wire.Hello:
					e.send(&wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Slave, Realm: realmName, Point: point(b.feed.base)})
					for e.any() != nil {
						e.send(&wire.Heartbeat{})
					}
				}
				_ = near.Close()
				<-time.After(100 * time.Millisecond)
				b.safely(func() { calls++; over = stopped })
			}
		})
		<-time.After(150 * time.Minute)
		synctest.Wait()
		b.safely(func() {
			if calls < 1000 || heard["paused"] != calls {
				t.Errorf("%d calls, and it heard %v", calls, heard)
			}
			stopped = true
		})
		if n := strings.Count(b.log.String(), `"message"`); n != 3 || strings.Count(b.log.String(), `"slave":"branch.example.org","reason":"paused"`) != 3 {
			t.Errorf("%d lines, want three:\n%.2000s", n, b.log)
		}
		b.log.Reset()
		if err := b.set.Pause(entry.Name(), false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := b.status(); st.State != "streaming" || st.LastError != "" {
			t.Errorf("resumed: %+v", st)
		}
		if n := strings.Count(b.log.String(), `"message"`); n != 2 || !strings.Contains(b.log.String(), `"message":"slave has connected"`) {
			t.Errorf("%d lines, want that it has connected and that it streams:\n%.2000s", n, b.log)
		}
		if err := b.set.Pause(entry.Name(), true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if text := "stream ended in order: paused"; !strings.Contains(b.log.String(), text) {
			t.Errorf("the log lacks %q:\n%.2000s", text, b.log)
		}
		b.stop()
		b.wg.Wait()
	})
}

// TestGoodbyeToACaller: a slave that has connected by itself hears that krep stops, as the others do: the stream
// is not closed before, whoever hears first that it stops. Nor is it kept for ever.
func TestGoodbyeToACaller(t *testing.T) {
	for _, stops := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil, nil)
			entry := b.set.list[0].entry
			entry.Connects = true
			b.set.Update([]slavelist.Slave{entry})
			b.run()
			ctx, cancel := context.WithCancel(t.Context())
			near, far := b.realm.Pair(t, slaveID, masterID)
			b.wg.Go(func() {
				if err := b.set.Take(ctx, far); err != nil {
					t.Error(err)
				}
				_ = far.Close()
			})
			var last wire.Message
			over := make(chan struct{})
			b.wg.Go(func() {
				defer close(over)
				e := &end{b: b, conn: near}
				e.hello(baseOf(b))
				for m := e.any(); m != nil; m = e.any() {
					last = m
				}
			})
			synctest.Wait()
			before := time.Now()
			cancel()
			synctest.Wait()
			if stops {
				b.stop()
			}
			<-over
			b.stop()
			if m, ok := last.(*wire.Bye); ok != stops || ok && m.Text != "krep stops" || time.Since(before) > 2*goodbyeTimeout {
				t.Errorf("krep stops: %v; after %v, and the last word was %+v", stops, time.Since(before), last)
			}
		})
	}
}

// TestCallsAgainInACopy: a slave that calls again while its full copy is made, or loaded, is served over the new
// stream at once: it knows better that the old one is dead.
func TestCallsAgainInACopy(t *testing.T) {
	for at, when := range map[string]time.Duration{"made": 3 * time.Second, "loaded": 13 * time.Second} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil, nil)
				b.src.take = 10 * time.Second
				entry := b.set.list[0].entry
				entry.Connects = true
				b.set.Update([]slavelist.Slave{entry})
				b.run()
				call := func() (greeted time.Duration) {
					start := time.Now()
					near, far := b.realm.Pair(t, slaveID, masterID)
					b.wg.Go(func() {
						if err := b.set.Take(t.Context(), far); err != nil {
							t.Error(err)
						}
						_ = far.Close()
					})
					e := &end{b: b, conn: near}
					e.hello(deltafile.State{})
					greeted = time.Since(start)
					b.wg.Go(func() { // it reads, and says nothing any more
						for e.any() != nil {
						}
						_ = near.Close()
					})
					return greeted
				}
				call()
				<-time.After(when)
				if took := call(); took > time.Second {
					t.Errorf("it waited %v", took)
				}
				b.stop()
				b.wg.Wait()
			})
		})
	}
}
