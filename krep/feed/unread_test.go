package feed

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
)

// sickFS does not open or find files for as long as it is sick.
type sickFS struct {
	deltafile.FS
	sick atomic.Bool
}

func (s *sickFS) Open(name string) (deltafile.File, error) {
	if s.sick.Load() {
		return nil, syscall.EMFILE
	}
	return s.FS.Open(name)
}

func (s *sickFS) Stat(name string) (deltafile.Info, error) {
	if s.sick.Load() {
		return deltafile.Info{}, syscall.EIO
	}
	return s.FS.Stat(name)
}

// TestUnreadForAWhile: a file that was read and cannot be read for a while, for want of descriptors say,
// does not end the feed: that is told, and over when it is over.
func TestUnreadForAWhile(t *testing.T) {
	fsys := &sickFS{FS: deltafile.OSFS}
	b := newBench(t, func(o *Options) { o.Tail.FS = fsys })
	b.begin(7)
	b.add(3, 100)
	b.caughtUp()
	told := func(want string) {
		t.Helper()
		for end := time.Now().Add(patience); ; {
			select {
			case err := <-b.err:
				t.Fatalf("the feed has ended: %v", err)
			case <-time.After(time.Millisecond):
			}
			if got := b.feed.Unread(); strings.Contains(got, want) && (got == "") == (want == "") {
				return
			} else if time.Now().After(end) {
				t.Fatalf("told %q, want %q", got, want)
			}
		}
	}
	for _, n := range []int{2, 0} {
		fsys.sick.Store(true)
		if n > 0 {
			b.add(n, 100)
		}
		told("input/output error")
		fsys.sick.Store(false)
		told("")
		b.caughtUp()
	}
}
