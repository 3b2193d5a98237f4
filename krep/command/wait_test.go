package command

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/quorum"
	"krealm/krep/sender"
)

// However many wait for slaves, room is left on the control socket for those who ask for the status.
func TestManyWait(t *testing.T) {
	k := &krep{set: sender.NewSet(sender.Options{Log: zerolog.Nop()})}
	ask := control.Request{Verb: quorum.Verb, Args: map[string]string{
		"epoch": deltafile.Epoch(1).String(), "serial": "7", "want": "1", "timeout": "1h"}}
	k.waiting.Store(maxWaiting)
	if _, err := k.handle(t.Context(), ask); !errors.Is(err, errManyWait) {
		t.Error(err)
	}
	k.waiting.Store(maxWaiting - 1)
	if a, err := k.handle(t.Context(), ask); err != nil || a.(quorum.Answer).Need != 1 {
		t.Errorf("with room again: %v, %v", a, err)
	}
	if n := k.waiting.Load(); n != maxWaiting-1 {
		t.Errorf("%d wait, not %d", n, maxWaiting-1)
	}
}
