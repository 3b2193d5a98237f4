package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"krealm/tests/largerealm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o largerealm.Options
	flags := flag.NewFlagSet("gen", flag.ExitOnError)
	flags.IntVar(&o.N, "n", 200_000, "number of principals")
	flags.Uint64Var(&o.Seed, "seed", 1, "another seed, another realm")
	flags.StringVar(&o.Realm, "realm", "EXAMPLE.COM", "name of the realm")
	flags.StringVar(&o.Password, "password", "master", "master password")
	flags.IntVar(&o.Policies, "policies", 8, "number of policies; -1: none")
	flags.IntVar(&o.KnownEvery, "known-every", 1000, "one person in so many has the password pw-NAME; -1: none")
	flags.BoolVar(&o.Shuffle, "shuffle", false, "principals in no order")
	out := flags.String("o", "", "`file` to write; standard output if not given")
	stash := flags.String("stash", "", "also write the stash `file`")
	_ = flags.Parse(args) // ends the program on an error
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	r, err := largerealm.New(o)
	if err != nil {
		return err
	}
	if *stash != "" {
		if err := r.WriteStash(*stash); err != nil {
			return err
		}
	}
	if *out == "" {
		return r.WriteDump(ctx, os.Stdout)
	}
	f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return closing(f, r.WriteDump(ctx, f))
}

func closing(c io.Closer, err error) error {
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}
