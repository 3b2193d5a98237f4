package sim

import (
	"fmt"
	"os"
	"testing"
	"time"
)

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
		t.Logf("%d steps, %d operations, %+v, trace %x", w.steps, w.turns, w.stats, w.trace)
	}
}

// tally sums up stories.
type tally struct {
	begun              time.Time
	stories, steps     int
	operations, failed int
	stats              stats
}

func (y *tally) add(w *world) {
	y.stories++
	y.steps += w.steps
	y.operations += w.turns
	y.stats.kills += w.stats.kills
	y.stats.powerCuts += w.stats.powerCuts
	y.stats.faults += w.stats.faults
	y.stats.cuts += w.stats.cuts
	y.stats.copies += w.stats.copies
	y.stats.commits += w.stats.commits
	y.stats.epochs += w.stats.epochs
}

func (y *tally) String() string {
	return fmt.Sprintf("%d stories, %v each: %d events, %d operations of processes, %d commits, %d epochs, %d full copies; "+
		"%d processes killed, %d power cuts, %d operations failed, %d connections cut", y.stories,
		(time.Since(y.begun) / time.Duration(max(y.stories, 1))).Round(time.Microsecond), y.steps, y.operations, y.stats.commits,
		y.stats.epochs, y.stats.copies, y.stats.kills, y.stats.powerCuts, y.stats.faults, y.stats.cuts)
}

// stories tells n stories, or fewer if the time is over.
func stories(t *testing.T, first uint64, n int, limit time.Duration, real bool) {
	t.Helper()
	y := &tally{begun: time.Now()}
	said := y.begun
	for seed := first; seed < first+uint64(n); seed++ {
		if limit > 0 && time.Since(y.begun) > limit {
			t.Logf("the time is over after %d of %d", y.stories, n)
			break
		}
		w := tell(t, seed, func(p *plan) { p.real = real })
		y.add(w)
		if w.err != nil {
			t.Errorf("%v\nreplay: go test ./tests/sim -run TestSeed -v -sim.seed=%d -sim.real=%v", w.err, seed, real)
			if y.failed++; y.failed >= *flagBad {
				break
			}
		}
		if testing.Verbose() && time.Since(said) > time.Minute {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "sim: seed %d; %v\n", seed, y)
		}
	}
	t.Log(y)
}

// patience is how long a test tells stories on a machine that has much else to do.
const patience = 3 * time.Minute

// TestStories tells stories over the model of the database, or, with -sim.real, over the database.
func TestStories(t *testing.T) {
	limit := *flagDuration
	if limit == 0 {
		limit = patience
	}
	if *flagFirst == 0 {
		t.Fatal("there is no story of seed 0")
	}
	stories(t, *flagFirst, *flagSeeds, limit, *flagReal)
}

// TestRealStories tells some over the real database.
func TestRealStories(t *testing.T) {
	limit := *flagDuration / 4
	if limit == 0 {
		limit = patience / 2
	}
	stories(t, *flagFirst, max(*flagSeeds/20, 1), limit, true)
}

// TestReplay tells stories twice and counts those that come out the same, event by event. What may
// make a difference is told in the package comment.
func TestReplay(t *testing.T) {
	const n = 30
	same := 0
	for seed := uint64(1); seed <= n; seed++ {
		if a, b := tell(t, seed, nil), tell(t, seed, nil); a.trace == b.trace {
			same++
		} else {
			t.Logf("seed %d: %d and %d steps", seed, a.steps, b.steps)
		}
	}
	t.Logf("%d of %d stories were the same twice", same, n)
	if same < n*8/10 {
		t.Error("stories are not replayed")
	}
}
