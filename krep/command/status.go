package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/quorum"
	"krealm/kdc/kdb"
	"krealm/krep/sender"
)

// Exit statuses of krep status.
const (
	exitStreaming = 0 // all are streaming or catching up
	exitLagging   = 1 // the delta file lacks changes, is ahead of the database, or cannot be cut; some are retrying, paused, waiting to be called, behind for long, or fed by another krep too
	exitBroken    = 2 // some are broken, or the master's entries were changed behind its back
	exitNoAnswer  = daemon.ExitNoAnswer
)

// Where full copies come from. A command gives no digest of the master's content, so there is
// nothing to compare the slaves' content with.
const (
	fromDatabase = "database"
	fromCommand  = "command"
)

func (s *settings) sourceName() string {
	if s.snapshotCmd != "" {
		return fromCommand
	}
	return fromDatabase
}

// byHandText is said where the rows of the master's database are not what its changes have made.
const byHandText = "the master's own entries were changed behind its back: they are not what its changes have made of them"

// status is what the daemon says of itself.
type status struct {
	Realm      string `json:"realm"`
	Epoch      string `json:"epoch,omitempty"`
	Serial     uint64 `json:"serial"`
	Base       uint64 `json:"base"`             // serial before the first change the file holds
	DeltaBytes int64  `json:"delta_file_bytes"` // of changes
	DeltaLimit int64  `json:"delta_file_limit_bytes"`
	Unsent     uint64 `json:"changes_not_in_delta_file,omitempty"` // but in the database
	Trouble    string `json:"trouble,omitempty"`                   // why the delta file cannot be cut
	Unreadable string `json:"delta_file_trouble,omitempty"`        // why it cannot be read

	UnsentSince *time.Time `json:"changes_not_in_delta_file_since,omitempty"` // when the first of them was made
	OtherEpoch  string     `json:"database_epoch,omitempty"`                  // of the database, where the delta file is of another one
	Missing     string     `json:"delta_file_missing,omitempty"`              // its name, as long as there is none
	Unread      string     `json:"database_trouble,omitempty"`                // why the database cannot be read
	Back        *uint64    `json:"database_put_back_to,omitempty"`            // its serial, where the delta file is ahead of it

	ListTrouble string `json:"slave_list_trouble,omitempty"` // why the slave list as it is now is not followed

	Source    string        `json:"snapshot_source"`           // fromDatabase or fromCommand
	ByHand    bool          `json:"changed_by_hand,omitempty"` // the master's rows are not what its changes have made
	Principal string        `json:"principal"`
	Started   time.Time     `json:"started"`
	Now       time.Time     `json:"now"`
	Slaves    []slaveStatus `json:"slaves"`
}

type slaveStatus struct {
	sender.Status
	BehindSince *time.Time `json:"behind_since,omitempty"` // when the first change it lacks was made
}

// handle answers requests on the control socket.
func (k *krep) handle(ctx context.Context, r control.Request) (any, error) {
	name := r.Args["slave"]
	switch r.Verb {
	case "status":
		return k.status(ctx), nil
	case quorum.Verb:
		return k.wait(ctx, r.Args)
	case "verify":
		return k.verify(ctx, r.Args)
	case "resync":
		return nil, k.resync(name)
	case "pause":
		return nil, k.pause(name, true)
	case "resume":
		return nil, k.pause(name, false)
	}
	return nil, fmt.Errorf("unknown request %q", r.Verb)
}

func (k *krep) status(ctx context.Context) status {
	base, last, ok := k.feed.View()
	bytes, _ := k.feed.Size()
	st := status{Realm: k.s.Realm.Name, Serial: last.Serial, Base: base.Serial, DeltaBytes: bytes,
		DeltaLimit: k.s.maxSize, Source: k.s.sourceName(), Trouble: k.feed.Trouble(), Unreadable: k.feed.Unread(),
		Principal: k.client.Principal, Started: k.started, Now: time.Now()}
	if ok {
		st.Epoch = last.Epoch.String()
	} else {
		st.Missing = k.s.delta
	}
	if why := k.listTrouble.Load(); why != nil {
		st.ListTrouble = *why
	}
	if src, ours := k.source.(*databaseSource); ours {
		st.ByHand = src.byHand.Load()
		if ok {
			st.lacks(src.unsent(ctx, last))
		} else {
			st.unread(src.readable(ctx))
		}
		if st.Unread == "" {
			st.unread(src.known())
		}
	}
	for _, s := range k.set.Status() {
		one := slaveStatus{Status: s}
		if s.Behind > 0 {
			if t, ok := k.feed.Since(s.Applied); ok {
				one.BehindSince = &t
			}
		}
		st.Slaves = append(st.Slaves, one)
	}
	return st
}

// lacks takes note of what the delta file lacks, or of why that is not known.
func (st *status) lacks(u unsent, err error) {
	st.unread(err)
	if u.n > 0 || u.epoch != 0 {
		st.Unsent, st.UnsentSince = u.n, &u.since
	}
	if u.epoch != 0 {
		st.OtherEpoch = u.epoch.String()
	}
	st.Back = u.back
}

// unread takes note of why the database cannot be read, if it cannot.
func (st *status) unread(err error) {
	if err != nil {
		st.Unread = advised(err).Error()
	}
}

// advised adds to an error of the database what to do about it, where it is not to be guessed.
func advised(err error) error {
	if errors.Is(err, kdb.ErrDamaged) {
		return fmt.Errorf("%w; %s", err, mendText)
	}
	return err
}

// socket returns the control socket that the flags or the configuration name.
func (f *flags) socket() (string, error) { return daemon.Socket(f.realm, f.control, "control") }

func statusCommand(args []string, stdout, stderr io.Writer) int {
	f := newFlags("krep status", stderr, false)
	lag := f.Duration("lag", defaultLag, "how long a slave may be behind before the exit status is 1")
	return daemon.Status[status]{Program: "krep", Flags: f.FlagSet, Socket: f.socket, Print: printStatus,
		Exit: func(st status) int { return exitStatus(st, *lag) }}.Run(args, stdout, stderr)
}

// defaultLag is more than any change takes that is on its way.
const defaultLag = time.Minute

func exitStatus(st status, lag time.Duration) int {
	code := exitStreaming
	if st.ByHand {
		return exitBroken
	}
	if st.UnsentSince != nil && st.Now.Sub(*st.UnsentSince) > lag || st.Back != nil || st.Trouble+st.Unread+st.Unreadable+st.ListTrouble != "" {
		code = exitLagging
	}
	for _, s := range st.Slaves {
		switch s.State {
		case "broken":
			return exitBroken
		case "retrying", "paused", "waiting":
			code = exitLagging
		}
		if s.Contested || s.State == "connecting" && s.Failures > 0 {
			code = exitLagging
		}
		if s.BehindSince != nil && st.Now.Sub(*s.BehindSince) > lag {
			code = exitLagging
		}
	}
	return code
}

func printStatus(w io.Writer, st status) error {
	epoch := st.Epoch
	if epoch == "" {
		epoch = "- (no delta file yet)"
	}
	if _, err := fmt.Fprintf(w, "realm %s   epoch %s   serial %d   delta file %s (limit %s)\n",
		st.Realm, epoch, st.Serial, sizeText(st.DeltaBytes), sizeText(st.DeltaLimit)); err != nil {
		return err
	}
	printTroubles(w, st)
	if len(st.Slaves) == 0 {
		_, err := fmt.Fprintln(w, "no slaves listed: the delta file is dropped as it fills")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "SLAVE\tSTATE\tSENT\tSPOOLED\tAPPLIED\tBEHIND\tSINCE\tLAST ERROR")
	for _, s := range st.Slaves {
		state := s.State
		if state == "full" {
			state = fmt.Sprintf("full %d%%", s.Percent)
		}
		behind := fmt.Sprint(s.Behind)
		if s.BehindSince != nil {
			behind += " (" + durationText(st.Now.Sub(*s.BehindSince)) + ")"
		}
		if s.Epoch != st.Epoch {
			behind = "other epoch"
		}
		sent, spooled, applied := fmt.Sprint(s.Sent), fmt.Sprint(s.Spooled), fmt.Sprint(s.Applied)
		if s.Epoch == "" || s.Unknown || s.State == "full" {
			sent, spooled, applied, behind = "-", "-", "-", "-"
		}
		var last []string
		if s.LastError != "" {
			last = append(last, s.LastError)
		}
		if s.FullDue != "" {
			last = append(last, "full copy due: "+s.FullDue)
		}
		if len(last) == 0 {
			last = []string{"-"}
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, state, sent, spooled, applied, behind,
			durationText(st.Now.Sub(s.Since)), strings.Map(visible, strings.Join(last, "; ")))
	}
	return tw.Flush()
}

// printTroubles says what is to be known of the master, and what is wrong with it.
func printTroubles(w io.Writer, st status) {
	if st.Missing != "" {
		made := "a change, or a kdc that runs, makes it, if kdc.conf names it to them, and they say why if they cannot"
		if st.Source == fromCommand {
			made = "krep delta init makes it"
		}
		_, _ = fmt.Fprintf(w, "there is no delta file %q: %s\n", st.Missing, made)
	}
	if st.Source == fromCommand {
		_, _ = fmt.Fprintln(w, "full copies come from a command: there is no digest of the master, the slaves' content is not compared with it")
	}
	if st.ByHand {
		_, _ = fmt.Fprintln(w, byHandText)
	}
	if st.Unread != "" {
		_, _ = fmt.Fprintf(w, "the database cannot be read, for full copies and for the comparison of the slaves' content: %s\n", st.Unread)
	}
	if st.Back != nil {
		_, _ = fmt.Fprintf(w, "the database is at serial %d, before the delta file's end: it was put back to an earlier copy; a running kdc, or the next change, begins a new epoch, and all slaves get a full copy\n", *st.Back)
	}
	switch {
	case st.OtherEpoch != "":
		_, _ = fmt.Fprintf(w, "the delta file is of another epoch than the database, which has been in epoch %s for %s, at serial %d\n",
			st.OtherEpoch, durationText(st.Now.Sub(*st.UnsentSince)), st.Unsent)
	case st.UnsentSince != nil && st.Unsent == 1:
		_, _ = fmt.Fprintf(w, "the delta file lacks one change that the database has, made %s ago\n", durationText(st.Now.Sub(*st.UnsentSince)))
	case st.UnsentSince != nil:
		_, _ = fmt.Fprintf(w, "the delta file lacks %d changes that the database has, the first of them made %s ago\n",
			st.Unsent, durationText(st.Now.Sub(*st.UnsentSince)))
	}
	if st.ListTrouble != "" {
		_, _ = fmt.Fprintf(w, "the changed slave list is not taken up, the one before stays: %s\n", st.ListTrouble)
	}
	if st.Unreadable != "" {
		_, _ = fmt.Fprintf(w, "the delta file cannot be read: %s\n", st.Unreadable)
	}
	if st.Trouble != "" {
		_, _ = fmt.Fprintf(w, "the delta file cannot be cut: %s\n", st.Trouble)
	}
}

// visible replaces what a terminal could take for an order: errors quote what snapshot commands say.
func visible(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.3g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.3g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// durationText prints the two largest units, as "3d4h" or "12s".
func durationText(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// askCommand runs krep resync, pause and resume.
func askCommand(verb string, args []string, stdout, stderr io.Writer) int {
	f := newFlags("krep "+verb, stderr, false)
	if err := f.Parse(args); err != nil || f.NArg() != 1 {
		if err == nil {
			_, _ = fmt.Fprintf(stderr, "usage: krep %s SLAVE\n", verb)
		}
		return daemon.ExitUsage
	}
	path, err := f.socket()
	if err != nil {
		return fail(stderr, err)
	}
	req := control.Request{Verb: verb, Args: map[string]string{"slave": f.Arg(0)}}
	if err := control.Call(context.Background(), path, req, nil); err != nil {
		fail(stderr, err)
		if errors.Is(err, control.ErrNoAnswer) {
			return exitNoAnswer
		}
		return daemon.ExitFail
	}
	_, _ = fmt.Fprintf(stdout, "%s: %s\n", f.Arg(0), verb)
	return daemon.ExitOK
}
