package daemon

import (
	"context"
	"errors"
	"flag"
	"io"

	"krealm/internal/control"
)

// Status is the command "status" of a program: it asks the daemon how it is, of which T is the
// answer, and tells.
type Status[T any] struct {
	Program string                   // for errors
	Flags   *flag.FlagSet            // the program's; -json is added
	Socket  func() (string, error)   // the control socket, once the flags are parsed
	Print   func(io.Writer, T) error // for people
	Exit    func(T) int              // what the answer makes of the exit status
}

// Run returns the exit status: ExitOK for -help, and ExitNoAnswer where nothing was learned of the
// daemon, by a mistake in the arguments too, since what is ExitUsage elsewhere has a meaning in Exit.
func (s Status[T]) Run(args []string, stdout, stderr io.Writer) int {
	asJSON := s.Flags.Bool("json", false, "print JSON")
	if err := s.Flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return ExitOK
	} else if err != nil || s.Flags.NArg() > 0 {
		return ExitNoAnswer
	}
	var answer T
	path, err := s.Socket()
	if err == nil {
		err = control.Call(context.Background(), path, control.Request{Verb: "status"}, &answer)
	}
	if err != nil {
		Fail(stderr, s.Program, err)
		return ExitNoAnswer
	}
	if *asJSON {
		err = PrintJSON(stdout, answer)
	} else {
		err = s.Print(stdout, answer)
	}
	if err != nil {
		return Fail(stderr, s.Program, err)
	}
	return s.Exit(answer)
}
