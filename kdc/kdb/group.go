package kdb

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"krealm/deltafile"
)

// Updates that come while another one commits wait in a line, and the next transaction takes all
// of them: they share its fsync and its append to the delta file. Each stays a changeset of its
// own, and one that fails undoes itself alone.
//
// Whoever waits and gets the right to write has a leader started. The leader begins the
// transaction, and only then takes from the line, in order: to each Update it hands the
// transaction, and waits until it has it back. So every function runs in the goroutine of its
// caller, and a panic in it is that caller's. Nobody returns before the commit, and the drain
// behind it.
//
// Only what makes SQLite undo the whole transaction, as a full disk does, fails for all that have
// had their turn in it; their functions are not run again. Who still waits is in the next one.

// groupMax bounds how many Updates share a transaction, and with it how long the first waits for
// the last.
const groupMax = 128

// errLeft: the function has panicked, or ended its goroutine.
var errLeft = errors.New("kdb: Update left without an answer")

// job is an Update in the line.
type job struct {
	turn chan *Tx      // it has the transaction now
	back chan error    // and gives it back
	done chan struct{} // closed when st and err are final
	st   deltafile.State
	err  error
}

func (j *job) end(err error) {
	j.err = err
	close(j.done)
}

// line is the Updates that wait, in order.
type line struct {
	mu   sync.Mutex
	jobs []*job
}

func (l *line) add(j *job) {
	l.mu.Lock()
	l.jobs = append(l.jobs, j)
	l.mu.Unlock()
}

// take takes the first job, nil if there is none.
func (l *line) take() *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) == 0 {
		return nil
	}
	j := l.jobs[0]
	l.jobs[0] = nil
	l.jobs = l.jobs[1:]
	return j
}

// remove takes j out; false if a leader has it.
func (l *line) remove(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.jobs {
		if l.jobs[i] == j {
			l.jobs = append(l.jobs[:i], l.jobs[i+1:]...)
			return true
		}
	}
	return false
}

// has tells whether j still waits.
func (l *line) has(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, have := range l.jobs {
		if have == j {
			return true
		}
	}
	return false
}

// Update makes one change of the realm: one changeset, all or nothing, however many entries fn
// touches. It returns the state behind it. If fn, or anything else, fails, nothing has happened. A
// fn that leaves everything as it was makes no changeset, and one that changes only lockout fields
// makes none either.
//
// Updates of several goroutines share a transaction when they come together; fn sees the changes
// of those before it, and runs once. It must not call Update, or anything else that writes.
//
// The changeset is in the database when Update returns, and as a rule in the delta file too;
// see Options.OnDrainError. ErrReplica on a slave's database.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) (deltafile.State, error) {
	if err := ctx.Err(); err != nil {
		return deltafile.State{}, err
	}
	j := &job{turn: make(chan *Tx, 1), back: make(chan error, 1), done: make(chan struct{})}
	db.line.add(j)
	for gone := ctx.Done(); ; {
		select {
		case <-db.writing:
			if !db.line.has(j) { // a leader has it, whose successor this would be
				db.writing <- struct{}{}
				<-j.done
				continue
			}
			go db.lead(ctx, j) // ends before j is done
		case tx := <-j.turn:
			j.run(ctx, tx, fn)
		case <-j.done:
			return j.st, j.err
		case <-gone:
			if db.line.remove(j) {
				return deltafile.State{}, ctx.Err()
			}
			gone = nil // a leader has it, and will soon be done
		}
	}
}

// run is the job's turn. The transaction is given back even if fn panics.
func (j *job) run(ctx context.Context, tx *Tx, fn func(tx *Tx) error) {
	err := errLeft
	defer func() {
		tx.c = nil
		j.back <- err
	}()
	if err = ctx.Err(); err != nil {
		return
	}
	err = errLeft
	e := fn(tx)
	if e == nil {
		e = tx.Cut()
	}
	err = e
}

// group is the Updates of one transaction.
type group struct {
	db    *DB
	ran   []*job // those whose changes are in the transaction
	cause error  // of the engine, which made it undo a part
}

// lead has the right to write. It makes one transaction of those who wait, first among them, and
// tells them what became of it.
func (db *DB) lead(ctx context.Context, first *job) {
	g := &group{db: db}
	st, err := db.writeHeld(ctx, g.run)
	if g.cause != nil && db.w != nil { // whatever state the connection is in now, a new one is not
		_ = db.w.close()
		db.w = nil
	}
	db.writing <- struct{}{}
	if err == nil && len(g.ran) > 0 {
		db.drainAfterCommit(ctx, &st)
	}
	for _, j := range g.ran {
		if err != nil {
			j.st = deltafile.State{}
		}
		j.end(err)
	}
	if err != nil && db.line.remove(first) { // it did not come to its turn
		first.end(err)
	}
}

// run gives everybody in the line a turn. An error is that of the whole transaction.
func (g *group) run(c *conn, st *state) error {
	if st.replica {
		return g.refuse(fmt.Errorf("kdb: %s: %w", g.db.path, ErrReplica))
	}
	for range groupMax {
		j := g.db.line.take()
		if j == nil {
			return nil
		}
		if err := g.turn(c, st, j); err != nil {
			return err
		}
	}
	return nil
}

// refuse ends all that wait now.
func (g *group) refuse(err error) error {
	for j := g.db.line.take(); j != nil; j = g.db.line.take() {
		j.end(err)
	}
	return err
}

// turn is one Update. Its failure is undone and told to it; only if it cannot be undone alone is
// it an error of the transaction.
func (g *group) turn(c *conn, st *state, j *job) error {
	tx := &Tx{db: g.db, c: c, st: st, touched: make(map[key]*touch)}
	if err := c.exec("SAVEPOINT turn"); err != nil {
		j.end(annotate(g.db.path, err))
		return err
	}
	before, sofar := *st, c.made
	j.turn <- tx
	err := <-j.back
	if err == nil {
		if err = c.exec("RELEASE turn"); err == nil {
			j.st = st.State
			g.ran = append(g.ran, j)
			return nil
		}
	}
	j.end(annotate(g.db.path, err))
	*st, c.made = before, sofar
	if sqliteCode(err) != 0 {
		g.cause = err
	}
	// The engine may have undone the whole transaction by itself; then there is no savepoint.
	if undo := errors.Join(c.exec("ROLLBACK TO turn"), c.exec("RELEASE turn")); undo != nil {
		return errors.Join(err, undo)
	}
	return nil
}
