package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// settings are the command line.
type settings struct {
	bin     string
	fixture string
	slaves  []int
	changes int // of a burst
	singles int // of a latency measurement
	copied  int // principals of a full copy
	stock   bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareWord {
		if err := answerBarely(strings.Join(os.Args[2:], "")); err != nil {
			fmt.Fprintln(os.Stderr, "replication: bare process:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "directory of kdc, krep and krepd")
	flag.StringVar(&s.fixture, "fixture", "tests/testdata/realm", "realm to begin with")
	list := flag.String("slaves", "1,2,8,64", "numbers of slaves, with commas")
	flag.IntVar(&s.changes, "n", 10000, "changes of a burst")
	flag.IntVar(&s.singles, "singles", 1000, "changes of a latency measurement")
	flag.IntVar(&s.copied, "copy", 200000, "principals of a full copy; 0: none is measured")
	flag.BoolVar(&s.stock, "stock", true, "measure the stock iprop pair too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := s.parse(*list)
	if err == nil {
		err = s.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replication:", err)
		os.Exit(1)
	}
}

func (s *settings) parse(list string) error {
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("-slaves: %q is no number of slaves", word)
		}
		s.slaves = append(s.slaves, n)
	}
	if s.changes < 1 || s.singles < 1 {
		return errors.New("-n, -singles: want 1 at least")
	}
	return nil
}

func (s *settings) run(ctx context.Context) error {
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("replication, ours and the stock iprop pair: %d processors, load %.4s\n", runtime.NumCPU(), load)
	var ours, theirs script
	for i, n := range s.slaves {
		r, err := s.measure(ctx, n, i == 0)
		if err != nil {
			return fmt.Errorf("%d slaves: %w", n, err)
		}
		if i == 0 {
			ours = r
		}
	}
	if s.copied > 0 {
		if err := s.fullCopy(ctx); err != nil {
			return fmt.Errorf("full copy: %w", err)
		}
	}
	if !s.stock {
		return nil
	}
	theirs, err := s.measureStock(ctx)
	if err != nil {
		return fmt.Errorf("stock pair: %w", err)
	}
	compare(ours, theirs)
	return nil
}

// script is what is measured of both pairs alike, with one slave.
type script struct {
	single  spread  // seconds from the end of kadmin.local to the slave's having the change
	all     float64 // seconds from the start of a script to the slave's having all of it
	changes int
	cpu     float64 // seconds of the daemons during the script
}

func compare(ours, theirs script) {
	fmt.Printf("\nthe same commands through kadmin.local, one slave           ours         MIT   MIT/ours\n")
	row := func(what string, a, b float64, unit string, factor float64) {
		fmt.Printf("  %-50s %8.2f %s %8.2f %s %10.1f\n", what, a*factor, unit, b*factor, unit, b/a)
	}
	row("one command to the slave, p50", ours.single.p50, theirs.single.p50, "ms", 1000)
	row("one command to the slave, p99", ours.single.p99, theirs.single.p99, "ms", 1000)
	row(fmt.Sprintf("a script of %d changes: slave has all after", ours.changes), ours.all, theirs.all, "s ", 1)
	row("processor time of the daemons, a change", ours.cpu/float64(ours.changes), theirs.cpu/float64(theirs.changes), "ms", 1000)
}
