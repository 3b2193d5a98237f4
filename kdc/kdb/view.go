package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"sync/atomic"
	"time"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// View is the database in memory, for look-ups that must cost nothing: it opens no file, takes no
// lock and makes no garbage but what decoding a line makes. Run keeps it one or two milliseconds behind
// the database, as long as there is a processor for it; Catch and Look are for who cannot wait. A changeset of several entries shows up entry by entry; a load or snapshot shows
// up whole.
//
// Principal, Line, Ref, Policy, SetLockout, State, Version, Catch and Look may be called by any number of
// goroutines while Run is running.
type View struct {
	db       *DB
	file     os.FileInfo
	slab     atomic.Pointer[slab]
	policies atomic.Pointer[map[string]*dumpfmt.Policy]
	state    atomic.Pointer[deltafile.State]
	version  atomic.Uint64

	announced, shown atomic.Uint64 // events of commits, and how many there were before what is shown was read

	long  atomic.Bool   // a refresh that takes its time is under way; Look does not wait for it
	token chan struct{} // whoever has it refreshes, and may use what follows

	c           *conn
	closed      bool
	looks       int       // how many Look may make at once
	counted     time.Time // when looks was
	dataVersion int64     // of c, at the last refresh; -1: refresh in any case
	generation  int64     // of the database
}

// OpenView reads the whole database. Close the view before db.
func OpenView(ctx context.Context, db *DB) (*View, error) {
	fi, err := os.Stat(db.path)
	if err != nil {
		return nil, fmt.Errorf("kdb: %w", err)
	}
	v := &View{db: db, file: fi, token: make(chan struct{}, 1), dataVersion: -1, generation: -1}
	v.token <- struct{}{}
	if err := v.Refresh(ctx); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Close gives the view's connection back. What was read stays readable.
func (v *View) Close() error {
	<-v.token
	defer func() { v.token <- struct{}{} }()
	v.closed = true
	if v.c == nil {
		return nil
	}
	err := v.c.close()
	v.c = nil
	return err
}

// Principal returns a decoded entry, the caller's to keep, with its lockout fields.
func (v *View) Principal(name string) (*dumpfmt.Principal, bool) {
	s := v.slab.Load()
	e, ok := s.find(name)
	if !ok {
		return nil, false
	}
	p, err := parsePrincipal(name, entry{line: e.line, lock: s.locks.get(e.ordinal)})
	if err != nil {
		return nil, false // no line gets into a table without having been parsed
	}
	return p, true
}

// Line returns an entry's version 7 dump line, LF included, with 0 in its lockout fields. It must
// not be written to, and stays valid.
func (v *View) Line(name string) ([]byte, bool) {
	e, ok := v.slab.Load().find(name)
	return e.line, ok
}

// Ref returns a number that changes when the entry of that name does, and, rarely, when it does
// not: a key for what a caller has made of the entry. Lockout fields have no part in it.
func (v *View) Ref(name string) (ref uint64, ok bool) {
	s := v.slab.Load()
	e, ok := s.find(name)
	return s.generation<<refBits | e.ref, ok
}

// Policy returns a policy. It is shared: it must not be written to.
func (v *View) Policy(name string) (*dumpfmt.Policy, bool) {
	p, ok := (*v.policies.Load())[name]
	return p, ok
}

// Lockout returns an entry's lockout fields.
func (v *View) Lockout(name string) (dumpfmt.Lockout, bool) {
	s := v.slab.Load()
	e, ok := s.find(name)
	if !ok {
		return dumpfmt.Lockout{}, false
	}
	return s.locks.get(e.ordinal), true
}

// SetLockout sets an entry's lockout fields in memory, at once for all readers; DB.SetLockouts
// makes them last. When the entry changes in the database its fields there take their place,
// unless those set here tell of a later login or failure. A load or snapshot replaces them.
func (v *View) SetLockout(name string, l dumpfmt.Lockout) bool {
	s := v.slab.Load()
	e, ok := s.find(name)
	if ok {
		s.locks.set(e.ordinal, l)
	}
	return ok
}

// State is the state of the database that the view shows.
func (v *View) State() deltafile.State { return *v.state.Load() }

// Version counts the changes seen: it differs from before whenever any entry or policy may.
func (v *View) Version() uint64 { return v.version.Load() }

// How often Run looks at the database: whenever a writer has announced a commit (gate.go), and
// every pollSlow for writers that could not, as sqlite3 in somebody's hands. Without a watch, which
// the kernel's limits may deny, it looks every pollBlind.
const (
	pollSlow  = 250 * time.Millisecond
	pollBlind = 4 * time.Millisecond
)

// settle is how long Run lets pass after an announcement: a change is being sent to slaves and waited for
// just then, which wants the processors more, and of changes in a row many are read as one. A request that
// comes in that time does not wait: see Catch.
const settle = time.Millisecond

// giveUp is how long Run puts up with a database that cannot be read.
const giveUp = time.Minute

// Run follows the database until ctx ends, then returns nil. It returns ErrReplaced when the file
// is no longer the one that was opened, and any other error only after a minute of it; the view
// goes on showing what it last read.
func (v *View) Run(ctx context.Context) error {
	var events <-chan struct{}
	every := pollSlow
	if w, err := deltafile.WatchFile(v.db.path + gateSuffix); err == nil {
		defer func() { _ = w.Close() }()
		events = w.C()
	} else {
		every = pollBlind
	}
	good, checked, settling := time.Now(), time.Now(), false
	timer := time.NewTimer(0) // whatever came before the watch made no event
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			v.announced.Add(1)
			if !settling { // or else the end is set: events must not put it off
				settling = true
				timer.Reset(settle)
			}
			continue
		case <-timer.C:
			settling = false
		}
		if now := time.Now(); now.Sub(checked) >= pollSlow {
			if checked = now; v.Replaced() {
				return fmt.Errorf("kdb: %s: %w", v.db.path, ErrReplaced)
			}
		}
		err := v.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			good = time.Now()
		case time.Since(good) > giveUp:
			return err
		}
		timer.Reset(every)
	}
}

// Replaced says that another file has taken the name: what is in that will not be shown.
func (v *View) Replaced() bool {
	fi, err := os.Stat(v.db.path)
	return err == nil && !os.SameFile(fi, v.file)
}

// Refresh brings the view up to the database's last commit. Run calls it; a caller may too.
func (v *View) Refresh(ctx context.Context) error {
	<-v.token
	defer func() { v.token <- struct{}{} }()
	return v.locked(ctx, math.MaxUint64)
}

// Bounds of Look: how many may be made in a row, and after what time one more; how long to wait for
// somebody who refreshes, which as a rule takes far less; how many changes to take in, more are left
// to Run.
const (
	lookBurst = 16
	lookEvery = 500 * time.Microsecond
	lookWait  = 100 * time.Millisecond
	lookMost  = 64
)

// Look is for somebody who is about to say no: if the database has moved on by a few changes the
// view does so now, instead of when Run comes to it. In a flood of callers most are content with
// the last look, which is no older than lookEvery. It takes microseconds. While a load or a snapshot
// is being read, or a refresh hangs, the view stays what it is.
func (v *View) Look(ctx context.Context) {
	if v.long.Load() {
		return
	}
	select {
	case <-v.token:
	default:
		t := time.NewTimer(lookWait)
		defer t.Stop()
		select {
		case <-v.token:
		case <-t.C:
			v.long.Store(true) // until it ends: nobody else is to wait for it
			return
		case <-ctx.Done():
			return
		}
	}
	defer func() { v.token <- struct{}{} }()
	if now := time.Now(); now.Sub(v.counted) >= lookEvery {
		v.looks = int(min(lookBurst, int64(v.looks)+int64(now.Sub(v.counted)/lookEvery)))
		v.counted = now
	}
	if v.looks > 0 {
		v.looks--
		_ = v.locked(ctx, lookMost) // Run comes across the same error, and tells
	}
}

// Catch is for somebody who is about to answer: the commit that Run lets settle, or is reading, is
// waited for, as by Look. As a rule there is none, and it costs nothing.
func (v *View) Catch(ctx context.Context) {
	if v.announced.Load() != v.shown.Load() {
		v.Look(ctx)
	}
}

// locked refreshes for whoever has the token: if more than most changes are to be taken in, not at
// all.
func (v *View) locked(ctx context.Context, most uint64) error {
	if v.closed {
		return errClosed
	}
	n := v.announced.Load()
	err := v.refresh(ctx, most)
	v.long.Store(false)
	if err == nil {
		v.shown.Store(n)
		return nil
	}
	v.dataVersion = -1
	if sqliteCode(err) != 0 && v.c != nil {
		_ = v.drop()
	}
	return annotate(v.db.path, err)
}

// drop closes the connection; the next refresh opens another.
func (v *View) drop() error {
	err := v.c.close()
	v.c = nil
	return err
}

// errTooMuch leaves a refresh to Run.
var errTooMuch = errors.New("too many changes for a look")

func (v *View) refresh(ctx context.Context, most uint64) (err error) {
	if v.c == nil {
		if v.c, err = openConn(v.db.path, "query_only = 1"); err != nil {
			return err
		}
		if v.Replaced() { // it may be another's that was opened; what the new file holds is not this view's to show
			return errors.Join(ErrReplaced, v.drop())
		}
	}
	r, err := v.c.first("PRAGMA data_version")
	if err != nil {
		return err
	}
	if r.int(0) == v.dataVersion {
		return nil
	}
	v.dataVersion = r.int(0)
	if err := v.c.exec("BEGIN"); err != nil {
		return err
	}
	defer func() {
		if e := v.c.exec("COMMIT"); err == nil {
			err = e
		}
	}()
	st, err := readState(v.c)
	if err != nil {
		return err
	}
	return v.follow(ctx, &st, most)
}

// follow takes in what has happened since the state shown: change by change where the changes are
// kept, else by reading everything.
func (v *View) follow(ctx context.Context, st *state, most uint64) error {
	shown := v.state.Load()
	if shown == nil || st.generation != v.generation || st.Epoch != shown.Epoch || st.Serial < shown.Serial ||
		shown.Serial < st.base.Serial {
		return v.reload(ctx, st, most)
	}
	if st.Serial == shown.Serial {
		return nil // lockout fields
	}
	if same, err := stateAt(v.c, st, shown.Serial); err != nil || same.Hash != shown.Hash {
		return v.reload(ctx, st, most)
	}
	if behind := st.Serial - shown.Serial; behind > most {
		return errTooMuch
	} else if behind > lookMost {
		v.long.Store(true)
	}
	for at := shown.Serial; at < st.Serial; {
		css, err := changesAfter(v.c, at, fetchRows)
		if err != nil {
			return err
		}
		if len(css) == 0 {
			return fmt.Errorf("kdb: changes after %d missing, database at %d", at, st.Serial)
		}
		if err := v.take(css); err != nil {
			return err
		}
		at = css[len(css)-1].Serial
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if s := v.slab.Load(); s.wasteful() {
		v.slab.Store(s.rebuilt(s.generation + 1))
	}
	v.show(st)
	return nil
}

// show publishes the state that slab and policies have reached.
func (v *View) show(st *state) {
	s := st.State
	v.state.Store(&s)
	v.generation = st.generation
	v.version.Add(1)
}

// take reads again every entry that changesets name: rows, not lines, so that it does not matter
// how many of the changes a reading covers.
func (v *View) take(css []*deltafile.Changeset) error {
	s := v.slab.Load()
	seen := make(map[key]bool)
	var policies map[string]*dumpfmt.Policy
	for _, cs := range css {
		for line := range bytes.Lines(cs.Lines) {
			kind, name, err := dumpfmt.LineName(line)
			if err != nil {
				return fmt.Errorf("kdb: change %d: %w", cs.Serial, err)
			}
			k := key{dumpfmt.KindPrincipal, name}
			if kind == dumpfmt.KindPolicy || kind == dumpfmt.KindDeletePolicy {
				k.kind = dumpfmt.KindPolicy
			}
			if seen[k] {
				continue
			}
			seen[k] = true
			e, err := getEntry(v.c, k)
			if err != nil {
				return err
			}
			switch {
			case k.kind == dumpfmt.KindPrincipal && e.line == nil:
				s.remove(name)
				continue
			case k.kind == dumpfmt.KindPrincipal:
				if was, ok := s.find(name); ok {
					e.lock = later(e.lock, s.locks.get(was.ordinal))
				}
				s.put(name, e.line, e.lock)
				continue
			case policies == nil:
				policies = maps.Clone(*v.policies.Load())
			}
			delete(policies, name)
			if e.line != nil {
				if policies[name], err = parsePolicy(name, e); err != nil {
					return err
				}
			}
		}
	}
	if policies != nil {
		v.policies.Store(&policies)
	}
	return nil
}

// later decides between the lockout fields of the row and those in memory. Memory is ahead while a
// login has not been written down yet; the row is when an administrator has changed it.
func later(row, memory dumpfmt.Lockout) dumpfmt.Lockout {
	if max(memory.LastSuccess, memory.LastFailed) > max(row.LastSuccess, row.LastFailed) {
		return memory
	}
	return row
}

// reload reads everything into a new slab. Readers have the old one meanwhile.
func (v *View) reload(ctx context.Context, st *state, most uint64) error {
	if uint64(st.principals) > most {
		return errTooMuch
	}
	v.long.Store(true)
	generation := uint64(1)
	if s := v.slab.Load(); s != nil {
		generation = s.generation + 1
	}
	s := newSlab(generation, newLockArray(), int(st.principals))
	err := scan(ctx, v.c, "SELECT name, line, last_success, last_failed, fail_count FROM principal", func(r *rows) error {
		s.put(r.text(0), r.bytes(1), lockoutOf(r, 2))
		return nil
	})
	if err != nil {
		return err
	}
	policies := make(map[string]*dumpfmt.Policy, st.policies)
	err = scan(ctx, v.c, selectPolicyLines, func(r *rows) error {
		p, err := parsePolicy(r.text(0), entry{line: r.bytes(1)})
		policies[r.text(0)] = p
		return err
	})
	if err != nil {
		return err
	}
	v.slab.Store(s)
	v.policies.Store(&policies)
	v.show(st)
	return nil
}
