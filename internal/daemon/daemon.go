package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// Exit codes.
const (
	ExitOK    = 0
	ExitFail  = 1
	ExitUsage = 2
)

// Logger writes JSON lines, or, where stderr is a terminal, lines for people.
func Logger(stderr io.Writer, program string, debug bool) zerolog.Logger {
	w := stderr
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w = zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.TimeOnly}
	}
	level := zerolog.InfoLevel
	if debug {
		level = zerolog.DebugLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Str("program", program).Logger()
}

// Signals returns a context that ends with the first SIGINT or SIGTERM, and a channel of
// SIGHUPs. After the first SIGINT or SIGTERM, and after stop, these have their usual effect again: a second one kills. A
// SIGHUP never does: to read the configuration again is nothing that a program which ends is killed for.
func Signals(parent context.Context) (ctx context.Context, hup <-chan os.Signal, stop func()) {
	ctx, cancel := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return ctx, c, cancel
}

// Interrupts is Signals for a command, which has nothing to read again: a SIGHUP, of the terminal that is closed
// mostly, ends the context as well.
func Interrupts(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, cancel)
	return ctx, cancel
}

// List is a flag that may be given several times.
type List []string

// String implements flag.Value.
func (l *List) String() string { return strings.Join(*l, " ") }

// Set implements flag.Value.
func (l *List) Set(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	*l = append(*l, s)
	return nil
}
