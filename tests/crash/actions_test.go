package crash

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"krealm/tests/testrealm"
)

// action is one thing that is done to the realm. It returns at once; what has to end ends by
// follow-ups.
type action struct {
	name   string
	weight int
	do     func(ctx context.Context, w *world)
}

var actions = []action{
	{"kill krep", 4, func(_ context.Context, w *world) { w.kill(w.krep, w.between(0, time.Second)) }},
	{"kill krepd", 8, func(_ context.Context, w *world) { w.kill(pick(w, w.krepds), w.between(0, time.Second)) }},
	{"kill krepd twice", 3, func(_ context.Context, w *world) {
		d := pick(w, w.krepds)
		w.kill(d, 0)
		w.later(w.between(time.Millisecond, 100*time.Millisecond), func(context.Context) { w.kill(d, 0) })
	}},
	{"kill kdc", 4, func(_ context.Context, w *world) { w.kill(pick(w, w.kdcs), w.between(0, time.Second)) }},
	{"kill everything", 1, func(_ context.Context, w *world) {
		for _, d := range w.daemons() {
			w.kill(d, w.between(0, 500*time.Millisecond))
		}
	}},
	{"stop and continue", 6, func(_ context.Context, w *world) {
		d := pick(w, w.daemons())
		if w.signal(d, syscall.SIGSTOP) {
			p := d.p
			w.later(w.between(50*time.Millisecond, 3*time.Second), func(context.Context) {
				if d.p == p {
					w.signal(d, syscall.SIGCONT)
				}
			})
		}
	}},
	{"reset connections", 5, func(_ context.Context, w *world) { pick(w, w.proxies).cut(true) }},
	{"close connections", 5, func(_ context.Context, w *world) { pick(w, w.proxies).cut(false) }},
	{"stall", 4, func(_ context.Context, w *world) {
		w.trouble(3*time.Second, func(p *proxy) { p.hold(up); p.hold(down) })
	}},
	{"stall one way", 4, func(_ context.Context, w *world) {
		dir := w.rng.IntN(2)
		w.trouble(3*time.Second, func(p *proxy) { p.hold(dir) })
	}},
	{"lose on one side", 3, func(_ context.Context, w *world) { w.trouble(3*time.Second, (*proxy).lose) }},
	{"refuse", 3, func(_ context.Context, w *world) {
		w.trouble(2*time.Second, func(p *proxy) { p.setRefuse(true); p.cut(true) })
	}},
	{"delay", 4, func(_ context.Context, w *world) {
		d := w.between(time.Millisecond, 30*time.Millisecond)
		w.trouble(3*time.Second, func(p *proxy) { p.setDelay(d) })
	}},
	{"fill the disk", 4, func(_ context.Context, w *world) { w.fill(w.between(100*time.Millisecond, 3*time.Second)) }},
	{"clock of a kdc steps", 3, func(_ context.Context, w *world) {
		d := pick(w, w.kdcs)
		offset := w.rng.IntN(400) - 200 // seconds; clocks may differ by 300
		if w.rng.IntN(3) == 0 {
			offset *= 20
		}
		d.args = []string{"-T", fmt.Sprint(offset)}
		w.kill(d, 0)
		w.later(w.between(time.Second, 3*time.Second), func(context.Context) { d.args = nil; w.kill(d, 0) })
	}},
	{"clock of a host steps", 6, func(_ context.Context, w *world) {
		h := pick(w, append([]*testrealm.Host{w.realm.Master}, w.realm.Slaves...))
		offset := time.Duration(w.rng.IntN(400)-200) * time.Second // clocks may differ by 300
		switch w.rng.IntN(4) {
		case 0:
			offset *= 20 // an hour: beyond that
		case 1:
			offset *= 2000 // days: beyond the end of every ticket
		}
		w.step(h, offset)
		w.later(w.between(500*time.Millisecond, 3*time.Second), func(context.Context) { w.step(h, 0) })
	}},
	{"full copy", 2, func(ctx context.Context, w *world) {
		// krep may be down, or be stopped, at this moment: then nothing comes of it
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, _ = w.realm.Master.Run(ctx, "", "krep", "resync", "-r", "EXAMPLE.ORG", pick(w, w.proxies).addr())
	}},
	{"slave list read again", 2, func(_ context.Context, w *world) { w.signal(w.krep, syscall.SIGHUP) }},
}

func pick[T any](w *world, from []T) T { return from[w.rng.IntN(len(from))] }

// trouble is a network that is in trouble for a while.
func (w *world) trouble(atMost time.Duration, make func(*proxy)) {
	p := pick(w, w.proxies)
	make(p)
	w.later(w.between(50*time.Millisecond, atMost), func(context.Context) { p.heal() })
}

// chaos does things until ctx ends.
func (w *world) chaos(ctx context.Context) {
	possible := slices.DeleteFunc(slices.Clone(actions), func(a action) bool { return a.name == "fill the disk" && w.disk == "" })
	total := 0
	for _, a := range possible {
		total += a.weight
	}
	next := time.Now()
	for ctx.Err() == nil {
		w.supervise()
		w.runDue(ctx)
		if now := time.Now(); now.After(next) {
			n := w.rng.IntN(total)
			for _, a := range possible {
				if n -= a.weight; n < 0 {
					w.counts[a.name]++
					a.do(ctx, w)
					break
				}
			}
			next = now.Add(w.between(20*time.Millisecond, 400*time.Millisecond))
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// runDue runs the follow-ups whose time has come. They may add others.
func (w *world) runDue(ctx context.Context) {
	now := time.Now()
	due := w.due
	w.due = nil
	for _, f := range due {
		if f.at.After(now) {
			w.due = append(w.due, f)
			continue
		}
		f.do(ctx)
	}
}

// heal ends all trouble and starts what does not run.
func (w *world) heal(ctx context.Context) {
	w.due = nil
	for _, p := range w.proxies {
		p.heal()
	}
	if w.disk != "" {
		w.empty()
	}
	for _, h := range append([]*testrealm.Host{w.realm.Master}, w.realm.Slaves...) {
		w.step(h, 0)
	}
	for _, d := range w.daemons() {
		w.signal(d, syscall.SIGCONT)
		if d.args != nil {
			d.args = nil
			w.kill(d, 0)
		}
	}
	for _, d := range w.daemons() {
		w.start(ctx, d)
	}
}
