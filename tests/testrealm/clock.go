package testrealm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names a host's clock file to programs that BuildStepped has built.
const clockVariable = "KREALM_TEST_CLOCK"

// stepSource is added to package time: Now adds what stands in the clock file, in seconds. Timers go
// by the monotonic clock and are left alone, as by a real step.
const stepSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var clockFile = func() *int64 {
	name, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("clock file: " + err.Error())
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("clock file: " + err.Error())
	}
	_ = syscall.Close(fd)
	return (*int64)(unsafe.Pointer(&b[0]))
}()

func stepped() int64 { return atomic.LoadInt64(clockFile) }
`

// BuildStepped is Build for programs whose wall clock follows their host's clock file: see Step. The
// sources are the same, only package time is another one. A Go program asks the kernel for the time
// without the C library, so nothing that is put before it would do.
func BuildStepped(ctx context.Context, module, dir string) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("testrealm: go env: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(src, "time.go"))
	if err != nil {
		return err
	}
	const call = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if bytes.Count(text, []byte(call)) != 1 {
		return fmt.Errorf("testrealm: time.Now of %s is not what this knows how to step", src)
	}
	text = bytes.Replace(text, []byte(call), []byte(call+"\tsec += stepped()\n"), 1)
	work, err := os.MkdirTemp("", "krealm-clock-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	now, step, overlay := filepath.Join(work, "time.go"), filepath.Join(work, "step.go"), filepath.Join(work, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(src, "time.go"): now, filepath.Join(src, "zz_step.go"): step,
	}})
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{now: text, step: []byte(stepSource), overlay: replace} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return err
		}
	}
	return build(ctx, module, dir, "-overlay", overlay)
}

// Step sets how far the host's wall clock is off, in whole seconds, for all programs on it that
// BuildStepped has built, those that run included.
func (h *Host) Step(offset time.Duration) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(offset/time.Second))
	f, err := os.OpenFile(h.clock, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b[:], 0); err != nil {
		return err
	}
	return f.Close()
}
