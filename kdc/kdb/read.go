package kdb

import (
	"context"
	"iter"

	"krealm/dumpfmt"
)

// Principal returns one entry, lockout fields filled in, or ErrNotFound. name is the canonical
// string form with realm.
func (db *DB) Principal(ctx context.Context, name string) (*dumpfmt.Principal, error) {
	e, err := db.entry(ctx, key{dumpfmt.KindPrincipal, name}, "principal")
	if err != nil {
		return nil, err
	}
	return parsePrincipal(name, e)
}

// Policy returns one policy or ErrNotFound.
func (db *DB) Policy(ctx context.Context, name string) (*dumpfmt.Policy, error) {
	e, err := db.entry(ctx, key{dumpfmt.KindPolicy, name}, "policy")
	if err != nil {
		return nil, err
	}
	return parsePolicy(name, e)
}

func (db *DB) entry(ctx context.Context, k key, what string) (e entry, err error) {
	err = db.read(ctx, func(c *conn) error {
		e, err = getEntry(c, k)
		return err
	})
	if err == nil && e.line == nil {
		err = notFound(what, k.name)
	}
	return e, err
}

// Principals goes over all entries in bytewise order of their names. The loop sees one state of
// the database, whatever is changed meanwhile; it may call other methods. An error is the last
// pair.
func (db *DB) Principals(ctx context.Context) iter.Seq2[*dumpfmt.Principal, error] {
	return each(ctx, db, selectLines, func(r *rows) (*dumpfmt.Principal, error) {
		return parsePrincipal(r.text(0), entry{line: r.bytes(1), lock: lockoutOf(r, 2)})
	})
}

// Names goes over the names of all principals in bytewise order, as Principals does.
func (db *DB) Names(ctx context.Context) iter.Seq2[string, error] {
	return each(ctx, db, "SELECT name FROM principal ORDER BY name", func(r *rows) (string, error) {
		return r.text(0), nil
	})
}

// Policies goes over all policies in bytewise order of their names, as Principals does.
func (db *DB) Policies(ctx context.Context) iter.Seq2[*dumpfmt.Policy, error] {
	return each(ctx, db, selectPolicyLines, func(r *rows) (*dumpfmt.Policy, error) {
		return parsePolicy(r.text(0), entry{line: r.bytes(1)})
	})
}

const (
	selectLines       = "SELECT name, line, last_success, last_failed, fail_count FROM principal ORDER BY name"
	selectLinesDesc   = selectLines + " DESC"
	selectPolicyLines = "SELECT name, line FROM policy ORDER BY name"
)

// each runs a query in a transaction of its own and yields what get makes of each row.
func each[T any](ctx context.Context, db *DB, sql string, get func(r *rows) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stop := false
		err := db.readTx(ctx, func(c *conn, _ *state) error {
			return scan(ctx, c, sql, func(r *rows) error {
				v, err := get(r)
				if err != nil {
					return err
				}
				if !yield(v, nil) {
					stop = true
					return errStop
				}
				return nil
			})
		})
		if err != nil && !stop {
			var zero T
			yield(zero, err)
		}
	}
}
