package kdb

import (
	"bytes"
	"context"
	"fmt"

	"krealm/dumpfmt"
)

// ChangeKind says what a load does to an entry.
type ChangeKind int

// The kinds of LoadChange.
const (
	Added ChangeKind = iota
	Changed
	Removed
)

func (k ChangeKind) String() string { return [...]string{"added", "changed", "removed"}[k] }

// LoadChange is one entry that a load adds, changes or removes. Lockout fields alone are no change.
type LoadChange struct {
	Kind dumpfmt.Kind // KindPrincipal or KindPolicy
	Name string
	What ChangeKind
}

// Counts are numbers of entries.
type Counts struct{ Principals, Policies int }

// Review is what a full load is about to do, when all of the file has been read and nothing has
// been replaced yet. It is valid during LoadOptions.Review only.
type Review struct {
	Before, After Counts
	// Master holds LoadOptions.Master's entry of before, and that of the file; nil: none.
	Master [2]*dumpfmt.Principal

	ctx context.Context
	c   *conn
}

// reviewIndex orders the names of the new tables while they are compared with the old.
const reviewIndex = "load_review"

// Changes goes over all differences, principals in order of their names, then policies. An error of
// fn ends it and is returned.
func (r *Review) Changes(fn func(LoadChange) error) error {
	for _, t := range []struct {
		kind  dumpfmt.Kind
		table string
	}{{dumpfmt.KindPrincipal, "principal"}, {dumpfmt.KindPolicy, "policy"}} {
		if err := r.c.script("CREATE INDEX " + reviewIndex + " ON " + t.table + "_new (name)"); err != nil {
			return err
		}
		err := r.compare(t.kind, t.table, fn)
		if derr := r.c.script("DROP INDEX " + reviewIndex); err == nil {
			err = derr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compare merges the old table and the new, both in order of names.
func (r *Review) compare(kind dumpfmt.Kind, table string, fn func(LoadChange) error) (err error) {
	const sql = "SELECT name, line FROM %s ORDER BY name"
	before, err := r.c.query(fmt.Sprintf(sql, table))
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, before.close()) }()
	after, err := r.c.query(fmt.Sprintf(sql, table+"_new"))
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, after.close()) }()
	old, now := before.next(), after.next()
	for n := 0; old || now; n++ {
		if n%256 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		c := LoadChange{Kind: kind}
		switch {
		case !now || old && before.text(0) < after.text(0):
			c.Name, c.What = before.text(0), Removed
			old = before.next()
		case !old || after.text(0) < before.text(0):
			c.Name, c.What = after.text(0), Added
			now = after.next()
		default:
			same := bytes.Equal(before.bytes(1), after.bytes(1))
			c.Name, c.What = after.text(0), Changed
			old, now = before.next(), after.next()
			if same {
				continue
			}
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// review calls o.Review and o.Changed for a full load whose new tables are complete.
func (b *bulk) review(ctx context.Context, st *state, o *LoadOptions) error {
	r := &Review{ctx: ctx, c: b.c,
		Before: Counts{int(st.principals), int(st.policies)}, After: Counts{int(b.principals), int(b.policies)}}
	if o.Review != nil {
		old, err := getEntry(b.c, key{dumpfmt.KindPrincipal, o.Master})
		if err != nil {
			return err
		}
		for i, line := range [][]byte{old.line, b.masterLine} {
			if line == nil {
				continue
			}
			if r.Master[i], err = parsePrincipal(o.Master, entry{line: line}); err != nil {
				return err
			}
		}
		if err := o.Review(r); err != nil {
			return err
		}
	}
	if o.Changed == nil {
		return nil
	}
	return r.Changes(func(c LoadChange) error {
		o.Changed(c)
		return nil
	})
}
