package sim

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/krbmsg"
	"krealm/internal/stream/streamtest"
)

var (
	flagSeed     = flag.Uint64("sim.seed", 0, "tell the story of this seed (TestSeed)")
	flagSeeds    = flag.Int("sim.seeds", 2000, "how many stories TestStories tells")
	flagFirst    = flag.Uint64("sim.first", 1, "the seed of the first of them")
	flagDuration = flag.Duration("sim.duration", 0, "stop telling after so long")
	flagStride   = flag.Int("sim.stride", 4, "TestEveryStep tells one in so many stories")
	flagBad      = flag.Int("sim.bad", 1, "how many bad stories TestStories puts up with before it stops")
	flagReplays  = flag.Int("sim.replays", 300, "how many stories TestReplay tells twice")
	flagBrief    = flag.Bool("sim.brief", false, "TestSeed tells no more than the sum of the story")
	flagReal     = flag.Bool("sim.real", false, "with the real database")
	flagForeign  = flag.Bool("sim.foreign", false, "with a master that has no database of ours")
	flagBug      = flag.String("sim.bug", "", "with this bug planted (see TestMutants)")
	flagTurn     = flag.Int("sim.turn", 0, "the quiet story of TestEveryStep, in which this operation goes wrong")
	flagHow      = flag.Int("sim.how", 0, "in which way it does")
	flagPart     = flag.String("sim.part", "", "i/n: this part of the work only")
)

// tell tells the story of a seed and returns what was wrong.
func tell(t *testing.T, seed uint64, edit func(*plan)) (w *world) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	collect(64 << 20)
	var lines bytes.Buffer
	defer func() {
		simulate(0, false)
		if w != nil && w.plan.talk != nil { // only now, for it takes random numbers
			out := zerolog.ConsoleWriter{Out: w.plan.talk, NoColor: true, TimeFormat: "04:05.000000"}
			for line := range bytes.Lines(lines.Bytes()) {
				_, _ = out.Write(line)
			}
		}
	}()
	simulate(mix(seed), true)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w = &world{t: t, seed: seed, rng: rng, plan: newPlan(rng), begun: time.Now(), log: zerolog.Nop(),
			counts: map[string]uint64{}, wake: make(chan struct{}, 1)}
		if edit != nil {
			edit(&w.plan)
		}
		if w.plan.talk != nil {
			zerolog.TimeFieldFormat = time.RFC3339Nano
			w.log = zerolog.New(&lines).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) { e.Timestamp() }))
		}
		w.story()
	})
	return w
}

// story sets up a realm and tells what becomes of it.
func (w *world) story() {
	w.net = newNetwork(w)
	w.oracle = newOracle(w)
	realm := streamtest.NewRealm(realmName)
	realm.Edit = func(p *krbmsg.EncTicketPart) { p.EndTime = p.AuthTime + int64(w.plan.ticket/time.Second) }
	m := w.addHost("master", nil, realm, false)
	for i := range w.plan.slaves {
		s := w.addHost(fmt.Sprintf("slave%d", i), m, realm, i == 0 && w.plan.grandkids > 0)
		if i == 0 {
			for j := range w.plan.grandkids {
				w.addHost(fmt.Sprintf("grandkid%d", j), s, realm, false)
			}
		}
	}
	var dir string
	if w.plan.real {
		dir = realDir()
		defer func() { _ = os.RemoveAll(dir) }()
	}
	for _, h := range w.hosts {
		h.calls = h.parent != nil && unit(w.draw("calls")) < w.plan.calls
		switch {
		case h.parent == nil && w.plan.foreign:
			h.legacy = newLegacy(h)
			h.db = h.legacy
		case !w.plan.real:
			h.db = newStore(h)
		default:
			own := filepath.Join(dir, h.name)
			if err := os.Mkdir(own, 0o700); err != nil {
				panic(err)
			}
			s := newRealStore(h, own)
			defer s.close()
			h.db = s
		}
		h.listed = append(h.listed, h.kids...)
	}
	w.oracle.look()
	for _, h := range w.hosts {
		h.boot()
	}
	w.after(w.plan.every, "trouble", w.trouble)
	if w.plan.real && w.plan.inspects > 0 {
		w.after(w.plan.inspects, "inspection", w.inspections)
	}
	if w.plan.foreign {
		w.after(10*time.Second, "resyncs", w.resyncs)
	}
	never := func() bool { return false }
	w.run(w.plan.trouble, never)
	if w.err == nil {
		w.rest()
	}
	w.shutDown()
}

// Times that the realm is given, by its own clock.
const (
	restTime = 10 * time.Minute
	calmTime = 20 * time.Second
)

// rest mends everything and waits until all is equal; then it makes sure that it stays so, that a
// change still reaches everybody, and that nobody needs a full copy for it.
func (w *world) rest() {
	for _, r := range w.hosts[0].roles {
		if r.isWriter() {
			r.off = true
		}
	}
	w.mend()
	if !w.run(w.now()+restTime, w.still) {
		w.unrest("no rest")
		return
	}
	w.compareAll()
	copies := w.stats.copies
	w.run(w.now()+calmTime, func() bool { return false })
	if !w.run(w.now()+calmTime, w.still) { // a stream may just be begun anew, for its ticket has ended
		w.unrest("rest did not last")
		return
	}
	w.calm = true
	for _, r := range w.hosts[0].roles {
		if r.name == "writer0" {
			r.off = false
			w.hosts[0].start(r)
			r.off = true
		}
	}
	before := w.oracle.sights[w.hosts[0]].at
	epoch := before.Epoch
	if !w.run(w.now()+restTime, w.still) {
		w.unrest("no rest after one more run")
		return
	}
	if now := w.oracle.sights[w.hosts[0]].at; w.err == nil && now.Epoch == epoch && w.stats.copies > copies && w.plan.maxSize == 0 {
		w.fail("%d full copies at rest", w.stats.copies-copies)
	}
}

// still says whether all is equal. It costs something, so it is asked only when a look at the
// databases says yes.
func (w *world) still() bool {
	last := w.oracle.sights[w.hosts[0]].at
	for _, r := range w.hosts[0].roles {
		if r.isWriter() && r.p != nil {
			return false
		}
	}
	for _, h := range w.hosts {
		if !w.oracle.sights[h].at.Same(last) {
			return false
		}
	}
	return w.oracle.equal() == nil
}

func (w *world) unrest(what string) {
	if w.err == nil {
		w.fail("O6: %s: %w", what, w.oracle.equal())
	}
}

// shutDown ends all processes and waits for their last goroutine.
func (w *world) shutDown() {
	for _, h := range w.hosts {
		h.off = true
		for _, r := range h.roles {
			if r.p != nil {
				r.p.kill()
			}
		}
	}
	synctest.Wait()
	t := time.NewTimer(time.Hour) // for those that wait for a timer
	<-t.C
	synctest.Wait()
}
