package stream

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/repeats"
)

const (
	refusalBurst  = 20               // refusals logged one by one in a refusalPeriod
	refusalPeriod = 10 * time.Second // the rest is counted
	maxSpells     = 256              // clients, and hosts, that are remembered; the others are one
)

// refusals logs refused connections: those of one client, or of one host that has not said who it is, as
// repeats.Trouble has it, and when they come in floods only their number. Clients and hosts are counted apart:
// whoever may connect, and has addresses without number, cannot crowd out what is wrong with a master.
type refusals struct {
	mu             sync.Mutex
	clients, hosts ledger
}

// ledger is what was refused.
type ledger struct {
	since  time.Time // when the present period began
	logged int       // in it
	silent int       // in it
	spells map[string]*repeats.Spell
	crowd  repeats.Spell // of those for whom there is no place
}

// spell returns the spell of a client or host. A place is had again when nothing was refused for some time, and
// the crowd is gone: of that each is new.
func (l *ledger) spell(who string, now time.Time) *repeats.Spell {
	if spell := l.spells[who]; spell != nil {
		return spell
	}
	if len(l.spells) >= maxSpells && l.crowd.Stale(now) {
		for name, spell := range l.spells {
			if spell.Stale(now) {
				delete(l.spells, name)
			}
		}
	}
	if len(l.spells) >= maxSpells {
		return &l.crowd
	}
	if l.spells == nil {
		l.spells = make(map[string]*repeats.Spell)
	}
	spell := new(repeats.Spell)
	l.spells[who] = spell
	return spell
}

// host is what an address is remembered by: of IPv6 the network, for its hosts choose their addresses as they like.
func host(peer string) string {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return peer
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() && !addr.IsLinkLocalUnicast() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// kindOf tells refusals apart by their reason, without words of the peer's.
func kindOf(err error) string {
	for _, reason := range []error{ErrNotAllowed, ErrNoKey, ErrBadTicket, ErrExpired, ErrBadAuth, ErrSkew, ErrReplay, ErrProtocol, ErrTooLarge} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return repeats.Kind(err)
}

func (r *refusals) log(l zerolog.Logger, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var refusal *Refusal
	book := &r.hosts
	if errors.As(err, &refusal) && refusal.Client != "" {
		book = &r.clients
	}
	if now.Sub(book.since) > refusalPeriod {
		if book.silent > 0 {
			l.Warn().Int("connections", book.silent).Msg("more connections refused")
		}
		book.since, book.logged, book.silent = now, 0, 0
	}
	times := 1
	if refusal != nil {
		who := refusal.Client
		if who == "" {
			who = host(refusal.Peer)
		}
		spell := book.spell(who, now)
		if tell := spell.Again(repeats.Trouble, kindOf(refusal.Err), now); !tell {
			return
		}
		times = spell.Times()
	}
	if book.logged == refusalBurst {
		book.silent++
		return
	}
	book.logged++
	e := l.Warn().Int("times", times)
	if refusal != nil {
		e = e.Str("peer", refusal.Peer)
		if refusal.Client != "" {
			e = e.Str("client", refusal.Client)
		}
		if err == error(refusal) {
			err = refusal.Err
		}
	}
	e.Err(err).Msg("connection refused")
}
