package scenario

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to change a database behind its back
)

// stamped lets every look be a new one.
type stamped struct{ *slave }

func (s stamped) Stamp() (string, bool, error)           { return time.Now().String(), false, nil }
func (s stamped) VerifyDigest(ctx context.Context) error { return s.db.VerifyDigest(ctx) }

// A change that somebody makes with sqlite3 in a slave's file is found and healed.
func TestHandMadeChange(t *testing.T) {
	for what, stmt := range map[string]string{
		"changed": "UPDATE principal SET line = CAST(replace(CAST(line AS TEXT), '86400', '99999') AS BLOB) WHERE name LIKE 'user000003@%'",
		"deleted": "DELETE FROM principal WHERE name LIKE 'user000004@%'",
	} {
		t.Run(what, func(t *testing.T) {
			m, s := pair(t)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { _ = s.applier.Verify(ctx, stamped{s}, 100*time.Millisecond) })
			db, err := sql.Open("sqlite", filepath.Join(s.dir, "db.sqlite"))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := db.ExecContext(ctx, stmt); err != nil {
				t.Fatal(err)
			} else if n, err := r.RowsAffected(); n != 1 || err != nil {
				t.Fatalf("%d rows, %v", n, err)
			}
			_ = db.Close()
			until(t, "the slave is rebuilt", func() bool { return m.copies.Load() == 2 && m.status(s).State == "streaming" })
			equal(m, s)
			s.reaches(m.add(1))
		})
	}
}
