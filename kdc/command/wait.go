package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/quorum"
	"krealm/internal/realmconf"
)

// statusUnconfirmed is the exit status of a kadmin.local that has made its changes and was to wait
// for slaves to apply them, which they have not, or not so that krep would know.
const statusUnconfirmed = 2

// waitOptions are -wait and -wait-timeout; kdc.conf has defaults for both. MIT's programs have
// neither, and would read "-wait" as -w with the password "ait".
type waitOptions struct {
	want    *quorum.Want  // nil: not given
	timeout time.Duration // 0: not given
}

// ownOption is what is wrong with one of them: MIT's usage does not have it.
type ownOption struct{ error }

var errNoControl = errors.New("no control socket of krep configured: set control in [krep]")

// take takes the two options out of args, up to the first word that is no option; spec says which
// of the others have an argument that must not be taken for one.
func (w *waitOptions) take(args []string, spec string) (rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		if word == "-wait" || word == "-wait-timeout" {
			if len(args) < 2 {
				return nil, fmt.Errorf("option requires an argument -- '%s'", word[1:])
			}
			if err := w.set(word, args[1]); err != nil {
				return nil, err
			}
			args = args[2:]
			continue
		}
		if len(word) < 2 || word[0] != '-' || word == "--" {
			break
		}
		n := 1
		if takesNext(word[1:], spec) {
			n = min(2, len(args))
		}
		rest, args = append(rest, args[:n]...), args[n:]
	}
	return append(rest, args...), nil
}

// takesNext tells whether the last of joined letters wants its argument in the next word.
func takesNext(letters, spec string) bool {
	for i := range letters {
		j := strings.IndexByte(spec, letters[i])
		if j >= 0 && j+1 < len(spec) && spec[j+1] == ':' {
			return i == len(letters)-1
		}
	}
	return false
}

func (w *waitOptions) set(word, arg string) error {
	if word == "-wait" {
		want, err := quorum.Parse(arg)
		if err != nil {
			return fmt.Errorf("-wait %w", err)
		}
		w.want = &want
		return nil
	}
	d, err := realmconf.ParseWaitTimeout(arg)
	if err != nil {
		return fmt.Errorf("-wait-timeout %q: %w", arg, err)
	}
	w.timeout = d
	return nil
}

// waiter asks krep about the changes of one run. The zero waiter asks nothing.
type waiter struct {
	want    quorum.Want
	timeout time.Duration
	socket  string
	krep    *control.Client

	last deltafile.State // behind the last change; zero: none since the last wait
	late bool            // some change was not confirmed
}

// waiter gives the options what kdc.conf has.
func (w *waitOptions) waiter(k realmconf.Krep) (*waiter, error) {
	out := &waiter{want: k.Wait, timeout: k.WaitTimeout, socket: k.Control, krep: control.NewClient(k.Control)}
	if w.want != nil {
		out.want = *w.want
	}
	if w.timeout > 0 {
		out.timeout = w.timeout
	}
	if out.want != quorum.None && out.socket == "" {
		return nil, errNoControl
	}
	return out, nil
}

// committed notes where the database stands after a change.
func (w *waiter) committed(st deltafile.State) { w.last = st }

// wait returns when enough slaves have the last change, or says on standard error why it does not
// know of that. A krep that is not there, or goes away meanwhile, is asked again until the time is
// over: it may be in the middle of a restart. A signal ends the wait, and the program behind it.
func (k *kadmin) wait(ctx context.Context) {
	w := k.waiter
	at := w.last
	w.last = deltafile.State{}
	if w.want == quorum.None || at.IsZero() {
		return
	}
	k.flush()
	signaled, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var a quorum.Answer
	err := w.krep.Insist(signaled, control.Insistence{For: w.timeout, Ask: func(left time.Duration) control.Request {
		return control.Request{Verb: quorum.Verb, Args: map[string]string{"realm": k.realm.Name,
			"epoch": at.Epoch.String(), "serial": strconv.FormatUint(at.Serial, 10),
			"want": w.want.String(), "timeout": left.String(),
		}}
	}, Missed: func() {
		k.errorf("%s: krep does not answer at %s, asking again until the %v are over\n", kadminName, w.socket, w.timeout)
	}}, &a)
	switch {
	case err != nil && signaled.Err() != nil:
		k.over = true
		k.unconfirmed("change %d is stored; interrupted before it was known whether slaves have applied it\n", at.Serial)
	case control.Passing(err):
		k.unconfirmed("change %d is stored, but krep does not answer at %s: not known whether slaves have applied it\n", at.Serial, w.socket)
	case err != nil:
		k.unconfirmed("change %d is stored, but krep cannot tell whether slaves have applied it: %v\n", at.Serial, err)
	case a.Enough:
		k.notice("Change %d applied by %d of %d slaves.\n", at.Serial, a.Applied, a.Listed)
	case a.Need > a.Listed:
		k.unconfirmed("change %d is stored, but only %d slaves are listed, and %s are to apply it\n", at.Serial, a.Listed, w.want)
	default:
		k.unconfirmed("change %d is stored, but only %d of %d slaves have applied it after %v, %d are to:\n", at.Serial, a.Applied, a.Listed, w.timeout, a.Need)
		for _, late := range a.Missing {
			k.errorf("%s:   %s\n", kadminName, lateText(late, at))
		}
	}
}

func (k *kadmin) unconfirmed(format string, args ...any) {
	k.waiter.late = true
	k.errorf("%s: "+format, append([]any{kadminName}, args...)...)
}

// lateText says where a slave is.
func lateText(l quorum.Late, at deltafile.State) string {
	where := fmt.Sprintf("at %d", l.Serial)
	switch {
	case l.Epoch == "":
		where = "how far is not known"
	case l.Epoch != at.Epoch.String():
		where = fmt.Sprintf("at %d of epoch %s", l.Serial, l.Epoch)
	}
	text := fmt.Sprintf("%s: %s, %s", l.Slave, l.State, where)
	if l.LastError != "" {
		text += ": " + strings.Map(visible, l.LastError)
	}
	return text
}

// visible replaces what a terminal could take for an order: slaves are quoted.
func visible(r rune) rune {
	if !strconv.IsPrint(r) {
		return '?'
	}
	return r
}
