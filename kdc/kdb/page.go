package kdb

import (
	"context"
	"errors"

	"krealm/dumpfmt"
)

const selectPage = "SELECT name, line, last_success, last_failed, fail_count FROM principal WHERE name > ? ORDER BY name LIMIT ?"

// PrincipalsAfter returns the next n entries behind a name, in bytewise order; "" is in front of
// all. It is for passes over the whole database that may take long: Principals would hold one
// state of it, and with that the -wal, until the end.
func (db *DB) PrincipalsAfter(ctx context.Context, name string, n int) (page []*dumpfmt.Principal, err error) {
	err = db.read(ctx, func(c *conn) error {
		r, err := c.query(selectPage, name, int64(n))
		if err != nil {
			return err
		}
		for err == nil && r.next() {
			var p *dumpfmt.Principal
			p, err = parsePrincipal(r.text(0), entry{line: r.bytes(1), lock: lockoutOf(r, 2)})
			page = append(page, p)
		}
		return errors.Join(err, r.close())
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
