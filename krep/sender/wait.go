package sender

import (
	"context"
	"slices"
	"sync"

	"krealm/deltafile"
	"krealm/internal/quorum"
	"krealm/krep/slave"
)

// bell wakes those who wait for a slave to move.
type bell struct {
	mu      sync.Mutex
	c       chan struct{} // nil while nobody listens
	awaited []*awaited
}

// awaited is a change that somebody waits for until enough slaves have it. Whoever waits is not
// woken for each of them: with many slaves that would be most of krep's work.
type awaited struct {
	epoch, serial uint64
	c             chan struct{} // receives when it is time to look

	// Guarded by bell.mu: who has it, for all that was heard since the last look began, and how many
	// are needed.
	have map[*Sender]struct{}
	need int
}

// listen returns a channel that is closed when the bell rings next. Take it before looking.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// ring tells that a slave has moved.
func (b *bell) ring(s *Sender, at reached) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sound()
	for _, w := range b.awaited {
		if at.has(w.epoch, w.serial) {
			w.have[s] = struct{}{}
			w.wake()
		}
	}
}

// ringAll tells that the list has changed.
func (b *bell) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sound()
	for _, w := range b.awaited {
		w.need = 0
		w.wake()
	}
}

// sound wakes who listens. b.mu is held.
func (b *bell) sound() {
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// wake calls for a look when enough slaves seem to have it. bell.mu is held.
func (w *awaited) wake() {
	if len(w.have) < w.need {
		return
	}
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// await begins to wait for a change; leave ends that.
func (b *bell) await(epoch, serial uint64) *awaited {
	w := &awaited{epoch: epoch, serial: serial, c: make(chan struct{}, 1), have: make(map[*Sender]struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaited = append(b.awaited, w)
	return w
}

func (b *bell) leave(w *awaited) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaited = slices.DeleteFunc(b.awaited, func(o *awaited) bool { return o == w })
}

// begin forgets what was heard before a look, which will need so many.
func (b *bell) begin(w *awaited, need int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(w.have)
	w.need = need
}

// saw adds what the look has found.
func (b *bell) saw(w *awaited, found []*Sender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range found {
		w.have[s] = struct{}{}
	}
	w.wake()
}

// reached says how far a slave's database is.
type reached struct {
	state    slave.State
	epoch    uint64
	applied  uint64
	unloaded bool
}

func reachedOf(p *slave.Progress) reached {
	return reached{p.State, p.Epoch, p.Applied, p.Unloaded}
}

// has tells whether the slave is known to have applied a change. It is not while a full copy is on
// its way, which may be of that change's epoch and hold it.
func (r reached) has(epoch, serial uint64) bool {
	return r.epoch == epoch && r.applied >= serial && !r.unloaded
}

func (s *Sender) has(epoch, serial uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return reachedOf(&s.p).has(epoch, serial)
}

// Wait returns when as many slaves as are wanted have applied change serial of an epoch, or when
// ctx ends; the answer says which. What a slave has applied stays known while it is away. The list
// that counts is that of the moment: a slave taken off it is not waited for. Asked for more
// slaves than are listed it answers at once.
func (t *Set) Wait(ctx context.Context, epoch deltafile.Epoch, serial uint64, want quorum.Want) quorum.Answer {
	w := t.o.moved.await(uint64(epoch), serial)
	defer t.o.moved.leave(w)
	for {
		list := t.senders()
		need := want.Need(len(list))
		t.o.moved.begin(w, need)
		var found []*Sender
		for _, r := range list {
			if r.has(w.epoch, w.serial) {
				found = append(found, r.Sender)
			}
		}
		if len(found) >= need || need > len(list) {
			if a := t.have(epoch, serial, want); a.Enough || a.Need > a.Listed {
				return a
			}
			continue // the list, or a slave, has changed since
		}
		t.o.moved.saw(w, found)
		select {
		case <-w.c:
		case <-ctx.Done():
			return t.have(epoch, serial, want)
		}
	}
}

// have counts the slaves that have applied a change.
func (t *Set) have(epoch deltafile.Epoch, serial uint64, want quorum.Want) quorum.Answer {
	var a quorum.Answer
	for _, r := range t.senders() {
		a.Listed++
		if r.has(uint64(epoch), serial) {
			a.Applied++
			continue
		}
		st := r.status(deltafile.State{})
		if st.Unknown {
			st.Epoch = ""
		}
		a.Missing = append(a.Missing, quorum.Late{Slave: st.Name, State: st.State, Epoch: st.Epoch,
			Serial: st.Applied, LastError: st.LastError})
	}
	a.Need = want.Need(a.Listed)
	a.Enough = a.Applied >= a.Need
	return a
}
