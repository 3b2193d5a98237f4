package sender

import "sync"

// flight counts the bytes that are sent and not acknowledged.
type flight struct {
	mu    sync.Mutex
	queue []sent
	bytes int64
}

type sent struct {
	serial uint64
	size   int64
}

func (f *flight) sent(serial uint64, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, sent{serial, size})
	f.bytes += size
}

func (f *flight) acked(serial uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(f.queue) && f.queue[n].serial <= serial {
		f.bytes -= f.queue[n].size
		n++
	}
	f.queue = f.queue[n:]
}

func (f *flight) size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}
