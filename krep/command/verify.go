package command

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/quorum"
	"krealm/kdc/kdb"
	"krealm/krep/verify"
)

// Exit statuses of krep verify.
const (
	exitSame    = 0 // all slaves have the master's content
	exitUnknown = 1 // some could not be compared, and none differs
	exitDiffer  = 2 // some differ, or the master's rows were changed behind its back
	// exitNoAnswer: the daemon does not answer
)

// verifyTimeout is how long slaves have to catch up with the serial that is compared, and to
// answer, unless -timeout says otherwise.
const verifyTimeout = time.Minute

var (
	errNotOurs   = errors.New("full copies come from snapshot_command: there is no database of ours to compare with")
	errVerifying = errors.New("a comparison is running already")
)

// verify answers the request of that name: {deep, timeout}.
func (k *krep) verify(ctx context.Context, args map[string]string) (any, error) {
	timeout, err := time.ParseDuration(args["timeout"])
	if err != nil {
		return nil, fmt.Errorf("timeout: %w", err)
	}
	src, ok := k.source.(*databaseSource)
	if !ok {
		return nil, errNotOurs
	}
	if !k.verifying.TryLock() {
		return nil, errVerifying
	}
	defer k.verifying.Unlock()
	defer daemon.Wide()()
	timeout = min(timeout, quorum.MaxTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the master's database was not read within %v: give it a longer -timeout", timeout))
	defer cancel()
	known, err := src.open(ctx)
	if err != nil {
		return nil, advised(late(ctx, err))
	}
	db, err := kdb.Open(ctx, src.path, kdb.Options{ReadOnly: true}) // what the file has, not what a connection remembers of it
	if src.met(known, err, false); err != nil {
		return nil, advised(late(ctx, err))
	}
	defer func() { _ = db.Close() }()
	var names []string
	for _, s := range k.set.Status() {
		names = append(names, s.Name)
	}
	start := time.Now()
	r, err := verify.Run(ctx, metBy{db, src, known}, k.set, names, args["deep"] == "true")
	if err != nil {
		return nil, advised(late(ctx, err))
	}
	src.found(r.ByHand)
	e := k.log.Info()
	if exitVerify(r) == exitDiffer {
		e = k.log.Error()
	}
	for _, s := range r.Slaves {
		e = e.Str(s.Slave, s.Result)
	}
	e.Uint64("serial", r.Serial).Dur("took_ms", time.Since(start)).Msg("content compared")
	return r, nil
}

// late prefers why ctx has ended to its symptom.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func exitVerify(r *verify.Report) int {
	code := exitSame
	if r.ByHand {
		code = exitDiffer
	}
	for _, s := range r.Slaves {
		switch {
		case s.Result == verify.Differs:
			return exitDiffer
		case s.Result == verify.Unknown:
			code = max(code, exitUnknown)
		}
	}
	return code
}

func verifyCommand(args []string, stdout, stderr io.Writer) int {
	f := newFlags("krep verify", stderr, false)
	deep := f.Bool("deep", false, "name the principals and policies that differ")
	asJSON := f.Bool("json", false, "print JSON")
	timeout := f.Duration("timeout", verifyTimeout, "`how long` slaves that are behind have to catch up")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return daemon.ExitOK
	} else if err != nil || f.NArg() > 0 || *timeout <= 0 {
		if err == nil {
			_, _ = fmt.Fprintln(stderr, "usage: krep verify [-deep] [-json] [-timeout 1m]")
		}
		return exitNoAnswer
	}
	path, err := f.socket()
	if err != nil {
		fail(stderr, err)
		return exitNoAnswer
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout+10*time.Second)
	defer cancel()
	var r verify.Report
	err = control.Call(ctx, path, control.Request{Verb: "verify",
		Args: map[string]string{"deep": strconv.FormatBool(*deep), "timeout": timeout.String()}}, &r)
	if err != nil {
		fail(stderr, err)
		if errors.Is(err, control.ErrNoAnswer) {
			return exitNoAnswer
		}
		return exitUnknown
	}
	if *asJSON {
		err = daemon.PrintJSON(stdout, r)
	} else {
		err = printVerify(stdout, &r)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitVerify(&r)
}

func printVerify(w io.Writer, r *verify.Report) error {
	if _, err := fmt.Fprintf(w, "epoch %s   serial %d   %d entries\n", r.Epoch, r.Serial, r.Entries); err != nil {
		return err
	}
	if r.ByHand {
		_, _ = fmt.Fprintln(w, byHandText)
	}
	if len(r.Slaves) == 0 {
		_, err := fmt.Fprintln(w, "no slaves listed")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "SLAVE\tRESULT\tSERIAL\tENTRIES\tDETAIL")
	for _, s := range r.Slaves {
		serial, entries := strconv.FormatUint(s.Serial, 10), strconv.Itoa(s.Entries)
		if s.Serial == 0 && s.Result == verify.Unknown {
			serial, entries = "-", "-"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Slave, s.Result, serial, entries, detail(&s))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, s := range r.Slaves {
		for _, e := range s.Names {
			name := e.Name
			if raw, err := hex.DecodeString(e.NameHex); err == nil && len(raw) > 0 {
				name = string(raw)
			}
			if _, err := fmt.Fprintf(w, "%s: %s %s: %s\n", s.Slave, e.Kind, printable(name), e.How); err != nil {
				return err
			}
		}
		if s.More {
			_, _ = fmt.Fprintf(w, "%s: and more\n", s.Slave)
		}
	}
	return nil
}

// detail is what a table says of a slave beside its result.
func detail(s *verify.Slave) string {
	text := "-"
	if s.Result == verify.Differs {
		text = fmt.Sprintf("%d of 256 parts", s.Parts)
	}
	if s.ByHand {
		text += ", changed behind its back"
	}
	if s.Reason == "" {
		return text
	}
	reason := strings.Map(visible, s.Reason) // may quote a slave
	if text == "-" {
		return reason
	}
	return text + "; " + reason
}
