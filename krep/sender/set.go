package sender

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"krealm/deltafile"
	"krealm/krep/slave"
	"krealm/krep/slavelist"
)

// Set runs a Sender for each slave of a list.
type Set struct {
	o      *Options
	copies chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	start func(*running) // nil but during Run; called with mu held
	list  []*running
	known bool // a list was given
}

type running struct {
	*Sender
	cancel context.CancelCauseFunc
}

// NewSet returns a Set without slaves.
func NewSet(o Options) *Set {
	if o.Backoff == (slave.Backoff{}) {
		o.Backoff = slave.DefaultBackoff
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.MaxCopies == 0 {
		o.MaxCopies = DefaultMaxCopies
	}
	if o.Jitter == nil {
		o.Jitter = jitter
	}
	o.moved = new(bell)
	return &Set{o: &o, copies: make(chan struct{}, o.MaxCopies)}
}

// Run feeds the slaves until ctx ends and all Senders have returned.
func (t *Set) Run(ctx context.Context) {
	t.mu.Lock()
	t.start = func(r *running) {
		var mine context.Context
		mine, r.cancel = context.WithCancelCause(ctx)
		t.wg.Go(func() { r.run(mine) })
	}
	for _, r := range t.list {
		t.start(r)
	}
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	t.start = nil
	for _, r := range t.list {
		r.cancel(nil)
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// Update takes a new list. Slaves that are on both lists with the same address and principal
// are not disturbed.
func (t *Set) Update(list []slavelist.Slave) {
	t.mu.Lock()
	old := t.list
	t.list = nil
	for _, entry := range list {
		i := slices.IndexFunc(old, func(r *running) bool { return r != nil && r.entry == entry })
		if i >= 0 {
			t.list = append(t.list, old[i])
			old[i] = nil
			continue
		}
		r := &running{Sender: newSender(t.o, entry, t.copies)}
		t.list = append(t.list, r)
		t.o.Log.Info().Str("slave", entry.Name()).Str("principal", entry.Principal).Bool("paused", r.isPaused()).Msg("slave listed")
		if t.start != nil {
			t.start(r)
		}
	}
	if len(list) == 0 && (len(old) > 0 || !t.known) {
		t.o.Log.Warn().Msg("no slaves listed: the delta file is dropped as it fills")
	}
	t.known = true
	t.mu.Unlock()
	for _, r := range old {
		if r != nil {
			t.o.Log.Info().Str("slave", r.entry.Name()).Msg("slave no longer listed")
			if r.cancel != nil {
				r.cancel(errUnlisted)
			}
		}
	}
	t.o.moved.ringAll()
	t.o.Feed.Acked()
}

// Safe tells up to which serial of an epoch all slaves let go of the delta file; ok is false if
// one holds all of it. Before the first list nothing is let go.
func (t *Set) Safe(epoch deltafile.Epoch) (upto uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		return 0, false
	}
	upto = math.MaxUint64
	for _, r := range t.list {
		if s, holds := r.holds(uint64(epoch)); holds {
			upto = min(upto, s)
		}
	}
	return upto, upto > 0
}

// Release makes every slave let go that holds the delta file below serial; such a slave gets a
// full copy when it comes back.
func (t *Set) Release(epoch deltafile.Epoch, serial uint64, reason string) {
	for _, r := range t.senders() {
		r.release(epoch, serial, reason)
	}
}

func (t *Set) senders() []*running {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// find returns the Sender of a slave by its name, its address, or a principal that no other slave has.
func (t *Set) find(name string) (*running, error) {
	var found []*running
	var names []string
	for _, r := range t.senders() {
		if r.entry.Name() == name || r.entry.Addr() == name {
			return r, nil
		}
		if r.entry.Principal == name {
			found, names = append(found, r), append(names, r.entry.Name())
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("slave %q is not on the list", name)
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("principal %q is that of several slaves, name one: %s", name, strings.Join(names, ", "))
}

// Name returns the name of a slave that is named otherwise, by its principal or its address.
func (t *Set) Name(name string) (string, error) {
	r, err := t.find(name)
	if err != nil {
		return "", err
	}
	return r.entry.Name(), nil
}

// Resync rebuilds a slave from a full copy, whatever state it is in.
func (t *Set) Resync(name string) error {
	r, err := t.find(name)
	if err == nil {
		r.resync(byAdministrator)
	}
	return err
}

// Pause stops feeding a slave until Resume; it goes on holding the delta file.
func (t *Set) Pause(name string, on bool) error {
	r, err := t.find(name)
	if err == nil {
		r.pause(on)
	}
	return err
}

// Status is one slave as krep sees it now.
type Status struct {
	Name      string    `json:"slave"`
	Addr      string    `json:"address"`
	Principal string    `json:"principal"`
	State     string    `json:"state"`
	Percent   int       `json:"full_copy_percent,omitempty"` // while state is "full"
	Epoch     string    `json:"epoch,omitempty"`
	Sent      uint64    `json:"sent"`
	Spooled   uint64    `json:"spooled"`
	Applied   uint64    `json:"applied"`
	Behind    uint64    `json:"behind"` // changes not applied
	Since     time.Time `json:"since"`  // of the state
	LastError string    `json:"last_error,omitempty"`
	FullDue   string    `json:"full_copy_due,omitempty"`     // why it gets a full copy when it is there again
	Unknown   bool      `json:"positions_unknown,omitempty"` // a full copy is or was to be sent, and what the slave holds now it has not said
	Failures  int       `json:"failures,omitempty"`
	Peer      string    `json:"peer,omitempty"`
	Paused    bool      `json:"paused,omitempty"`
	Contested bool      `json:"contested,omitempty"` // another krep feeds it too, or did a while ago; LastError names it
}

// Status returns all slaves in the order of the list.
func (t *Set) Status() []Status {
	_, last, _ := t.o.Feed.View()
	var out []Status
	for _, r := range t.senders() {
		out = append(out, r.status(last))
	}
	return out
}

func (s *Sender) status(last deltafile.State) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Name: s.entry.Name(), Addr: s.entry.Addr(), Principal: s.entry.Principal,
		State: s.p.State.String(), Sent: s.p.Sent, Spooled: s.p.Spooled, Applied: s.p.Applied,
		Since: s.since, LastError: s.p.LastError, Unknown: s.p.Unloaded, Failures: s.p.Failures, Paused: s.paused}
	switch {
	case s.paused && s.p.State == slave.Retrying:
		st.State = "paused"
	case s.entry.Connects && s.p.State == slave.Connecting:
		st.State = "waiting" // for the slave to connect
	}
	if s.p.NeedFull && s.p.State != slave.Snapshot && s.p.FullReason != s.p.LastError {
		st.FullDue = s.p.FullReason
	}
	if s.p.Epoch != 0 {
		st.Epoch = deltafile.Epoch(s.p.Epoch).String()
	}
	if s.p.State == slave.Snapshot && s.p.CopySize > 0 {
		st.Percent = int(s.p.Copied * 100 / s.p.CopySize)
	}
	if s.p.Epoch == uint64(last.Epoch) && last.Serial > s.p.Applied {
		st.Behind = last.Serial - s.p.Applied
	}
	if text := s.rival.text(); text != "" {
		st.Contested = true
		if st.LastError == "" {
			st.LastError = text
		}
	}
	if s.p.State == slave.Streaming || s.p.State == slave.Snapshot {
		st.Peer = s.peer
	}
	return st
}
