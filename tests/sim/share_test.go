package sim

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // in case work ends the test
	helpers := make([]*helper, 0, parts)
	for i := 1; i < parts; i++ {
		helpers = append(helpers, startHelper(ctx, t, append(slices.Clone(own), fmt.Sprintf("-sim.part=%d/%d", i, parts))))
	}
	work(0, parts)
	for i, h := range helpers {
		h.wait(t, fmt.Sprintf("part %d of %d", i+2, parts))
	}
}

// helper is a process that does a part. Its output goes to a file, and nobody waits for its end before
// the test has done its own part: in this runtime a goroutine that is blocked in a system call keeps
// the only processor, and a story that is being told would stand still until it returns.
type helper struct {
	cmd *exec.Cmd
	out *os.File
}

func startHelper(ctx context.Context, t *testing.T, args []string) *helper {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{exec.CommandContext(ctx, "/proc/self/exe", args...), out} // whose name is gone
	t.Cleanup(func() {
		_ = h.cmd.Wait() // again, as a rule; or for one that ctx has killed, or that was never started
		_ = out.Close()
	})
	h.cmd.Stdout, h.cmd.Stderr = out, out
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *helper) wait(t *testing.T, what string) {
	t.Helper()
	err := h.cmd.Wait()
	said, readErr := os.ReadFile(h.out.Name())
	if err = errors.Join(err, readErr); err != nil {
		t.Errorf("%s: %v\n%s", what, err, said)
		return
	}
	t.Logf("%s:\n%s", what, bytes.TrimSpace(said))
}
