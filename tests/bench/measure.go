package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// program is who is measured.
type program string

const (
	ours  program = "ours"
	stock program = "MIT"
)

var programs = []program{ours, stock}

// operation is what is measured.
type operation string

const (
	loadNew  operation = "load, new database"
	loadOver operation = "load over the old"
	dump     operation = "dump"
)

var operations = []operation{loadNew, loadOver, dump}

// sample is one run of one program.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // resident bytes
}

type bench struct {
	host   *testrealm.Host
	ours   string // path of our kdc
	stock  string // path of the stock kdb5_util
	input  string // dump file to load
	want   string // what a dump must be; another file where input is shuffled
	size   int64  // of want
	result map[operation]map[program][]sample
}

// newBench makes the realm's files.
func newBench(ctx context.Context, realm *testrealm.Realm, n int, shuffle bool) (*bench, error) {
	path, err := testrealm.Stock("kdb5_util")
	if err != nil {
		return nil, err
	}
	h := realm.Master
	b := &bench{host: h, ours: filepath.Join(realm.Bin, "kdc"), stock: path, result: make(map[operation]map[program][]sample),
		input: filepath.Join(h.Dir, "input"), want: filepath.Join(h.Dir, "input")}
	for _, op := range operations {
		b.result[op] = make(map[program][]sample)
	}
	o := largerealm.Options{N: n, Realm: testrealm.RealmName, KnownEvery: -1}
	if shuffle {
		shuffled := o
		shuffled.Shuffle = true
		b.want = filepath.Join(h.Dir, "want")
		if err := writeRealm(ctx, shuffled, b.input, h.Stash); err != nil {
			return nil, err
		}
	}
	if err := writeRealm(ctx, o, b.want, h.Stash); err != nil {
		return nil, err
	}
	fi, err := os.Stat(b.want)
	if err != nil {
		return nil, err
	}
	b.size = fi.Size()
	return b, nil
}

func writeRealm(ctx context.Context, o largerealm.Options, dump, stash string) error {
	r, err := largerealm.New(o)
	if err != nil {
		return err
	}
	if err := r.WriteStash(stash); err != nil {
		return err
	}
	f, err := os.OpenFile(dump, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteDump(ctx, f), f.Sync(), f.Close())
}

// command is the command line of one measurement.
func (b *bench) command(op operation, who program) []string {
	args := []string{b.stock}
	if who == ours {
		args = []string{b.ours, "kdb5_util"}
	}
	args = append(args, "-r", testrealm.RealmName)
	if op == dump {
		return append(args, "dump", b.output(who))
	}
	return append(args, "load", b.input)
}

func (b *bench) output(who program) string {
	return filepath.Join(b.host.Dir, "dump-"+string(who))
}

// measure runs one program once.
func (b *bench) measure(ctx context.Context, op operation, who program) error {
	if op == loadNew {
		if err := b.removeDatabase(who); err != nil {
			return err
		}
	}
	s, err := execute(ctx, b.host.Env(), b.host.Dir, b.command(op, who))
	if err != nil {
		return err
	}
	b.result[op][who] = append(b.result[op][who], s)
	if op != dump {
		return nil
	}
	same, err := sameFiles(b.output(who), b.want)
	if err == nil && !same {
		err = fmt.Errorf("the dump of %s is not what it has loaded", who)
	}
	return err
}

// removeDatabase removes the files of one program's database: the two lie side by side, and ours
// have .sqlite in their names.
func (b *bench) removeDatabase(who program) error {
	files, err := filepath.Glob(b.host.Database + "*")
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.Contains(filepath.Base(f), ".sqlite") != (who == ours) {
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// sampleEvery is how often the memory of a running program is looked at. The kernel keeps the
// peak, so that only what grows in the last moment can be missed.
const sampleEvery = 5 * time.Millisecond

// execute runs a command to its end. Its peak memory is read from /proc while it runs: the figure
// that wait4 gives begins with the memory of the process that started it.
func execute(ctx context.Context, env []string, dir string, command []string) (sample, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var text bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, dir, &text, &text
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	var s sample
	for {
		select {
		case err := <-ended:
			s.wall = time.Since(start)
			if err != nil {
				return sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, text.Bytes())
			}
			s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			return s, nil
		case <-tick.C:
			s.peak = max(s.peak, peakMemory(cmd.Process.Pid))
		}
	}
}

// peakMemory reads VmHWM of a process; 0 when it has ended.
func peakMemory(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// sameFiles compares two files piece by piece: they may be larger than the memory.
func sameFiles(one, two string) (same bool, err error) {
	a, err := os.Open(one)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := os.Open(two)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return sameContents(a, b)
}
