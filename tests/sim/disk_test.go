package sim

import (
	"context"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"krealm/deltafile"
)

// disk is one machine's file system: what its processes see, and what a power cut would leave.
type disk struct {
	h    *host
	mu   sync.Mutex
	full float64 // so many operations find no room
	sick float64 // so many more than usual fail
	lied bool    // a sync has succeeded that did not write everything; see inode.lost

	names   map[string]*inode
	durable map[string]*inode // names on the platter
	journal []change          // of names since then, in order; the platter has a prefix of it
	inodes  uint64

	watchers []*watcher
	changed  []*inode // written to since the oracle looked
	renamed  []rename
}

// change is one step of a directory: a name is given to a file, a name is taken away, or, in a
// rename, both at once.
type change struct {
	given string // "": none
	to    *inode
	taken string // "": none
}

func (c change) apply(names map[string]*inode) {
	if c.given != "" {
		names[c.given] = c.to
	}
	if c.taken != "" {
		delete(names, c.taken)
	}
}

// rename is a name that stands for another file now.
type rename struct {
	name     string
	old, now *inode
	by       string // name of the process
}

type inode struct {
	id      uint64
	data    []byte
	durable []byte // on the platter for certain
	// lost are bytes that an fsync has failed to write: the kernel has forgotten that they
	// are not on the platter, and no later fsync writes them.
	lost   [2]int
	fails  int // such fsyncs
	lock   chan struct{}
	scan   scan
	rotten bool     // see rot
	sure   *reading // of durable, as a delta file; nil: not read yet
}

func newDisk(h *host) *disk {
	return &disk{h: h, names: map[string]*inode{}, durable: map[string]*inode{}}
}

func (d *disk) newInode(data []byte) *inode {
	d.inodes++
	return &inode{id: d.inodes, data: data, durable: data, lock: make(chan struct{}, 1)}
}

// set changes the directory. d.mu is held.
func (d *disk) set(c change, by *proc) {
	if c.given != "" {
		d.renamed = append(d.renamed, rename{c.given, d.names[c.given], c.to, by.name})
	}
	if c.taken != "" {
		d.renamed = append(d.renamed, rename{c.taken, d.names[c.taken], nil, by.name})
	}
	c.apply(d.names)
	d.journal = append(d.journal, c)
	d.notify()
}

func (d *disk) notify() {
	for _, w := range d.watchers {
		w.poke(d.h.w)
	}
}

func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// synced is what is on the platter after a sync that the kernel takes for good.
func (i *inode) synced() []byte {
	if i.lost[1] <= i.lost[0] {
		return i.data[:len(i.data):len(i.data)]
	}
	b := slices.Clone(i.data)
	clear(b[min(i.lost[0], len(b)):min(i.lost[1], len(b))])
	return b
}

// survivor is what a power cut leaves of a file: what is on the platter for certain, and of the rest
// all, nothing, a part, or a hole of zeros.
func (i *inode) survivor(how float64, part float64) (data []byte, damaged bool) {
	all := i.synced()
	damaged = i.lost[1] > i.lost[0] || i.scan.damaged
	same := common(all, i.durable)
	if same == len(all) && same == len(i.durable) {
		return all, damaged
	}
	rest := same + int(part*float64(len(all)-same))
	switch {
	case how < 0.25:
		return i.durable, damaged
	case how < 0.5:
		return all, damaged
	case how < 0.75:
		return slices.Clone(all[:rest]), damaged
	}
	b := slices.Clone(all)
	clear(b[same:rest])
	return b, true
}

// powerCut replaces everything by what is left.
func (d *disk) powerCut(w *world) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.durable)
	kept := int(unit(w.draw("names "+d.h.name)) * float64(len(d.journal)+1))
	for _, c := range d.journal[:min(kept, len(d.journal))] {
		c.apply(names)
	}
	moved := map[*inode]*inode{}
	d.names = map[string]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old := names[name]
		if moved[old] == nil {
			data, damaged := old.survivor(unit(w.draw("bytes "+d.h.name)), unit(w.draw("part "+d.h.name)))
			moved[old] = d.newInode(data)
			moved[old].scan.damaged, moved[old].rotten = damaged, old.rotten
			if x := w.draw("rot " + d.h.name); (name == deltaName || name == spoolName) && unit(x) < w.plan.rot {
				d.rot(name, moved[old], mix(x))
				data = moved[old].data
			}
			w.note("left of "+alias(name), data)
		}
		d.names[name] = moved[old]
	}
	d.durable, d.journal, d.watchers = maps.Clone(d.names), nil, nil
	d.changed, d.renamed = nil, nil
}

// candidates are the files that a name may stand for after a power cut now.
func (d *disk) candidates(name string) []*inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []*inode{d.durable[name]}
	for _, c := range d.journal {
		switch name {
		case c.given:
			out = append(out, c.to)
		case c.taken:
			out = append(out, nil)
		}
	}
	return out
}

// current is the file that a name stands for now, nil for none.
func (d *disk) current(name string) *inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[name]
}

// fsOf is the disk as one process sees it. What it does is named after the process.
type fsOf struct {
	d *disk
	p *proc
}

var _ deltafile.FS = fsOf{}

func notThere(op, name string) error {
	return &fs.PathError{Op: op, Path: filepath.Base(name), Err: fs.ErrNotExist}
}

func isThere(op, name string) error {
	return &fs.PathError{Op: op, Path: filepath.Base(name), Err: fs.ErrExist}
}

// alias is a name without what is random in it.
func alias(name string) string {
	base := filepath.Base(name)
	if len(base) > 17 && base[len(base)-17] == '-' {
		return base[:len(base)-16]
	}
	return base
}

func (f fsOf) Open(name string) (deltafile.File, error) {
	if err := f.p.glance("open", alias(name)); err != nil {
		return nil, err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	i := f.d.names[name]
	if i == nil {
		return nil, notThere("open", name)
	}
	return f.p.opened(&file{fs: f, i: i, name: alias(name), fails: i.fails}), nil
}

func (f fsOf) OpenAppend(name string) (deltafile.File, error) { return f.Open(name) }

func (f fsOf) Create(name string) (deltafile.File, error) {
	var made *file
	err := f.p.do("create", alias(name), func(bool) error {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		if f.d.names[name] != nil {
			return isThere("create", name)
		}
		i := f.d.newInode(nil)
		f.d.set(change{given: name, to: i}, f.p)
		made = &file{fs: f, i: i, name: alias(name)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.p.opened(made), nil
}

func (f fsOf) Link(oldname, newname string) error {
	return f.p.do("link", alias(newname), func(bool) error {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		if f.d.names[oldname] == nil {
			return notThere("link", oldname)
		}
		if f.d.names[newname] != nil {
			return isThere("link", newname)
		}
		f.d.set(change{given: newname, to: f.d.names[oldname]}, f.p)
		return nil
	})
}

func (f fsOf) Rename(oldname, newname string) error {
	return f.p.do("rename", alias(newname), func(bool) error {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		i := f.d.names[oldname]
		if i == nil {
			return notThere("rename", oldname)
		}
		f.d.set(change{given: newname, to: i, taken: oldname}, f.p)
		return nil
	})
}

func (f fsOf) Remove(name string) error {
	if f.p.gone() {
		return errKilled
	}
	if f.d.current(name) == nil {
		return notThere("remove", name)
	}
	return f.p.do("remove", alias(name), func(bool) error {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		if f.d.names[name] == nil {
			return notThere("remove", name)
		}
		f.d.set(change{taken: name}, f.p)
		return nil
	})
}

func (f fsOf) Stat(name string) (deltafile.Info, error) {
	if err := f.p.glance("stat", alias(name)); err != nil {
		return deltafile.Info{}, err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	i := f.d.names[name]
	if i == nil {
		return deltafile.Info{}, notThere("stat", name)
	}
	return deltafile.Info{Ino: i.id, Size: int64(len(i.data))}, nil
}

func (f fsOf) Names(dir string) ([]string, error) {
	if f.p.gone() {
		return nil, errKilled
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	var names []string
	for name := range f.d.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (f fsOf) SyncDir(dir string) error {
	return f.p.do("syncdir", filepath.Base(dir), func(bool) error {
		f.d.mu.Lock()
		defer f.d.mu.Unlock()
		f.d.durable, f.d.journal = maps.Clone(f.d.names), nil
		return nil
	})
}

// file is an open file of a process.
type file struct {
	fs     fsOf
	i      *inode
	name   string
	fails  int // failed fsyncs that its process was told of, or that came before it
	mu     sync.Mutex
	locked bool
	closed bool
}

func (f *file) usable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fs.p.gone():
		return errKilled
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	if err := f.fs.p.glance("read", f.name); err != nil {
		return 0, err
	}
	f.fs.d.mu.Lock()
	defer f.fs.d.mu.Unlock()
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.i.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (n int, err error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	err = f.fs.p.do("write", f.name, func(half bool) error {
		f.fs.d.mu.Lock()
		defer f.fs.d.mu.Unlock()
		n = len(p)
		if half {
			n = int(unit(f.fs.p.w.draw("half "+f.name)) * float64(len(p)))
		}
		f.fs.p.w.note("written", p[:n])
		if n > 0 {
			f.i.data = append(f.i.data, p[:n]...)
			f.fs.d.changed = append(f.fs.d.changed, f.i)
			f.fs.d.notify()
		}
		return nil
	})
	return n, err
}

func (f *file) Truncate(size int64) error {
	if err := f.usable(); err != nil {
		return err
	}
	return f.fs.p.do("truncate", f.name, func(bool) error {
		f.fs.d.mu.Lock()
		defer f.fs.d.mu.Unlock()
		f.i.data = slices.Clone(f.i.data[:size])
		f.i.lost[1] = min(f.i.lost[1], int(size))
		f.fs.d.changed = append(f.fs.d.changed, f.i)
		f.fs.d.notify()
		return nil
	})
}

// Sync is as Linux has it: an fsync that fails leaves the pages clean and lost, and is told once to
// each who had the file open then; an fsync by anybody who opens it later succeeds.
func (f *file) Sync() error {
	if err := f.usable(); err != nil {
		return err
	}
	d, i := f.fs.d, f.i
	ok := false
	err := f.fs.p.do("fsync", f.name, func(half bool) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		all := i.synced()
		if half { // some of it has come to the platter
			same := common(all, i.durable)
			i.durable, i.sure = all[:same+(len(all)-same)/2], nil
			return nil
		}
		i.durable, i.sure, ok = all, nil, true
		if i.lost[1] > i.lost[0] {
			d.lied = true
			i.scan.damaged = true
		}
		return nil
	})
	if err == errKilled {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && !ok {
		from := common(i.data, i.durable)
		if i.lost[1] > i.lost[0] {
			from = min(from, i.lost[0])
		}
		i.lost = [2]int{from, len(i.data)}
		i.fails++
	}
	if err == nil && f.fails < i.fails {
		err = errIO
	}
	f.fails = i.fails
	return err
}

func (f *file) Stat() (deltafile.Info, error) {
	if err := f.usable(); err != nil {
		return deltafile.Info{}, err
	}
	if err := f.fs.p.glance("fstat", f.name); err != nil {
		return deltafile.Info{}, err
	}
	f.fs.d.mu.Lock()
	defer f.fs.d.mu.Unlock()
	return deltafile.Info{Ino: f.i.id, Size: int64(len(f.i.data))}, nil
}

func (f *file) Lock(ctx context.Context) error {
	if err := f.usable(); err != nil {
		return err
	}
	f.mu.Lock()
	held := f.locked
	f.mu.Unlock()
	if held || f.fs.p.w.plan.bugs.unlocked() {
		return nil
	}
	if ctx.Err() != nil { // first: a select would toss a coin
		return ctx.Err()
	}
	select {
	case f.i.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.fs.p.killed:
		return errKilled
	}
	f.mu.Lock()
	f.locked = true
	f.mu.Unlock()
	if f.fs.p.gone() { // in the same moment
		f.release()
		return errKilled
	}
	return nil
}

// release gives back the lock if it is held, as the kernel does for a process that has ended.
func (f *file) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		f.locked = false
		<-f.i.lock
	}
}

func (f *file) Unlock() error {
	f.release()
	return nil
}

func (f *file) Close() error {
	f.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.fs.p.forget(f)
	return nil
}

// watcher tells a process that something has changed on its disk, as inotify does: mostly.
type watcher struct {
	d    *disk
	name string
	c    chan struct{}
}

func (d *disk) watch(p *proc) (deltafile.Watcher, error) {
	if p.gone() {
		return nil, errKilled
	}
	w := &watcher{d: d, name: p.id(), c: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watchers = append(d.watchers, w)
	return w, nil
}

func (w *watcher) poke(wo *world) {
	if unit(wo.draw("inotify "+w.name)) < wo.plan.deaf {
		return
	}
	select {
	case w.c <- struct{}{}:
	default:
	}
}

func (w *watcher) C() <-chan struct{} { return w.c }

func (w *watcher) Close() error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.watchers = slices.DeleteFunc(w.d.watchers, func(o *watcher) bool { return o == w })
	return nil
}
