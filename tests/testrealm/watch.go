package testrealm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"krealm/deltafile"
	"krealm/kdc/kdb"
)

// Resolution is the pause between two looks at a database: a Watch notes a state at most this
// much, and the time of one read, after it became visible.
const Resolution = 300 * time.Microsecond

// Watch notes when a host's database first showed each state. It looks through the same read
// API as everybody else, from outside the processes that write.
type Watch struct {
	host   *Host
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards what follows
	marks   []mark     // in the order seen
	err     error      // what ended the watch
	changed chan struct{}
}

type mark struct {
	state deltafile.State
	seen  time.Time
}

// WatchDatabase begins to watch; a database that does not exist yet is waited for.
func (h *Host) WatchDatabase(ctx context.Context) *Watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{host: h, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(w.done)
		err := w.follow(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
		close(w.changed)
	}()
	return w
}

// Close ends the watch.
func (w *Watch) Close() {
	w.cancel()
	<-w.done
}

func (w *Watch) follow(ctx context.Context) (err error) {
	tick := time.NewTicker(Resolution)
	defer tick.Stop()
	var db *kdb.DB
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	var last deltafile.State
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if db == nil {
			db, err = kdb.Open(ctx, w.host.SQLite(), kdb.Options{ReadOnly: true})
			if errors.Is(err, kdb.ErrNoDatabase) || errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
		}
		state, err := db.State(ctx)
		if err != nil {
			return err
		}
		if now := time.Now(); state != last {
			last = state
			w.note(mark{state, now})
		}
	}
}

func (w *Watch) note(m mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marks = append(w.marks, m)
	close(w.changed)
	w.changed = make(chan struct{})
}

// Reached returns the moment when the database was first seen at the serial of want, or beyond
// it in the same epoch, waiting for it if need be.
func (w *Watch) Reached(ctx context.Context, want deltafile.State) (time.Time, error) {
	for {
		w.mu.Lock()
		marks, changed, err := w.marks, w.changed, w.err
		w.mu.Unlock()
		for _, m := range marks {
			if m.state.Epoch == want.Epoch && m.state.Serial >= want.Serial {
				return m.seen, nil
			}
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("testrealm: watch of %s: %w", w.host.Name, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			last := "no state"
			if n := len(marks); n > 0 {
				last = fmt.Sprintf("epoch %s serial %d", marks[n-1].state.Epoch, marks[n-1].state.Serial)
			}
			return time.Time{}, fmt.Errorf("testrealm: %s did not reach epoch %s serial %d: %w; last seen: %s",
				w.host.Name, want.Epoch, want.Serial, ctx.Err(), last)
		}
	}
}

// SQLite is the path of the host's database file.
func (h *Host) SQLite() string { return h.Database + ".sqlite" }

// State reads the state of the host's database, and its content digest.
func (h *Host) State(ctx context.Context) (deltafile.State, kdb.Digest, error) {
	db, err := kdb.Open(ctx, h.SQLite(), kdb.Options{ReadOnly: true})
	if err != nil {
		return deltafile.State{}, kdb.Digest{}, err
	}
	state, digest, err := db.Digest(ctx)
	return state, digest, errors.Join(err, db.Close())
}
