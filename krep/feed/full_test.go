package feed

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"krealm/deltafile"
)

// smallDisk has so many octets of room in a directory.
type smallDisk struct {
	deltafile.FS
	dir  string
	room atomic.Int64 // 0: no end
}

func (d *smallDisk) used() (n int64) {
	names, _ := d.Names(d.dir)
	for _, name := range names {
		if st, err := os.Stat(filepath.Join(d.dir, name)); err == nil {
			n += st.Size()
		}
	}
	return n
}

func (d *smallDisk) Create(name string) (deltafile.File, error) {
	f, err := d.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &smallFile{f, d}, nil
}

type smallFile struct {
	deltafile.File
	on *smallDisk
}

func (f *smallFile) Write(p []byte) (int, error) {
	if room := f.on.room.Load(); room > 0 && f.on.used()+int64(len(p)) > room {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}

// TestCutOnAFullDisk: a disk that the delta file itself has filled is empty again when all slaves have what
// is in it, although the file that takes its place needs some room before the old one gives up its own.
func TestCutOnAFullDisk(t *testing.T) {
	disk := &smallDisk{FS: deltafile.OSFS}
	b := newBench(t, func(o *Options) { disk.dir, o.Tail.FS = filepath.Dir(o.Path), disk })
	b.begin(7)
	for range 2 { // and the second time
		disk.room.Store(0)
		b.safe.Store(holdAll)
		b.add(1, 10)
		b.caughtUp()
		b.safe.Store(b.last.Serial)
		b.feed.Acked()
		b.until("a cut", func(base, _ deltafile.State) bool { return base.Same(b.last) })

		b.safe.Store(holdAll)
		b.add(200, 100)
		b.caughtUp()
		disk.room.Store(disk.used())
		b.safe.Store(b.last.Serial)
		b.feed.Acked()
		b.until("a cut on the full disk", func(base, _ deltafile.State) bool { return base.Same(b.last) })
		if why := b.feed.Trouble(); why != "" {
			t.Error(why)
		}
	}
}
