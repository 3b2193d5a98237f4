package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"krealm/deltafile"
	"krealm/internal/quorum"
)

// maxWaiting bounds how many wait for slaves at a time, each on a place of the control socket that krep
// status needs too.
const maxWaiting = 192

var errManyWait = fmt.Errorf("%d commands wait for slaves already", maxWaiting)

// wait answers quorum.Verb: {epoch, serial, want, timeout}.
func (k *krep) wait(ctx context.Context, args map[string]string) (any, error) {
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
	ctx, cancel := context.WithTimeout(ctx, min(timeout, quorum.MaxTimeout))
	defer cancel()
	return k.set.Wait(ctx, epoch, serial, want), nil
}
