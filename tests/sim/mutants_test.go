package sim

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/krepd/receiver"
	"krealm/krepd/spool"
)

// bugs are planted below and around the real code, through the same seams that failures come in
// by: production code has no switch for them.
type bugs struct {
	ackBeforeSync   bool // the spool says that it is durable before it is
	cutTooEarly     bool // krep believes that everybody has everything
	skipOnError     bool // what cannot be applied is passed over
	applyInTwo      bool // the rows are one transaction, the serial is another
	reuseSerial     bool // a writer counts on from the serial that it saw when it began
	forgetDirectory bool // a renamed file's name is never synced
	ackAppended     bool // what is in the spool counts as durable
	noLock          bool // the lock of a file keeps nobody out
	tornCopy        bool // a full copy lacks what was changed last
	toolNoSync      bool // what a foreign master's tool has appended is not synced
	lateDump        bool // a dump of a foreign master counts as of its end, not of its beginning
	pruneEarly      bool // the outbox forgets what the delta file may still lose
}

// safe is what feed.Options.Safe returns.
func (b *bugs) safe(upto uint64, ok bool) (uint64, bool) {
	if b != nil && b.cutTooEarly {
		return math.MaxUint64, true
	}
	return upto, ok
}

// spoolFS is the file system that a spool gets.
func (b *bugs) spoolFS(f fsOf) deltafile.FS {
	if b != nil && (b.ackBeforeSync || b.forgetDirectory) {
		return lazyFS{f, b}
	}
	return f
}

// toolFS is the file system that a foreign master's tool gets.
func (b *bugs) toolFS(f fsOf) deltafile.FS {
	if b != nil && b.toolNoSync {
		return lazyFS{f, &bugs{ackBeforeSync: true}}
	}
	return f
}

// late tells whether a dump counts as of its end.
func (b *bugs) late() bool { return b != nil && b.lateDump }

// spool is the spool that a receiver gets.
func (b *bugs) spool(s *spool.Spool) receiver.Spool {
	if b != nil && b.ackAppended {
		return eagerSpool{s}
	}
	return s
}

type eagerSpool struct{ *spool.Spool }

func (s eagerSpool) Durable() deltafile.State { return s.Last() }

// unlocked tells whether locks are of no use.
func (b *bugs) unlocked() bool { return b != nil && b.noLock }

// copied is what a full copy has of a store's content. The store's lock is held.
func (b *bugs) copied(s *store) map[string]string {
	out := maps.Clone(s.content)
	if b != nil && b.tornCopy && len(s.changes) > 0 {
		for line := range bytes.Lines(s.changes[len(s.changes)-1].Lines) {
			if _, name, err := dumpfmt.LineName(line); err == nil {
				delete(out, name)
			}
		}
	}
	return out
}

// prunes tells whether the outbox forgets without asking what is durable.
func (b *bugs) prunes() bool { return b != nil && b.pruneEarly }

// lazyFS does not sync what it says it has synced, but for a new file before it gets its name: a
// spool that does not begin as one would be seen before an acknowledgement is missed.
type lazyFS struct {
	fsOf
	b *bugs
}

func (l lazyFS) wrap(f deltafile.File, err error) (deltafile.File, error) {
	if err != nil || !l.b.ackBeforeSync {
		return f, err
	}
	return &lazyFile{file: f.(*file)}, nil
}

func (l lazyFS) Open(name string) (deltafile.File, error) { return l.wrap(l.fsOf.Open(name)) }
func (l lazyFS) OpenAppend(name string) (deltafile.File, error) {
	return l.wrap(l.fsOf.OpenAppend(name))
}
func (l lazyFS) Create(name string) (deltafile.File, error) {
	f, err := l.wrap(l.fsOf.Create(name))
	if lazy, ok := f.(*lazyFile); ok {
		lazy.draft = true
	}
	return f, err
}

func (l lazyFS) SyncDir(dir string) error {
	if l.b.forgetDirectory {
		return nil
	}
	return l.fsOf.SyncDir(dir)
}

type lazyFile struct {
	*file
	draft bool
}

func (l *lazyFile) Sync() error {
	if !l.draft {
		return nil
	}
	l.draft = false
	return l.file.Sync()
}

// previous is the state that a new changeset is made to follow. The store's lock is held.
func (b *bugs) previous(d *handle) deltafile.State {
	if b == nil || !b.reuseSerial {
		return d.s.at
	}
	return d.seen
}

// replica is the database that an applier gets.
func (b *bugs) replica(db database) database {
	if d, ok := db.(*handle); ok && b != nil && (b.skipOnError || b.applyInTwo) {
		return &badReplica{d, b}
	}
	return db
}

type badReplica struct {
	*handle
	b *bugs
}

func (r *badReplica) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	if r.b.applyInTwo {
		return r.inTwo(ctx, css)
	}
	st, err := r.handle.Apply(ctx, css)
	var bad *kdb.RecordError
	if !errors.As(err, &bad) {
		return st, err
	}
	err = r.commit("commit", func() error {
		for _, cs := range css {
			if cs.Serial == r.s.at.Serial+1 && cs.Serial <= bad.Serial {
				r.record(cs)
			}
		}
		r.s.refusing = false
		st = r.s.at
		return nil
	})
	return st, err
}

// inTwo plays the rows and then records the serials.
func (r *badReplica) inTwo(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	err := r.commit("commit", func() error {
		for _, cs := range css {
			if cs.Serial > r.s.at.Serial {
				if err := r.s.play(cs.Lines); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	return r.handle.Apply(ctx, css)
}

// mutant is a bug, and the observer that is to see it.
type mutant struct {
	plant   bugs
	by      string // one of these
	foreign bool   // planted in a master that has no database of ours
}

var mutants = map[string]mutant{
	"ack-before-fsync":   {plant: bugs{ackBeforeSync: true}, by: "O3"},
	"truncate-too-early": {plant: bugs{cutTooEarly: true}, by: "O4"},
	"skip-on-error":      {plant: bugs{skipOnError: true}, by: "O2"},
	"apply-in-two":       {plant: bugs{applyInTwo: true}, by: "O2"}, // the serial outside the transaction
	"serial-reuse":       {plant: bugs{reuseSerial: true}, by: "O1 O5"},
	"name-not-synced":    {plant: bugs{forgetDirectory: true}, by: "O3"},
	"ack-appended":       {plant: bugs{ackAppended: true}, by: "O3"},
	"no-lock":            {plant: bugs{noLock: true}, by: "O5"},
	"torn-copy":          {plant: bugs{tornCopy: true}, by: "O2"},
	"tool-not-synced":    {plant: bugs{toolNoSync: true}, by: "O9", foreign: true},
	"dump-counts-late":   {plant: bugs{lateDump: true}, by: "O2", foreign: true},
	"prune-early":        {plant: bugs{pruneEarly: true}, by: "O4"},
}

// seen tells whether one of the observers has complained.
func seen(err error, by string) bool {
	return slices.ContainsFunc(strings.Fields(by), func(o string) bool { return strings.Contains(err.Error(), o+":") })
}

// TestMutants plants each bug and tells stories until it is caught; then the same story must catch
// it again, at the same event.
func TestMutants(t *testing.T) {
	const patience = 60 // stories
	share(t, func(part, parts int) {
		for i, name := range slices.Sorted(maps.Keys(mutants)) {
			if i%parts != part {
				continue
			}
			t.Run(name, func(t *testing.T) {
				k := kind{bug: name}
				for seed := uint64(1); seed <= patience; seed++ {
					w := tell(t, seed, k.edit)
					if w.err == nil {
						continue
					}
					t.Logf("%v\ntell it again: %s", w.err, k.again(seed))
					if by := mutants[name].by; !seen(w.err, by) {
						t.Errorf("caught by another observer than %s", by)
					}
					if again := tell(t, seed, k.edit); again.err == nil || again.err.Error() != w.err.Error() || again.trace != w.trace {
						t.Errorf("told again: %v", again.err)
					}
					return
				}
				t.Errorf("not caught in %d stories", patience)
			})
		}
	})
}
