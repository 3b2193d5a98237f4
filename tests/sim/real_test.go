package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/krep/sender"
)

// realStore is a database of package kdb in a directory of this machine. Its delta file is on the
// simulated disk, so that what is done to it can be seen and can fail. A commit is one event: it is
// durable or it has not happened, which is what SQLite promises and kdb's own tests check.
type realStore struct {
	h    *host
	dir  string
	peek *kdb.DB // the oracle's

	mu    sync.Mutex
	dirty bool // something may have been written since the last look
	busy  int  // calls that may write
	last  sight
	loads int
}

// newRealStore makes the database; dir is empty and goes with the story.
func newRealStore(h *host, dir string) *realStore {
	s := &realStore{h: h, dir: dir, dirty: true}
	ctx := context.Background()
	var db *kdb.DB
	if h.parent == nil {
		db = must(kdb.Create(ctx, s.path(), realmName, kdb.Options{}))
		h.w.stats.epochs++
	} else {
		db = must(kdb.InitSlave(ctx, s.path(), realmName, kdb.Options{}))
	}
	if err := db.Close(); err != nil {
		panic(err)
	}
	s.peek = must(kdb.Open(ctx, s.path(), kdb.Options{ReadOnly: true}))
	return s
}

func (s *realStore) path() string { return filepath.Join(s.dir, "db.sqlite") }

func (s *realStore) close() { _ = s.peek.Close() }

// writing notes that a call may write until done.
func (s *realStore) writing() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
		s.dirty = true
	}
}

func (s *realStore) look() (sight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty && s.busy == 0 {
		return s.last, false
	}
	s.dirty = false
	at, digest, err := s.peek.Digest(context.Background())
	if err != nil {
		s.h.w.fail("%s: %w", s.h.name, err)
	}
	v := sight{at: at, digest: digest, loads: s.loads}
	if at.Serial > 0 {
		if css, err := s.peek.Changes(context.Background(), at.Serial-1, 1); err == nil && len(css) == 1 {
			v.last = css[0]
		}
	}
	fresh := v != s.last
	s.last = v
	return v, fresh
}

func (s *realStore) rows() map[string]string {
	out := map[string]string{}
	for p, err := range s.peek.Principals(context.Background()) {
		if err != nil {
			s.h.w.fail("%s: %w", s.h.name, err)
			return nil
		}
		out[p.Name] = string(must(p.AppendLine(nil, dumpfmt.Current)))
	}
	if err := s.peek.VerifyDigest(context.Background()); err != nil {
		s.h.w.fail("%s: %w", s.h.name, err)
	}
	return out
}

func (s *realStore) tamper(string) {} // the model's part
func (s *realStore) refuse(bool)   {}

// realHandle is a realStore opened by a process.
type realHandle struct {
	*kdb.DB
	s *realStore
	p *proc
}

func (s *realStore) open(p *proc, delta string) (database, error) {
	o := kdb.Options{Clock: s.h.clock, DeltaFile: delta, VerifyDelta: p.verifies(), DeltaFS: p.fs(), KeepChanges: int(p.w.plan.keep), ReadOnly: p.name == "krep",
		OnDrainError: func(err error) {
			if !p.gone() {
				p.log().Debug().Err(err).Msg("drain")
			}
		}}
	defer s.writing()()
	db, err := kdb.Open(p.ctx, s.path(), o)
	if err != nil {
		return nil, err
	}
	return &realHandle{db, s, p}, nil
}

// begin waits for a commit's turn.
func (d *realHandle) begin(kind string) (done func(), err error) {
	if err := d.p.do(kind, "db", nil); err != nil {
		return nil, err
	}
	return d.s.writing(), nil
}

func (d *realHandle) Update(ctx context.Context, edits []edit) (deltafile.State, error) {
	done, err := d.begin("commit")
	if err != nil {
		return deltafile.State{}, err
	}
	defer done()
	return d.DB.Update(ctx, func(tx *kdb.Tx) error {
		for _, e := range edits {
			var err error
			if e.value != 0 {
				err = tx.PutPrincipal(e.principal())
			} else if err = tx.DeletePrincipal(e.full()); errors.Is(err, kdb.ErrNotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *realHandle) Reload(ctx context.Context, edits []edit) (deltafile.State, error) {
	done, err := d.begin("load")
	if err != nil {
		return deltafile.State{}, err
	}
	defer done()
	d.p.w.stats.epochs++
	lines := map[string]string{}
	for _, e := range edits {
		lines[e.name] = string(e.line())
	}
	var dump bytes.Buffer
	dump.WriteString("kdb5_util load_dump version 7\n")
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		dump.WriteString(lines[name])
	}
	res, err := d.DB.Load(ctx, &dump, kdb.LoadOptions{})
	return res.State, err
}

func (d *realHandle) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	done, err := d.begin("commit")
	if err != nil {
		return deltafile.State{}, err
	}
	defer done()
	return d.DB.Apply(ctx, css)
}

func (d *realHandle) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	done, err := d.begin("load")
	if err != nil {
		return deltafile.State{}, err
	}
	defer done()
	d.s.mu.Lock()
	d.s.loads++ // it may fail; what it is for is to know when content may have jumped
	d.s.mu.Unlock()
	st, err := d.DB.LoadSnapshot(ctx, r)
	if err == nil {
		d.p.w.stats.copies++
	}
	return st, err
}

func (d *realHandle) Copy(ctx context.Context) (sender.Copy, error) {
	done, err := d.begin("snapshot")
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := d.DB.Snapshot(ctx, d.s.dir)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// realDir makes a directory for the databases of a story, in memory where there is such a place:
// their durability is not what is tested.
func realDir() string {
	parent := "/dev/shm"
	if st, err := os.Stat(parent); err != nil || !st.IsDir() {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "krealm-sim-")
	if err != nil {
		dir, err = os.MkdirTemp("", "krealm-sim-")
	}
	return must(dir, err)
}
