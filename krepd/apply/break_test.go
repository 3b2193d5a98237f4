package apply

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/kdc/kdb"
)

// damagedDB is one that cannot be read any more, nor loaded into, from some time on.
type damagedDB struct {
	*fakeDB
	damaged atomic.Bool
}

func (d *damagedDB) err() error {
	if d.damaged.Load() {
		return fmt.Errorf("db.sqlite: %w", kdb.ErrDamaged)
	}
	return nil
}

func (d *damagedDB) State(ctx context.Context) (deltafile.State, error) {
	if err := d.err(); err != nil {
		return deltafile.State{}, err
	}
	return d.fakeDB.State(ctx)
}

func (d *damagedDB) LoadSnapshot(ctx context.Context, r io.Reader) (deltafile.State, error) {
	if err := d.err(); err != nil {
		return deltafile.State{}, err
	}
	return d.fakeDB.LoadSnapshot(ctx, r)
}

// A slave that is broken, and whose database cannot even be asked where it is, is ready to say so to whoever
// feeds it, again after each full copy that could not be loaded; and one that can be ends it.
func TestBrokenAndUnreadable(t *testing.T) {
	b := newBench(t)
	db := &damagedDB{fakeDB: b.db}
	b.a = New(db, b.spool, zerolog.Nop())
	b.run()
	b.add(1)
	b.reaches(1)
	db.damaged.Store(true)
	b.a.Break("left alone")
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 2 {
		if err := b.a.Ready(soon); err != nil {
			t.Fatal(err)
		}
		if broken := b.a.Broken(); broken == nil || broken.Reason != "left alone" {
			t.Errorf("%+v", broken)
		}
		if err := b.a.Load(frame(t, b.base)); err == nil {
			t.Error("loaded")
		}
	}
	db.damaged.Store(false)
	if err := b.a.Load(frame(t, b.base)); err != nil || b.a.Broken() != nil {
		t.Errorf("%v, %+v", err, b.a.Broken())
	}
	if err := b.a.Ready(soon); err != nil {
		t.Error(err)
	}
	b.last = b.base
	b.add(1)
	b.reaches(1)
}
