package feed

import (
	"sync/atomic"
	"testing"

	"krealm/deltafile"
)

// openFS counts the files that are open for reading.
type openFS struct {
	deltafile.FS
	n atomic.Int64
}

func (s *openFS) Open(name string) (deltafile.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	s.n.Add(1)
	return &openFile{f, s}, nil
}

type openFile struct {
	deltafile.File
	of *openFS
}

func (f *openFile) Close() error {
	f.of.n.Add(-1)
	return f.File.Close()
}

// TestClosedCursorLetsGo: a cursor that is closed in the middle of the file has it open no longer: a file that
// was replaced by rename takes its room on the disk until then.
func TestClosedCursorLetsGo(t *testing.T) {
	fsys := &openFS{FS: deltafile.OSFS}
	b := newBench(t, func(o *Options) { o.Window, o.Tail.FS = 3000, fsys })
	b.begin(7)
	first := b.last
	b.add(200, 100)
	b.caughtUp()
	before := fsys.n.Load()
	for range 10 {
		c := b.feed.Cursor(first)
		if css, err := c.Next(t.Context(), 1000); err != nil || len(css) == 0 {
			t.Fatalf("%d changesets, %v", len(css), err)
		}
		c.Close()
	}
	if n := fsys.n.Load(); n != before {
		t.Errorf("the file is open %d times, before it was %d times", n, before)
	}
}
