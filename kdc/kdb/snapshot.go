package kdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Snapshot is a copy of the database at one state, in the frame that carries full copies to slaves:
// base, dump, digest. It lies in a file without a name, mode 0600, which goes with Close or the
// process. Its methods may be called concurrently.
type Snapshot struct {
	f     *os.File
	part  *io.SectionReader
	state deltafile.State

	tampered error
}

// State is what the snapshot holds.
func (s *Snapshot) State() deltafile.State { return s.state }

// Tampered is why the content is not what the changes have made of it (ErrDigest): somebody has
// changed the rows by hand. nil: it is. The snapshot holds what is there; a replica that loads it
// has another digest than the one kept here.
func (s *Snapshot) Tampered() error { return s.tampered }

// Size is that of the whole frame, in bytes.
func (s *Snapshot) Size() int64 { return s.part.Size() }

// ReadAt reads from the frame.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) { return s.part.ReadAt(p, off) }

// Close gives the file's room back.
func (s *Snapshot) Close() error { return s.f.Close() }

// Snapshot copies the database into a file in dir, which needs as much room as a dump. Changes go
// on meanwhile. ErrEmpty on a replica without content.
func (db *DB) Snapshot(ctx context.Context, dir string) (*Snapshot, error) {
	f, err := os.CreateTemp(dir, ".snapshot-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("kdb: %w", err)
	}
	s := &Snapshot{f: f}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("kdb: %w", errors.Join(err, f.Close()))
	}
	if err := db.readTx(ctx, func(c *conn, st *state) error { return s.fill(ctx, c, st) }); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *Snapshot) fill(ctx context.Context, c *conn, st *state) error {
	if st.IsZero() {
		return ErrEmpty
	}
	s.state = st.State
	room := io.NewOffsetWriter(s.f, deltafile.FullRoom)
	out := bufio.NewWriterSize(room, 256<<10)
	d, err := newDumper(out, DumpOptions{}, deltafile.State{})
	if err != nil {
		return err
	}
	if err := d.dump(ctx, c); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("kdb: snapshot: %w", err)
	}
	if err := verifyDigest(ctx, c, st); errors.Is(err, ErrDigest) {
		s.tampered = err
	} else if err != nil {
		return err
	}
	size, err := room.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("kdb: snapshot: %w", err)
	}
	start, size, err := deltafile.SealFull(s.f, s.state, d.lines+1, size)
	if err != nil {
		return fmt.Errorf("kdb: snapshot: %w", err)
	}
	s.part = io.NewSectionReader(s.f, start, size)
	return nil
}

// LoadSnapshot replaces the content of a replica by a snapshot's and takes over its state, in one
// transaction. Entries that exist keep their lockout fields. A frame that is cut short, damaged
// or of another realm (ErrHistory) changes nothing. ErrMaster on a master's database.
func (db *DB) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	full, err := deltafile.ReadFull(r)
	if err != nil {
		return deltafile.State{}, fmt.Errorf("kdb: snapshot: %w", err)
	}
	if full.Base.Realm != db.realm {
		return deltafile.State{}, fmt.Errorf("kdb: snapshot of realm %q for %q: %w", full.Base.Realm, db.realm, ErrHistory)
	}
	in, err := dumpfmt.NewReader(full)
	if err != nil {
		return deltafile.State{}, fmt.Errorf("kdb: snapshot: %w", err)
	}
	if in.Version() != dumpfmt.Current {
		return deltafile.State{}, fmt.Errorf("kdb: snapshot holds a dump of version %v, want %v", in.Version(), dumpfmt.Current)
	}
	st, err := db.write(ctx, func(c *conn, st *state) error {
		if !st.replica {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrMaster)
		}
		// The dump ends only where its frame has been found whole.
		b := &bulk{c: c}
		if err := b.replace(ctx, st, in, true, &LoadOptions{}, &LoadResult{}); err != nil {
			return err
		}
		st.restart(full.Base)
		return c.exec("DELETE FROM changes")
	})
	if err != nil {
		return deltafile.State{}, err
	}
	db.checkpoint(ctx)
	db.drainAfterCommit(ctx, &st)
	return full.Base, nil
}
