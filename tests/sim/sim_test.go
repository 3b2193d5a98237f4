package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
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
	flagRepeat   = flag.Int("sim.repeat", 1, "so many times")
	flagSeeds    = flag.Int("sim.seeds", 300, "how many stories TestStories tells")
	flagFirst    = flag.Uint64("sim.first", 1, "the seed of the first of them")
	flagDuration = flag.Duration("sim.duration", 0, "tell stories for so long instead")
	flagBad      = flag.Int("sim.bad", 1, "how many bad stories TestStories puts up with before it stops")
	flagReal     = flag.Bool("sim.real", false, "with the real database")
)

func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1) // see the package comment
	os.Exit(m.Run())
}

// tell tells the story of a seed and returns what was wrong.
func tell(t *testing.T, seed uint64, edit func(*plan)) (w *world) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w = &world{t: t, seed: seed, rng: rng, plan: newPlan(rng), begun: time.Now(), log: zerolog.Nop(),
			counts: map[string]uint64{}, wake: make(chan struct{}, 1)}
		if edit != nil {
			edit(&w.plan)
		}
		if w.plan.talk {
			zerolog.TimeFieldFormat = time.RFC3339Nano
			w.log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, NoColor: true, TimeFormat: "04:05.000000"}).
				Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) { e.Timestamp() }))
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
		if !w.plan.real {
			h.db = newStore(h)
		} else {
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
	copies := w.stats.copies
	w.run(w.now()+calmTime, func() bool { return false })
	if w.err == nil && !w.still() {
		w.unrest("rest did not last")
	}
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

// TestSeed tells one story, in every detail if tests are verbose.
func TestSeed(t *testing.T) {
	if *flagSeed == 0 {
		return
	}
	for range *flagRepeat {
		w := tell(t, *flagSeed, func(p *plan) { p.talk, p.real = testing.Verbose() && *flagRepeat == 1, *flagReal })
		if w.err != nil {
			t.Error(w.err)
		}
		t.Logf("%d steps, %d operations, %+v, trace %x", w.steps, w.ops, w.stats, w.trace)
	}
}

// TestStories tells many.
func TestStories(t *testing.T) {
	begun := time.Now()
	var total stats
	steps, n, bad := 0, 0, 0
	for seed := *flagFirst; ; seed++ {
		if *flagDuration > 0 && time.Since(begun) > *flagDuration || *flagDuration == 0 && n == *flagSeeds {
			break
		}
		w := tell(t, seed, func(p *plan) { p.real = *flagReal })
		if w.err != nil {
			t.Errorf("%v\nreplay: go test ./tests/sim -run TestSeed -sim.seed=%d -v", w.err, seed)
			if bad++; bad == *flagBad {
				break
			}
		}
		n++
		steps += w.steps
		total.kills += w.stats.kills
		total.powerCuts += w.stats.powerCuts
		total.faults += w.stats.faults
		total.cuts += w.stats.cuts
		total.copies += w.stats.copies
		total.commits += w.stats.commits
		total.epochs += w.stats.epochs
	}
	t.Logf("%d stories, %d steps, %+v, %v each", n, steps, total, time.Since(begun)/time.Duration(max(n, 1)))
}

// TestReplay tells stories twice and counts those that come out the same, event by event. What may
// make a difference is told in the package comment.
func TestReplay(t *testing.T) {
	const stories = 30
	same := 0
	for seed := uint64(1); seed <= stories; seed++ {
		if a, b := tell(t, seed, nil), tell(t, seed, nil); a.trace == b.trace {
			same++
		} else {
			t.Logf("seed %d: %d and %d steps", seed, a.steps, b.steps)
		}
	}
	t.Logf("%d of %d stories were the same twice", same, stories)
	if same < stories*8/10 {
		t.Error("stories are not replayed")
	}
}
