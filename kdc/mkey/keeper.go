package mkey

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// Source is where a Keeper looks at the K/M entry: kdb.View.
type Source interface {
	// Ref returns a number that changes when the entry does; false if there is none.
	Ref(name string) (uint64, bool)
	Principal(name string) (*dumpfmt.Principal, bool)
}

// Keeper is the opened master key of a running server. It follows the K/M entry and the stash
// file: what is sealed by a version that was added, activated or loaded later opens without a
// restart (invariant M6). It is safe for concurrent use and takes no lock while nothing
// changes.
//
// K/M as changed is opened with the keys at hand, which a rollover always allows; if they do
// not fit (another realm was loaded), with the stash file as it is then. If that does not help
// either, the old ring stays, the trouble is reported once, and the next attempt is made when
// K/M or the file has changed again.
type Keeper struct {
	src    Source
	master string
	path   string // stash file; "" without
	warn   func(error)
	cur    atomic.Pointer[kept]

	mu     sync.Mutex
	failed *attempt // the last one, if it failed
}

type kept struct {
	ring *Ring
	ref  uint64 // of the K/M entry it was opened from
}

// attempt is what an attempt to open K/M was made with.
type attempt struct {
	ref  uint64
	file os.FileInfo // nil: no stash file
}

// NewKeeper opens the K/M entry of src with the stash file, as Open does, and keeps it. warn,
// if not nil, is told when a changed K/M cannot be opened.
func NewKeeper(src Source, master, stashPath string, warn func(error)) (*Keeper, error) {
	st, err := ReadStashOf(stashPath, master)
	if err != nil {
		return nil, err
	}
	return Keep(src, master, stashPath, warn, func(km *dumpfmt.Principal) (*Ring, error) { return Open(st, km) })
}

// Keep is NewKeeper with another way to open K/M the first time, such as a password. Without a
// stashPath only the keys at hand open it later.
func Keep(src Source, master, stashPath string, warn func(error), open func(km *dumpfmt.Principal) (*Ring, error)) (*Keeper, error) {
	k := &Keeper{src: src, master: master, path: stashPath, warn: warn}
	ref, ok := src.Ref(master)
	km, found := src.Principal(master)
	if !ok || !found {
		return nil, fmt.Errorf("%q is not in the database: %w", master, ErrMaster)
	}
	ring, err := open(km)
	if err != nil {
		return nil, err
	}
	k.cur.Store(&kept{ring, ref})
	return k, nil
}

// Ring returns the master key as the database has it now or, if that does not open, the last
// one that did.
func (k *Keeper) Ring() *Ring {
	cur := k.cur.Load()
	if ref, ok := k.src.Ref(k.master); ok && ref != cur.ref {
		return k.reopen(ref)
	}
	return cur.ring
}

// OpenKey is Ring.OpenKey with the present ring. When that fails, and the stash file is another
// than the one last tried, it is tried again.
func (k *Keeper) OpenKey(p *dumpfmt.Principal, dk *dumpfmt.Key) (*krbcrypto.Key, error) {
	ring := k.Ring()
	key, err := ring.OpenKey(p, dk)
	if !errors.Is(err, ErrSealed) {
		return key, err
	}
	ref, ok := k.src.Ref(k.master)
	if !ok {
		return nil, err
	}
	if again := k.reopen(ref); again != ring {
		return again.OpenKey(p, dk)
	}
	return nil, err
}

// reopen opens K/M anew unless that has been done, or tried in vain, with this K/M and this
// stash file. It returns the ring to use.
func (k *Keeper) reopen(ref uint64) *Ring {
	k.mu.Lock()
	defer k.mu.Unlock()
	cur := k.cur.Load()
	if cur.ref == ref {
		return cur.ring
	}
	a := attempt{ref: ref}
	if k.path != "" {
		a.file, _ = os.Stat(k.path) // a file that cannot be read counts as none
	}
	if k.failed != nil && k.failed.same(&a) {
		return cur.ring
	}
	ring, err := k.openNow(cur.ring)
	if err != nil {
		k.failed = &a
		if k.warn != nil {
			k.warn(fmt.Errorf("master key of the database does not open, going on with the one before: %w", err))
		}
		return cur.ring
	}
	k.failed = nil
	k.cur.Store(&kept{ring, ref})
	return ring
}

// openNow opens K/M as it is now: with the keys of the ring, else with the stash file.
func (k *Keeper) openNow(old *Ring) (*Ring, error) {
	km, ok := k.src.Principal(k.master)
	if !ok {
		return nil, fmt.Errorf("%q is not in the database: %w", k.master, ErrMaster)
	}
	ring, err := old.Reopen(km)
	if err == nil || k.path == "" {
		return ring, err
	}
	st, err := ReadStashOf(k.path, k.master)
	if err != nil {
		return nil, err
	}
	return Open(st, km)
}

func (a *attempt) same(b *attempt) bool {
	if a.ref != b.ref || (a.file == nil) != (b.file == nil) {
		return false
	}
	return a.file == nil || os.SameFile(a.file, b.file) &&
		a.file.ModTime().Equal(b.file.ModTime()) && a.file.Size() == b.file.Size()
}
