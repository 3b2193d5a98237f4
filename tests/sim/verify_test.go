package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krealm/kdc/kdb"
	"krealm/krep/verify"
)

// inspection is a run of krep verify.
type inspection struct {
	report *verify.Report
	err    error
	over   bool // all of these are guarded by w.mu
}

// inspector is where a krep takes the command from, one at a time.
type inspector chan func(ctx context.Context)

func (i inspector) run(ctx context.Context) error {
	for {
		select {
		case f := <-i:
			f(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// inspect has a krep compare its slaves with its database. nil: it does not run, or is at it already, or
// its database is the model, which cannot be compared.
func (w *world) inspect(h *host, deep bool, timeout time.Duration) *inspection {
	k := h.set()
	if k == nil || k.db == nil {
		return nil
	}
	var names []string
	for _, s := range k.set.Status() {
		names = append(names, s.Name)
	}
	i := &inspection{}
	select {
	case k.inspector <- func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		r, err := verify.Run(ctx, k.db, k.set, names, deep)
		w.mu.Lock()
		i.report, i.err, i.over = r, err, true
		w.mu.Unlock()
		if err == nil && !k.p.gone() {
			w.oracle.inspected(h, r)
		}
	}:
		return i
	default:
		return nil
	}
}

// inspections are the work of an administrator who is never quite sure.
func (w *world) inspections() {
	if w.quiet {
		return
	}
	x := w.draw("inspection")
	w.inspect(w.hosts[x%uint64(len(w.hosts))], mix(x)%2 == 0, between(mix(x+1), 0, 10*time.Second))
	w.after(between(mix(x+2), 0, w.plan.inspects), "inspection", w.inspections)
}

func (w *world) ended(i *inspection) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return i.over
}

// compareAll is O8 at rest: krep verify finds every slave the same as its feeder, if not at once, for
// a stream may just be begun anew, then soon.
func (w *world) compareAll() {
	for _, h := range w.hosts {
		if !w.plan.real || h.delta() == "" {
			continue
		}
		end := w.now() + restTime
		for err := w.compare(h); err != nil && w.err == nil; err = w.compare(h) {
			if w.now() > end {
				w.fail("O8: %s: at rest: %w", h.name, err)
			}
			w.run(w.now()+time.Second, func() bool { return false })
		}
	}
}

// compare says which of a host's slaves krep verify does not find the same.
func (w *world) compare(h *host) error {
	i := w.inspect(h, true, time.Minute)
	if i == nil {
		return errors.New("krep verifies nothing")
	}
	if !w.run(w.now()+2*time.Minute, func() bool { return w.ended(i) }) {
		return errors.New("krep verify has no end")
	}
	if i.err != nil {
		return i.err
	}
	if len(i.report.Slaves) != len(h.kids) {
		return fmt.Errorf("krep verify knows of %d slaves", len(i.report.Slaves))
	}
	for _, s := range i.report.Slaves {
		if s.Result != verify.Same {
			return fmt.Errorf("%s is %s: %s", s.Slave, s.Result, s.Reason)
		}
	}
	return nil
}

// inspected checks what krep verify says in the middle of everything (O8).
func (o *oracle) inspected(h *host, r *verify.Report) {
	if r.ByHand {
		o.complain("O8: %s: rows changed by hand", h.name)
	}
	for _, s := range r.Slaves {
		switch s.Result {
		case verify.Differs:
			o.complain("O8: %s: %s at %d differs in %d parts: %v %s", h.name, s.Slave, s.Serial, s.Parts, s.Names, s.Reason)
		case verify.Same:
			o.w.mu.Lock()
			o.w.stats.verified++
			o.w.mu.Unlock()
		}
	}
}

// dbOf is the real database behind a handle, nil for the model.
func dbOf(db database) *kdb.DB {
	if d, ok := db.(*realHandle); ok {
		return d.DB
	}
	return nil
}
