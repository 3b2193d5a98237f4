package serve

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// Bounds of the cache of replies. MIT krb5kdc has the same.
const (
	cacheTTL   = 2 * time.Minute
	cacheBytes = 10 << 20
	entryCost  = 200 // octets of bookkeeping, about
	shards     = 16
)

type digest [sha256.Size]byte

// lookaside remembers the replies to recent requests, so that a retransmission gets the same
// answer and counts once, over whatever transport and address it comes. It is shared by all
// sockets. It is no defence against replays: the same authenticator in another message is
// another request.
type lookaside struct {
	shard [shards]shard
}

type shard struct {
	mu      sync.Mutex
	entries map[digest]*cached
	order   list.List // of *cached, the oldest first
	bytes   int
}

type cached struct {
	key   digest
	reply []byte
	done  bool
	at    time.Time
	place *list.Element
}

func newLookaside() *lookaside {
	l := new(lookaside)
	for i := range l.shard {
		l.shard[i].entries = make(map[digest]*cached)
	}
	return l
}

func (l *lookaside) of(key digest) *shard { return &l.shard[key[0]%shards] }

// verdict is what the cache knows of a request.
type verdict int

const (
	fresh    verdict = iota // not seen: the caller answers it and calls finish
	answered                // seen: here is the reply
	busy                    // being answered now: drop the duplicate
)

// begin looks a request up and, if it is new, marks it as being answered.
func (l *lookaside) begin(key digest, now time.Time) (verdict, []byte) {
	s := l.of(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok {
		switch {
		case !e.done:
			return busy, nil
		case now.Sub(e.at) < cacheTTL:
			return answered, e.reply
		}
		s.drop(e)
	}
	s.expire(now)
	e := &cached{key: key, at: now}
	s.entries[key] = e
	e.place = s.order.PushBack(e)
	s.bytes += entryCost
	return fresh, nil
}

// finish stores the reply of a request that begin called fresh. No reply, nothing to remember.
func (l *lookaside) finish(key digest, reply []byte, now time.Time) {
	s := l.of(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok || e.done {
		return // pushed out in the meantime
	}
	if reply == nil {
		s.drop(e)
		return
	}
	e.reply, e.done, e.at = reply, true, now
	s.bytes += len(reply)
	s.expire(now)
}

func (s *shard) drop(e *cached) {
	delete(s.entries, e.key)
	s.bytes -= entryCost + len(e.reply)
	s.order.Remove(e.place)
}

// expire drops what is too old, and the oldest while there is too much.
func (s *shard) expire(now time.Time) {
	for front := s.order.Front(); front != nil; front = s.order.Front() {
		e := front.Value.(*cached)
		if now.Sub(e.at) < cacheTTL && s.bytes <= cacheBytes/shards {
			return
		}
		s.drop(e)
	}
}
