package deltafile

import (
	"errors"
	"fmt"
	"sync"
)

// group lets many appends share one fsync. Whoever finds no sync under way leads: it syncs
// once for all that was appended before it began; who comes later waits for the next.
//
// A failed fsync ends the group for good: the kernel may have dropped the pages and marked
// them clean, so a second fsync that succeeds proves nothing.
type group struct {
	syncDir func() error

	mu   sync.Mutex
	cond sync.Cond
	err  error // sticks

	file    File   // where the latest bytes went; kept open while they are not durable
	gen     uint64 // counts the files there have been
	dirty   bool   // the file's name is not known to be durable
	seen    uint64 // counts appends, and bytes of others found in the file
	durable uint64 // how many of those are durable

	// While alone, [from, last) is what is not durable, and this Appender wrote all of it.
	alone      bool
	from, last int64

	syncing File // being synced now
	doomed  bool // close it when that is done
}

func (g *group) init() { g.cond.L = &g.mu }

// wrote tells of bytes [start, end) appended to f.
func (g *group) wrote(f File, start, end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setFile(f)
	switch {
	case g.seen == g.durable:
		g.alone, g.from = true, start
	case start != g.last:
		g.alone = false
	}
	g.last = end
	g.seen++
}

// found tells of bytes in f that others wrote, or this process before: who reads them may
// rely on them only after a sync. fresh: f has just been opened, its name may not be durable.
func (g *group) found(f File, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setFile(f)
	g.dirty = g.dirty || fresh
	g.alone = false
	g.seen++
}

// replaced tells that f, with all there is in it and its name, is durable.
func (g *group) replaced(f File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setFile(f)
	g.dirty = false
	g.durable = g.seen
}

// setFile notes where the bytes go from now on. What was not durable in the file before was
// synced by whoever replaced it; only its name may be in doubt, which a fresh file is
// marked for.
func (g *group) setFile(f File) {
	if g.file == f {
		return
	}
	if g.file != nil {
		g.closeFile(g.file)
	}
	g.file = f
	g.gen++
}

// retire takes over a file its owner no longer wants. It is closed at once, or when its bytes
// are durable or no longer matter.
func (g *group) retire(f File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == f && g.seen > g.durable && g.err == nil {
		_ = f.Unlock()
		return
	}
	if g.file == f {
		g.file = nil
	}
	g.closeFile(f)
}

// release closes what is still kept open, once the group has ended.
func (g *group) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file != nil {
		g.closeFile(g.file)
		g.file = nil
	}
}

// closeFile closes f, or leaves that to the sync that is using it.
func (g *group) closeFile(f File) {
	if g.syncing == f {
		g.doomed = true
		_ = f.Unlock()
		return
	}
	_ = f.Close()
}

// sync makes durable all that was seen before the call. lead is true for the caller that ran
// into the error itself.
func (g *group) sync() (lead bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for target := g.seen; ; {
		switch {
		case g.err != nil:
			return false, g.err
		case g.durable >= target:
			return false, nil
		case g.syncing != nil:
			g.cond.Wait()
		case g.file == nil:
			return false, errors.New("deltafile: sync: the file is gone")
		default:
			if err := g.lead(); err != nil {
				return true, err
			}
		}
	}
}

// lead does one sync, without the mutex while the disk works.
func (g *group) lead() error {
	f, n, end, gen, dirty := g.file, g.seen, g.last, g.gen, g.dirty
	g.syncing = f
	g.mu.Unlock()
	err := f.Sync()
	if err == nil && dirty {
		err = g.syncDir()
	}
	g.mu.Lock()
	g.syncing = nil
	if g.doomed {
		g.doomed = false
		_ = f.Close()
	}
	defer g.cond.Broadcast()
	if err != nil {
		if g.err == nil {
			g.err = fmt.Errorf("deltafile: sync: %w", err)
		}
		return g.err
	}
	if g.durable < n {
		g.durable, g.from = n, end
	}
	if g.gen == gen {
		g.dirty = false
	}
	return nil
}

// lost gives the range to cut from f after a failed sync: what this Appender alone wrote and
// nobody may take for durable.
func (g *group) lost(f File) (from, to int64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.from, g.last, g.alone && g.file == f && g.durable < g.seen
}

// fail ends the group; the first reason stays.
func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
	g.cond.Broadcast()
}

// failed is the reason the group has ended for, or nil.
func (g *group) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
