package command

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/krepd/receiver"
)

// Exit statuses of krepd status.
const (
	exitFed      = 0 // a feeder is connected and nothing is wrong
	exitUnfed    = 1 // no feeder, or no content yet
	exitBroken   = 2 // nothing is applied
	exitNoAnswer = daemon.ExitNoAnswer
)

// status is what the daemon says of itself.
type status struct {
	Realm    string           `json:"realm"`
	State    string           `json:"state"` // empty, following, unfed, broken
	Epoch    string           `json:"epoch,omitempty"`
	Spooled  uint64           `json:"spooled"`
	Applied  uint64           `json:"applied"`
	Time     *time.Time       `json:"applied_change_made,omitempty"`
	At       *time.Time       `json:"applied_at,omitempty"` // by this host's clock; absent: before the start
	Feeder   *receiver.Feeder `json:"feeder,omitempty"`
	BrokenAt uint64           `json:"broken_at,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Trouble  string           `json:"trouble,omitempty"` // being waited out
	Started  time.Time        `json:"started"`
}

func (d *krepd) handle(_ context.Context, r control.Request) (any, error) {
	if r.Verb != "status" {
		return nil, fmt.Errorf("unknown request %q", r.Verb)
	}
	applied, durable := d.applier.Applied(), d.spool.Durable()
	st := status{Realm: d.s.Realm.Name, State: "following", Applied: applied.Serial, Spooled: applied.Serial,
		Feeder: d.receiver.Feeder(), Trouble: d.applier.Trouble(), Started: d.started}
	if durable.Epoch == applied.Epoch {
		st.Spooled = max(durable.Serial, applied.Serial)
	}
	switch b := d.applier.Broken(); {
	case b != nil:
		st.State, st.BrokenAt, st.Reason = "broken", b.Serial, b.Reason
	case applied.IsZero():
		st.State = "empty"
	case st.Feeder == nil:
		st.State = "unfed"
	}
	if !applied.IsZero() {
		st.Epoch = applied.Epoch.String()
		t := applied.Time()
		st.Time = &t
	}
	if t := d.applier.AppliedAt(); !t.IsZero() {
		st.At = &t
	}
	return st, nil
}

func statusCommand(args []string, stdout, stderr io.Writer) int {
	f := newFlags("krepd status", stderr, false)
	return daemon.Status[status]{Program: "krepd", Flags: f.FlagSet, Socket: f.socket, Print: printStatus,
		Exit: exitStatus}.Run(args, stdout, stderr)
}

func exitStatus(st status) int {
	switch st.State {
	case "broken":
		return exitBroken
	case "following":
		return exitFed
	}
	return exitUnfed
}

// socket returns the control socket that the flags or the configuration name.
func (f *flags) socket() (string, error) {
	return daemon.Socket(f.realm, f.control, controlNames...)
}

func printStatus(w io.Writer, st status) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		_, _ = fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("realm", "%s", st.Realm)
	row("state", "%s", st.State)
	if st.Epoch != "" {
		row("epoch", "%s", st.Epoch)
		row("spooled", "%d", st.Spooled)
		applied := fmt.Sprint(st.Applied)
		if st.At != nil {
			applied += " at " + st.At.Local().Format(time.DateTime)
		}
		row("applied", "%s", applied)
	}
	if fd := st.Feeder; fd != nil {
		row("feeder", "%s at %s since %s, at serial %d", fd.Principal, fd.Addr, fd.Since.Local().Format(time.DateTime), fd.Last)
		if fd.CopySize > 0 {
			row("full copy", "%d of %d octets", fd.Copied, fd.CopySize)
		}
	} else {
		row("feeder", "-")
	}
	switch {
	case st.Reason != "" && st.BrokenAt == 0: // no record in particular
		row("broken", "%s", st.Reason)
	case st.Reason != "":
		row("broken at", "%d: %s", st.BrokenAt, st.Reason)
	}
	if st.Trouble != "" {
		row("trouble", "%s", st.Trouble)
	}
	return tw.Flush()
}
