package sender

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"krealm/deltafile"
	"krealm/internal/krbmsg"
	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

func TestNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		b.run()
		<-time.After(time.Hour - time.Second)
		b.stop()
		dials := b.dialled()
		ms := time.Millisecond
		for i, want := range []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 12700 * ms, 25500 * ms, 51100 * ms, 81100 * ms, 111100 * ms} {
			if dials[i] != want {
				t.Errorf("dial %d at %v, want %v", i, dials[i], want)
			}
		}
		if n := len(dials); n < 120 || n > 140 {
			t.Errorf("%d dials in an hour", n)
		}
		if n := strings.Count(b.log.String(), "stream lost"); n != 3+9 { // at first, then once a minute
			t.Errorf("the same trouble was logged %d times", n)
		}
		if st := b.status(); st.State != "retrying" || !strings.Contains(st.LastError, "connection refused") {
			t.Errorf("%+v", st)
		}
	})
}

// follower is a slave that acknowledges what has come, and keeps it.
func follower(from func(b *bench) deltafile.State) func(*end) {
	return func(e *end) {
		at := from(e.b)
		e.hello(at)
		for {
			m := e.next()
			if m == nil {
				return
			}
			r, ok := m.(*wire.Records)
			if !ok {
				continue
			}
			e.got = append(e.got, r.Data...)
			for len(e.got) > 0 {
				cs, n, err := deltafile.Decode(at, e.got)
				if errors.Is(err, deltafile.ErrIncomplete) {
					break
				}
				if err != nil {
					e.b.t.Error(err)
					return
				}
				at, e.got = at.After(cs), e.got[n:]
			}
			e.ack(at)
		}
	}
}

func baseOf(b *bench) deltafile.State { base, _, _ := b.feed.View(); return base }

func TestStreamsWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, follower(baseOf), nil)
		b.run()
		synctest.Wait()
		for _, size := range []int{10, 500, 3000} {
			b.feed.add(50, size)
			synctest.Wait() // no time passes: nothing on the way waits for a timer
		}
		last := b.feed.add(3, wire.MaxData*2+5)
		synctest.Wait()
		if st := b.status(); st.State != "streaming" || st.Applied != last.Serial || st.Sent != last.Serial || st.Behind != 0 {
			t.Errorf("%+v, want all of %d", st, last.Serial)
		}
		if now := time.Since(b.start); now != 0 {
			t.Errorf("it took %v", now)
		}
		b.stop()
	})
}

func TestHeartbeatsAndSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats []time.Duration
		b := newBench(t, nil, nil)
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			for {
				m := e.any()
				if m == nil {
					return
				}
				if h, ok := m.(*wire.Heartbeat); ok && len(b.dialled()) == 1 {
					b.safely(func() { beats = append(beats, time.Since(b.start)) })
					if !h.HasDigest || h.Digest != [32]byte{9} {
						t.Errorf("heartbeat %+v", h)
					}
				}
			}
		}
		b.run()
		<-time.After(25 * time.Second)
		b.stop()
		ms := time.Millisecond
		want := []time.Duration{0, 5000 * ms, 10000 * ms, 15000 * ms}
		for i := range want {
			if i >= len(beats) || beats[i] != want[i] {
				t.Fatalf("heartbeats at %v, want %v", beats, want)
			}
		}
		dials := b.dialled()
		if len(dials) < 2 || dials[1] < 20100*ms || dials[1] > 22600*ms { // deadlines have an eighth to spare
			t.Errorf("dials at %v: a slave that is silent for 20 s is gone", dials)
		}
		if text := "slave has said nothing for 20s"; !strings.Contains(b.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, b.log)
		}
	})
}

func TestWindowBoundsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got int
		b := newBench(t, nil, func(o *Options) { o.Window = 100_000 })
		b.feed.add(5000, 100)
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			for m := e.next(); m != nil; m = e.next() {
				if r, ok := m.(*wire.Records); ok {
					b.safely(func() { got += len(r.Data) })
				}
			}
		}
		b.run()
		<-time.After(3 * time.Second)
		b.stop()
		if got < 100_000 || got > 100_000+batchBytes {
			t.Errorf("%d octets under way", got)
		}
	})
}

func TestStalledSlaveIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		b.feed.add(10, 100)
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			<-time.After(time.Minute) // reads nothing
		}
		b.run()
		<-time.After(50 * time.Second)
		if st := b.status(); st.Failures < 2 || len(b.dialled()) < 3 {
			t.Errorf("%+v after dials at %v", st, b.dialled())
		}
		if text := "slave has said nothing for "; !strings.Contains(b.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, b.log)
		}
		b.stop()
	})
}

func TestTicketEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var byes []time.Duration
		b := newBench(t, nil, nil)
		b.realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = time.Now().Unix() + 600 }
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			quit := make(chan struct{})
			defer close(quit)
			b.wg.Go(func() {
				for {
					select {
					case <-quit:
						return
					case <-time.After(5 * time.Second):
						e.send(&wire.Heartbeat{})
					}
				}
			})
			for m := e.next(); m != nil; m = e.next() {
				if m.Kind() == wire.KindBye {
					b.safely(func() { byes = append(byes, time.Since(b.start)) })
				}
			}
		}
		b.run()
		<-time.After(19 * time.Minute)
		b.stop()
		if len(byes) < 2 || byes[0].Truncate(time.Second) != 540*time.Second {
			t.Errorf("renewed at %v, want one minute before the ticket ends", byes)
		}
		if dials := b.dialled(); len(dials) < 2 || dials[1] != byes[0] {
			t.Errorf("dials at %v: a stream that ends in order is followed at once", dials)
		}
	})
}

func TestRenewAfter(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{8 * time.Hour: 8*time.Hour - time.Minute, 2 * time.Minute: time.Minute,
		12 * time.Second: 6 * time.Second, 0: 0, -time.Second: -time.Second} {
		if got := renewAfter(left); got != want {
			t.Errorf("%v left: %v, want %v", left, got, want)
		}
	}
}

// Two masters that push each other out must not do so at full speed.
func TestQuickGoodbyesAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(e *end) {
			e.hello(baseOf(e.b))
			e.send(&wire.Bye{Text: "nothing for you"})
			for m := e.next(); m != nil; m = e.next() {
			}
		}, nil)
		b.run()
		<-time.After(time.Minute)
		b.stop()
		if n := len(b.dialled()); n > 15 {
			t.Errorf("%d dials in a minute", n)
		}
	})
}

func TestSlaveAheadOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		ahead := b.feed.add(5, 100)
		b.feed.css = b.feed.css[:2]
		var reason wire.Reason
		copies := 0
		b.serve = func(e *end) {
			e.hello(ahead)
			for m := e.next(); m != nil; m = e.next() {
				switch m := m.(type) {
				case *wire.Error:
					b.safely(func() { reason = m.Reason })
				case *wire.SnapshotEnd:
					copies++
					e.send(&wire.SnapshotEnd{Size: m.Size})
				}
			}
		}
		b.run()
		<-time.After(5 * time.Second)
		b.safely(func() {
			if reason != wire.ReasonInternal || !strings.Contains(b.status().LastError, "ahead of the delta file at 2: krep resync rebuilds it if that stays so") {
				t.Errorf("reason %v, %+v", reason, b.status())
			}
		})
		if err := b.set.Resync(b.status().Name); err != nil { // as it says
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		b.stop()
		if copies != 1 {
			t.Errorf("%d full copies", copies)
		}
	})
}

func TestGoodbyeWhenKrepStops(t *testing.T) {
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
		b.stop()
		if m, ok := last.(*wire.Bye); !ok || m.Text != "krep stops" {
			t.Errorf("the last word was %+v", last)
		}
	})
}

// A copy that takes long to make and long to load: heartbeats keep the stream alive.
func TestSlowCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var copied []byte
		var base deltafile.State
		b := newBench(t, nil, nil)
		b.src.take, b.src.size = time.Minute, 3*wire.MaxData+17
		b.serve = func(e *end) {
			e.hello(deltafile.State{})
			quit := make(chan struct{})
			defer close(quit)
			b.wg.Go(func() {
				for {
					select {
					case <-quit:
						return
					case <-time.After(5 * time.Second):
						e.send(&wire.Heartbeat{})
					}
				}
			})
			for m := e.next(); m != nil; m = e.next() {
				switch m := m.(type) {
				case *wire.SnapshotBegin:
					base = deltafile.State{Realm: realmName, Epoch: deltafile.Epoch(m.Base.Epoch), Serial: m.Base.Serial, Hash: m.Base.Hash}
				case *wire.SnapshotChunk:
					copied = append(copied, m.Data...)
				case *wire.SnapshotEnd:
					b.wg.Go(func() { // loading
						<-time.After(time.Minute)
						e.send(&wire.SnapshotEnd{Size: m.Size})
						e.ack(base)
					})
				}
			}
		}
		b.run()
		<-time.After(90 * time.Second)
		if st := b.status(); st.State != "full" || st.Percent != 100 {
			t.Errorf("while it is loaded: %+v", st)
		}
		<-time.After(60 * time.Second)
		if st := b.status(); st.State != "streaming" || st.Applied != base.Serial {
			t.Errorf("after it: %+v", st)
		}
		if len(copied) != b.src.size || len(bytes.Trim(copied, "\x07")) > 0 {
			t.Errorf("%d octets copied, want %d", len(copied), b.src.size)
		}
		if n := len(b.dialled()); n != 1 {
			t.Errorf("%d dials", n)
		}
		b.stop()
	})
}

func TestNoCopyToBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told *wire.Error
		b := newBench(t, nil, nil)
		b.src.err = errors.New("no such database /var/lib/secret")
		b.serve = func(e *end) {
			e.hello(deltafile.State{})
			for m := e.next(); m != nil; m = e.next() {
				if m, ok := m.(*wire.Error); ok {
					b.safely(func() { told = m })
				}
			}
		}
		b.run()
		<-time.After(10 * time.Second)
		if st := b.status(); !strings.Contains(st.LastError, "no such database") || st.State != "retrying" || !st.Unknown {
			t.Errorf("%+v", st)
		}
		b.stop()
		if told == nil || told.Reason != wire.ReasonSnapshot || strings.Contains(told.Text, "secret") {
			t.Errorf("the slave was told %+v", told)
		}
	})
}

func TestWrongRealmVersionAndRole(t *testing.T) {
	good := wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Slave, Realm: realmName}
	realm, version, role := good, good, good
	realm.Realm = "OTHER.ORG"
	version.MinVersion, version.MaxVersion = 2, 3
	role.Role = wire.Feeder
	for want, h := range map[wire.Reason]wire.Hello{wire.ReasonRealm: realm, wire.ReasonVersion: version, wire.ReasonRole: role} {
		synctest.Test(t, func(t *testing.T) {
			var told wire.Reason
			b := newBench(t, func(e *end) {
				e.next()
				e.send(&h)
				if m, ok := e.next().(*wire.Error); ok {
					e.b.safely(func() { told = m.Reason })
				}
			}, nil)
			b.run()
			<-time.After(time.Second)
			b.stop()
			if told != want {
				t.Errorf("told %v, want %v", told, want)
			}
		})
	}
}

// A slave that acknowledges what it was never sent gets a full copy.
func TestForeignAckForcesCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		copies := 0
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			e.ack(deltafile.State{Epoch: baseOf(b).Epoch, Serial: 99})
			for m := e.next(); m != nil; m = e.next() {
				if m.Kind() == wire.KindSnapshotBegin {
					b.safely(func() { copies++ })
				}
			}
		}
		b.run()
		<-time.After(5 * time.Second)
		b.stop()
		if copies == 0 {
			t.Error("no full copy")
		}
	})
}

// A slave that holds the file beyond its limits is let go, but not before it has had a chance to say
// that it does not: krep that has just begun knows of nobody where he is.
func TestReleaseSparesStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var here atomic.Bool
		b := newBench(t, nil, nil)
		last := b.feed.add(20, 100)
		b.serve = func(e *end) {
			if here.Load() {
				follower(func(*bench) deltafile.State { return last })(e)
			}
		}
		b.run()
		release := func() (held uint64, holds bool) {
			b.set.Release(last.Epoch, 15, "too large")
			synctest.Wait()
			return b.set.list[0].holds(uint64(last.Epoch))
		}
		if held, holds := release(); held != 0 || !holds {
			t.Errorf("a slave that was never heard of holds %d, %v", held, holds)
		}
		here.Store(true)
		<-time.After(10 * time.Second)
		if held, holds := release(); held != last.Serial || !holds || b.status().State != "streaming" {
			t.Errorf("a slave that has everything holds %d, %v: %+v", held, holds, b.status())
		}
		b.stop()

		b = newBench(t, nil, nil) // nobody answers
		b.feed.add(20, 100)
		b.run()
		<-time.After(strangerTime + time.Second)
		b.set.Release(last.Epoch, 15, "too large")
		if held, holds := b.set.list[0].holds(uint64(last.Epoch)); holds {
			t.Errorf("a slave that is down holds %d", held)
		}
		if due := b.status().FullDue; due != "too large" {
			t.Errorf("a full copy is due because: %q", due)
		}
		b.stop()
	})
}

// A slave that gets a full copy is not let go: it would need another.
func TestReleaseSparesCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(e *end) {
			e.hello(deltafile.State{})
			for e.next() != nil {
			}
		}, nil)
		last := b.feed.add(20, 100)
		b.run()
		<-time.After(2 * time.Second)
		if st := b.status(); st.State != "full" {
			t.Fatalf("%+v", st)
		}
		b.set.Release(last.Epoch, 30, "too large")
		synctest.Wait()
		if n := len(b.dialled()); n != 1 || strings.Contains(b.log.String(), "lets go") {
			t.Errorf("%d dials\n%s", n, b.log)
		}
		b.stop()
	})
}

// A slave that cannot be dialled: its calls are taken, the last one wins, and nothing waits.
func TestSlaveConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		list := b.set.list[0].entry
		list.Connects = true
		b.set.Update([]slavelist.Slave{list})
		b.run()
		<-time.After(time.Minute)
		if st := b.status(); st.State != "waiting" || len(b.dialled()) > 0 {
			t.Errorf("%+v after %d dials", st, len(b.dialled()))
		}
		if b.set.Expects("krep/other@"+realmName) || !b.set.Expects(slaveID) {
			t.Error("expects the wrong one")
		}
		call := func() (left chan error) {
			left = make(chan error, 1)
			near, far := b.realm.Pair(t, slaveID, masterID) // the slave is the initiator
			b.wg.Go(func() { left <- b.set.Take(t.Context(), far); _ = far.Close() })
			b.wg.Go(func() { follower(baseOf)(&end{b: b, conn: near}); _ = near.Close() })
			return left
		}
		before := time.Now()
		first := call()
		synctest.Wait()
		last := b.feed.add(10, 100)
		synctest.Wait()
		if st := b.status(); st.State != "streaming" || st.Applied != last.Serial {
			t.Errorf("%+v", st)
		}
		second := call()
		synctest.Wait()
		if err := <-first; err != nil {
			t.Error(err)
		}
		last = b.feed.add(10, 100)
		synctest.Wait()
		if st := b.status(); st.State != "streaming" || st.Applied != last.Serial || !time.Now().Equal(before) {
			t.Errorf("%+v after %v", st, time.Since(before))
		}
		b.stop()
		<-second
	})
}

// A slave that is let go and being fed goes on, and holds the file again when it has caught up.
func TestReleaseDisturbsNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{})
		b := newBench(t, nil, nil)
		last := b.feed.add(20, 100)
		b.serve = func(e *end) {
			e.hello(baseOf(b))
			e.next()
			<-more
			e.ack(last)
			for e.next() != nil {
			}
		}
		b.run()
		synctest.Wait()
		b.set.Release(last.Epoch, 15, "too large")
		if held, holds := b.set.list[0].holds(uint64(last.Epoch)); holds {
			t.Errorf("let go, it holds %d", held)
		}
		close(more)
		<-time.After(time.Second)
		if held, holds := b.set.list[0].holds(uint64(last.Epoch)); !holds || held != last.Serial {
			t.Errorf("caught up, it holds %d, %v", held, holds)
		}
		if n := len(b.dialled()); n != 1 {
			t.Errorf("%d dials", n)
		}
		b.stop()
	})
}
