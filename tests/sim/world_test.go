package sim

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// world is the scheduler of one story: it makes events happen one at a time.
type world struct {
	t     *testing.T
	seed  uint64
	plan  plan
	rng   *rand.Rand // of the goroutine that runs the story, and of nobody else
	begun time.Time
	log   zerolog.Logger

	mu     sync.Mutex // guards what follows
	events events
	counts map[string]uint64 // how often a name has been drawn
	wake   chan struct{}

	steps int
	trace uint64 // of all events so far
	ops   int    // operations of processes
	turns int    // those that got their turn
	err   error  // the first thing that was wrong
	quiet bool   // nothing fails any more
	calm  bool   // and all is equal

	net    *network
	hosts  []*host
	oracle *oracle
	stats  stats
}

// stats count what a story was made of.
type stats struct {
	kills, powerCuts, faults, cuts, copies, commits, epochs, waits, verified, rots int
}

// maxSteps ends a story that goes in circles.
const maxSteps = 400_000

// event happens at a time; of several at one time, in an order that the seed decides.
type event struct {
	at    time.Duration
	order uint64
	name  string
	do    func()
}

type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return x
}

func (w *world) now() time.Duration { return time.Since(w.begun) }

// draw returns a random number that depends on the seed, the name and how often the name has
// been drawn, but not on what else goes on.
func (w *world) draw(name string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drawLocked(name)
}

func (w *world) drawLocked(name string) uint64 {
	n := w.counts[name]
	w.counts[name] = n + 1
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return mix(mix(w.seed^h.Sum64()) + n)
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit makes a drawn number one from 0 to 1.
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// between spreads a drawn number over a span of time, short times more often than long ones.
func between(x uint64, low, high time.Duration) time.Duration {
	u := unit(x)
	return low + time.Duration(u*u*u*float64(high-low))
}

// note writes down that something happens, and with which octets.
func (w *world) note(what string, data []byte) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%x %x %d %s %d ", w.trace, simulated(), w.now(), what, len(data))
	_, _ = h.Write(data)
	w.trace = h.Sum64()
	if e := w.log.Trace(); e.Enabled() { // with the hash of all before it
		e.Str("event", what).Hex("sum", binary.BigEndian.AppendUint64(nil, w.trace)).Send()
	}
}

// after makes something happen later. It may be called by anybody.
func (w *world) after(d time.Duration, name string, do func()) {
	w.mu.Lock()
	heap.Push(&w.events, &event{at: w.now() + d, order: w.drawLocked("order " + name), name: name, do: do})
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// fail notes the first thing that is wrong. The story ends there.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, %v, step %d: %w", w.seed, w.now(), w.steps, fmt.Errorf(format, args...))
	}
}

// run lets events happen until done says so, something is wrong, or the time is over.
func (w *world) run(until time.Duration, done func() bool) (ended bool) {
	for w.err == nil {
		synctest.Wait()
		if done() {
			return true
		}
		w.mu.Lock()
		var next *event
		if len(w.events) > 0 {
			next = w.events[0]
		}
		now := w.now()
		if next != nil && next.at <= now {
			heap.Pop(&w.events)
		}
		w.mu.Unlock()
		switch {
		case next != nil && next.at <= now:
			w.step(next)
		case now >= until:
			return false
		default:
			wait := until - now
			if next != nil {
				wait = min(wait, next.at-now)
			}
			t := time.NewTimer(wait)
			select {
			case <-w.wake:
			case <-t.C:
			}
			t.Stop()
		}
	}
	return false
}

func (w *world) step(e *event) {
	w.steps++
	simulate(mix(w.seed^mix(uint64(w.steps))), true) // what the runtime did while all waited is forgotten
	w.note(e.name, nil)
	e.do()
	synctest.Wait()
	w.oracle.look()
	if w.steps%500 == 0 {
		collect(512 << 20)
	}
	if w.steps > maxSteps {
		w.fail("no end after %d steps", w.steps)
	}
}

// Errors that operations of simulated processes end with.
var (
	errKilled = errors.New("the process is no more")
	errIO     = errors.New("input/output error")
	errNoRoom = errors.New("no space left on device")
)

// op is something a process is about to do to the world.
type op struct {
	p      *proc
	kind   string
	effect func(half bool) error // nil: nothing but taking its time
	done   chan error            // takes one
	over   bool
}

// do performs an operation of a process: it waits for its turn, has its effect, or some of it, or
// none, and tells what the process sees of that. effect runs while everybody waits.
func (p *proc) do(kind, name string, effect func(half bool) error) error {
	w := p.w
	o := &op{p: p, kind: kind, effect: effect, done: make(chan error, 1)}
	w.mu.Lock()
	if p.dead {
		w.mu.Unlock()
		return errKilled
	}
	w.ops++
	p.pending = append(p.pending, o)
	full := p.id() + " " + kind + " " + name
	took := p.takes(kind, w.drawLocked("time "+full))
	heap.Push(&w.events, &event{at: w.now() + took, order: w.drawLocked("order " + full), name: full, do: func() { w.perform(o, full) }})
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return <-o.done
}

// glance is a look at something: others may come in between only where the plan has time for that.
func (p *proc) glance(kind, name string) error {
	if p.w.plan.fine {
		return p.do(kind, name, nil)
	}
	if p.gone() {
		return errKilled
	}
	return nil
}

// perform gives an operation its turn.
func (w *world) perform(o *op, name string) {
	if o.over {
		return
	}
	if thaw := o.p.frozen; thaw > w.now() { // stopped: not now
		w.after(thaw-w.now(), name, func() { w.perform(o, name) })
		return
	}
	v := w.verdict(o, name)
	var err error
	if o.effect != nil && (v.clean() || v.half || v.late) {
		err = o.effect(v.half)
	}
	if v.fail != nil {
		err = v.fail
		w.stats.faults++
		w.echo(o.p.host)
	}
	if o.kind == "snapshot" || o.kind == "dump" || o.kind == "load" {
		w.echo(o.p.host)
	}
	switch v.crash {
	case killed:
		w.stats.kills++
		o.p.kill()
		w.echo(o.p.host)
	case powerCut:
		o.p.host.cutPower()
	}
	if err != nil {
		w.note(name+": "+err.Error(), nil)
	}
	o.finish(err)
}

// finish lets the process go on.
func (o *op) finish(err error) {
	if o.over {
		return
	}
	o.over = true
	o.p.w.mu.Lock()
	o.p.pending = slices.DeleteFunc(o.p.pending, func(x *op) bool { return x == o })
	o.p.w.mu.Unlock()
	o.done <- err
}

// collect collects garbage if there is much. Nothing else does: a collection at a time of its own
// choosing would change who runs when.
func collect(most uint64) {
	live := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	if metrics.Read(live); live[0].Value.Uint64() > most {
		runtime.GC()
	}
}
