package receiver

import (
	"sync/atomic"
	"testing"

	"krealm/internal/wire"
)

// Who is no longer allowed is ended when that is looked at, and is not let in by a handshake of before;
// the stream of somebody who is allowed does not notice either.
func TestNoLongerAllowed(t *testing.T) {
	b := newBench(t)
	var denied atomic.Value
	denied.Store("")
	b.rec.o.Allowed = func(principal string) bool { return principal != denied.Load() }
	first := b.connect()
	first.hello()
	b.rec.Recheck()
	denied.Store(slaveID) // somebody else
	b.rec.Recheck()
	if b.rec.Feeder() == nil {
		t.Error("the stream has ended")
	}
	denied.Store(masterID)
	late := b.connect()
	if m := late.next(); m != nil {
		t.Errorf("let in: %+v", m)
	}
	if b.rec.Feeder() == nil {
		t.Error("the stream was ended by one that is not let in")
	}
	b.rec.Recheck()
	if e := want[*wire.Error](first); e.Text != errDismissed.Error() {
		t.Errorf("%+v", e)
	}
	b.wg.Wait()
	b.rec.Recheck() // there is none
}
