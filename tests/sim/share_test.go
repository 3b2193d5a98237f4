package sim

import (
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// share does a test's work on all processors. A story needs a process of its own, for it rules over
// the runtime; so the test is run once more in other processes, each with one part of the work.
func share(t *testing.T, work func(part, parts int)) {
	t.Helper()
	part, parts := 0, runtime.NumCPU()
	if *flagPart != "" {
		if n, err := fmt.Sscanf(*flagPart, "%d/%d", &part, &parts); n != 2 || err != nil || parts < 1 {
			t.Fatalf("-sim.part=%s", *flagPart)
		}
		work(part, parts)
		return
	}
	own := []string{"-test.run=^" + t.Name() + "$", "-test.v=true"}
	flag.Visit(func(f *flag.Flag) {
		switch {
		case f.Name == "test.run", f.Name == "test.v", f.Name == "test.testlogfile", strings.HasSuffix(f.Name, "profile"): // one writes those files
		default:
			own = append(own, "-"+f.Name+"="+f.Value.String())
		}
	})
	var helpers sync.WaitGroup
	said := make([]string, parts)
	for i := 1; i < parts; i++ {
		c := exec.CommandContext(t.Context(), "/proc/self/exe", // whose name is gone
			append(slices.Clone(own), fmt.Sprintf("-sim.part=%d/%d", i, parts))...)
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		helpers.Go(func() {
			out, err := c.CombinedOutput()
			if said[i] = strings.TrimSpace(string(out)); err != nil {
				t.Errorf("part %d of %d: %v\n%s", i+1, parts, err, said[i])
			}
		})
	}
	work(0, parts)
	helpers.Wait()
	for i, s := range said[1:] {
		t.Logf("part %d of %d:\n%s", i+2, parts, s)
	}
}
