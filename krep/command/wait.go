package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"krealm/deltafile"
	"krealm/internal/quorum"
)

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
	ctx, cancel := context.WithTimeout(ctx, min(timeout, quorum.MaxTimeout))
	defer cancel()
	return k.set.Wait(ctx, epoch, serial, want), nil
}
