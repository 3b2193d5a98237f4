package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"krealm/deltafile"
)

// record stores a changeset in the outbox and advances the state. The rows it speaks of are
// written in the same transaction.
func (db *DB) record(c *conn, st *state, cs *deltafile.Changeset) error {
	if cs.Serial > math.MaxInt64 {
		return fmt.Errorf("kdb: changeset %d: %w", cs.Serial, deltafile.ErrSerial)
	}
	err := c.exec("INSERT INTO changes (serial, sec, usec, nlines, hash, raw) VALUES (?,?,?,?,?,?)",
		int64(cs.Serial), cs.Sec, int64(cs.Usec), int64(cs.NLines), cs.Hash[:], cs.Raw)
	if err != nil {
		return err
	}
	c.made = c.made.with(st.State, cs)
	st.State = st.State.After(cs)
	return db.prune(c, st)
}

// made is what a transaction has recorded, as long as it is little: as a rule the delta file lacks
// just that, and the drain behind the commit need not read it back.
type made struct {
	from deltafile.State
	css  []*deltafile.Changeset // in order; a copy of the struct keeps its length
	size int                    // bytes
}

// maxMade is how many bytes of changesets are remembered.
const maxMade = 4 << 20

func (m made) with(from deltafile.State, cs *deltafile.Changeset) made {
	if m.size += len(cs.Raw); m.size > maxMade {
		m.css = nil
		return m
	}
	if len(m.css) == 0 {
		m.from = from
	}
	m.css = append(m.css, cs)
	return m
}

// end is the state behind them.
func (m *made) end() deltafile.State { return m.from.After(m.css[len(m.css)-1]) }

// remember keeps what the transaction on c has made.
func (db *DB) remember(c *conn) {
	if len(c.made.css) == 0 {
		db.last.Store(nil)
	} else {
		m := c.made
		db.last.Store(&m)
	}
	c.made = made{}
}

// pruneStep is how many changes a transaction prunes at most: after a large load -update they go
// in many small steps, so that nobody pays for all of them.
const pruneStep = 2048

// prune drops changes beyond what is to be kept, in lumps: a lump touches the oldest pages once,
// where a row at a time would make every transaction write one page more.
func (db *DB) prune(c *conn, st *state) error {
	keep := db.o.keep()
	lump := keep/8 + 1
	if st.Serial-st.base.Serial < keep+lump {
		return nil
	}
	upto := st.Serial - keep
	if db.delta.Load() != nil {
		s := db.synced.Load()
		if s == nil || s.Epoch != st.Epoch {
			return nil
		}
		upto = min(upto, s.Serial)
	}
	if upto < st.base.Serial+lump {
		return nil
	}
	upto = min(upto, st.base.Serial+max(pruneStep, 2*lump))
	base, err := stateAt(c, st, upto)
	if err != nil {
		return err
	}
	st.base = base
	return c.exec("DELETE FROM changes WHERE serial <= ?", int64(upto))
}

// stateAt returns the state after change serial, which must be kept or be the base.
func stateAt(c *conn, st *state, serial uint64) (deltafile.State, error) {
	switch serial {
	case st.Serial:
		return st.State, nil
	case st.base.Serial:
		return st.base, nil
	}
	if serial < st.base.Serial || serial > st.Serial {
		return deltafile.State{}, fmt.Errorf("kdb: change %d of %d to %d: %w", serial, st.base.Serial+1, st.Serial, ErrPruned)
	}
	r, err := c.first("SELECT sec, usec, hash FROM changes WHERE serial = ?", int64(serial))
	if err != nil {
		return deltafile.State{}, fmt.Errorf("kdb: change %d: %w", serial, err)
	}
	s := st.State
	s.Serial, s.Sec, s.Usec = serial, r.int(0), int(r.int(1))
	if copy(s.Hash[:], r.bytes(2)) != len(s.Hash) {
		return deltafile.State{}, fmt.Errorf("kdb: change %d: %w", serial, errShort)
	}
	return s, nil
}

// Limits of one reading of the outbox, which is also one append to the delta file.
const (
	fetchRows  = 4096
	fetchBytes = 4 << 20
)

// changesAfter reads changesets beyond serial, in order: at most limit and, unless one alone is
// larger, fetchBytes of them.
func changesAfter(c *conn, serial uint64, limit int) ([]*deltafile.Changeset, error) {
	r, err := c.query("SELECT serial, sec, usec, nlines, hash, raw FROM changes WHERE serial > ? ORDER BY serial LIMIT ?",
		int64(serial), int64(limit))
	if err != nil {
		return nil, err
	}
	var css []*deltafile.Changeset
	size := 0
	for r.next() {
		cs := &deltafile.Changeset{
			Serial: uint64(r.int(0)), Sec: r.int(1), Usec: int(r.int(2)), NLines: int(r.int(3)), Raw: r.bytes(5),
		}
		if cs.Lines, err = bodyOf(cs.Raw); err != nil {
			break
		}
		if copy(cs.Hash[:], r.bytes(4)) != len(cs.Hash) {
			err = fmt.Errorf("kdb: change %d: %w", cs.Serial, errShort)
			break
		}
		if size += len(cs.Raw); size > fetchBytes && len(css) > 0 {
			break
		}
		css = append(css, cs)
	}
	if e := r.close(); err == nil {
		err = e
	}
	return css, err
}

// bodyOf returns what stands between the begin and the end line.
func bodyOf(raw []byte) ([]byte, error) {
	from := bytes.IndexByte(raw, '\n') + 1
	if len(raw) == 0 || from == 0 || raw[len(raw)-1] != '\n' {
		return nil, errors.New("kdb: row of changes holds no changeset")
	}
	to := bytes.LastIndexByte(raw[:len(raw)-1], '\n') + 1
	if to <= from {
		return nil, errors.New("kdb: row of changes holds no changeset")
	}
	return raw[from:to:to], nil
}

// Changes returns kept changesets beyond serial after, oldest first: at most max of them and a
// few megabytes; none if after is the last serial. ErrPruned if the next one is no longer kept,
// or if after lies ahead of the database.
func (db *DB) Changes(ctx context.Context, after uint64, max int) (css []*deltafile.Changeset, err error) {
	err = db.readTx(ctx, func(c *conn, st *state) error {
		if after < st.base.Serial || after > st.Serial {
			return fmt.Errorf("kdb: changes after %d, kept are %d to %d: %w", after, st.base.Serial+1, st.Serial, ErrPruned)
		}
		css, err = changesAfter(c, after, max)
		return err
	})
	return css, err
}

// Drain appends to the delta file every change that it does not hold yet, whoever made it. It
// creates the file where there is none, and begins a new one where the old one cannot be
// continued: it holds another epoch, or ends before the oldest change kept. It does nothing
// without a delta file, on a read-only DB, and on a replica without content.
func (db *DB) Drain(ctx context.Context) error {
	if db.delta.Load() == nil {
		return nil
	}
	st, err := db.state(ctx)
	if err != nil {
		return err
	}
	return db.drainFrom(ctx, &st)
}

// drainFrom drains; st is the last state known, and is brought up to date.
func (db *DB) drainFrom(ctx context.Context, st *state) error {
	const tries = 8 // each lost to a change of epoch by somebody else
	var err error
	for range tries {
		d := db.delta.Load()
		if d == nil || st.IsZero() {
			return nil
		}
		if err = db.drain(ctx, d, st); !errors.Is(err, errStale) {
			break
		}
		if *st, err = db.state(ctx); err != nil {
			return err
		}
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("kdb: %s to %s: %w", db.path, db.o.DeltaFile, err)
}

var (
	// errStale: the epoch has changed since the state was read.
	errStale = errors.New("epoch changed meanwhile")
	// errAhead: the delta file holds a future that this master's database does not know: the
	// database was put back to an earlier copy of itself.
	errAhead = errors.New("delta file ahead of the database")
)

func (db *DB) drain(ctx context.Context, d *deltafile.Appender, st *state) error {
	for {
		end, err := d.Append(ctx, st.base, func(after deltafile.State) ([]*deltafile.Changeset, error) {
			// What was committed last may go behind the file's own end without a look at the
			// database: should a new epoch have begun since, whoever began it sets the file aside
			// after us. The base stands for a file that is missing or of another epoch, which may be
			// a newer one: that the database has to decide.
			if m := db.last.Load(); m != nil && after != st.base && m.from == after && m.end() == st.State {
				return m.css, nil
			}
			return db.fetch(ctx, after, st)
		})
		if errors.Is(err, errAhead) {
			// Slaves may have that future. Only a new epoch keeps them from mixing it with
			// the one that begins here.
			if _, err = db.newEpoch(ctx, st.State); err != nil {
				return err
			}
			return errStale
		}
		if err != nil {
			return db.renewDelta(d, err)
		}
		if end.Serial >= st.Serial {
			return db.syncDelta(d, st, end)
		}
	}
}

// fetch reads what the delta file lacks behind after, in one transaction, and leaves in st the
// state it read. It decides whether the file can be continued.
func (db *DB) fetch(ctx context.Context, after deltafile.State, st *state) (css []*deltafile.Changeset, err error) {
	err = db.readTx(ctx, func(c *conn, now *state) error {
		if now.Epoch != st.Epoch || now.generation != st.generation || after.Epoch != now.Epoch {
			return errStale
		}
		*st = *now
		switch {
		case after.Serial > now.Serial && now.replica:
			return nil // put back to an earlier copy; its master sends the same changes again
		case after.Serial > now.Serial:
			return errAhead
		case after.Serial < now.base.Serial:
			return deltafile.ErrRebase
		}
		have, err := stateAt(c, now, after.Serial)
		if err != nil {
			return err
		}
		if have.Hash != after.Hash {
			if now.replica {
				return deltafile.ErrRebase
			}
			return errAhead
		}
		css, err = changesAfter(c, after.Serial, fetchRows)
		return err
	})
	return css, err
}

// syncDelta makes the delta file durable when changes are due to be pruned: until then the outbox
// is what mends a tail that a power cut takes from the file.
func (db *DB) syncDelta(d *deltafile.Appender, st *state, end deltafile.State) error {
	lump := db.o.keep()/8 + 1
	last := db.synced.Load()
	if st.Serial-st.base.Serial < db.o.keep()+lump || last != nil && last.Epoch == end.Epoch && end.Serial < last.Serial+lump {
		return nil
	}
	if err := d.Sync(); err != nil {
		return db.renewDelta(d, err)
	}
	db.synced.Store(&end)
	return nil
}

// renewDelta opens the delta file again if an fsync has failed, of it or of its directory: d works
// no more, and the outbox still has what may not be durable. It returns err, and its own.
func (db *DB) renewDelta(d *deltafile.Appender, err error) error {
	if d.Failed() == nil {
		return err
	}
	return errors.Join(err, db.openDelta(d))
}

// openDelta opens the delta file, in the place of one that is broken.
func (db *DB) openDelta(broken *deltafile.Appender) error {
	if db.o.DeltaFile == "" || db.o.ReadOnly {
		return nil
	}
	o := deltafile.AppenderOptions{FS: db.o.DeltaFS, OnDamage: db.o.OnDeltaDamage}
	if db.o.VerifyDelta {
		o.Verify = -1
	}
	d, err := deltafile.OpenAppender(db.o.DeltaFile, o)
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	if !db.delta.CompareAndSwap(broken, d) {
		return d.Close() // somebody else was faster, or the database is closed
	}
	if broken != nil {
		_ = broken.Close()
	}
	return nil
}

// drainWait is how long a change waits for another process that holds the delta file's lock.
const drainWait = 5 * time.Second

// drainAfterCommit drains for a change that is committed: it has happened, whatever becomes of
// the delta file, and a caller that gave up waiting must not keep it from being appended.
func (db *DB) drainAfterCommit(ctx context.Context, st *state) {
	if db.delta.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWait)
	defer cancel()
	if err := db.drainFrom(ctx, st); err != nil && db.o.OnDrainError != nil {
		db.o.OnDrainError(err)
	}
}
