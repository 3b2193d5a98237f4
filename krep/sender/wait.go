package sender

import (
	"context"
	"sync"

	"krealm/deltafile"
	"krealm/internal/quorum"
	"krealm/krep/slave"
)

// bell wakes those who wait for a slave to move.
type bell struct {
	mu sync.Mutex
	c  chan struct{} // nil while nobody waits
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

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
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
func (s *Sender) has(epoch deltafile.Epoch, serial uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p.Epoch == uint64(epoch) && s.p.Applied >= serial && !s.p.Unloaded
}

// Wait returns when as many slaves as are wanted have applied change serial of an epoch, or when
// ctx ends; the answer says which. What a slave has applied stays known while it is away. The list
// that counts is that of the moment: a slave taken off it is not waited for. Asked for more
// slaves than are listed it answers at once.
func (t *Set) Wait(ctx context.Context, epoch deltafile.Epoch, serial uint64, want quorum.Want) quorum.Answer {
	for {
		moved := t.o.moved.listen()
		a := t.have(epoch, serial, want)
		if a.Enough || a.Need > a.Listed {
			return a
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return a
		}
	}
}

// have counts the slaves that have applied a change.
func (t *Set) have(epoch deltafile.Epoch, serial uint64, want quorum.Want) quorum.Answer {
	var a quorum.Answer
	for _, r := range t.senders() {
		a.Listed++
		if r.has(epoch, serial) {
			a.Applied++
			continue
		}
		st := r.status(deltafile.State{})
		a.Missing = append(a.Missing, quorum.Late{Slave: st.Name, State: st.State, Epoch: st.Epoch,
			Serial: st.Applied, LastError: st.LastError})
	}
	a.Need = want.Need(a.Listed)
	a.Enough = a.Applied >= a.Need
	return a
}
