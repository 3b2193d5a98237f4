package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Apply brings a replica forward by changesets, all of them in one transaction, and returns the
// state after them. Each must follow the state before it and is verified against the hash chain
// and parsed once more. Changesets that were applied before are skipped. Entries that exist keep
// their lockout fields, new ones take the line's.
//
// If one cannot be applied none is: a *RecordError says which, with ErrGap inside for a serial too
// high, ErrHistory for one that belongs to another history, and a *dumpfmt.SyntaxError for a line
// that does not parse. ErrMaster on a master's database; ErrEmpty on a replica without content.
func (db *DB) Apply(ctx context.Context, css []*deltafile.Changeset) (deltafile.State, error) {
	st, err := db.write(ctx, func(c *conn, st *state) error {
		if !st.replica {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrMaster)
		}
		if st.IsZero() {
			return fmt.Errorf("kdb: %s: %w", db.path, ErrEmpty)
		}
		for _, cs := range css {
			if err := db.applyOne(c, st, cs); err != nil {
				if sqliteCode(err) != 0 {
					return err
				}
				return &RecordError{Serial: cs.Serial, Err: err}
			}
		}
		return nil
	})
	if err != nil {
		return deltafile.State{}, err
	}
	after := st.State
	db.drainAfterCommit(ctx, &st)
	return after, nil
}

func (db *DB) applyOne(c *conn, st *state, cs *deltafile.Changeset) error {
	if cs.Serial <= st.Serial {
		return sameAsApplied(c, st, cs)
	}
	if cs.Serial != st.Serial+1 {
		return fmt.Errorf("database at %d: %w", st.Serial, ErrGap)
	}
	checked, n, err := deltafile.Decode(st.State, cs.Raw)
	if errors.Is(err, deltafile.ErrHash) {
		return fmt.Errorf("%w: %w", ErrHistory, err)
	}
	if err != nil {
		return err
	}
	if n != len(cs.Raw) {
		return fmt.Errorf("%d bytes behind the changeset", len(cs.Raw)-n)
	}
	for rest := checked.Lines; len(rest) > 0; {
		line, after := cutLine(rest)
		if err := applyLine(c, st, line); err != nil {
			return err
		}
		rest = after
	}
	return db.record(c, st, checked)
}

// cutLine takes the first line, with its end, off the body of a changeset.
func cutLine(body []byte) (line, rest []byte) {
	i := bytes.IndexByte(body, '\n') + 1
	return body[:i:i], body[i:]
}

// sameAsApplied accepts a changeset of a serial that was applied before if it is the same one. What
// has been pruned cannot be compared; the chain then tells at the first changeset beyond.
func sameAsApplied(c *conn, st *state, cs *deltafile.Changeset) error {
	have, err := stateAt(c, st, cs.Serial)
	if errors.Is(err, ErrPruned) {
		return nil
	}
	if err != nil {
		return err
	}
	if have.Hash != cs.Hash {
		return fmt.Errorf("applied before with another hash: %w", ErrHistory)
	}
	return nil
}

// applyLine does what one line of a changeset says. Deleting what is not there is no error.
func applyLine(c *conn, st *state, line []byte) error {
	rec, err := dumpfmt.ParseDeltaLine(line)
	if err != nil {
		return err
	}
	switch rec := rec.(type) {
	case *dumpfmt.DeletePrincipal:
		return deleteNamed(c, st, key{dumpfmt.KindPrincipal, rec.Name})
	case *dumpfmt.DeletePolicy:
		return deleteNamed(c, st, key{dumpfmt.KindPolicy, rec.Name})
	}
	k, e, err := splitPut(line)
	if err != nil {
		return err
	}
	old, err := getEntry(c, k)
	if err != nil {
		return err
	}
	if old.line != nil {
		e.lock = old.lock
	}
	return putEntry(c, st, k, old, e)
}

func deleteNamed(c *conn, st *state, k key) error {
	old, err := getEntry(c, k)
	if err != nil || old.line == nil {
		return err
	}
	return dropEntry(c, st, k, old)
}
