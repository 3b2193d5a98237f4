package stream

import (
	"container/heap"
	"fmt"
	"sync"
	"time"
)

// maxReplays bounds the replay cache. Only peers on the allow list that hold a valid ticket get
// into it, each once per handshake, so it fills only when one of them has gone mad.
const maxReplays = 16384

// replayCache remembers the authenticators seen, by their hash, until they are too old to be
// accepted anyway. Looking up and remembering is one step. The zero cache is ready for use.
type replayCache struct {
	mu   sync.Mutex
	seen map[[32]byte]struct{}
	ends replayHeap
}

// add fails with ErrReplay if hash was added before and has not expired, and with ErrBusy when
// the cache is full.
func (c *replayCache) add(hash [32]byte, expiry, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[[32]byte]struct{})
	}
	for len(c.ends) > 0 && c.ends[0].expiry.Before(now) {
		delete(c.seen, heap.Pop(&c.ends).(replayed).hash)
	}
	if _, ok := c.seen[hash]; ok {
		return ErrReplay
	}
	if len(c.seen) >= maxReplays {
		return fmt.Errorf("replay cache is full: %w", ErrBusy)
	}
	c.seen[hash] = struct{}{}
	heap.Push(&c.ends, replayed{hash, expiry})
	return nil
}

type replayed struct {
	hash   [32]byte
	expiry time.Time
}

// replayHeap has the entry that expires first in front.
type replayHeap []replayed

func (h replayHeap) Len() int           { return len(h) }
func (h replayHeap) Less(i, j int) bool { return h[i].expiry.Before(h[j].expiry) }
func (h replayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *replayHeap) Push(x any)        { *h = append(*h, x.(replayed)) }

func (h *replayHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
