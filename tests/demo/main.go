package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"krealm/tests/testrealm"
)

// showTimeout bounds the whole show; it takes a few seconds on an idle machine.
const showTimeout = 5 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "directory of kdc, krep and krepd")
	fixture := flag.String("fixture", "tests/testdata/realm", "directory of the MIT realm to load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, *bin, *fixture, os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, bin, fixture string, stdout, stderr io.Writer) int {
	swept, err := testrealm.Sweep()
	for _, dir := range swept {
		fmt.Fprintln(stdout, "removed", dir, "of a run that was killed")
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
	}
	d, err := newDemo(bin, fixture, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer func() {
		if err := d.close(); err != nil {
			fmt.Fprintln(stderr, "demo:", err)
		}
	}()

	show, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	err = d.show(show)
	d.out.table(d.results, time.Since(d.began))
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(stderr, "\nFAILED: %v\n\n%s", err, d.realm.Logs())
		return 1
	}
	if once() {
		return 0
	}
	d.out.usage(d)
	<-ctx.Done()
	fmt.Fprintln(stdout, "\nstopping everything, removing", d.realm.Dir)
	return 0
}

// once tells whether the demo ends by itself.
func once() bool {
	return os.Getenv("ONCE") != "" && os.Getenv("ONCE") != "0" ||
		!term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd()))
}
