package feed

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
)

// logged is a log that may be looked at.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// TestCutTroubleIsToldOnce: a disk that stays full does not fill the log too, and that it is over is told.
func TestCutTroubleIsToldOnce(t *testing.T) {
	const failures = 20
	disk, log := &fullFS{FS: deltafile.OSFS}, new(logged)
	disk.times.Store(failures)
	b := newBench(t, func(o *Options) { o.Tail.FS, o.Quiet, o.Log = disk, time.Millisecond, zerolog.New(log) })
	b.begin(7)
	b.add(3, 100)
	b.caughtUp()
	b.safe.Store(3)
	b.feed.Acked()
	b.until("the file is cut", func(base, _ deltafile.State) bool { return base.Serial == 3 })
	if n := log.count("could not be cut"); n == 0 || n > 6 {
		t.Errorf("%d lines of %d failures", n, failures)
	}
	if n := log.count("can be cut again"); n != 1 {
		t.Errorf("%d lines that it is over", n)
	}
}
