package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spread is how a number of measurements, in seconds, is distributed.
type spread struct{ p50, p99, worst float64 }

func spreadOf(list []time.Duration) spread {
	slices.Sort(list)
	at := func(share float64) float64 { return list[int(share*float64(len(list)-1))].Seconds() }
	return spread{at(0.5), at(0.99), at(1)}
}

func (s spread) String() string {
	return fmt.Sprintf("p50 %6.2f ms   p99 %6.2f ms   worst %6.2f ms", s.p50*1e3, s.p99*1e3, s.worst*1e3)
}

// probe measures appending half a KiB to a file, and its fsync.
type probe struct {
	file *os.File
	list []time.Duration
}

func newProbe(dir string) (*probe, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	return &probe{file: f}, err
}

func (p *probe) sample() error {
	start := time.Now()
	_, err := p.file.Write(make([]byte, 512))
	err = errors.Join(err, p.file.Sync())
	p.list = append(p.list, time.Since(start))
	return err
}

func (p *probe) close() error { return errors.Join(p.file.Close(), os.Remove(p.file.Name())) }

// clockTick is USER_HZ, which is 100 on every architecture that Go knows.
const clockTick = 100

// cpuTime is the user and system time, in seconds, of a process and of those of its children that
// have ended.
func cpuTime(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	total := 0
	for _, f := range fields[11:15] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / clockTick, nil
}

// memory is a line of /proc/PID/status in MiB: VmRSS, VmHWM.
func memory(pid int, line string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(l, line+": %f kB", &kib); n == 1 {
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("pid %d: no %s", pid, line)
}

// wire is what TCP has carried on the connections to a port of this machine.
func wire(port int) (sent, received int64, err error) {
	out, err := exec.Command("ss", "-tinH", fmt.Sprintf("dport = :%d", port)).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("ss: %w", err)
	}
	for _, word := range strings.Fields(string(out)) {
		name, value, _ := strings.Cut(word, ":")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "bytes_sent":
			sent += n
		case name == "bytes_received":
			received += n
		}
	}
	return sent, received, nil
}
