package kdb

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"krealm/deltafile"
)

// state is the one row of the table of that name: where the database stands in the realm's
// history, and figures over its content.
//
// Invariants. K1: digest is that of the rows of principal and policy, and principals and
// policies count them. K2: changes holds exactly the serials base.Serial+1 to Serial, and
// their hashes chain from base.Hash to Hash.
type state struct {
	deltafile.State                 // zero epoch: a replica that waits for its first snapshot
	base            deltafile.State // before the oldest change kept; same realm and epoch
	replica         bool            // content comes from a master
	generation      int64           // counts wholesale replacements: a reader that missed one must reload
	digest          Digest
	principals      int64
	policies        int64
}

// restart sets a new point of history without any change kept.
func (st *state) restart(s deltafile.State) {
	st.State, st.base = s, s
	st.generation++
}

// errShort: a row that this program has not written.
var errShort = errors.New("hash of the wrong length")

const selectState = `SELECT realm, replica, generation, epoch, serial, sec, usec, hash,
	base_serial, base_sec, base_usec, base_hash, digest, principals, policies FROM state WHERE id = 1`

func readState(c *conn) (state, error) {
	r, err := c.first(selectState)
	if err != nil {
		return state{}, fmt.Errorf("state row: %w", err)
	}
	st := state{
		replica: r.int(1) != 0, generation: r.int(2),
		principals: r.int(13), policies: r.int(14),
	}
	st.Realm = r.text(0)
	if e := r.text(3); e != deltafile.Epoch(0).String() {
		if st.Epoch, err = deltafile.ParseEpoch(e); err != nil {
			return state{}, fmt.Errorf("state row: %w", err)
		}
	}
	st.base.Realm, st.base.Epoch = st.Realm, st.Epoch
	st.Serial, st.Sec, st.Usec = uint64(r.int(4)), r.int(5), int(r.int(6))
	st.base.Serial, st.base.Sec, st.base.Usec = uint64(r.int(8)), r.int(9), int(r.int(10))
	if copy(st.Hash[:], r.bytes(7)) != len(st.Hash) || copy(st.base.Hash[:], r.bytes(11)) != len(st.Hash) ||
		copy(st.digest[:], r.bytes(12)) != len(st.digest) {
		return state{}, fmt.Errorf("state row: %w", errShort)
	}
	return st, nil
}

// lastState is the state row as a writer's last transaction left it, and what SQLite's data version
// was, which changes with every commit that another connection makes, here or in another process.
type lastState struct {
	state   state
	version int64 // -1: none known
}

// state reads the state row in a write transaction, if anybody else has written since the last one.
func (c *conn) state() (state, error) {
	r, err := c.first("PRAGMA data_version")
	if err != nil {
		return state{}, err
	}
	if v := r.int(0); v != c.last.version {
		st, err := readState(c)
		if err != nil {
			return state{}, err
		}
		c.last = lastState{st, v}
	}
	return c.last.state, nil
}

func (st *state) values() []any {
	replica := int64(0)
	if st.replica {
		replica = 1
	}
	return []any{
		st.Realm, replica, st.generation, st.Epoch.String(), int64(st.Serial), st.Sec, int64(st.Usec), st.Hash[:],
		int64(st.base.Serial), st.base.Sec, int64(st.base.Usec), st.base.Hash[:], st.digest[:], st.principals, st.policies,
	}
}

func insertState(c *conn, st *state) error {
	return c.exec(`INSERT INTO state (realm, replica, generation, epoch, serial, sec, usec, hash,
		base_serial, base_sec, base_usec, base_hash, digest, principals, policies, id)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1)`, st.values()...)
}

func saveState(c *conn, st *state) error {
	if st.Serial > math.MaxInt64 {
		return fmt.Errorf("kdb: serial %d: %w", st.Serial, deltafile.ErrSerial)
	}
	return c.exec(`UPDATE state SET realm=?, replica=?, generation=?, epoch=?, serial=?, sec=?, usec=?, hash=?,
		base_serial=?, base_sec=?, base_usec=?, base_hash=?, digest=?, principals=?, policies=? WHERE id = 1`, st.values()...)
}

// sum is a digest in the making: 256 bits in four words, least significant first.
type sum [4]uint64

func (d Digest) sum() (s sum) {
	for i := range s {
		s[i] = binary.BigEndian.Uint64(d[24-8*i:])
	}
	return s
}

func (s *sum) digest() (d Digest) {
	for i := range s {
		binary.BigEndian.PutUint64(d[24-8*i:], s[i])
	}
	return d
}

// add counts a row's line in.
func (s *sum) add(line []byte) { s.plus(Digest(sha256.Sum256(line)).sum()) }

// sub takes a row's line out.
func (s *sum) sub(line []byte) { s.minus(Digest(sha256.Sum256(line)).sum()) }

func (s *sum) plus(h sum) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], h[i], carry)
	}
}

func (s *sum) minus(h sum) {
	var borrow uint64
	for i := range s {
		s[i], borrow = bits.Sub64(s[i], h[i], borrow)
	}
}

// swap replaces one line by another; nil stands for no line.
func (d *Digest) swap(old, line []byte) {
	s := d.sum()
	if old != nil {
		s.sub(old)
	}
	if line != nil {
		s.add(line)
	}
	*d = s.digest()
}

// State returns where the database stands. Its Epoch is 0 in a replica that has no content yet.
func (db *DB) State(ctx context.Context) (deltafile.State, error) {
	st, err := db.state(ctx)
	return st.State, err
}

// Replica says whether the content comes from a master: see InitSlave and NewEpoch.
func (db *DB) Replica(ctx context.Context) (bool, error) {
	st, err := db.state(ctx)
	return st.replica, err
}

// Digest returns the digest of the replicated content, and the state it belongs to.
func (db *DB) Digest(ctx context.Context) (deltafile.State, Digest, error) {
	st, err := db.state(ctx)
	return st.State, st.digest, err
}

// Count returns the number of entries.
func (db *DB) Count(ctx context.Context) (principals, policies int, err error) {
	st, err := db.state(ctx)
	return int(st.principals), int(st.policies), err
}

func (db *DB) state(ctx context.Context) (st state, err error) {
	err = db.read(ctx, func(c *conn) error {
		st, err = readState(c)
		return err
	})
	return st, err
}

// VerifyDigest reads every entry and compares digest and counts with what is kept (invariant
// K1). A difference is ErrDigest.
func (db *DB) VerifyDigest(ctx context.Context) error {
	return db.readFile(ctx, func(c *conn, st *state) error {
		err := verifyDigest(ctx, c, st)
		if errors.Is(err, ErrDigest) {
			err = fmt.Errorf("kdb: %s: %w", db.path, err)
		}
		return err
	})
}

func verifyDigest(ctx context.Context, c *conn, st *state) error {
	var s sum
	var n [2]int64
	for i, sql := range []string{"SELECT line FROM principal", "SELECT line FROM policy"} {
		err := scan(ctx, c, sql, func(r *rows) error {
			s.add(r.bytes(0))
			n[i]++
			return nil
		})
		if err != nil {
			return err
		}
	}
	if got := s.digest(); got != st.digest || n[0] != st.principals || n[1] != st.policies {
		return fmt.Errorf("%d principals and %d policies with digest %s, state %s has %d, %d and %s: %w",
			n[0], n[1], got, st.State, st.principals, st.policies, st.digest, ErrDigest)
	}
	return nil
}
