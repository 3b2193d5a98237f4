package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/quorum"
)

// maxWaiting bounds how many wait for slaves at a time, each on a place of the control socket that krep
// status needs too.
const maxWaiting = 192

var errManyWait = fmt.Errorf("%d commands wait for slaves already", maxWaiting)

// wait answers quorum.Verb: {realm, epoch, serial, want, timeout}; the realm is compared if it is there. A krep that ends
// meanwhile does not answer: which slaves are late is not known before the time is over, and the next
// krep can be asked for the rest of it.
func (k *krep) wait(caller context.Context, args map[string]string) (any, error) {
	if realm, ok := args["realm"]; ok && realm != k.s.Realm.Name {
		return nil, fmt.Errorf("this krep serves realm %q, not %q", k.s.Realm.Name, realm)
	}
	epoch, err := deltafile.ParseEpoch(args["epoch"])
	if err != nil {
		return nil, err
	}
	serial, err := strconv.ParseUint(args["serial"], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("serial: %w", err)
	}
	want, err := quorum.Parse(args["want"])
	if err != nil {
		return nil, err
	}
	timeout, err := time.ParseDuration(args["timeout"])
	if err != nil {
		return nil, fmt.Errorf("timeout: %w", err)
	}
	defer k.waiting.Add(-1)
	if k.waiting.Add(1) > maxWaiting {
		return nil, errManyWait
	}
	ctx, cancel := context.WithTimeout(caller, min(timeout, quorum.MaxTimeout))
	defer cancel()
	a := k.set.Wait(ctx, epoch, serial, want)
	if !a.Enough && a.Need <= a.Listed && caller.Err() != nil {
		return nil, control.ErrEnds
	}
	return a, nil
}
