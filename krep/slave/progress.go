package slave

import (
	"errors"
	"fmt"

	"krealm/internal/wire"
)

// ErrForeign means that a slave has reported a position that krep never sent it: it follows
// another history. The caller drops the stream; the next one starts with a full copy.
var ErrForeign = errors.New("slave reports a position of another history")

// State is where krep stands with a slave.
type State uint8

// The states; see the drawing in the package comment.
const (
	Retrying   State = iota // no stream; the zero value, before the first attempt
	Connecting              // dialling, authenticating, exchanging hellos
	Streaming               // changes go out as they come
	Snapshot                // a full copy is being sent or loaded
	Broken                  // no stream; the slave cannot go on without a full copy
)

var stateNames = [...]string{"retrying", "connecting", "streaming", "full", "broken"}

func (s State) String() string { return stateNames[s] }

// Plan is what to do after the hellos.
type Plan uint8

// The plans.
const (
	PlanStream Plan = iota // send what follows the slave's point
	PlanFull               // send a full copy, then what follows it
	PlanWait               // hang up and try again later: the slave is ahead
)

// View is the feeder's side of the decision: where its delta file begins and ends.
type View struct {
	Base, Last wire.Point
}

// Progress is what krep knows of one slave. The zero Progress is a slave that nothing is known
// of. It is not safe for concurrent use.
//
// Invariants, checked by Check:
//
//	P1  Applied <= Spooled <= Sent
//	P2  all positions belong to Epoch
//	P3  Holds never lets go of a serial that the slave has not acknowledged as durable, unless
//	    the slave is to get a full copy that holds it
type Progress struct {
	State   State
	Epoch   uint64 // 0: nothing known yet
	Sent    uint64 // last serial written to the socket
	Spooled uint64 // last serial durable at the slave, says the slave
	Applied uint64 // last serial in its database, says the slave
	// Unloaded: Epoch is that of a full copy which the slave has not said to have loaded. What
	// its database holds is not known until then; Applied is 0 and says nothing.
	Unloaded bool

	NeedFull   bool   // the slave needs a full copy, as far as is known, and lets go of the file
	Forced     bool   // the next stream starts with one, whatever the slave says it has
	FullReason string // why, for people
	Copied     uint64 // octets of the full copy sent, of CopySize
	CopySize   uint64
	hold       uint64 // first serial the slave will not find in the copy, less one
	letGo      uint64 // NeedFull stands until this is acknowledged: the slave was let go, 0: it was not
	again      bool   // another full copy was asked for when all of this one was sent, and may be loaded
	unsaid     bool   // all of a copy was sent, and the slave was lost before it said what it has done with it

	BrokenAt  uint64 // the record it cannot apply, 0: none in particular
	LastError string // of the last stream; emptied when one works: see OnHello, OnAlive
	Failures  int    // attempts in a row that came to nothing: what the backoff counts
	lifeless  bool   // the last stream past the hellos showed no sign of life then, and did not end in order
}

// OnDial records the start of an attempt.
func (p *Progress) OnDial() { p.State = Connecting }

// OnHello takes what the slave says of itself and decides how to go on. The text says why, for
// a plan other than PlanStream.
//
// A slave ahead of the file is not a foreign one: the master may have lost the unsynced end of
// its delta file in a power cut, and is about to append it again. It is foreign once the file
// has grown to its serial with another hash.
//
// With hellos that lead to PlanStream the last error is history, unless the stream before came as far
// and was then lost without a sign of life: these hellos prove nothing, and the error stays until
// OnAlive. A slave whose streams all break shows why while it has one, too. Failures stay in any case.
func (p *Progress) OnHello(h *wire.Hello, v View) (Plan, string) {
	p.unsaid = false
	why := p.fullReason(h, v)
	if why != "" {
		p.NeedFull, p.FullReason = true, why
		return PlanFull, why
	}
	if h.Point.Serial > v.Last.Serial {
		return PlanWait, fmt.Sprintf("slave is at %d, ahead of the delta file at %d: krep resync rebuilds it if that stays so", h.Point.Serial, v.Last.Serial)
	}
	p.State, p.Epoch, p.hold = Streaming, h.Point.Epoch, 0
	p.NeedFull, p.FullReason, p.letGo, p.Unloaded = false, "", 0, false
	p.Sent, p.Spooled, p.Applied = h.Point.Serial, h.Point.Serial, min(h.Applied, h.Point.Serial)
	if !p.lifeless {
		p.LastError, p.BrokenAt = "", 0
	}
	p.lifeless = true
	return PlanStream, ""
}

func (p *Progress) fullReason(h *wire.Hello, v View) string {
	at := h.Point
	switch {
	case h.WantSnapshot && h.Reason != "":
		return "slave asks: " + h.Reason
	case h.WantSnapshot:
		return "slave asks"
	case at.Epoch == 0:
		return "slave is empty"
	case p.Forced:
		return p.FullReason
	case at.Epoch != v.Last.Epoch:
		return fmt.Sprintf("slave is in epoch %016x", at.Epoch)
	case at.Serial < v.Base.Serial:
		return fmt.Sprintf("slave is at %d, the delta file begins after %d", at.Serial, v.Base.Serial)
	case at.Serial == v.Base.Serial && at.Hash != v.Base.Hash,
		at.Serial == v.Last.Serial && at.Hash != v.Last.Hash:
		return fmt.Sprintf("slave has another change %d", at.Serial)
	}
	return ""
}

// OnForeign records that the slave's hash at its serial is not the file's, found when the
// file was read from there.
func (p *Progress) OnForeign(serial uint64) {
	p.force(fmt.Sprintf("slave has another change %d", serial))
}

func (p *Progress) force(reason string) { p.NeedFull, p.Forced, p.FullReason = true, true, reason }

// OnCopyWanted is called before the full copy is taken: last is the end of the delta file now.
// From here on the slave holds the file after last, since a copy taken later holds at least that.
func (p *Progress) OnCopyWanted(last wire.Point) {
	p.State, p.Epoch, p.hold = Snapshot, last.Epoch, last.Serial
	p.Sent, p.Spooled, p.Applied, p.Unloaded = 0, 0, 0, true
	p.Copied, p.CopySize, p.again = 0, 0, false
}

// OnCopyBegin records the base of the copy that is now being sent.
func (p *Progress) OnCopyBegin(base wire.Point, size uint64) {
	if base.Epoch != p.Epoch {
		p.hold = 0 // the file of this epoch is still to come
	}
	p.Epoch, p.Sent, p.CopySize = base.Epoch, base.Serial, size
	p.hold = max(p.hold, base.Serial)
}

// OnCopied records n more octets of the copy written to the socket.
func (p *Progress) OnCopied(n int) { p.Copied += uint64(n) }

// OnSent records that all changes up to serial are written to the socket.
func (p *Progress) OnSent(serial uint64) { p.Sent = max(p.Sent, serial) }

// OnCopyDone records that the slave has the copy in its database.
func (p *Progress) OnCopyDone() error {
	if p.State != Snapshot || p.CopySize == 0 || p.Copied < p.CopySize {
		return fmt.Errorf("slave has loaded a full copy that it was not sent: %w", ErrForeign)
	}
	p.State, p.hold, p.Unloaded = Streaming, 0, false
	p.letGo = 0
	if !p.again {
		p.NeedFull, p.Forced, p.FullReason = false, false, ""
	}
	p.again = false
	p.Spooled, p.Applied = p.Sent, p.Sent
	p.OnAlive()
	return nil
}

// OnAck records an acknowledgement. Positions never sent mean that the slave follows another
// history (ErrForeign). Positions move forward only: acknowledgements are cumulative and may
// repeat. Until a full copy that is wanted is loaded they are of before it and say nothing.
func (p *Progress) OnAck(a *wire.Ack) error {
	if p.State != Streaming {
		return nil
	}
	if a.Epoch != p.Epoch || a.Spooled > p.Sent || a.Applied > a.Spooled {
		p.force("slave acknowledged what it was not sent")
		return fmt.Errorf("ack of %d, %d in epoch %016x, last sent %d in %016x: %w",
			a.Spooled, a.Applied, a.Epoch, p.Sent, p.Epoch, ErrForeign)
	}
	p.Spooled = max(p.Spooled, a.Spooled)
	p.Applied = max(p.Applied, a.Applied)
	if p.letGo > 0 && p.Spooled >= p.letGo && !p.Forced {
		p.NeedFull, p.FullReason, p.letGo = false, "", 0
	}
	p.OnAlive()
	return nil
}

// OnAlive records that the slave has shown signs of life after the hellos: the stream works, and
// what was wrong before is history.
func (p *Progress) OnAlive() {
	if p.State == Streaming {
		p.Failures, p.LastError, p.BrokenAt, p.lifeless = 0, "", 0, false
	}
}

// OnError records an error that the slave has sent. The caller ends the stream with OnLost.
func (p *Progress) OnError(e *wire.Error) {
	p.LastError = e.Reason.String() + ": " + e.Text
	switch e.Reason {
	case wire.ReasonBroken:
		p.LastError = e.Text
		if e.Serial > 0 {
			p.LastError = fmt.Sprintf("record %d: %s", e.Serial, e.Text)
		}
		p.NeedFull, p.BrokenAt = true, e.Serial
	case wire.ReasonDiverged:
		p.LastError = fmt.Sprintf("content differs at %d", e.Serial)
		p.NeedFull, p.BrokenAt = true, e.Serial
	case wire.ReasonChain:
		p.LastError = fmt.Sprintf("record %d does not follow: %s", e.Serial, e.Text)
		p.force(p.LastError)
	case wire.ReasonSnapshot:
		p.LastError = "full copy refused: " + e.Text
		p.NeedFull = true
	default:
		return
	}
	p.FullReason = p.LastError
	p.State = Broken
}

// OnLost records the end of a stream or of an attempt, with the reason. What the slave has
// acknowledged stays known.
func (p *Progress) OnLost(reason string) {
	p.leave()
	if p.State != Broken {
		p.State = Retrying
		p.LastError = reason
	}
	p.Sent = p.Spooled
	p.Failures++
}

// leave notes whether the slave may have loaded a copy without having been able to say so: it then
// holds the file behind the copy, for it would need another one otherwise.
func (p *Progress) leave() {
	if p.State == Snapshot {
		p.unsaid = p.CopySize > 0 && p.Copied >= p.CopySize
	}
}

// endCopy deals with a full copy whose stream ends before the slave has said that it is loaded. If
// all of it was sent it may well be, and then the slave needs what follows it: the file is held on.
func (p *Progress) endCopy() {
	if p.State == Snapshot && p.CopySize > 0 && p.Copied == p.CopySize && !p.Forced {
		p.NeedFull = false
	}
}

// OnBye records the end of a stream that nothing was wrong with.
func (p *Progress) OnBye() {
	p.endCopy()
	p.leave()
	p.State, p.lifeless = Retrying, false
	p.Sent = p.Spooled
}

// OnResync records that somebody wants the slave rebuilt. A full copy that the slave may have loaded by
// then is not what he wants.
func (p *Progress) OnResync(reason string) {
	p.again = p.State == Snapshot && p.CopySize > 0 && p.Copied >= p.CopySize
	p.force(reason)
}

// Stranger tells that the slave has not said where it is in the given epoch: it may have all of it.
func (p *Progress) Stranger(epoch uint64) bool {
	return p.Epoch != epoch && !p.NeedFull && p.State != Snapshot
}

// OnRelease makes the slave let go of the delta file, because it holds what stands there up to the
// given serial for too long. What it gets next depends on what the file then holds: a slave that
// is being fed goes on, and holds the file again once it has acknowledged that much.
func (p *Progress) OnRelease(upto uint64, reason string) {
	p.NeedFull, p.FullReason, p.letGo, p.unsaid = true, reason, upto, false
}

// Holds returns the serial up to which the slave allows the delta file of the given epoch to be
// cut. ok is false when it does not mind: it is to get a full copy, which will hold everything
// that is cut before.
func (p *Progress) Holds(epoch uint64) (serial uint64, ok bool) {
	switch {
	case (p.State == Snapshot || p.unsaid) && p.Epoch == epoch:
		return p.hold, true
	case p.State == Snapshot:
		return 0, true
	case p.NeedFull:
		return 0, false
	case p.Epoch == epoch:
		return max(p.Spooled, p.hold), true
	default:
		return 0, true // unknown, or of the past: until it has said where it is
	}
}

// Check panics if an invariant does not hold: that is an error in this program.
func (p *Progress) Check() {
	if p.Applied > p.Spooled || p.Spooled > p.Sent {
		panic(fmt.Sprintf("slave: P1 violated: applied %d, spooled %d, sent %d", p.Applied, p.Spooled, p.Sent))
	}
	if p.Epoch == 0 && p.Sent != 0 {
		panic(fmt.Sprintf("slave: P2 violated: sent %d of no epoch", p.Sent))
	}
}
