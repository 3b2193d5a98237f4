package kdb

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"

	"krealm/dumpfmt"
)

// slab holds lines by name in memory that the garbage collector need not look into: entries one
// behind the other in large chunks, and a table of open addressing whose slots are offsets.
//
// One goroutine writes, any number read, and readers never wait: an entry is complete before the
// slot that names it is stored, and neither changes after that. Replacing an entry leaves the
// old one as garbage in its chunk until the slab is rebuilt.
type slab struct {
	generation uint64 // tells the refs of one slab from those of the next
	seed       maphash.Seed
	table      atomic.Pointer[slots]
	chunks     atomic.Pointer[[][]byte]
	locks      *lockArray // outlives the slab when it is only rebuilt

	// The rest is the writer's.
	fill    int // used bytes of the last chunk
	live    int // entries
	dead    int // slots that are tombstones
	bytes   int // in all chunks, used
	garbage int // of those, no longer reachable
}

// slots is a hash table: a power of two of slots, at most three quarters of them taken. A slot is
// empty (0), a tombstone, or tag<<48 | ref+1, where ref is chunk<<22 | offset.
type slots struct {
	mask uint64
	at   []atomic.Uint64
}

const (
	chunkBits  = 22
	chunkMax   = 1 << chunkBits
	chunkMin   = 64 << 10
	refBits    = 48
	refMask    = 1<<refBits - 1
	tombstone  = refMask
	headerSize = 4 + 4 + 4 // ordinal, length of the name, length of the line
)

func newSlab(generation uint64, locks *lockArray, expect int) *slab {
	s := &slab{generation: generation, seed: maphash.MakeSeed(), locks: locks}
	s.table.Store(newSlots(expect))
	s.chunks.Store(new([][]byte))
	return s
}

// newSlots makes a table for n entries with room for as many again.
func newSlots(n int) *slots {
	size := 64
	for size < 2*n {
		size *= 2
	}
	return &slots{mask: uint64(size - 1), at: make([]atomic.Uint64, size)}
}

// item is an entry as a reader sees it. Its bytes must not be written to.
type item struct {
	ref     uint64
	ordinal uint32
	line    []byte
}

// find looks a name up.
func (s *slab) find(name string) (item, bool) {
	t := s.table.Load()
	h := maphash.String(s.seed, name)
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		v := t.at[i].Load()
		if v == 0 {
			return item{}, false
		}
		if v == tombstone || v>>refBits != h>>refBits {
			continue
		}
		if e, n := s.entry(v&refMask - 1); string(n) == name {
			return e, true
		}
	}
}

// entry decodes what lies at ref. A reader must have loaded the slot before: the chunk was
// published earlier than that.
func (s *slab) entry(ref uint64) (e item, name []byte) {
	b := (*s.chunks.Load())[ref>>chunkBits][ref&(chunkMax-1):]
	nameLen, lineLen := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	end := headerSize + nameLen
	e = item{ref: ref, ordinal: binary.LittleEndian.Uint32(b), line: b[end : end+lineLen : end+lineLen]}
	return e, b[headerSize:end:end]
}

// put inserts or replaces an entry.
func (s *slab) put(name string, line []byte, lock dumpfmt.Lockout) {
	t := s.table.Load()
	if used := s.live + s.dead + 1; used > len(t.at)/4*3 {
		s.rehash()
		t = s.table.Load()
	}
	h := maphash.String(s.seed, name)
	i, old := s.slot(t, h, name)
	ordinal := uint32(0)
	if old == nil {
		ordinal = s.locks.grow()
		s.live++
	} else {
		ordinal = old.ordinal
		s.garbage += headerSize + len(name) + len(old.line)
	}
	s.locks.set(ordinal, lock)
	s.insert(t, i, h, ordinal, name, line)
}

// insert stores an entry and makes slot i name it.
func (s *slab) insert(t *slots, i, h uint64, ordinal uint32, name string, line []byte) {
	size := headerSize + len(name) + len(line)
	b, ref := s.alloc(size)
	binary.LittleEndian.PutUint32(b, ordinal)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(name)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(line)))
	copy(b[headerSize+copy(b[headerSize:], name):], line)
	s.bytes += size
	if t.at[i].Load() == tombstone {
		s.dead--
	}
	t.at[i].Store(h>>refBits<<refBits | (ref + 1))
}

// slot returns the slot that holds name and its entry, or the one to put it in and nil.
func (s *slab) slot(t *slots, h uint64, name string) (uint64, *item) {
	free, found := uint64(0), false
	for i := h & t.mask; ; i = (i + 1) & t.mask {
		v := t.at[i].Load()
		switch {
		case v == 0 && found:
			return free, nil
		case v == 0:
			return i, nil
		case v == tombstone:
			if !found {
				free, found = i, true
			}
		case v>>refBits == h>>refBits:
			if e, n := s.entry(v&refMask - 1); string(n) == name {
				return i, &e
			}
		}
	}
}

// remove takes an entry out, if it is there.
func (s *slab) remove(name string) {
	t := s.table.Load()
	i, old := s.slot(t, maphash.String(s.seed, name), name)
	if old == nil {
		return
	}
	t.at[i].Store(tombstone)
	s.live--
	s.dead++
	s.garbage += headerSize + len(name) + len(old.line)
}

// alloc makes room for size bytes in the last chunk or a new one. An entry larger than a chunk
// gets one of its own.
func (s *slab) alloc(size int) (b []byte, ref uint64) {
	chunks := *s.chunks.Load()
	if n := len(chunks); n == 0 || s.fill+size > len(chunks[n-1]) {
		want := min(max(chunkMin, s.bytes), chunkMax)
		grown := make([][]byte, n+1)
		copy(grown, chunks)
		grown[n] = make([]byte, max(want, size))
		s.chunks.Store(&grown)
		chunks, s.fill = grown, 0
	}
	n := len(chunks) - 1
	ref = uint64(n)<<chunkBits | uint64(s.fill)
	b = chunks[n][s.fill : s.fill+size]
	s.fill += size
	if s.fill >= chunkMax { // no entry may begin where its offset does not fit
		s.fill = len(chunks[n])
	}
	return b, ref
}

// rehash makes a table of the right size, without tombstones.
func (s *slab) rehash() {
	old, t := s.table.Load(), newSlots(s.live+1)
	for i := range old.at {
		v := old.at[i].Load()
		if v == 0 || v == tombstone {
			continue
		}
		_, name := s.entry(v&refMask - 1)
		j := maphash.Bytes(s.seed, name) & t.mask
		for t.at[j].Load() != 0 {
			j = (j + 1) & t.mask
		}
		t.at[j].Store(v)
	}
	s.dead = 0
	s.table.Store(t)
}

// wasteful says that more than half of a slab of some size is garbage.
func (s *slab) wasteful() bool { return s.garbage > 1<<20 && s.garbage > s.bytes/2 }

// rebuilt returns a slab with the same entries and nothing else. Lockout fields are shared.
func (s *slab) rebuilt(generation uint64) *slab {
	n := newSlab(generation, s.locks, s.live)
	old, t := s.table.Load(), n.table.Load()
	for i := range old.at {
		v := old.at[i].Load()
		if v == 0 || v == tombstone {
			continue
		}
		e, name := s.entry(v&refMask - 1)
		h := maphash.Bytes(n.seed, name)
		j := h & t.mask
		for t.at[j].Load() != 0 {
			j = (j + 1) & t.mask
		}
		n.insert(t, j, h, e.ordinal, string(name), e.line)
		n.live++
	}
	return n
}

// lockArray holds the lockout fields of entries by their ordinal, which an entry keeps for as long
// as it exists. Readers may set them too.
type lockArray struct {
	blocks atomic.Pointer[[]*[lockBlock]lock]
	n      uint32 // the writer's
}

const lockBlock = 4096

// lock is one entry's. Failure time and count change together.
type lock struct {
	success atomic.Uint32
	failure atomic.Uint64 // last failed<<32 | fail count
}

func newLockArray() *lockArray {
	a := new(lockArray)
	a.blocks.Store(new([]*[lockBlock]lock))
	return a
}

// grow adds an element and returns its ordinal.
func (a *lockArray) grow() uint32 {
	blocks := *a.blocks.Load()
	if int(a.n) == len(blocks)*lockBlock {
		grown := make([]*[lockBlock]lock, len(blocks)+1)
		copy(grown, blocks)
		grown[len(blocks)] = new([lockBlock]lock)
		a.blocks.Store(&grown)
	}
	a.n++
	return a.n - 1
}

func (a *lockArray) at(ordinal uint32) *lock {
	return &(*a.blocks.Load())[ordinal/lockBlock][ordinal%lockBlock]
}

func (a *lockArray) get(ordinal uint32) dumpfmt.Lockout {
	l := a.at(ordinal)
	f := l.failure.Load()
	return dumpfmt.Lockout{LastSuccess: l.success.Load(), LastFailed: uint32(f >> 32), FailCount: uint32(f)}
}

func (a *lockArray) set(ordinal uint32, v dumpfmt.Lockout) {
	l := a.at(ordinal)
	l.success.Store(v.LastSuccess)
	l.failure.Store(uint64(v.LastFailed)<<32 | uint64(v.FailCount))
}
