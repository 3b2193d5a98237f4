package deltafile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// memFS is a file system in memory that knows what would survive a power cut, counts the
// steps that change something, and can make any of them go wrong.
type memFS struct {
	mu      sync.Mutex
	names   map[string]*inode
	durable map[string]*inode // the names, as of the last SyncDir
	inodes  uint64
	step    int                         // counts changing steps
	log     []string                    // what they were
	fault   func(step int) faultKind    // nil: none
	dead    bool                        // the machine has stopped
	wake    func()                      // called after each change; nil: none
	before  func(op, name string) error // called before anything else, unlocked; nil: none
}

type faultKind int

const (
	noFault  faultKind = iota
	failIt             // an error, nothing done
	halfDone           // an error after half of a write; else as failIt
	stopHere           // the machine stops before the step
	stopHalf           // the machine stops in the middle of a write; else as stopHere
)

var (
	errInjected = errors.New("injected fault")
	errDead     = errors.New("the machine has stopped")
)

type inode struct {
	id      uint64
	data    []byte
	durable []byte
	lock    chan struct{}
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// enter counts a changing step. half: do half of it, then return err.
func (m *memFS) enter(op string) (half bool, err error) {
	if m.dead {
		return false, errDead
	}
	m.step++
	m.log = append(m.log, op)
	if m.fault == nil {
		return false, nil
	}
	switch m.fault(m.step) {
	case failIt:
		return false, fmt.Errorf("%s: %w", op, errInjected)
	case halfDone:
		return true, fmt.Errorf("%s: %w", op, errInjected)
	case stopHere:
		m.dead = true
		return false, errDead
	case stopHalf:
		m.dead = true
		return true, errDead
	}
	return false, nil
}

func (m *memFS) changed() {
	if m.wake != nil {
		m.wake()
	}
}

func (m *memFS) open(name string) (File, error) {
	if m.before != nil {
		if err := m.before("open", name); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	i, ok := m.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, i: i}, nil
}

func (m *memFS) Open(name string) (File, error)       { return m.open(name) }
func (m *memFS) OpenAppend(name string) (File, error) { return m.open(name) }

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.enter("create " + filepath.Base(name)); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	m.inodes++
	i := &inode{id: m.inodes, lock: make(chan struct{}, 1)}
	m.names[name] = i
	return &memFile{m: m, i: i}, nil
}

func (m *memFS) Link(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.enter("link " + filepath.Base(newname)); err != nil {
		return err
	}
	if m.names[oldname] == nil {
		return &fs.PathError{Op: "link", Path: oldname, Err: fs.ErrNotExist}
	}
	if m.names[newname] != nil {
		return &fs.PathError{Op: "link", Path: newname, Err: fs.ErrExist}
	}
	m.names[newname] = m.names[oldname]
	m.changed()
	return nil
}

func (m *memFS) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.enter("rename " + filepath.Base(newname)); err != nil {
		return err
	}
	if m.names[oldname] == nil {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	m.names[newname] = m.names[oldname]
	delete(m.names, oldname)
	m.changed()
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if _, err := m.enter("remove " + filepath.Base(name)); err != nil {
		return err
	}
	delete(m.names, name)
	m.changed()
	return nil
}

func (m *memFS) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.names[name]
	switch {
	case m.dead:
		return Info{}, errDead
	case !ok:
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return Info{Ino: i.id, Size: int64(len(i.data))}, nil
}

func (m *memFS) Names(dir string) ([]string, error) {
	var names []string
	for _, name := range m.list() {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (m *memFS) SyncDir(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.enter("syncdir"); err != nil {
		return err
	}
	m.durable = maps.Clone(m.names)
	return nil
}

// put writes a whole file behind everybody's back.
func (m *memFS) put(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		m.inodes++
		m.names[name] = &inode{id: m.inodes, lock: make(chan struct{}, 1)}
	}
	m.names[name].data = slices.Clone(data)
	m.names[name].durable = slices.Clone(data)
	m.durable = maps.Clone(m.names)
	m.changed()
}

func (m *memFS) get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return nil
	}
	return slices.Clone(m.names[name].data)
}

func (m *memFS) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.names))
}

// after is what is left when the machine starts again. data says what became of bytes never
// synced: "lost", "kept", "half" or "zeros"; names whether renames not synced were "lost" or
// "kept". A killed process is "kept", "kept".
func (m *memFS) after(data, names string) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newMemFS()
	n.inodes = m.inodes
	from := m.durable
	if names == "kept" {
		from = m.names
	}
	moved := map[*inode]*inode{}
	for name, i := range from {
		if moved[i] == nil {
			moved[i] = &inode{id: i.id, lock: make(chan struct{}, 1), data: i.survivor(data)}
			moved[i].durable = slices.Clone(moved[i].data)
		}
		n.names[name] = moved[i]
	}
	n.durable = maps.Clone(n.names)
	return n
}

func (i *inode) survivor(how string) []byte {
	same := 0
	for same < len(i.data) && same < len(i.durable) && i.data[same] == i.durable[same] {
		same++
	}
	switch how {
	case "kept":
		return slices.Clone(i.data)
	case "half":
		return slices.Clone(i.data[:same+(len(i.data)-same)/2])
	case "zeros":
		b := slices.Clone(i.data)
		clear(b[same:])
		return b
	}
	return slices.Clone(i.durable)
}

type memFile struct {
	m      *memFS
	i      *inode
	mu     sync.Mutex
	locked bool
	closed bool
}

func (f *memFile) use() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	if f.m.before != nil {
		if err := f.m.before("read", ""); err != nil {
			return 0, err
		}
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.dead {
		return 0, errDead
	}
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.i.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	half, err := f.m.enter("write")
	n := len(p)
	if err != nil {
		n = 0
		if half {
			n = len(p) / 2
		}
	}
	f.i.data = append(f.i.data, p[:n]...)
	f.m.changed()
	return n, err
}

func (f *memFile) Truncate(size int64) error {
	if err := f.use(); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.m.enter("ftruncate"); err != nil {
		return err
	}
	f.i.data = slices.Clone(f.i.data[:size])
	f.m.changed()
	return nil
}

func (f *memFile) Sync() error {
	if err := f.use(); err != nil {
		return err
	}
	if f.m.before != nil {
		if err := f.m.before("sync", ""); err != nil {
			return err
		}
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.m.enter("fsync"); err != nil {
		return err
	}
	f.i.durable = slices.Clone(f.i.data)
	return nil
}

func (f *memFile) Stat() (Info, error) {
	if err := f.use(); err != nil {
		return Info{}, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.dead {
		return Info{}, errDead
	}
	return Info{Ino: f.i.id, Size: int64(len(f.i.data))}, nil
}

func (f *memFile) Lock(ctx context.Context) error {
	if err := f.use(); err != nil {
		return err
	}
	f.mu.Lock()
	held := f.locked
	f.mu.Unlock()
	if held {
		return nil
	}
	select {
	case f.i.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	f.locked = true
	f.mu.Unlock()
	return nil
}

func (f *memFile) Unlock() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		f.locked = false
		<-f.i.lock
	}
	return nil
}

func (f *memFile) Close() error {
	_ = f.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

// report reads a file of the memory file system with the scanner.
func (m *memFS) report(t testing.TB, name string) (base State, css []*Changeset, err error) {
	t.Helper()
	base, css, _, err = readBytes(m.get(name))
	return base, css, err
}
