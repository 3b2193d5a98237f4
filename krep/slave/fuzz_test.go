package slave

import (
	"testing"

	"krealm/internal/wire"
)

// FuzzConversation lets a slave say anything: no message, and no order of them, breaks an invariant
// of Progress, and the delta file is let go of only as far as was sent and acknowledged.
//
// The input is messages, each behind its length in one octet; length 0 is a step of krep's own,
// chosen by the octet after it.
func FuzzConversation(f *testing.F) {
	add := func(steps ...any) {
		var in []byte
		for _, s := range steps {
			switch s := s.(type) {
			case int:
				in = append(in, 0, byte(s))
			case wire.Message:
				b := s.Append(nil)
				in = append(append(in, byte(len(b))), b...)
			}
		}
		f.Add(in)
	}
	full := func(p wire.Point, applied uint64) *wire.Hello {
		return &wire.Hello{MinVersion: 1, MaxVersion: 1, Role: wire.Slave, Realm: "R", Point: p, Applied: applied}
	}
	add(0, full(at(12), 11), 1, &wire.Ack{Epoch: epoch, Spooled: 15, Applied: 13}, &wire.Bye{Text: "end"}, 6)
	add(0, full(wire.Point{}, 0), 2, 3, 4, &wire.Ack{Epoch: epoch, Spooled: 14, Applied: 14}, 1)
	add(0, full(at(20), 20), &wire.Error{Reason: wire.ReasonBroken, Serial: 19, Text: "x"}, 5, 7, 8)
	add(0, full(wire.Point{Epoch: epoch, Serial: ^uint64(0)}, ^uint64(0)), &wire.Ack{Epoch: epoch, Spooled: ^uint64(0)})
	f.Fuzz(func(t *testing.T, in []byte) {
		var p Progress
		last := view.Last
		for len(in) >= 2 {
			n := int(in[0])
			if n == 0 {
				own(&p, in[1], &last)
				in = in[2:]
			} else {
				n = min(n, len(in)-1)
				hear(t, &p, in[1:1+n], View{Base: view.Base, Last: last})
				in = in[1+n:]
			}
			p.Check()
			held, ok := p.Holds(epoch)
			if ok && held > last.Serial {
				t.Fatalf("holds up to %d, the file ends at %d: %+v", held, last.Serial, p)
			}
			if p.State == Streaming && p.Epoch == epoch && ok && held > p.Sent {
				t.Fatalf("lets go of %d, sent %d", held, p.Sent)
			}
			_, _ = p.State.String(), ok
		}
	})
}

// hear takes a message as the sender does.
func hear(t *testing.T, p *Progress, b []byte, v View) {
	m, err := wire.Parse(b)
	if err != nil {
		return
	}
	switch m := m.(type) {
	case *wire.Hello:
		if p.State != Connecting { // the sender takes no other
			return
		}
		plan, why := p.OnHello(m, v)
		if (plan == PlanStream) != (why == "") {
			t.Fatalf("plan %d because of %q", plan, why)
		}
		if plan == PlanStream && (m.Point.Epoch != epoch || m.Point.Serial < v.Base.Serial || m.Point.Serial > v.Last.Serial) {
			t.Fatalf("streams to a slave at %+v", m.Point)
		}
	case *wire.Ack:
		_ = p.OnAck(m)
	case *wire.Heartbeat:
		p.OnAlive()
	case *wire.Error:
		p.OnError(m)
	case *wire.Bye:
		p.OnBye()
	}
}

// own is what krep does by itself; a step that the state does not allow is left out.
func own(p *Progress, what byte, last *wire.Point) {
	switch what % 9 {
	case 0:
		if p.State == Retrying || p.State == Broken {
			p.OnDial()
		}
	case 1:
		if p.State == Streaming && p.Epoch == epoch {
			p.OnSent(last.Serial)
		}
	case 2:
		if p.State == Connecting && p.NeedFull {
			p.OnCopyWanted(*last)
		}
	case 3:
		if p.State == Snapshot && p.CopySize == 0 {
			p.OnCopyBegin(*last, 10)
		}
	case 4:
		if p.State == Snapshot && p.CopySize > 0 {
			p.OnCopied(10)
			_ = p.OnCopyDone()
		}
	case 5:
		p.OnLost("lost")
	case 6:
		p.OnResync("asked")
	case 7:
		p.OnRelease(p.Spooled+1, "too far behind")
	case 8:
		*last = at(last.Serial + 1)
	}
}
