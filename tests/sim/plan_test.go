package sim

import (
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// plan is the character of a story, drawn from its seed.
type plan struct {
	slaves, grandkids int // grandkids hang off the first slave, which is then a relay
	writers           int
	think             time.Duration // between two runs of a writer
	burst             int           // most changes of one run
	budget            int           // changes of the whole story, about
	names             int           // in the realm
	bulk              int           // octets that an entry may be larger
	trouble           time.Duration // how long things break
	every             time.Duration // between two troubles
	troubles          []trouble     // the kinds of them
	echo              float64       // troubles that another one follows

	latency          time.Duration
	spike            float64 // octets that take long
	duplicate        float64 // connections that are accepted twice
	flip             float64 // pieces that arrive altered
	buffer           int     // octets on their way in one direction
	deaf             float64 // changes of a directory that nobody is told of
	slow             map[string]int
	heartbeat        time.Duration
	ticket           time.Duration // lifetime
	feedWindow       int64
	sendWindow       int64
	minCut           int64
	maxSize          int64
	maxAge           time.Duration
	maxCopies        int
	keep             uint64
	kill, power      float64 // operations that are the last of their process or machine
	fault            float64 // operations that fail
	fullDisk         bool
	epochs, resyncs  bool
	lists, refusals  bool
	tampering, pause bool
	calls            float64       // slaves that connect to krep
	waits            float64       // changes after which the writer waits for slaves
	clocks           bool          // machines whose clock jumps
	inspects         time.Duration // between two runs of krep verify, at most; 0: none. With the real database only.
	fine             bool          // looking at a file takes its turn as well

	crashAt int     // the operation that
	crash   verdict // comes out so

	foreign  bool    // the master has no database of ours
	badDumps float64 // full copies of it that fail

	sick  bool    // disks get sick
	rot   float64 // files that a power cut damages where they were durable
	rekey bool    // services get new keys

	real bool      // the database is the real one
	talk io.Writer // where everything is logged; nil: nowhere
	bugs *bugs
}

// newPlan draws a plan. Most troubles are absent from most stories, so that what remains is seen in
// combination with much or with little else.
func newPlan(r *rand.Rand) plan {
	pick := func(n ...int) int { return n[r.IntN(len(n))] }
	often := func(p float64) bool { return r.Float64() < p }
	rate := func(p float64, rates ...float64) float64 {
		if !often(p) {
			return 0
		}
		return rates[r.IntN(len(rates))]
	}
	ms := func(n ...int) time.Duration { return time.Duration(pick(n...)) * time.Millisecond }
	p := plan{
		slaves: pick(1, 1, 2, 2, 3), grandkids: pick(0, 0, 0, 1, 2),
		writers: pick(1, 2, 3), think: ms(50, 300, 1000, 3000), burst: pick(1, 3, 10, 40), budget: pick(20, 60, 60, 200), names: pick(3, 10, 40),
		bulk: pick(0, 0, 200, 4000), trouble: ms(3000, 8000, 15000), every: ms(150, 500, 1500),
		latency: ms(1, 5, 40), spike: rate(0.3, 0.001, 0.01), duplicate: rate(0.3, 0.1, 0.5), flip: rate(0.1, 0.001),
		buffer: pick(4096, 65536, 1<<20), deaf: rate(0.3, 0.1, 1), heartbeat: ms(1500, 2500, 5000),
		feedWindow: int64(pick(1, 1000, 10000, 16<<20)), sendWindow: int64(pick(1, 2000, 8<<20)),
		minCut: int64(pick(200, 2000, 1<<20)), maxCopies: pick(1, 4), keep: uint64(pick(2, 8, 50, 1000)),
		kill: rate(0.7, 0.001, 0.004, 0.02), power: rate(0.6, 0.0005, 0.003), fault: rate(0.5, 0.001, 0.01),
		fullDisk: often(0.3), epochs: often(0.25), resyncs: often(0.2), lists: often(0.2), refusals: often(0.2),
		tampering: often(0.1), pause: often(0.2), ticket: 8 * time.Hour, slow: map[string]int{},
		calls: rate(0.3, 0.5, 1), fine: often(0.06),
	}
	if p.bulk == 0 && p.latency == time.Millisecond && often(0.3) {
		p.buffer = 600 // a frame comes in many pieces; more would take longer than the patience of a reader
	}
	if often(0.2) {
		p.ticket = time.Duration(pick(72, 20)) * time.Second // a stream is begun anew a minute before, or at half time
	}
	if p.buffer >= 65536 && often(0.03) {
		p.bulk, p.names, p.budget = 400_000, 3, 10 // a change takes several messages
	}
	if often(0.25) {
		p.maxSize = int64(pick(800, 4000, 20000))
	}
	if often(0.1) {
		p.maxAge = 2 * time.Second
	}
	p.waits, p.clocks, p.inspects = rate(0.4, 0.1, 0.6), often(0.15), ms(0, 10, 100, 1000)
	for _, name := range []string{"master", "slave0", "slave1", "slave2", "grandkid0", "grandkid1"} {
		p.slow[name] = pick(1, 1, 1, 1, 4, 50)
	}
	p.echo = rate(0.6, 0.1, 0.3, 0.6)
	p.rot, p.rekey, p.sick = rate(0.12, 0.3, 1), often(0.2), often(0.3)
	p.choose(often(0.5), often)
	p.foreign, p.badDumps = often(0.1), rate(0.4, 0.1, 0.5)
	return p
}

// trouble is a kind of trouble.
type trouble int

const (
	cutConn trouble = iota
	partition
	killOne
	cutPower
	stopOne
	freezeOne
	fillDisk
	sickenDisk
	spoilSpool
	askResync
	changeList
	askPause
	refuseChange
	tamper
	turnClock
	changeKey
)

// choose lists the kinds of trouble of a story: those that it has at all, each as often as it is listed; few: each only
// perhaps.
func (p *plan) choose(few bool, often func(float64) bool) {
	for _, k := range []struct {
		kind  trouble
		times int
		ok    bool
	}{
		{cutConn, 2, true}, {partition, 1, true}, {killOne, 1, p.kill > 0}, {cutPower, 1, p.power > 0}, {stopOne, 1, true},
		{freezeOne, 2, true}, {fillDisk, 1, p.fullDisk}, {sickenDisk, 2, p.sick}, {spoilSpool, 1, p.rot > 0},
		{askResync, 1, p.resyncs}, {changeList, 1, p.lists}, {askPause, 1, p.pause}, {refuseChange, 2, p.refusals},
		{tamper, 1, p.tampering}, {turnClock, 1, p.clocks}, {changeKey, 2, p.rekey},
	} {
		if drop := few && !often(0.5); k.ok && !drop {
			p.troubles = append(p.troubles, slices.Repeat([]trouble{k.kind}, k.times)...)
		}
	}
	if len(p.troubles) == 0 {
		p.troubles = []trouble{cutConn}
	}
}
