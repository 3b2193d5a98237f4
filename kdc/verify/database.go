package verify

import (
	"context"
	"errors"
	"fmt"

	"krealm/kdc/kdb"
)

// Database checks a database: its digest, and every entry as File does. Entries are read as one
// state each of principals and of policies; what is changed in between may look like a reference
// to a policy that does not exist.
func Database(ctx context.Context, db *kdb.DB, o Options) (Summary, error) {
	c := New(o)
	if err := db.VerifyDigest(ctx); errors.Is(err, kdb.ErrDigest) {
		c.report(Finding{Severity: Error, Text: fmt.Sprintf("%v: the file was changed by other means, or is damaged", err)})
	} else if err != nil {
		return c.sum, err
	}
	for p, err := range db.Principals(ctx) {
		if err != nil {
			return c.sum, err
		}
		c.Principal(p, 0)
	}
	for p, err := range db.Policies(ctx) {
		if err != nil {
			return c.sum, err
		}
		c.Policy(p, 0)
	}
	return c.End(), nil
}
