package scenario

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// A slave whose database file is damaged, by its disk or by somebody who has written into it, says so to both sides and
// asks for a full copy. Whether that can be loaded depends on what is damaged; here it cannot.
func TestDamagedDatabaseFile(t *testing.T) {
	m, s := pair(t)
	s.reaches(m.add(300)) // so that there are pages of entries
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	spoil(t, s)
	wg.Go(func() { _ = s.applier.Verify(ctx, stamped{s}, 100*time.Millisecond) })
	until(t, "the master is told", func() bool {
		st := m.status(s)
		return st.State == "broken" && strings.Contains(st.LastError, "full copy refused: ") && strings.Contains(st.LastError, "database file is damaged")
	})
	if b := s.applier.Broken(); b == nil || !strings.Contains(b.Reason, "database file is damaged") {
		t.Errorf("the slave says of itself: %+v", b)
	}
}

// spoil writes over the page in which the table of principals begins.
func spoil(t *testing.T, s *slave) {
	t.Helper()
	path := filepath.Join(s.dir, "db.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var root, size int64
	for query, to := range map[string]*int64{
		"SELECT rootpage FROM sqlite_schema WHERE name = 'principal'": &root, "PRAGMA page_size": &size,
	} {
		if err := db.QueryRow(query).Scan(to); err != nil {
			t.Fatal(err)
		}
	}
	var busy, log, done int // what is in the -wal would be read in the page's place
	if err := errors.Join(db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done), db.Close()); err != nil || busy != 0 {
		t.Fatal(busy, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xee}, 64), (root-1)*size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
