package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The runtime of Go tosses coins: which of several ready cases a select takes, which of several
// timers of one moment is first, where a walk through a map begins. It also takes the processor from a
// goroutine that has had it for ten milliseconds by the clock on the wall, and lets one that has given it
// up go before those that are ready each time it has looked for one 61 times. None of that can be set
// from outside, so these tests are built with a runtime in which a few lines are changed: while a
// story is told, coins come from the seed, and nobody is interrupted. The changes are laid over the files
// by the go command (-overlay) and are no part of any program of this project.

// patches are the changed lines by file of package runtime. Each text must be there once.
var patches = map[string][][2]string{
	"select.go": {{"j := cheaprandn(uint32(norder + 1))",
		"j := uint32(0)\n\t\tif gp.bubble != nil {\n\t\t\tj = simN(uint32(norder + 1))\n\t\t} else {\n\t\t\tj = cheaprandn(uint32(norder + 1))\n\t\t}"}},
	"time.go": {
		// Not when it is added: a select adds its timers in the order of their addresses.
		{"t.rand = cheaprand()", "if !simOn.Load() {\n\t\t\t\tt.rand = cheaprand()\n\t\t\t}"},
		{"t.trace(\"modify\")\n", "t.trace(\"modify\")\n\tif t.isFake && t.rand == 0 && simOn.Load() {\n\t\tt.rand = uint32(sim64()) | 1\n\t}\n"},
	},
	"rand.go": {
		{"func rand() uint64 {\n", "func rand() uint64 {\n\tif simHere() {\n\t\treturn simAside()\n\t}\n"},
		{"func maps_rand() uint64 {\n", "func maps_rand() uint64 {\n\tif simHere() {\n\t\treturn simMix(^simState)\n\t}\n"},
		// The keys of hash functions: with them, the order within a map.
		{"globalRand.state.Init(*seed)", "*seed = [32]byte{1}\n\tglobalRand.state.Init(*seed)"},
	},
	// A mutex that somebody has waited for longer than a millisecond, by the clock on the wall, is handed over.
	"sema.go": {{"func internal_sync_nanotime() int64 {\n", "func internal_sync_nanotime() int64 {\n\tif simOn.Load() {\n\t\treturn 0\n\t}\n"}},
	"proc.go": {
		{"func retake(now int64) uint32 {\n", "func retake(now int64) uint32 {\n\tif simOn.Load() {\n\t\treturn 0\n\t}\n"},
		// Who has called Gosched waits for all that are ready. The 61 count the runtime's own goroutines.
		{"if pp.schedtick%61 == 0 && !sched.runq.empty() {", "if pp.schedtick%61 == 0 && !sched.runq.empty() && !simOn.Load() {"},
		// Who is woken goes on next, or behind those that are ready already. The root of a bubble is
		// woken when nobody else is ready, and also for timers that were stopped long ago, or not:
		// that depends on addresses.
		{"if randomizeScheduler && next && randn(2) == 0 {",
			"if simOn.Load() {\n\t\tnext = next && gp.bubble != nil && (gp == gp.bubble.root || simN(2) != 0)\n\t} else if randomizeScheduler && next && randn(2) == 0 {"},
	},
}

// added is a file more in package runtime.
const added = `package runtime

import (
	"internal/runtime/atomic"
	_ "unsafe"
)

var (
	simOn    atomic.Bool
	simState uint64
	simLast  uint64 // simState when last asked aside,
	simTimes uint64 // so many times
)

//go:linkname simulate
func simulate(seed uint64, on bool) {
	simState = seed
	simOn.Store(on)
}

//go:linkname simulated
func simulated() uint64 { return simState }

//go:nosplit
func simHere() bool {
	gp := getg().m.curg
	return simOn.Load() && gp != nil && gp.bubble != nil
}

//go:nosplit
func simMix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sim64 is for what every run of a story does alike.
//
//go:nosplit
func sim64() uint64 {
	simState += 0x9e3779b97f4a7c15
	return simMix(simState)
}

// simAside is for the rest, as for the map in something that comes out of a pool now and is made
// anew then: it leaves no trace in what follows.
//
//go:nosplit
func simAside() uint64 {
	if simLast != simState {
		simLast, simTimes = simState, 0
	}
	simTimes++
	return simMix(simState ^ simMix(simTimes))
}

//go:nosplit
func simN(n uint32) uint32 {
	if !simOn.Load() {
		return cheaprandn(n)
	}
	return uint32((sim64() >> 32) * uint64(n) >> 32)
}
`

// nest is the variable that tells the program built with the changed runtime where it is, and to
// remove that.
const nest = "KREALM_SIM_NEST"

func TestMain(m *testing.M) {
	flag.Parse()
	if !seeded {
		fmt.Fprintln(os.Stderr, "sim:", again())
		os.Exit(1)
	}
	if dir := os.Getenv(nest); dir != "" {
		_ = os.RemoveAll(dir)
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // see collect
	os.Exit(m.Run())
}

// again builds this program with the changed runtime and becomes that. It returns only an error.
func again() error {
	dir, err := os.MkdirTemp("", "krealm-sim-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	over, err := overlay(dir)
	if err != nil {
		return err
	}
	program := filepath.Join(dir, "sim.test")
	args := []string{"test", "-c", "-vet=off", "-tags", "krealm_sim", "-overlay", over, "-o", program}
	if b, ok := debug.ReadBuildInfo(); ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	self := slices.DeleteFunc(slices.Clone(os.Args), func(a string) bool { // this one counts no lines
		return strings.HasPrefix(a, "-test.coverprofile") || strings.HasPrefix(a, "-test.gocoverdir")
	})
	return syscall.Exec(program, self, append(os.Environ(), nest+"="+dir))
}

// overlay writes the changed files of the runtime into dir, and the list of them for the go command.
func overlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(string(bytes.TrimSpace(root)), "src", "runtime")
	replace := map[string]string{}
	write := func(name, text string) error {
		replace[filepath.Join(src, name)] = filepath.Join(dir, name)
		return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
	}
	var errs []error
	for name, subs := range patches {
		b, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			return "", err
		}
		text := string(b)
		for _, s := range subs {
			if n := strings.Count(text, s[0]); n != 1 {
				errs = append(errs, fmt.Errorf("%s of %s has %d times, not once: %s", name, runtime.Version(), n, s[0]))
			}
			text = strings.Replace(text, s[0], s[1], 1)
		}
		errs = append(errs, write(name, text))
	}
	errs = append(errs, write("sim_krealm.go", added))
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err := errors.Join(append(errs, err)...); err != nil {
		return "", err
	}
	out := filepath.Join(dir, "overlay.json")
	return out, os.WriteFile(out, list, 0o600)
}
