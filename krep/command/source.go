package command

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/daemon"
	"krealm/kdc/kdb"
	"krealm/krep/dumpcmd"
	"krealm/krep/sender"
)

// source makes full copies, and can be closed.
type source interface {
	sender.Source
	io.Closer
}

// wideSource lets the program use all processors for as long as a full copy is made and sent.
type wideSource struct{ sender.Source }

// Copy implements sender.Source.
func (w wideSource) Copy(ctx context.Context) (sender.Copy, error) {
	end := daemon.Wide()
	c, err := w.Source.Copy(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return wideCopy{c, end}, nil
}

type wideCopy struct {
	sender.Copy
	end func()
}

func (c wideCopy) Close() error {
	defer c.end()
	return c.Copy.Close()
}

// databaseSource copies our own database.
type databaseSource struct {
	path, dir string
	log       zerolog.Logger

	// byHand: its rows are not what its changes have made of them, as was found last. A slave that
	// has loaded a copy then rightly differs from the digest that the changes have left: it is not
	// to be told that one, for it would ask for copies without end.
	byHand atomic.Bool

	damage atomic.Pointer[damage] // met last; nil: none

	mu sync.Mutex
	db *kdb.DB
	id os.FileInfo // of the file that db has open
}

// open returns the database, opened again if the file is another one.
func (d *databaseSource) open(ctx context.Context) (*kdb.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, err := os.Stat(d.path)
	if err == nil && d.db != nil && os.SameFile(st, d.id) {
		return d.db, nil
	}
	if d.db != nil {
		_ = d.db.Close()
		d.db = nil
	}
	db, openErr := kdb.Open(ctx, d.path, kdb.Options{ReadOnly: true})
	if openErr != nil {
		return nil, openErr
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	d.db, d.id = db, st
	return db, nil
}

// Copy implements sender.Source.
func (d *databaseSource) Copy(ctx context.Context) (sender.Copy, error) {
	db, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	s, err := db.Snapshot(ctx, d.dir)
	if d.met(db, err, false); err != nil {
		return nil, err
	}
	d.found(s.Tampered() != nil)
	return s, nil
}

// found notes whether the rows were changed by hand.
func (d *databaseSource) found(byHand bool) {
	if d.byHand.Swap(byHand) == byHand {
		return
	}
	if !byHand {
		d.log.Info().Msg("the master's entries are what its changes have made of them again")
		return
	}
	d.log.Error().Str("database", d.path).
		Msg("the master's entries were changed behind its back: slaves that stream lack that, and are not compared with it; dump the database and load it to send what it holds to all")
}

// damage is what was found wrong with the file that db has open.
type damage struct {
	db  *kdb.DB
	err error
}

// mendText is what to do about a file of which kdb.ErrDamaged is told.
const mendText = "no command mends it: on a master move it away with the -wal and -shm beside it, and load a dump, the last one or one made on a slave; krepd sees to a slave's"

// met takes note of what a reading has met: status reads little, and does not see most of the damage that a file may have.
// It is forgotten when all of the content could be read off the disk, or another file is in its place.
func (d *databaseSource) met(db *kdb.DB, err error, all bool) {
	switch {
	case errors.Is(err, kdb.ErrDamaged):
		if was := d.damage.Swap(&damage{db, err}); was == nil || was.db != db {
			d.log.Error().Err(err).Msg("the master's database is damaged: " + mendText)
		}
	case err == nil && all:
		d.damage.Store(nil)
	}
}

// known returns the damage of the file that is open now, if there is any that is known.
func (d *databaseSource) known() error {
	was := d.damage.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	if was == nil || was.db != d.db {
		return nil
	}
	return was.err
}

// metBy is the database for a comparison, which notes damage as that of the file that known has open.
type metBy struct {
	*kdb.DB
	d     *databaseSource
	known *kdb.DB
}

// Freeze implements verify.Master.
func (m metBy) Freeze(ctx context.Context) (*kdb.Frozen, error) {
	f, err := m.DB.Freeze(ctx)
	m.d.met(m.known, err, true)
	return f, err
}

// Changes implements verify.Master.
func (m metBy) Changes(ctx context.Context, after uint64, most int) ([]*deltafile.Changeset, error) {
	css, err := m.DB.Changes(ctx, after, most)
	m.d.met(m.known, err, false)
	return css, err
}

// Digest implements sender.Source.
func (d *databaseSource) Digest(ctx context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	db, err := d.open(ctx)
	if err != nil || d.byHand.Load() {
		return deltafile.State{}, digest, false
	}
	at, sum, err := db.Digest(ctx)
	return at, sum, err == nil && !at.IsZero()
}

// unsent is what the database has and the delta file lacks.
type unsent struct {
	n     uint64          // changes
	since time.Time       // when the first of them was made
	epoch deltafile.Epoch // of the database, where the file is of another one; else 0
	back  *uint64         // serial of the database, where that is before the file's end: it was put back to an earlier copy
}

// unsent returns what is not in the delta file, which ends at last: its disk is full, say. A change on its
// way is that for a moment; the other way round it never is, for a change is committed before it is appended, and last was
// read before. The error is one of the database.
func (d *databaseSource) unsent(ctx context.Context, last deltafile.State) (u unsent, err error) {
	db, err := d.open(ctx)
	if err != nil {
		return u, err
	}
	at, err := db.State(ctx)
	if err == nil && at.Epoch == last.Epoch && at.Serial < last.Serial {
		// A relay that is put back gets the same changes from its master again.
		if replica, err := db.Replica(ctx); err == nil && !replica {
			u.back = &at.Serial
		}
	}
	if err != nil || at.IsZero() || at.Epoch == last.Epoch && at.Serial <= last.Serial {
		return u, err
	}
	u.n, u.since = at.Serial-last.Serial, at.Time()
	after := last.Serial
	if at.Epoch != last.Epoch {
		u.n, u.epoch, after = at.Serial, at.Epoch, 0
	}
	if u.n > 1 {
		if css, err := db.Changes(ctx, after, 1); err == nil && len(css) > 0 {
			u.since = css[0].Time()
		}
	}
	return u, nil
}

// readable tells whether the database can be read.
func (d *databaseSource) readable(ctx context.Context) error {
	db, err := d.open(ctx)
	if err == nil {
		_, err = db.State(ctx)
	}
	return err
}

// Close implements io.Closer.
func (d *databaseSource) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}

// commandSource takes the standard output of a command for a dump.
type commandSource struct{ dumpcmd.Source }

// Copy implements sender.Source.
func (c *commandSource) Copy(ctx context.Context) (sender.Copy, error) {
	taken, err := c.Take(ctx)
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Digest implements sender.Source: a database that is not ours has none.
func (c *commandSource) Digest(context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	return at, digest, false
}

// Close implements io.Closer.
func (c *commandSource) Close() error { return nil }
