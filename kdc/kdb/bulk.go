package kdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"krealm/dumpfmt"
)

// bulk fills new tables from a dump and puts them in the place of the old ones, all inside the
// transaction of its caller: until the commit every reader sees the old tables.
//
// The reading side checks and takes apart lines in a goroutine of its own, the writing side
// inserts them. A batch of lines is the most of the dump that is in memory at a time. The
// index over names is made last, from the sorted or unsorted whole.
type bulk struct {
	c        *conn
	progress func(n int)
	master   string // an entry whose line is kept for the review

	digest     sum
	principals int64 // in the new table
	policies   int64
	read       int // records read from the dump

	last      [2]string // name of the last principal and policy
	unordered [2]bool   // a name was not above the one before it: there may be duplicates

	masterLine []byte
}

// batchRows is how many records go through the channel at a time, batchesAhead how many of
// such batches. insertRows is how many rows one statement inserts: beyond some twenty there
// is nothing to gain.
const (
	batchRows    = 128
	batchesAhead = 4
	insertRows   = 32
)

type bulkRow struct {
	kind     dumpfmt.Kind
	name     string
	from, to int // of the line in the batch's buffer
	lock     dumpfmt.Lockout
}

type batch struct {
	buf  []byte
	rows []bulkRow
}

// load reads the dump to its end into principal_new and policy_new.
func (b *bulk) load(ctx context.Context, in *dumpfmt.Reader) error {
	for _, sql := range []string{createPrincipal("principal_new"), createPolicy("policy_new")} {
		if err := b.c.script(sql); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	full := make(chan *batch, batchesAhead)
	spare := make(chan *batch, batchesAhead+2)
	for range cap(spare) {
		spare <- &batch{buf: make([]byte, 0, batchRows*600), rows: make([]bulkRow, 0, batchRows)}
	}
	g.Go(func() error {
		defer close(full)
		return b.produce(ctx, in, spare, full)
	})
	g.Go(func() error { return b.consume(spare, full) })
	return g.Wait()
}

// produce checks lines and hands them over in batches.
func (b *bulk) produce(ctx context.Context, in *dumpfmt.Reader, spare <-chan *batch, full chan<- *batch) error {
	for {
		var t *batch
		select {
		case t = <-spare:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := b.fill(in, t)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		select {
		case full <- t:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return nil
		}
	}
}

// fill reads records into t until it is full; io.EOF at the end of the dump.
func (b *bulk) fill(in *dumpfmt.Reader, t *batch) error {
	t.buf, t.rows = t.buf[:0], t.rows[:0]
	for len(t.rows) < batchRows && len(t.buf) < 1<<20 {
		kind, name, line, err := in.NextLine()
		if err != nil {
			return err
		}
		row := bulkRow{kind: kind, name: name, from: len(t.buf)}
		class := 0
		if kind == dumpfmt.KindPrincipal {
			if t.buf, row.lock, err = dumpfmt.SplitLockout(t.buf, line); err != nil {
				return err
			}
			b.principals++
		} else {
			t.buf = append(t.buf, line...)
			b.policies++
			class = 1
		}
		row.to = len(t.buf)
		if class == 0 && name == b.master {
			b.masterLine = bytes.Clone(t.buf[row.from:row.to])
		}
		b.digest.add(t.buf[row.from:row.to])
		if name <= b.last[class] && b.last[class] != "" {
			b.unordered[class] = true
		}
		b.last[class] = name
		t.rows = append(t.rows, row)
	}
	return nil
}

// consume inserts batches until there are no more.
func (b *bulk) consume(spare chan<- *batch, full <-chan *batch) error {
	const columns = "principal_new (name, line, last_success, last_failed, fail_count) VALUES "
	many := "INSERT INTO " + columns + placeholders(insertRows, 5)
	one := "INSERT INTO " + columns + placeholders(1, 5)
	args := make([]any, 0, insertRows*5)
	for t := range full {
		for _, r := range t.rows {
			line := t.buf[r.from:r.to]
			if r.kind == dumpfmt.KindPolicy {
				if err := b.c.exec("INSERT INTO policy_new (name, line) VALUES (?,?)", r.name, line); err != nil {
					return err
				}
				continue
			}
			args = append(args, r.name, line, int64(r.lock.LastSuccess), int64(r.lock.LastFailed), int64(r.lock.FailCount))
			if len(args) == cap(args) {
				if err := b.c.exec(many, args...); err != nil {
					return err
				}
				args = args[:0]
			}
		}
		for i := 0; i < len(args); i += 5 { // they alias t.buf, which goes back now
			if err := b.c.exec(one, args[i:i+5]...); err != nil {
				return err
			}
		}
		args = args[:0]
		b.read += len(t.rows)
		if b.progress != nil {
			b.progress(b.read)
		}
		spare <- t
	}
	return nil
}

// swap puts the new tables in the place of the old. With keepLockout, entries that existed keep
// their lockout fields.
func (b *bulk) swap(keepLockout bool) error {
	if keepLockout {
		err := b.c.script(`UPDATE principal_new
			SET last_success = o.last_success, last_failed = o.last_failed, fail_count = o.fail_count
			FROM principal AS o WHERE o.name = principal_new.name AND
			(o.last_success <> principal_new.last_success OR o.last_failed <> principal_new.last_failed OR o.fail_count <> principal_new.fail_count)`)
		if err != nil {
			return err
		}
	}
	for _, sql := range []string{
		"DROP TABLE principal", "ALTER TABLE principal_new RENAME TO principal", createPrincipalIndex,
		"DROP TABLE policy", "ALTER TABLE policy_new RENAME TO policy", createPolicyIndex,
	} {
		if err := b.c.script(sql); err != nil {
			return err
		}
	}
	b.c.forget()
	return nil
}

// dedupe deletes all but the last of the rows with one name: MIT's loader lets the last win. A
// dump in MIT's order has none, and it costs nothing to know.
func (b *bulk) dedupe() error {
	for class, table := range []string{"principal_new", "policy_new"} {
		if !b.unordered[class] {
			continue
		}
		if err := b.c.script("CREATE INDEX load_name ON " + table + " (name)"); err != nil {
			return err
		}
		r, err := b.c.query("SELECT id, line FROM " + table + " AS a WHERE EXISTS (SELECT 1 FROM " + table + " AS b WHERE b.name = a.name AND b.id > a.id)")
		if err != nil {
			return err
		}
		var ids []int64
		for r.next() {
			ids = append(ids, r.int(0))
			b.digest.sub(r.bytes(1))
		}
		if err := r.close(); err != nil {
			return err
		}
		for _, id := range ids {
			if err := b.c.exec("DELETE FROM "+table+" WHERE id = ?", id); err != nil {
				return err
			}
		}
		if class == 0 {
			b.principals -= int64(len(ids))
		} else {
			b.policies -= int64(len(ids))
		}
		if err := b.c.script("DROP INDEX load_name"); err != nil {
			return err
		}
	}
	return nil
}

// replace runs the whole of it and sets digest and counts in st.
func (b *bulk) replace(ctx context.Context, st *state, in *dumpfmt.Reader, keepLockout bool, o *LoadOptions, res *LoadResult) error {
	if err := b.load(ctx, in); err != nil {
		return fmt.Errorf("kdb: load: %w", err)
	}
	res.Principals, res.Policies = int(b.principals), int(b.policies)
	failpoint("loaded")
	if err := b.dedupe(); err != nil {
		return err
	}
	if err := b.review(ctx, st, o); err != nil || o.DryRun {
		return err
	}
	if err := b.swap(keepLockout); err != nil {
		return err
	}
	st.digest, st.principals, st.policies = b.digest.digest(), b.principals, b.policies
	return nil
}
