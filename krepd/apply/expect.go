package apply

import (
	"context"
	"fmt"

	"krealm/deltafile"
)

// expectation is the digest that the master's content has after a serial.
type expectation struct {
	epoch  deltafile.Epoch
	serial uint64
	digest [32]byte
	set    bool
}

// Expect asks for a comparison: after serial the content's digest must be this. If the database
// is not there yet it stops there for a moment on its way, and compares; if it is past, the
// question is dropped. One question is kept at a time, that of the lower serial.
func (a *Applier) Expect(e deltafile.Epoch, serial uint64, digest [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.applied.Epoch != e || serial < a.applied.Serial || a.broken != nil {
		return
	}
	if a.expect.set && a.expect.epoch == e && a.expect.serial > a.applied.Serial && a.expect.serial <= serial {
		return
	}
	a.expect = expectation{e, serial, digest, true}
	if serial == a.applied.Serial && a.interrupt != nil {
		a.interrupt() // compare now
	}
}

// splitAtExpected cuts a batch behind the serial in question.
func (a *Applier) splitAtExpected(css []*deltafile.Changeset) (now, later []*deltafile.Changeset) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.expect.set || a.expect.epoch != a.applied.Epoch {
		return css, nil
	}
	for i, cs := range css {
		if cs.Serial == a.expect.serial {
			return css[:i+1], css[i+1:]
		}
	}
	return css, nil
}

// compare answers the question if the database is where it is about.
func (a *Applier) compare(ctx context.Context) error {
	a.mu.Lock()
	ask := a.expect
	a.mu.Unlock()
	if !ask.set {
		return nil
	}
	st, digest, err := a.db.Digest(ctx)
	if err != nil {
		return err
	}
	if st.Epoch == ask.epoch && st.Serial < ask.serial {
		return nil
	}
	a.mu.Lock()
	if a.expect == ask {
		a.expect = expectation{}
	}
	a.mu.Unlock()
	if st.Epoch == ask.epoch && st.Serial == ask.serial && digest != ask.digest {
		a.breakdown(Broken{Serial: st.Serial, Diverged: true, Reason: fmt.Sprintf("content differs from the master's at %d", st.Serial)})
	}
	return nil
}
