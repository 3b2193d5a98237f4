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

	"krealm/tests/testrealm"
)

func main() {
	bin := flag.String("bin", "bin", "directory of kdc, krep and krepd")
	sizes := flag.String("n", "200000", "numbers of principals, with commas")
	reps := flag.Int("reps", 3, "repetitions")
	shuffle := flag.Bool("shuffle", false, "load a dump in no order")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *sizes, *reps, *shuffle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, sizes string, reps int, shuffle bool) error {
	if reps < 1 {
		return errors.New("-reps: want 1 at least")
	}
	fmt.Printf("kdb5_util, ours against the stock one: %d processors, %s\n", runtime.NumCPU(), loadAverage())
	for _, word := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("-n: %w", err)
		}
		if err := size(ctx, bin, n, reps, shuffle); err != nil {
			return fmt.Errorf("%d principals: %w", n, err)
		}
	}
	return nil
}

// size measures one size and prints its table.
func size(ctx context.Context, bin string, n, reps int, shuffle bool) (err error) {
	realm, err := testrealm.New(testrealm.Options{Bin: bin, Slaves: []string{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, realm.Close()) }()
	b, err := newBench(ctx, realm, n, shuffle)
	if err != nil {
		return err
	}
	for rep := range reps {
		for _, op := range operations {
			for turn := range programs {
				if err := b.measure(ctx, op, programs[(turn+rep)%len(programs)]); err != nil {
					return err
				}
			}
		}
	}
	return b.report(os.Stdout, n, reps)
}

// loadAverage tells how busy the machine is: figures of a busy one say little.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) == 0 {
		return "load unknown"
	}
	return "load " + fields[0]
}
