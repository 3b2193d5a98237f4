package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/krep/sender"
	"krealm/krepd/apply"
)

// backend is the database file of one machine.
type backend interface {
	// open opens it for a process that appends its changes to the delta file delta; "": to none.
	open(p *proc, delta string) (database, error)
	// look tells where the database stands, for the oracle, and whether that may have changed
	// since the last look.
	look() (sight, bool)
	// rows are its entries by name.
	rows() map[string]string
	// tamper changes an entry behind everybody's back.
	tamper(name string)
	// refuse makes it refuse the next change that it is to apply, until it gets a full copy.
	refuse(yes bool)
}

// sight is what an observer sees of a database.
type sight struct {
	at     deltafile.State
	digest [32]byte
	loads  int                  // full copies loaded so far
	last   *deltafile.Changeset // that led to at; nil: unknown
}

// database is an open database.
type database interface {
	apply.DB
	Update(ctx context.Context, edits []edit) (deltafile.State, error)
	// Reload replaces the content and begins a new epoch.
	Reload(ctx context.Context, edits []edit) (deltafile.State, error)
	Drain(ctx context.Context) error
	Copy(ctx context.Context) (sender.Copy, error)
	Close() error
}

// edit is a change of one entry. value 0 deletes it.
type edit struct {
	name  string
	value int
	pad   int // octets more
}

// full is the name with its realm.
func (e edit) full() string { return e.name + "@" + realmName }

func (e edit) principal() *dumpfmt.Principal {
	p := &dumpfmt.Principal{Name: e.full(), MaxLife: int32(e.value)}
	for i := 0; e.pad > i*60000; i++ { // that is about what one holds
		p.SetTL(0x7001+int16(i), bytes.Repeat([]byte{0x5a}, min(e.pad-i*60000, 60000)))
	}
	return p
}

func (e edit) line() []byte {
	var rec dumpfmt.Record = e.principal()
	if e.value == 0 {
		rec = &dumpfmt.DeletePrincipal{Name: e.full()}
	}
	return must(rec.AppendLine(nil, dumpfmt.Current))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// store is a database in memory with the contract of kdc/kdb: what is committed is durable, a
// commit is all or nothing, and changes are kept until the delta file has them durably.
type store struct {
	h  *host
	mu sync.Mutex

	at, base deltafile.State
	changes  []*deltafile.Changeset // base.Serial+1 to at.Serial
	content  map[string]string      // lines
	digest   [32]byte
	replica  bool
	gen      int // counts wholesale replacements
	loads    int
	version  int
	seen     int
	refusing bool // the next change is refused
}

func newStore(h *host) *store {
	s := &store{h: h, content: map[string]string{}, replica: h.parent != nil, version: 1}
	s.at.Realm = realmName
	if !s.replica {
		s.at = deltafile.Initial(realmName, h.w.newEpoch(), time.Now())
	}
	s.base = s.at
	return s
}

func (w *world) newEpoch() deltafile.Epoch {
	w.stats.epochs++
	return deltafile.Epoch(w.draw("epoch") | 1)
}

func (s *store) look() (sight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.seen != s.version
	s.seen = s.version
	v := sight{at: s.at, digest: s.digest, loads: s.loads}
	if n := len(s.changes); n > 0 {
		v.last = s.changes[n-1]
	}
	return v, fresh
}

func (s *store) rows() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.content)
}

// put changes one row; line "" deletes it. s.mu is held.
func (s *store) put(name, line string) {
	for _, l := range []string{s.content[name], line} {
		if l != "" {
			h := sha256.Sum256([]byte(l))
			for i := range h {
				s.digest[i] ^= h[i]
			}
		}
	}
	if line == "" {
		delete(s.content, name)
	} else {
		s.content[name] = line
	}
}

func (s *store) tamper(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	if s.content[name] != "" {
		s.put(name, "")
	} else {
		e := edit{name: "tampered", value: 1}
		s.put(e.full(), string(e.line()))
	}
}

func (s *store) refuse(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = yes
}

// play does what the lines of a changeset say. s.mu is held.
func (s *store) play(lines []byte) error {
	for line := range bytes.Lines(lines) {
		kind, name, err := dumpfmt.LineName(line)
		if err != nil {
			return err
		}
		if kind == dumpfmt.KindDeletePrincipal {
			s.put(name, "")
		} else {
			s.put(name, string(line))
		}
	}
	return nil
}

// restart sets a new point of history with no changes kept. s.mu is held.
func (s *store) restart(at deltafile.State) {
	s.at, s.base, s.changes = at, at, nil
	s.gen++
}

// handle is a store opened by a process.
type handle struct {
	s      *store
	p      *proc
	name   string // of the delta file
	app    *deltafile.Appender
	synced deltafile.State
	seen   deltafile.State // when it was opened, and after its own changes
}

func (s *store) open(p *proc, delta string) (database, error) {
	d := &handle{s: s, p: p, name: delta, seen: s.at}
	if err := d.reopen(); err != nil {
		return nil, err
	}
	d.drainAfter(p.ctx)
	return d, nil
}

func (d *handle) reopen() (err error) {
	if d.name == "" {
		return nil
	}
	if d.app != nil {
		_ = d.app.Close()
	}
	o := deltafile.AppenderOptions{FS: d.p.fs()}
	if d.p.verifies() {
		o.Verify = -1
	}
	d.app, err = deltafile.OpenAppender(d.name, o)
	return err
}

func (d *handle) Close() error {
	if d.app != nil {
		return d.app.Close()
	}
	return nil
}

// commit runs f as a transaction.
func (d *handle) commit(kind string, f func() error) error {
	return d.p.do(kind, "db", func(bool) error {
		d.s.mu.Lock()
		defer d.s.mu.Unlock()
		d.s.version++
		return f()
	})
}

// record notes a changeset that is part of the transaction. s.mu is held.
func (d *handle) record(cs *deltafile.Changeset) {
	s := d.s
	s.changes = append(s.changes, cs)
	s.at = s.at.After(cs)
	keep := d.p.w.plan.keep
	if uint64(len(s.changes)) < keep+keep/8+1 {
		return
	}
	upto := s.at.Serial - keep
	if d.app != nil && !d.p.w.plan.bugs.prunes() {
		if d.synced.Epoch != s.at.Epoch {
			return
		}
		upto = min(upto, d.synced.Serial)
	}
	for len(s.changes) > 0 && s.changes[0].Serial <= upto {
		s.base = s.base.After(s.changes[0])
		s.changes = slices.Clone(s.changes[1:])
	}
}

func (d *handle) Update(ctx context.Context, edits []edit) (deltafile.State, error) {
	var st deltafile.State
	err := d.commit("commit", func() error {
		var lines []byte
		for _, e := range edits {
			if line := e.line(); e.value != 0 || d.s.content[e.full()] != "" {
				lines = append(lines, line...)
			}
		}
		if len(lines) > 0 {
			cs := must(deltafile.Encode(d.p.w.plan.bugs.previous(d), d.s.h.clock(), lines))
			_ = d.s.play(lines)
			d.record(cs)
			d.seen = d.s.at
		}
		st = d.s.at
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	d.drainAfter(ctx)
	return st, nil
}

func (d *handle) Reload(ctx context.Context, edits []edit) (deltafile.State, error) {
	var st deltafile.State
	err := d.commit("load", func() error {
		for name := range maps.Clone(d.s.content) {
			d.s.put(name, "")
		}
		for _, e := range edits {
			d.s.put(e.full(), string(e.line()))
		}
		d.s.restart(deltafile.Initial(realmName, d.p.w.newEpoch(), d.s.h.clock()))
		st = d.s.at
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	d.drainAfter(ctx)
	return st, nil
}

func (d *handle) State(context.Context) (deltafile.State, error) {
	if d.p.gone() {
		return deltafile.State{}, errKilled
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.at, nil
}

func (d *handle) Digest(context.Context) (deltafile.State, kdb.Digest, error) {
	if d.p.gone() {
		return deltafile.State{}, kdb.Digest{}, errKilled
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	return d.s.at, d.s.digest, nil
}

// Apply is as kdb's: one transaction, what was applied before is skipped, what cannot be applied
// is a RecordError and nothing happens.
func (d *handle) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	var st deltafile.State
	err := d.commit("commit", func() error {
		s := d.s
		if s.at.IsZero() {
			return kdb.ErrEmpty
		}
		at := s.at
		var todo []*deltafile.Changeset
		for _, cs := range css {
			if cs.Serial <= at.Serial {
				if i := int(cs.Serial) - int(s.base.Serial) - 1; i >= 0 && i < len(s.changes) && s.changes[i].Hash != cs.Hash {
					return &kdb.RecordError{Serial: cs.Serial, Err: kdb.ErrHistory}
				}
				continue
			}
			if s.refusing {
				return &kdb.RecordError{Serial: cs.Serial, Err: errors.New("refused for the sake of the test")}
			}
			got, _, err := deltafile.Decode(at, cs.Raw)
			if err != nil {
				return &kdb.RecordError{Serial: cs.Serial, Err: err}
			}
			at = at.After(got)
			todo = append(todo, got)
		}
		for _, cs := range todo {
			if err := s.play(cs.Lines); err != nil {
				panic(err) // the master has printed it
			}
			d.record(cs)
		}
		st = s.at
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	d.drainAfter(ctx)
	return st, nil
}

// LoadSnapshot is as kdb's.
func (d *handle) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	full, err := deltafile.ReadFull(r)
	if err != nil {
		return deltafile.State{}, err
	}
	text, err := io.ReadAll(full)
	if err != nil {
		return deltafile.State{}, err
	}
	err = d.commit("load", func() error {
		s := d.s
		for name := range maps.Clone(s.content) {
			s.put(name, "")
		}
		_, lines, _ := bytes.Cut(text, []byte("\n"))
		if err := s.play(lines); err != nil {
			panic(err)
		}
		s.restart(full.Base)
		s.loads++
		s.refusing = false
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	d.p.w.stats.copies++
	d.drainAfter(ctx)
	return full.Base, nil
}

// memCopy is a full copy of a store.
type memCopy struct {
	*bytes.Reader
	at deltafile.State
}

func (c memCopy) State() deltafile.State { return c.at }
func (c memCopy) Close() error           { return nil }

func (d *handle) Copy(context.Context) (sender.Copy, error) {
	var c memCopy
	err := d.p.do("snapshot", "db", func(bool) error {
		d.s.mu.Lock()
		defer d.s.mu.Unlock()
		if d.s.at.IsZero() {
			return kdb.ErrEmpty
		}
		var text strings.Builder
		text.WriteString("kdb5_util load_dump version 7\n")
		content := d.p.w.plan.bugs.copied(d.s)
		for _, name := range slices.Sorted(maps.Keys(content)) {
			text.WriteString(content[name])
		}
		var b bytes.Buffer
		f := must(deltafile.NewFullWriter(&b, d.s.at, int64(len(content)+1), int64(text.Len())))
		_, _ = io.WriteString(f, text.String())
		if err := f.Close(); err != nil {
			panic(err)
		}
		c = memCopy{bytes.NewReader(b.Bytes()), d.s.at}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

var errStale = errors.New("epoch changed meanwhile")

// drainAfter is the drain behind a commit: the change has happened, whatever becomes of it.
func (d *handle) drainAfter(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.Drain(ctx); err != nil && !d.p.gone() {
		d.p.log().Debug().Err(err).Msg("drain")
	}
}

// Drain is as kdb's.
func (d *handle) Drain(ctx context.Context) error {
	if d.app == nil {
		return nil
	}
	var err error
	for range 8 {
		d.s.mu.Lock()
		at, base, gen := d.s.at, d.s.base, d.s.gen
		d.s.mu.Unlock()
		if at.IsZero() {
			return nil
		}
		var end deltafile.State
		end, err = d.app.Append(ctx, base, func(after deltafile.State) ([]*deltafile.Changeset, error) {
			return d.fetch(after, at.Epoch, gen)
		})
		if err == nil {
			return d.syncDelta(end)
		}
		if !errors.Is(err, errStale) {
			return d.renew(err)
		}
	}
	return err
}

// renew opens the delta file again if an fsync has failed.
func (d *handle) renew(err error) error {
	if d.app.Failed() == nil {
		return err
	}
	return errors.Join(err, d.reopen())
}

func (d *handle) fetch(after deltafile.State, epoch deltafile.Epoch, gen int) ([]*deltafile.Changeset, error) {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.at.Epoch != epoch || s.gen != gen || after.Epoch != epoch:
		return nil, errStale
	case after.Serial > s.at.Serial && s.replica:
		return nil, nil
	case after.Serial > s.at.Serial && d.s.h.rottenHead:
		return nil, errors.New("delta file ahead of the database")
	case after.Serial > s.at.Serial:
		d.p.w.oracle.complain("O5: %s: delta file at %v is ahead of the database at %v", d.p.id(), after, s.at)
		return nil, errors.New("delta file ahead of the database")
	case after.Serial < s.base.Serial:
		return nil, deltafile.ErrRebase
	}
	have, css := s.base, s.changes
	if n := int(after.Serial - s.base.Serial); n > 0 {
		have, css = s.base.After(s.changes[n-1]), s.changes[n:]
	}
	if have.Hash != after.Hash {
		if s.replica {
			return nil, deltafile.ErrRebase
		}
		return nil, fmt.Errorf("delta file has another change %d than the database", after.Serial)
	}
	return slices.Clone(css), nil
}

func (d *handle) syncDelta(end deltafile.State) error {
	d.s.mu.Lock()
	many := uint64(len(d.s.changes)) >= d.p.w.plan.keep+d.p.w.plan.keep/8+1
	d.s.mu.Unlock()
	if !many {
		return nil
	}
	if err := d.app.Sync(); err != nil {
		return d.renew(err)
	}
	d.synced = end
	return nil
}
