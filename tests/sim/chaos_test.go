package sim

import (
	"math"
	"slices"
	"testing"
	"time"
)

// crash says who does not survive an operation.
type crash int

const (
	nobody crash = iota
	killed
	powerCut
)

// verdict is what becomes of an operation.
type verdict struct {
	fail  error // it fails
	crash crash // it is the last of its process or machine,
	late  bool  // once it has happened
	half  bool  // it does a part of what it should, before it fails or all ends
}

func (v verdict) clean() bool { return v.fail == nil && v.crash == nobody }

// verdict draws what becomes of an operation.
func (w *world) verdict(o *op, name string) (v verdict) {
	x := w.draw("verdict " + name)
	how := mix(x)
	divisible := o.kind == "write" || o.kind == "fsync"
	if full := o.p.host.disk.full; full > 0 && unit(mix(x+1)) < full && (o.kind == "write" || o.kind == "create" || o.kind == "commit" || o.kind == "load") {
		return verdict{fail: errNoRoom, half: divisible && how%2 == 0}
	}
	if w.turns++; w.turns == w.plan.crashAt {
		return w.plan.crash
	}
	if w.quiet {
		return v
	}
	kill, power, fault := w.plan.kill, w.plan.power, w.plan.fault+o.p.host.disk.sick
	switch o.kind {
	case "rename", "link", "syncdir", "fsync", "truncate", "load": // where it may hurt
		kill, power, fault = 3*kill, 3*power, 2*fault
	}
	switch u := unit(x); {
	case u < kill:
		v.crash = killed
	case u < kill+power:
		v.crash = powerCut
	case u < kill+power+fault:
		v.fail = errIO
		v.half = divisible && how%3 == 0
		return v
	default:
		return v
	}
	switch how % 3 {
	case 0:
		v.late = true
	case 1:
		v.half = divisible
	}
	return v
}

// TestEveryStep tells one quiet story again and again; each time another operation, up to the last
// one, is the last of its process or machine: before, while or after it takes effect.
func TestEveryStep(t *testing.T) { everyStep(t, false, *flagStride) }

// TestEveryForeignStep does so with a master that has no database of ours.
func TestEveryForeignStep(t *testing.T) { everyStep(t, true, 4**flagStride-3) }

func everyStep(t *testing.T, foreign bool, stride int) {
	t.Helper()
	whole := tell(t, 1, kind{turn: math.MaxInt, foreign: foreign}.edit)
	if whole.err != nil {
		t.Fatal(whole.err)
	}
	share(t, func(part, parts int) {
		stories, end := 0, time.Now().Add(max(*flagDuration, patience/2))
		for at := 1; at <= whole.turns; at++ {
			if time.Now().After(end) {
				t.Logf("the time is over at turn %d", at)
				break
			}
			for i := range verdicts {
				if (at+i)%stride != 0 || at%parts != part {
					continue
				}
				k := kind{turn: at, how: i, foreign: foreign}
				stories++
				if !k.check(t, tell(t, 1, k.edit)) {
					return
				}
			}
		}
		t.Logf("%d stories, a trouble at each of %d turns", stories, whole.turns)
	})
}

// verdicts are what becomes of the one operation.
var verdicts = []verdict{
	{crash: killed}, {crash: killed, late: true}, {crash: killed, half: true},
	{crash: powerCut}, {crash: powerCut, late: true}, {crash: powerCut, half: true},
	{fail: errIO}, {fail: errNoRoom, half: true},
}

// quiet is the plan of a story without trouble.
func quiet(p *plan) {
	*p = plan{slaves: 2, grandkids: 1, writers: 2, think: 100 * time.Millisecond, burst: 3, budget: 8, names: 5,
		trouble: 4 * time.Second, every: time.Hour, latency: time.Millisecond, buffer: 65536, slow: map[string]int{},
		heartbeat: 1500 * time.Millisecond, ticket: time.Hour, feedWindow: 500, sendWindow: 1000, minCut: 300,
		maxCopies: 1, keep: 3}
	for _, name := range []string{"master", "slave0", "slave1", "grandkid0"} {
		p.slow[name] = 1
	}
}

// trouble makes something happen now and then, until it is time to mend everything.
func (w *world) trouble() {
	if w.quiet {
		return
	}
	w.mischief(w.hosts[w.rng.IntN(len(w.hosts))])
	w.after(time.Duration((0.2+1.6*w.rng.Float64())*float64(w.plan.every)), "trouble", w.trouble)
}

// echo makes a trouble follow another one on the same machine, soon: what is wrong with a program shows where it has just begun
// to deal with something else.
func (w *world) echo(h *host) {
	if w.quiet || h.shaken || unit(w.draw("echo "+h.name)) >= w.plan.echo {
		return
	}
	h.shaken = true
	w.after(between(w.draw("echo after "+h.name), 0, 3*time.Second), "echo "+h.name, func() {
		h.shaken = false
		if !w.quiet {
			w.mischief(h)
		}
	})
}

// mischief is one trouble on a machine, or about it.
func (w *world) mischief(h *host) {
	defer w.echo(h)
	p := w.plan
	r := h.roles[w.rng.IntN(len(h.roles))]
	length := time.Duration(w.rng.Float64() * float64(4*time.Second))
	x := w.rng.Uint64()
	switch p.troubles[w.rng.IntN(len(p.troubles))] {
	case cutConn:
		w.net.cut(x)
	case partition:
		o := w.hosts[x%uint64(len(w.hosts))]
		if o != h {
			w.net.part(h.name, o.name, true)
			w.after(length, "rejoin", func() { w.net.part(h.name, o.name, false) })
		}
	case killOne:
		if r.p != nil {
			w.stats.kills++
			r.p.kill()
		}
	case cutPower:
		h.cutPower()
	case stopOne: // SIGTERM
		if r.p != nil {
			r.p.cancel()
		}
	case freezeOne: // SIGSTOP, SIGCONT
		if r.p != nil {
			r.p.frozen = w.now() + length
		}
	case fillDisk:
		h.disk.full = []float64{1, 0.5, 0.9}[x%3] // where there is little room, some operations find enough
		w.after(length, "room on "+h.name, func() { h.disk.full = 0 })
	case sickenDisk:
		h.disk.sick = []float64{0.02, 0.1, 0.3}[x%3]
		w.after(length, "disk of "+h.name, func() { h.disk.sick = 0 })
	case askResync:
		w.resync(h, x)
	case changeList:
		if h.delta() != "" {
			w.relist(h, x, length)
		}
	case askPause:
		w.pause(h, x, length)
	case refuseChange:
		h.db.refuse(true)
	case turnClock:
		h.skew = time.Duration(int64(x)%int64(2*time.Hour)) / time.Duration(1+x>>40%1000)
		w.after(length, "clock of "+h.name, func() { h.skew = 0 })
	case spoilSpool:
		h.rotSpool(x)
	case changeKey:
		h.changeKey(x, length)
	case tamper:
		if h.parent != nil && !p.foreign { // where nothing compares content
			w.oracle.doubt(h)
			h.db.tamper("user0@" + realmName)
		}
	}
}

// set is the running krep of a host.
func (h *host) set() *krepParts {
	if k := h.krep.Load(); k != nil && !k.p.gone() {
		return k
	}
	return nil
}

func (w *world) resync(h *host, x uint64) {
	if k := h.set(); k != nil && len(h.listed) > 0 {
		s := h.listed[x%uint64(len(h.listed))]
		w.oracle.excuse(s)
		_ = k.set.Resync(s.name)
	}
}

func (w *world) pause(h *host, x uint64, length time.Duration) {
	k := h.set()
	if k == nil || len(h.listed) == 0 {
		return
	}
	s := h.listed[x%uint64(len(h.listed))]
	_ = k.set.Pause(s.name, true)
	w.after(length, "resume "+s.name, func() {
		if !k.p.gone() {
			_ = k.set.Pause(s.name, false) // it may be off the list by now
		}
	})
}

// relist takes a slave off the list for a while.
func (w *world) relist(h *host, x uint64, length time.Duration) {
	if len(h.listed) == 0 {
		return
	}
	i := int(x % uint64(len(h.listed)))
	s := h.listed[i]
	w.oracle.excuse(s) // the cut that is under way now does not know that it comes back
	h.list(slices.Delete(slices.Clone(h.listed), i, i+1))
	w.after(length, "list "+s.name, func() {
		if !slices.Contains(h.listed, s) {
			h.list(append(slices.Clone(h.listed), s))
		}
	})
}

// mend ends all trouble: whatever is not running is started, and nothing fails any more.
func (w *world) mend() {
	w.quiet = true
	w.net.mu.Lock()
	clear(w.net.parted)
	w.net.mu.Unlock()
	w.net.flush()
	for _, h := range w.hosts {
		h.disk.full, h.disk.sick, h.skew = 0, 0, 0
		h.clean()
		h.db.refuse(false)
		h.list(slices.Clone(h.kids))
		h.boot()
		for _, r := range h.roles {
			if r.p != nil {
				r.p.frozen = 0
			}
		}
		if k := h.set(); k != nil {
			for _, s := range h.kids {
				_ = k.set.Pause(s.name, false)
			}
		}
	}
}
