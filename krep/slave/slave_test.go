package slave

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"krealm/internal/wire"
)

const epoch = 0x5f0c1d2e3a4b5c6d

func at(serial uint64) wire.Point {
	return wire.Point{Epoch: epoch, Serial: serial, Hash: [32]byte{byte(serial), 1}}
}

func hello(p wire.Point, applied uint64) *wire.Hello {
	return &wire.Hello{Role: wire.Slave, Point: p, Applied: applied}
}

var view = View{Base: at(10), Last: at(20)}

func TestOnHello(t *testing.T) {
	otherHash := func(p wire.Point) wire.Point { p.Hash[7] = 7; return p }
	otherEpoch := at(15)
	otherEpoch.Epoch = 9
	tests := []struct {
		name  string
		hello *wire.Hello
		plan  Plan
		why   string
	}{
		{"at the base", hello(at(10), 3), PlanStream, ""},
		{"in the middle", hello(at(15), 15), PlanStream, ""},
		{"up to date", hello(at(20), 20), PlanStream, ""},
		{"applied beyond spooled", hello(at(12), 14), PlanStream, ""},
		{"empty", hello(wire.Point{}, 0), PlanFull, "slave is empty"},
		{"another epoch", hello(otherEpoch, 0), PlanFull, "slave is in epoch 0000000000000009"},
		{"behind the base", hello(at(9), 9), PlanFull, "slave is at 9, the delta file begins after 10"},
		{"other hash at the base", hello(otherHash(at(10)), 9), PlanFull, "slave has another change 10"},
		{"other hash at the end", hello(otherHash(at(20)), 9), PlanFull, "slave has another change 20"},
		{"ahead", hello(at(21), 21), PlanWait, "slave is at 21, ahead of the delta file at 20: krep resync rebuilds it if that stays so"},
		{"asks", &wire.Hello{Point: at(15), WantSnapshot: true, Reason: "record 16: bad"}, PlanFull, "slave asks: record 16: bad"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Progress
			p.OnDial()
			plan, why := p.OnHello(tt.hello, view)
			if plan != tt.plan || why != tt.why {
				t.Fatalf("plan %d (%s), want %d (%s)", plan, why, tt.plan, tt.why)
			}
			if plan == PlanStream && (p.State != Streaming || p.Sent != tt.hello.Point.Serial) {
				t.Errorf("%+v", p)
			}
			if plan == PlanFull && !p.NeedFull {
				t.Error("need of a full copy forgotten")
			}
			p.Check()
		})
	}
}

// The conversations that matter, as text: what happens, and what the slave then is.
func TestConversations(t *testing.T) {
	var p Progress
	step := func(what, want string) {
		t.Helper()
		switch verb, rest, _ := strings.Cut(what, " "); verb {
		case "dial":
			p.OnDial()
		case "hello":
			var s, a uint64
			_, _ = fmt.Sscan(rest, &s, &a)
			p.OnHello(hello(at(s), a), view)
		case "empty":
			p.OnHello(hello(wire.Point{}, 0), view)
		case "want":
			p.OnCopyWanted(view.Last)
		case "copy":
			var s uint64
			_, _ = fmt.Sscan(rest, &s)
			p.OnCopyBegin(at(s), 1000)
			p.OnCopied(1000)
		case "loaded":
			if err := p.OnCopyDone(); err != nil {
				t.Fatal(err)
			}
		case "sent":
			var s uint64
			_, _ = fmt.Sscan(rest, &s)
			p.OnSent(s)
		case "ack":
			var s, a uint64
			_, _ = fmt.Sscan(rest, &s, &a)
			if err := p.OnAck(&wire.Ack{Epoch: epoch, Spooled: s, Applied: a}); err != nil {
				p.OnLost("foreign")
			}
		case "broken":
			var s uint64
			_, _ = fmt.Sscan(rest, &s)
			p.OnError(&wire.Error{Reason: wire.ReasonBroken, Serial: s, Text: "bad"})
		case "lost":
			p.OnLost(rest)
		case "bye":
			p.OnBye()
		case "release":
			var s uint64
			_, _ = fmt.Sscan(rest, &s)
			p.OnRelease(s, "too large")
		default:
			t.Fatalf("no such step: %s", what)
		}
		p.Check()
		holds := "-"
		if s, ok := p.Holds(epoch); ok {
			holds = fmt.Sprint(s)
		}
		got := fmt.Sprintf("%v %d/%d/%d holds %s failures %d %s", p.State, p.Sent, p.Spooled, p.Applied, holds, p.Failures, p.LastError)
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("after %q: %s, want %s", what, got, want)
		}
	}
	step("dial", "connecting 0/0/0 holds 0 failures 0")
	step("lost refused", "retrying 0/0/0 holds 0 failures 1 refused")
	step("dial", "connecting 0/0/0 holds 0 failures 1 refused")
	step("hello 15 14", "streaming 15/15/14 holds 15 failures 1")
	step("sent 20", "streaming 20/15/14 holds 15 failures 1")
	step("ack 18 15", "streaming 20/18/15 holds 18 failures 0")
	step("ack 18 18", "streaming 20/18/18 holds 18 failures 0")
	step("lost cut", "retrying 18/18/18 holds 18 failures 1 cut")
	step("dial", "connecting 18/18/18 holds 18 failures 1 cut")
	step("hello 19 18", "streaming 19/19/18 holds 19 failures 1")
	step("broken 19", "broken 19/19/18 holds - failures 1 record 19: bad")
	step("lost eof", "broken 19/19/18 holds - failures 2 record 19: bad")
	step("dial", "connecting 19/19/18 holds - failures 2 record 19: bad")
	step("empty", "connecting 19/19/18 holds - failures 2 record 19: bad")
	step("want", "full 0/0/0 holds 20 failures 2 record 19: bad")
	step("copy 22", "full 22/0/0 holds 22 failures 2 record 19: bad")
	step("ack 22 22", "full 22/0/0 holds 22 failures 2 record 19: bad")
	step("loaded", "streaming 22/22/22 holds 22 failures 0")
	step("sent 25", "streaming 25/22/22 holds 22 failures 0")
	step("ack 26 22", "retrying 22/22/22 holds - failures 1 foreign")
	step("dial", "connecting 22/22/22 holds - failures 1 foreign")
	step("hello 22 22", "connecting 22/22/22 holds - failures 1 foreign")
	step("want", "full 0/0/0 holds 20 failures 1 foreign")
	step("lost cut", "retrying 0/0/0 holds - failures 2 cut")
	step("dial", "connecting 0/0/0 holds - failures 2 cut")
	step("hello 22 22", "connecting 0/0/0 holds - failures 2 cut")
	step("want", "full 0/0/0 holds 20 failures 2 cut")
	step("copy 24", "full 24/0/0 holds 24 failures 2 cut")
	step("lost cut", "retrying 0/0/0 holds 24 failures 3 cut") // it may have loaded it
	step("dial", "connecting 0/0/0 holds 24 failures 3 cut")
	step("empty", "connecting 0/0/0 holds - failures 3 cut")
	p = Progress{}
	step("dial", "connecting 0/0/0 holds 0 failures 0")
	step("hello 15 15", "streaming 15/15/15 holds 15 failures 0")
	step("release 18", "streaming 15/15/15 holds - failures 0")
	step("sent 20", "streaming 20/15/15 holds - failures 0")
	step("ack 17 15", "streaming 20/17/15 holds - failures 0")
	step("ack 18 15", "streaming 20/18/15 holds 18 failures 0")
	step("lost full disk", "retrying 18/18/15 holds 18 failures 1 full disk")
	step("dial", "connecting 18/18/15 holds 18 failures 1 full disk")
	step("hello 18 15", "streaming 18/18/15 holds 18 failures 1")
	step("lost full disk", "retrying 18/18/15 holds 18 failures 2 full disk") // and no sign of life
	step("dial", "connecting 18/18/15 holds 18 failures 2 full disk")
	step("lost refused", "retrying 18/18/15 holds 18 failures 3 refused")
	step("hello 18 15", "streaming 18/18/15 holds 18 failures 3 refused") // nor this time
	step("lost full disk", "retrying 18/18/15 holds 18 failures 4 full disk")
	step("hello 18 15", "streaming 18/18/15 holds 18 failures 4 full disk")
	step("bye", "retrying 18/18/15 holds 18 failures 4 full disk")
	step("hello 18 15", "streaming 18/18/15 holds 18 failures 4")
	step("ack 18 18", "streaming 18/18/18 holds 18 failures 0")
}

func TestForeignAck(t *testing.T) {
	var p Progress
	p.OnHello(hello(at(15), 15), view)
	for _, a := range []wire.Ack{
		{Epoch: epoch, Spooled: 16},
		{Epoch: epoch + 1, Spooled: 15},
		{Epoch: epoch, Spooled: 15, Applied: 16},
	} {
		q := p
		if err := q.OnAck(&a); !errors.Is(err, ErrForeign) || !q.Forced {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// A copy that was sent, and whose loading krep did not hear of: the file is held behind it.
func TestUnheardCopyHoldsTheFile(t *testing.T) {
	var p Progress
	p.OnHello(hello(wire.Point{}, 0), view)
	p.OnCopyWanted(view.Last)
	p.OnCopyBegin(at(22), 100)
	p.OnCopied(60)
	half := p
	half.OnLost("cut")
	if s, ok := half.Holds(epoch); ok {
		t.Errorf("half a copy holds %d", s)
	}
	p.OnCopied(40)
	p.OnLost("cut")
	if s, ok := p.Holds(epoch); !ok || s != 22 {
		t.Errorf("holds %d, %v", s, ok)
	}
	if plan, why := p.OnHello(hello(at(22), 22), View{Base: at(22), Last: at(30)}); plan != PlanStream {
		t.Errorf("plan %d: %s", plan, why)
	}
	if s, ok := p.Holds(epoch); !ok || s != 22 {
		t.Errorf("then holds %d, %v", s, ok)
	}
}

// A slave that krep took for one in need, and that turns out to have what it needs: the copy was
// loaded when the stream was lost before it said so.
func TestNeedIsDecidedAnew(t *testing.T) {
	var p Progress
	p.OnHello(hello(wire.Point{}, 0), view)
	p.OnCopyWanted(view.Last)
	p.OnLost("cut")
	if plan, why := p.OnHello(hello(at(20), 20), view); plan != PlanStream || p.NeedFull {
		t.Errorf("plan %d: %s", plan, why)
	}
	p.OnResync("asked")
	if plan, _ := p.OnHello(hello(at(20), 20), view); plan != PlanFull {
		t.Error("what was asked for is forgotten")
	}
	p.OnCopyWanted(view.Last)
	if err := p.OnCopyDone(); !errors.Is(err, ErrForeign) {
		t.Errorf("copy done before it was sent: %v", err)
	}
}

// A full copy of an epoch whose delta file has not appeared yet: the slave must hold all of it.
func TestCopyOfNewEpoch(t *testing.T) {
	var p Progress
	p.OnHello(hello(wire.Point{}, 0), view)
	p.OnCopyWanted(view.Last)
	p.OnCopyBegin(wire.Point{Epoch: 77, Serial: 3}, 10)
	if s, ok := p.Holds(77); !ok || s != 3 {
		t.Errorf("holds %d %v of the new epoch", s, ok)
	}
	if s, ok := p.Holds(epoch); !ok || s != 0 {
		t.Errorf("holds %d %v of the old epoch", s, ok)
	}
}

// P3 against random histories: a serial is let go only if it is durable at the slave or the
// slave is to get a copy taken after it was let go.
func TestHoldsIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Progress
		last, durable, cut := uint64(1), uint64(0), uint64(0)
		inCopy := uint64(0)
		n := rapid.IntRange(1, 200).Draw(t, "steps")
		for range n {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0:
				last++
			case 1: // the feeder cuts what it may
				if s, ok := p.Holds(epoch); ok {
					cut = max(cut, s)
				} else {
					cut = last
				}
			case 2: // a new conversation
				if p.State == Streaming || p.State == Snapshot {
					p.OnLost("cut")
				}
				p.OnDial()
				plan, _ := p.OnHello(hello(at(durable), durable), View{Base: at(cut), Last: at(last)})
				if plan == PlanFull {
					p.OnCopyWanted(at(last))
				}
			case 3:
				if p.State == Snapshot && p.CopySize == 0 {
					inCopy = last
					p.OnCopyBegin(at(last), 5)
					p.OnCopied(5)
				}
			case 4:
				if p.State == Snapshot && p.CopySize > 0 {
					durable = inCopy
					if err := p.OnCopyDone(); err != nil {
						t.Fatal(err)
					}
					if durable < cut {
						t.Fatalf("copy of %d is complete, but the file was cut at %d", durable, cut)
					}
				}
			case 5:
				if p.State == Streaming {
					if p.Sent < cut {
						t.Fatalf("next to send is %d, but the file was cut at %d", p.Sent+1, cut)
					}
					p.OnSent(last)
				}
			case 6:
				if p.State == Streaming && p.Sent > durable {
					durable = rapid.Uint64Range(durable, p.Sent).Draw(t, "ack")
					if err := p.OnAck(&wire.Ack{Epoch: epoch, Spooled: durable, Applied: durable}); err != nil {
						t.Fatal(err)
					}
				}
			case 7:
				if p.State == Streaming {
					p.OnError(&wire.Error{Reason: wire.ReasonBroken, Serial: 1})
					p.OnLost("eof")
				}
			}
			p.Check()
		}
	})
}

func TestBackoff(t *testing.T) {
	b := Backoff{First: 100 * time.Millisecond, Cap: 30 * time.Second}
	for failures, want := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond,
		9: 25600 * time.Millisecond, 10: 30 * time.Second, 1 << 30: 30 * time.Second,
	} {
		if got := b.Delay(failures, 0); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
		if got := b.Delay(failures, 1); got != want/2 {
			t.Errorf("after %d failures with full jitter %v, want %v", failures, got, want/2)
		}
	}
}

func TestStateNames(t *testing.T) {
	if Retrying.String() != "retrying" || Snapshot.String() != "full" || Broken.String() != "broken" {
		t.Error("names of states")
	}
}
