package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krealm/deltafile"
	"krealm/internal/quorum"
)

// runWriter is a run of kadmin.local or kdb5_util on the master: it opens the database, makes some
// changes, and ends.
func (h *host) runWriter(p *proc) error {
	w := h.w
	if w.stats.commits >= w.plan.budget && !w.quiet {
		return nil
	}
	db, err := h.db.open(p, deltaName)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	x := w.draw("run of " + p.id())
	if w.plan.epochs && mix(x)%12 == 0 {
		st, err := db.Reload(p.ctx, w.edits(mix(x+1), true))
		return w.result(p, st, err)
	}
	for range 1 + x%uint64(w.plan.burst) {
		st, err := db.Update(p.ctx, w.edits(w.draw("edits of "+p.id()), false))
		failed := err != nil
		if err := w.result(p, st, err); err != nil {
			return err
		}
		if x := w.draw("wait " + p.id()); !failed && (w.calm || unit(x) < w.plan.waits) {
			w.wait(p, st, mix(x))
		}
		if y := w.draw("think " + p.id()); y%4 == 0 {
			t := time.NewTimer(between(mix(y), 0, 50*time.Millisecond))
			select {
			case <-t.C:
			case <-p.ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// wait is what a writer does with -wait: it asks krep when slaves have applied its change.
func (w *world) wait(p *proc, st deltafile.State, x uint64) {
	k := p.host.set()
	if k == nil {
		return
	}
	want, timeout := []quorum.Want{quorum.All, quorum.Quorum, must(quorum.Parse("1")), must(quorum.Parse("2"))}[x%4], between(mix(x), 0, 5*time.Second)
	if w.calm {
		want, timeout = quorum.All, time.Minute
	}
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	begun := w.now()
	a := k.set.Wait(ctx, st.Epoch, st.Serial, want)
	if p.gone() || k.p.gone() {
		return // nobody is told
	}
	if took := w.now() - begun; took > timeout {
		w.fail("O7: %s has waited %v instead of %v", p.id(), took, timeout)
	}
	switch {
	case a.Enough:
		w.oracle.waited(p.host, st, a)
	case w.calm && p.ctx.Err() == nil:
		w.fail("O7: %s has waited for %v at rest: %+v", p.id(), st, a)
	}
}

// result tells the oracle what the writer was told.
func (w *world) result(p *proc, st deltafile.State, err error) error {
	switch {
	case err == nil && !p.gone():
		w.oracle.committed(st)
	case errors.Is(err, errIO), errors.Is(err, errNoRoom): // as one who tries again
		return nil
	}
	return err
}

// edits draws a change: a few entries, or all of a new realm.
func (w *world) edits(x uint64, all bool) []edit {
	n := 1 + int(x%3)
	if all {
		n = w.plan.names
	}
	var out []edit
	for i := range n {
		x = mix(x + uint64(i))
		e := edit{name: fmt.Sprintf("user%d", x%uint64(w.plan.names)), value: 1 + int(mix(x)%100000)}
		if all {
			e.name = fmt.Sprintf("user%d", i)
		} else if mix(x+7)%5 == 0 {
			e.value = 0
		}
		if w.plan.bulk > 0 && mix(x+9)%4 == 0 {
			e.pad = int(mix(x+11) % uint64(w.plan.bulk))
		}
		out = append(out, e)
	}
	return out
}
