package lockout

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"krealm/dumpfmt"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
)

// Memory is where the next request sees what a login changed: kdb.View.
type Memory interface {
	Lockout(name string) (dumpfmt.Lockout, bool)
	SetLockout(name string, l dumpfmt.Lockout) bool
}

// flushInterval is how long a change may wait to be written.
const flushInterval = 200 * time.Millisecond

// maxPending bounds what is not written yet; beyond it the newest changes stay in memory only
// until the writer catches up.
const maxPending = 1 << 16

// Keeper does the bookkeeping that exchanges ask for: in memory at once, in the database soon.
// It is safe for concurrent use.
type Keeper struct {
	r     *realm.Realm
	mem   Memory
	write func(context.Context, map[string]dumpfmt.Lockout) error
	fail  func(error)
	seed  maphash.Seed

	shards [shards]shard
	wake   chan struct{}
}

// shards is how many logins may be counted at once.
const shards = 16

type shard struct {
	mu      sync.Mutex // held while an entry of the shard is counted
	pending map[string]dumpfmt.Lockout
}

func (k *Keeper) shard(name string) *shard {
	return &k.shards[maphash.String(k.seed, name)%shards]
}

// NewKeeper returns a keeper that writes batches with write and tells fail of errors; a batch
// that fails is tried again.
func NewKeeper(r *realm.Realm, mem Memory, write func(context.Context, map[string]dumpfmt.Lockout) error, fail func(error)) *Keeper {
	return &Keeper{r: r, mem: mem, write: write, fail: fail, seed: maphash.MakeSeed(), wake: make(chan struct{}, 1)}
}

// Record counts one login.
func (k *Keeper) Record(n exchange.Note) {
	if n.Failure && k.r.DisableLockout || !n.Failure && k.r.DisableSuccess && k.r.DisableLockout {
		return
	}
	e, ok := k.r.Named(n.Name)
	if !ok {
		return
	}
	pol, _ := k.r.Policy(e)
	sh := k.shard(n.Name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old, ok := k.mem.Lockout(n.Name)
	if !ok {
		return
	}
	next, changed := Next(old, pol, e.LastAdminUnlock(), n.Failure, n.When)
	if k.r.DisableSuccess {
		next.LastSuccess = old.LastSuccess
	}
	if k.r.DisableLockout {
		next.FailCount = old.FailCount
	}
	if !changed || next == old {
		return
	}
	k.mem.SetLockout(n.Name, next)
	sh.put(n.Name, next)
	k.poke()
}

// put queues a change; the caller holds the lock.
func (s *shard) put(name string, l dumpfmt.Lockout) {
	if s.pending == nil {
		s.pending = make(map[string]dumpfmt.Lockout)
	}
	if _, queued := s.pending[name]; queued || len(s.pending) < maxPending/shards {
		s.pending[name] = l
	}
}

// poke wakes Run.
func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then what is left. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			k.flush(last)
			return nil
		case <-k.wake:
		}
		timer.Reset(flushInterval)
		select {
		case <-ctx.Done():
		case <-timer.C:
			k.flush(ctx)
		}
	}
}

func (k *Keeper) flush(ctx context.Context) {
	batch := make(map[string]dumpfmt.Lockout)
	for i := range k.shards {
		sh := &k.shards[i]
		sh.mu.Lock()
		maps.Copy(batch, sh.pending)
		sh.pending = nil
		sh.mu.Unlock()
	}
	if len(batch) == 0 {
		return
	}
	err := k.write(ctx, batch)
	if err == nil {
		return
	}
	if ctx.Err() == nil {
		k.fail(err)
	}
	for name, l := range batch {
		sh := k.shard(name)
		sh.mu.Lock()
		if _, newer := sh.pending[name]; !newer {
			sh.put(name, l)
		}
		sh.mu.Unlock()
	}
	k.poke()
}
