package kdb

import (
	"bytes"
	"errors"
	"fmt"

	"krealm/dumpfmt"
)

// key names an entry. kind is KindPrincipal or KindPolicy.
type key struct {
	kind dumpfmt.Kind
	name string
}

// entry is what the database has of one key. line is nil where there is none.
type entry struct {
	id   int64
	line []byte // as stored, lockout fields 0
	lock dumpfmt.Lockout
}

// splitPut takes a checked "princ" or "policy" line apart.
func splitPut(line []byte) (key, entry, error) {
	kind, name, err := dumpfmt.LineName(line)
	if err != nil {
		return key{}, entry{}, err
	}
	e := entry{line: line}
	if kind == dumpfmt.KindPrincipal {
		if e.line, e.lock, err = dumpfmt.SplitLockout(make([]byte, 0, len(line)), line); err != nil {
			return key{}, entry{}, err
		}
	}
	return key{kind, name}, e, nil
}

const (
	selectPrincipal = "SELECT id, line, last_success, last_failed, fail_count FROM principal WHERE name = ?"
	selectPolicy    = "SELECT id, line, 0, 0, 0 FROM policy WHERE name = ?"
)

// getEntry reads one entry; its line is nil if there is none.
func getEntry(c *conn, k key) (entry, error) {
	sql := selectPrincipal
	if k.kind == dumpfmt.KindPolicy {
		sql = selectPolicy
	}
	r, err := c.first(sql, k.name)
	if errors.Is(err, errNoRow) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	return entry{id: r.int(0), line: r.bytes(1), lock: lockoutOf(r, 2)}, nil
}

// lockoutOf reads the lockout columns from column i on.
func lockoutOf(r *rows, i int) dumpfmt.Lockout {
	return dumpfmt.Lockout{LastSuccess: uint32(r.int(i)), LastFailed: uint32(r.int(i + 1)), FailCount: uint32(r.int(i + 2))}
}

// putEntry writes e over old, which is what the table has, and keeps st in step.
func putEntry(c *conn, st *state, k key, old, e entry) error {
	if !bytes.Equal(old.line, e.line) {
		st.digest.swap(old.line, e.line)
	} else if old.lock == e.lock {
		return nil
	}
	l := e.lock
	switch {
	case k.kind == dumpfmt.KindPrincipal && old.line == nil:
		st.principals++
		return c.exec("INSERT INTO principal (name, line, last_success, last_failed, fail_count) VALUES (?,?,?,?,?)",
			k.name, e.line, int64(l.LastSuccess), int64(l.LastFailed), int64(l.FailCount))
	case k.kind == dumpfmt.KindPrincipal:
		return c.exec("UPDATE principal SET line = ?, last_success = ?, last_failed = ?, fail_count = ? WHERE id = ?",
			e.line, int64(l.LastSuccess), int64(l.LastFailed), int64(l.FailCount), old.id)
	case old.line == nil:
		st.policies++
		return c.exec("INSERT INTO policy (name, line) VALUES (?,?)", k.name, e.line)
	}
	return c.exec("UPDATE policy SET line = ? WHERE id = ?", e.line, old.id)
}

// dropEntry deletes old, which must exist, and keeps st in step.
func dropEntry(c *conn, st *state, k key, old entry) error {
	st.digest.swap(old.line, nil)
	if k.kind == dumpfmt.KindPrincipal {
		st.principals--
		return c.exec("DELETE FROM principal WHERE id = ?", old.id)
	}
	st.policies--
	return c.exec("DELETE FROM policy WHERE id = ?", old.id)
}

// parsePrincipal decodes a stored line. A line that does not parse means that the file was
// changed by other means: every line was parsed before it was stored.
func parsePrincipal(name string, e entry) (*dumpfmt.Principal, error) {
	rec, err := dumpfmt.ParseLine(e.line, dumpfmt.Current)
	if err != nil {
		return nil, fmt.Errorf("kdb: principal %q: %w", name, err)
	}
	p, ok := rec.(*dumpfmt.Principal)
	if !ok {
		return nil, fmt.Errorf("kdb: principal %q: row holds another kind of line", name)
	}
	p.LastSuccess, p.LastFailed, p.FailCount = e.lock.LastSuccess, e.lock.LastFailed, e.lock.FailCount
	return p, nil
}

// parsePolicy decodes a stored line.
func parsePolicy(name string, e entry) (*dumpfmt.Policy, error) {
	rec, err := dumpfmt.ParseLine(e.line, dumpfmt.Current)
	if err != nil {
		return nil, fmt.Errorf("kdb: policy %q: %w", name, err)
	}
	p, ok := rec.(*dumpfmt.Policy)
	if !ok {
		return nil, fmt.Errorf("kdb: policy %q: row holds another kind of line", name)
	}
	return p, nil
}
