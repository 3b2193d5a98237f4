package kdb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Parts is into how many parts the content of a database is cut for a comparison. Which part an
// entry belongs to follows from its kind and name alone.
const Parts = 256

// PartOf is the part of an entry: the first byte of the SHA-256 of its kind and name.
func PartOf(kind dumpfmt.Kind, name string) int {
	var room [128]byte
	h := sha256.Sum256(append(append(room[:0], byte(kind)), name...))
	return int(h[0])
}

// Item is one entry in a comparison. Kind is KindPrincipal or KindPolicy; Hash is the SHA-256 of
// the line, lockout fields left out.
type Item struct {
	Kind dumpfmt.Kind
	Name string
	Hash [sha256.Size]byte
}

// Content is what the rows of a database hold at one state. Unlike Digest it is read from the
// rows themselves: if it does not agree with Kept somebody has changed them behind the program's
// back.
type Content struct {
	State deltafile.State
	Kept  Digest        // as the changes have left it
	Parts [Parts]Digest // sums over the entries of each part, as a Digest is
	Count int           // entries
}

// Digest is the sum of the parts.
func (c *Content) Digest() Digest {
	var s sum
	for i := range c.Parts {
		s.plus(c.Parts[i].sum())
	}
	return s.digest()
}

// Swap takes one entry's hash out and puts another in; nil stands for no entry.
func (c *Content) Swap(kind dumpfmt.Kind, name string, old, now *[sha256.Size]byte) {
	part := &c.Parts[PartOf(kind, name)]
	s := part.sum()
	if old != nil {
		s.minus(Digest(*old).sum())
	}
	if now != nil {
		s.plus(Digest(*now).sum())
	}
	*part = s.digest()
}

// Content reads every entry in one read transaction. Those of the parts that list wants are given
// to each, policies first, in no particular order; list and each may be nil.
func (db *DB) Content(ctx context.Context, list func(part int) bool, each func(Item) error) (Content, error) {
	var out Content
	err := db.readTx(ctx, func(c *conn, st *state) (err error) {
		out, err = content(ctx, c, st, list, each)
		return err
	})
	return out, err
}

func content(ctx context.Context, c *conn, st *state, list func(part int) bool, each func(Item) error) (Content, error) {
	out := Content{State: st.State, Kept: st.digest}
	var sums [Parts]sum
	for _, t := range []struct {
		kind dumpfmt.Kind
		sql  string
	}{{dumpfmt.KindPolicy, "SELECT name, line FROM policy"}, {dumpfmt.KindPrincipal, "SELECT name, line FROM principal"}} {
		err := scan(ctx, c, t.sql, func(r *rows) error {
			it := Item{Kind: t.kind, Name: r.text(0), Hash: sha256.Sum256(r.bytes(1))}
			part := PartOf(it.Kind, it.Name)
			sums[part].plus(Digest(it.Hash).sum())
			out.Count++
			if list == nil || each == nil || !list(part) {
				return nil
			}
			return each(it)
		})
		if err != nil {
			return Content{}, err
		}
	}
	for i := range sums {
		out.Parts[i] = sums[i].digest()
	}
	return out, nil
}

// Frozen is the database as it was at one state, while changes go on. It costs room: what is
// written meanwhile stays in the -wal until Close. It is used by one goroutine at a time.
type Frozen struct {
	db      *DB
	c       *conn
	content Content
}

// Freeze keeps the present state to be read until Close.
func (db *DB) Freeze(ctx context.Context) (*Frozen, error) {
	c, err := db.reader(ctx)
	if err != nil {
		return nil, annotate(db.path, err)
	}
	f := &Frozen{db: db, c: c}
	var st state
	if err = c.exec("BEGIN"); err == nil {
		st, err = readState(c)
	}
	if err == nil {
		f.content, err = content(ctx, c, &st, nil, nil)
	}
	if err != nil {
		return nil, errors.Join(annotate(db.path, err), f.Close())
	}
	return f, nil
}

// Close ends it. It may be called again.
func (f *Frozen) Close() error {
	if f.c == nil {
		return nil
	}
	err := f.c.exec("COMMIT")
	f.db.release(f.c, err == nil)
	f.c = nil
	return annotate(f.db.path, err)
}

// Content is what the database held.
func (f *Frozen) Content() Content { return f.content }

// Each gives the entries of some parts to a function.
func (f *Frozen) Each(ctx context.Context, list func(part int) bool, each func(Item) error) error {
	_, err := content(ctx, f.c, &state{}, list, each)
	return annotate(f.db.path, err)
}

// Hash returns the hash of an entry's line, nil if there was none.
func (f *Frozen) Hash(kind dumpfmt.Kind, name string) (*[sha256.Size]byte, error) {
	e, err := getEntry(f.c, key{kind, name})
	if err != nil || e.line == nil {
		return nil, annotate(f.db.path, err)
	}
	h := sha256.Sum256(e.line)
	return &h, nil
}

// Outcome is what a changeset leaves of one entry: Hash is nil if it deletes it.
type Outcome struct {
	Kind dumpfmt.Kind // KindPrincipal or KindPolicy
	Name string
	Hash *[sha256.Size]byte
}

// Outcomes reads a changeset as Apply does.
func Outcomes(cs *deltafile.Changeset) ([]Outcome, error) {
	var out []Outcome
	for rest := cs.Lines; len(rest) > 0; {
		line, after := cutLine(rest)
		rest = after
		kind, name, err := dumpfmt.LineName(line)
		if err != nil {
			return nil, fmt.Errorf("kdb: changeset %d: %w", cs.Serial, err)
		}
		o := Outcome{Kind: kind, Name: name}
		switch kind {
		case dumpfmt.KindDeletePrincipal:
			o.Kind = dumpfmt.KindPrincipal
		case dumpfmt.KindDeletePolicy:
			o.Kind = dumpfmt.KindPolicy
		default:
			_, e, err := splitPut(line)
			if err != nil {
				return nil, fmt.Errorf("kdb: changeset %d: %w", cs.Serial, err)
			}
			h := sha256.Sum256(e.line)
			o.Hash = &h
		}
		out = append(out, o)
	}
	return out, nil
}
