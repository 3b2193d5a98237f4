package serve

import (
	"context"
	"slices"
	"testing"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

// moving is a snapshot whose database has moved on.
type moving struct {
	version, behind uint64
	looks, catches  int
}

func (m *moving) Version() uint64 { return m.version }

func (m *moving) Catch(context.Context) { m.catches++ }

func (m *moving) Look(context.Context) {
	m.looks++
	m.version, m.behind = m.version+m.behind, 0
}

// TestRefusalsLookAgain: before a request is refused the snapshot is brought up to date, and only
// if that changed something the request is answered once more; the client's failure is noted for
// the last answer only.
func TestRefusalsLookAgain(t *testing.T) {
	for _, c := range []struct {
		name    string
		codes   []int32 // of the answers that the core gives
		behind  uint64
		looks   int
		outcome int32
	}{
		{"a ticket", []int32{0}, 1, 0, 0},
		{"refused, nothing new", []int32{6}, 0, 1, 6},
		{"refused, and rightly so", []int32{24, 24}, 1, 1, 24},
		{"refused for what is no longer so", []int32{6, 0}, 1, 1, 0},
		{"the second answer is final", []int32{6, 7, 0}, 1, 1, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, log := recorded(t, 1)
			calls, notes := 0, []exchange.Note{}
			data := &moving{version: 5, behind: c.behind}
			d.realms[0].Data = data
			d.realms[0].AS = func(*exchange.Request, *krbmsg.KDCReq) exchange.Outcome {
				code := c.codes[calls]
				calls++
				return exchange.Outcome{Reply: []byte{1}, Event: exchange.Event{Code: code}, Note: &exchange.Note{Failure: code != 0}}
			}
			d.realms[0].Note = func(n exchange.Note) { notes = append(notes, n) }
			d.answer(goodRequest(1), peer, viaUDP)
			if data.looks != c.looks || calls != min(len(c.codes), c.looks+1) {
				t.Errorf("%d looks, %d calls", data.looks, calls)
			}
			if data.catches != 1 {
				t.Errorf("caught up %d times", data.catches)
			}
			if log.count() != 1 || log.event(0).Code != c.outcome {
				t.Errorf("logged %+v", log.events)
			}
			if want := []exchange.Note{{Failure: c.outcome != 0}}; !slices.Equal(notes, want) {
				t.Errorf("noted %+v", notes)
			}
		})
	}
}
