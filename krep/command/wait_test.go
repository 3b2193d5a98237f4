package command

import (
	"context"
	"errors"
	"testing"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/quorum"
	"krealm/internal/realmconf"
	"krealm/krep/sender"
	"krealm/krep/slavelist"
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

// fakeFeed is a feed without a delta file.
type fakeFeed struct{ sender.Feed }

func (fakeFeed) View() (base, last deltafile.State, ok bool) { return }
func (fakeFeed) Acked()                                      {}

// A krep that ends does not say who is late: it is not known before the time is over. One that is asked
// about another realm says so, and one that has no time left answers.
func TestWaitEnds(t *testing.T) {
	k := &krep{set: sender.NewSet(sender.Options{Log: zerolog.Nop(), Feed: fakeFeed{}}),
		s: &settings{Settings: &daemon.Settings{Realm: &realmconf.Realm{Name: "EXAMPLE.ORG"}}}}
	k.set.Update([]slavelist.Slave{{Host: "kdc2.example.org", Principal: "krep/kdc2.example.org@EXAMPLE.ORG"}})
	ask := func(realm, want, timeout string) control.Request {
		return control.Request{Verb: quorum.Verb, Args: map[string]string{"realm": realm,
			"epoch": deltafile.Epoch(1).String(), "serial": "7", "want": want, "timeout": timeout}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := k.handle(ctx, ask("EXAMPLE.ORG", "all", "1h")); !errors.Is(err, control.ErrEnds) {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := k.handle(ctx, ask("EXAMPLE.ORG", "2", "1h")); err != nil || a.(quorum.Answer).Listed != 1 {
		t.Errorf("more than are listed: %v, %v", a, err)
	}
	if a, err := k.handle(t.Context(), ask("EXAMPLE.ORG", "all", "0s")); err != nil || len(a.(quorum.Answer).Missing) != 1 {
		t.Errorf("no time left: %v, %v", a, err)
	}
	if _, err := k.handle(t.Context(), ask("OTHER.ORG", "all", "1h")); err == nil || errors.Is(err, control.ErrEnds) {
		t.Errorf("another realm: %v", err)
	}
}
