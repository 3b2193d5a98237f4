package kdb

import (
	"bytes"
	"errors"
	"fmt"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Tx is the database inside an Update. It shows the changes made through it. It is used by one
// goroutine and ends with the function it was given to.
type Tx struct {
	db      *DB
	c       *conn
	st      *state
	touched map[key]*touch
	order   []*touch // as last touched; nil where a later touch took over
}

// touch is what the changeset being built does to one entry. Only the outcome is written, to the
// table as to the changeset: an entry that is put, deleted and put again travels once.
type touch struct {
	key      key
	old, now entry // line nil: absent. The ids are those of the table
	at       int   // index in order
}

var errTxOver = errors.New("kdb: transaction used after its Update")

func (tx *Tx) touch(k key) (*touch, error) {
	if tx.c == nil {
		return nil, errTxOver
	}
	if t := tx.touched[k]; t != nil {
		tx.order[t.at] = nil
		t.at = len(tx.order)
		tx.order = append(tx.order, t)
		return t, nil
	}
	old, err := getEntry(tx.c, k)
	if err != nil {
		return nil, err
	}
	t := &touch{key: k, old: old, now: old, at: len(tx.order)}
	tx.touched[k] = t
	tx.order = append(tx.order, t)
	return t, nil
}

func (tx *Tx) get(k key) (entry, error) {
	if tx.c == nil {
		return entry{}, errTxOver
	}
	if t := tx.touched[k]; t != nil {
		return t.now, nil
	}
	return getEntry(tx.c, k)
}

// Principal returns an entry, lockout fields filled in, or ErrNotFound.
func (tx *Tx) Principal(name string) (*dumpfmt.Principal, error) {
	e, err := tx.get(key{dumpfmt.KindPrincipal, name})
	if err != nil {
		return nil, err
	}
	if e.line == nil {
		return nil, notFound("principal", name)
	}
	return parsePrincipal(name, e)
}

// Policy returns a policy or ErrNotFound.
func (tx *Tx) Policy(name string) (*dumpfmt.Policy, error) {
	e, err := tx.get(key{dumpfmt.KindPolicy, name})
	if err != nil {
		return nil, err
	}
	if e.line == nil {
		return nil, notFound("policy", name)
	}
	return parsePolicy(name, e)
}

// PutPrincipal inserts or replaces an entry whole, lockout fields included.
func (tx *Tx) PutPrincipal(p *dumpfmt.Principal) error { return tx.put(p) }

// PutPolicy inserts or replaces a policy.
func (tx *Tx) PutPolicy(p *dumpfmt.Policy) error { return tx.put(p) }

func (tx *Tx) put(rec dumpfmt.Record) error {
	line, err := rec.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	// What is stored must be readable: by this program's strict parser, hence by anyone's.
	if _, err := dumpfmt.ParseDeltaLine(line); err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return tx.putLine(line)
}

// putLine puts a line that was checked.
func (tx *Tx) putLine(line []byte) error {
	k, e, err := splitPut(line)
	if err != nil {
		return err
	}
	t, err := tx.touch(k)
	if err != nil {
		return err
	}
	t.now.line, t.now.lock = e.line, e.lock
	return nil
}

// DeletePrincipal deletes an entry, or says ErrNotFound.
func (tx *Tx) DeletePrincipal(name string) error {
	return tx.delete(key{dumpfmt.KindPrincipal, name}, "principal")
}

// DeletePolicy deletes a policy, or says ErrNotFound. Whether principals refer to it is the
// caller's business.
func (tx *Tx) DeletePolicy(name string) error {
	return tx.delete(key{dumpfmt.KindPolicy, name}, "policy")
}

func (tx *Tx) delete(k key, what string) error {
	e, err := tx.get(k)
	if err != nil {
		return err
	}
	if e.line == nil {
		return notFound(what, k.name)
	}
	t, err := tx.touch(k)
	if err != nil {
		return err
	}
	t.now.line, t.now.lock = nil, dumpfmt.Lockout{}
	return nil
}

func notFound(what, name string) error {
	return fmt.Errorf("kdb: %s %q: %w", what, name, ErrNotFound)
}

// Cut ends the changeset being built and begins another in the same transaction, for changes of
// many entries: slaves then apply them one by one, though they commit here together. Update
// cuts at its end.
func (tx *Tx) Cut() error {
	if tx.c == nil {
		return errTxOver
	}
	var lines []byte
	for _, t := range tx.order {
		if t == nil {
			continue
		}
		var err error
		if lines, err = tx.apply(t, lines); err != nil {
			return err
		}
	}
	clear(tx.touched)
	tx.order = tx.order[:0]
	if len(lines) == 0 {
		return nil
	}
	cs, err := deltafile.Encode(tx.st.State, tx.db.o.now(), lines)
	if err != nil {
		return fmt.Errorf("kdb: %w", err)
	}
	return tx.db.record(tx.c, tx.st, cs)
}

// apply writes the outcome of one touch to the table and, where it is to be replicated, appends
// its line to those of the changeset.
func (tx *Tx) apply(t *touch, lines []byte) ([]byte, error) {
	if t.now.line == nil {
		if t.old.line == nil {
			return lines, nil
		}
		if err := dropEntry(tx.c, tx.st, t.key, t.old); err != nil {
			return nil, err
		}
		var rec dumpfmt.Record = &dumpfmt.DeletePrincipal{Name: t.key.name}
		if t.key.kind == dumpfmt.KindPolicy {
			rec = &dumpfmt.DeletePolicy{Name: t.key.name}
		}
		return rec.AppendLine(lines, dumpfmt.Current)
	}
	if err := putEntry(tx.c, tx.st, t.key, t.old, t.now); err != nil {
		return nil, err
	}
	if bytes.Equal(t.old.line, t.now.line) {
		return lines, nil
	}
	return dumpfmt.JoinLockout(lines, t.now.line, t.now.lock)
}
