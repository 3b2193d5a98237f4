package sim

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kind is what a story is besides its seed.
type kind struct {
	real bool   // over the real database
	bug  string // planted, by its name in mutants
	turn int    // of the quiet plan: the operation that comes out as verdicts[how]
	how  int

	foreign bool // over a master without a database of ours
}

// kindOf is the kind that the flags say.
func kindOf() kind { return kind{*flagReal, *flagBug, *flagTurn, *flagHow, *flagForeign} }

// edit makes a plan one of this kind.
func (k kind) edit(p *plan) {
	if k.turn > 0 {
		quiet(p)
		p.crashAt, p.crash = k.turn, verdicts[k.how]
	}
	p.foreign = (p.foreign || k.foreign) && !k.real
	if m, ok := mutants[k.bug]; ok {
		p.bugs, p.foreign = &m.plant, m.foreign
	}
	p.real = k.real
}

// again is the command that tells a story again.
func (k kind) again(seed uint64) string {
	var args []string
	if k.real {
		args = append(args, "-sim.real")
	}
	if k.foreign {
		args = append(args, "-sim.foreign")
	}
	if k.turn > 0 {
		args = append(args, fmt.Sprintf("-sim.turn=%d -sim.how=%d", k.turn, k.how))
	}
	if k.bug != "" {
		args = append(args, fmt.Sprintf("-sim.bug=%s", k.bug))
	}
	command := fmt.Sprintf("make simulate SEED=%d SEEDS=1", seed)
	if len(args) > 0 {
		command += " ARGS='" + strings.Join(args, " ") + "'"
	}
	return command
}

// check reports a story that was bad.
func (k kind) check(t *testing.T, w *world) bool {
	t.Helper()
	if w.err != nil {
		t.Errorf("%v\ntell it again: %s", w.err, k.again(w.seed))
	}
	return w.err == nil
}

// TestSeed tells one story, in every detail if tests are verbose.
func TestSeed(t *testing.T) {
	if *flagSeed == 0 {
		return
	}
	k := kindOf()
	if _, ok := mutants[k.bug]; !ok && k.bug != "" {
		t.Fatalf("no such bug; there are %q", slices.Sorted(maps.Keys(mutants)))
	}
	w := tell(t, *flagSeed, func(p *plan) {
		if k.edit(p); testing.Verbose() && !*flagBrief {
			p.talk = os.Stderr
		}
	})
	if w.err != nil {
		t.Error(w.err)
	}
	t.Logf("%d steps, %d operations, %+v, sum %016x", w.steps, w.turns, w.stats, w.trace)
}

// apart tells a story in a process of its own, and returns its last words; ok says whether it was
// good. The engine of the real database keeps much in its process from one story to the next.
func (k kind) apart(t *testing.T, seed uint64) (sum string, ok bool) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestSeed$", "-test.v", "-sim.brief",
		fmt.Sprintf("-sim.seed=%d", seed), fmt.Sprintf("-sim.real=%v", k.real))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\ntell it again: %s", err, out, k.again(seed))
	}
	for line := range strings.Lines(string(out)) {
		if _, after, found := strings.Cut(line, "sum "); found {
			sum = strings.TrimSpace(after)
		}
	}
	return sum, err == nil && sum != ""
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
	y.stats.waits += w.stats.waits
	y.stats.verified += w.stats.verified
}

func (y *tally) String() string {
	return fmt.Sprintf("%d stories, %v each: %d events, %d operations of processes, %d commits, %d waited for, %d epochs, %d full copies, %d slaves verified; "+
		"%d processes killed, %d power cuts, %d operations failed, %d connections cut", y.stories,
		(time.Since(y.begun) / time.Duration(max(y.stories, 1))).Round(time.Microsecond), y.steps, y.operations, y.stats.commits,
		y.stats.waits, y.stats.epochs, y.stats.copies, y.stats.verified, y.stats.kills, y.stats.powerCuts, y.stats.faults, y.stats.cuts)
}

// stories tells n stories, or fewer if the time is over.
func stories(t *testing.T, k kind, first uint64, n int, limit time.Duration) {
	t.Helper()
	share(t, func(part, parts int) {
		y := &tally{begun: time.Now()}
		said := y.begun
		for seed := first + uint64(part); seed < first+uint64(n); seed += uint64(parts) {
			if limit > 0 && time.Since(y.begun) > limit {
				t.Logf("the time is over after %d of %d", y.stories, n/parts)
				break
			}
			w := tell(t, seed, k.edit)
			y.add(w)
			if !k.check(t, w) {
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
	})
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
	stories(t, kindOf(), *flagFirst, *flagSeeds, limit)
}

// TestRealStories tells some over the real database.
func TestRealStories(t *testing.T) {
	limit := *flagDuration / 4
	if limit == 0 {
		limit = patience / 2
	}
	share(t, func(part, parts int) {
		begun, told, bad := time.Now(), 0, 0
		for i := part; i < max(*flagSeeds/20, 1) && bad < *flagBad && time.Since(begun) < limit; i += parts {
			if _, ok := (kind{real: true}).apart(t, *flagFirst+uint64(i)); !ok {
				bad++
			}
			told++
		}
		t.Logf("%d stories", told)
	})
}

// TestReplay tells stories twice: each must come out the same, event by event and octet by octet.
// They are the ones before those of the other tests, so they count too.
func TestReplay(t *testing.T) {
	share(t, func(part, parts int) {
		same, real, first, end := 0, 0, *flagFirst+1<<40, time.Now().Add(patience/2)
		for i := part; i < *flagReplays && time.Now().Before(end); i += parts {
			if (kind{foreign: *flagForeign}).replays(t, first+uint64(i)) {
				same++
			}
		}
		for i := part; i < *flagReplays/10 && time.Now().Before(end.Add(patience/6)); i += parts {
			k, seed := kind{real: true}, first+uint64(i)
			a, ok := k.apart(t, seed)
			if b, _ := k.apart(t, seed); a == b && ok {
				real++
			} else {
				t.Errorf("seed %d: two stories over the real database, sums %s and %s\ntell it again: %s", seed, a, b, k.again(seed))
			}
		}
		t.Logf("told twice and the same: %d stories, %d over the real database", same, real)
	})
}

// replays tells a story twice, the second time writing everything down, and says whether they are
// the same; if not, it is told once more to show where they part.
func (k kind) replays(t *testing.T, seed uint64) bool {
	t.Helper()
	record := func() (*world, []byte) {
		var b bytes.Buffer
		w := tell(t, seed, func(p *plan) { k.edit(p); p.talk = &b })
		return w, b.Bytes()
	}
	a := tell(t, seed, k.edit)
	k.check(t, a)
	b, text := record()
	if a.trace == b.trace && a.steps == b.steps {
		return true
	}
	_, other := record()
	t.Errorf("seed %d: two stories, %d and %d steps\ntell it again: %s", seed, a.steps, b.steps, k.again(seed))
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(other, line)
		if !ok {
			there, _, _ := bytes.Cut(other, []byte("\n"))
			t.Logf("first difference between those written down:\n%s%s", line, there)
			return false
		}
		other = rest
	}
	t.Log("those that were written down are the same")
	return false
}
