package command

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

const (
	connectFirst = 100 * time.Millisecond // after the first failure; doubled with each further one
	connectMax   = 30 * time.Second
	connectGood  = 5 * time.Second // a stream that lasted as long was no failure
	connectTries = 3               // streams of one master in a row that are lost sooner, before the next has its turn

	// epochPatience is how long a slave does without a master that can feed it as it is, while somebody
	// offers another epoch, or less than it has.
	epochPatience = 10 * time.Minute
)

// Reasons to decline a master where there are several. The master is told.
var (
	errBehind = errors.New("this master is behind the slave, another one is asked")
	errEpoch  = errors.New("this master is in another epoch than the slave, the others are asked first")
)

// rota decides which of several masters of one realm is dialled, and which is taken. It does no I/O and
// reads no clock.
//
// A master that feeds is stayed with until it cannot be reached, is paused, refuses the slave or loses streams
// again and again: two that work do not take turns. One that follows another history than the slave costs a full
// copy, and one that has fallen back costs two, when it has caught up: an epoch says nothing of before
// and after. So the master that was followed last is followed into a new epoch, and any other one only
// if all masters have been asked since and each is in another epoch. One that is behind the slave in its epoch
// is not taken, but for the one that was followed last: what becomes of a slave that is ahead of its master is
// that one's to say, and its administrator's (krep resync). Nothing of this is for ever: when for epochPatience
// nobody has fed the slave, and the master followed last was not heard of, whoever answers is taken.
type rota struct {
	masters []slavelist.Slave // never empty
	next    slavelist.Slave   // to dial

	followed slavelist.Slave          // has fed the slave last; zero: none since the start
	heard    time.Time                // the end of the last stream that fed, or an answer of followed; the start at first
	strange  map[slavelist.Slave]bool // in another epoch when asked last, since one has fed the slave

	wait   time.Duration // before the next round, less a random part of up to half
	failed int           // attempts in a row that came to nothing
	short  int           // streams in a row that were soon lost
}

func newRota(now time.Time) *rota {
	return &rota{wait: connectFirst, heard: now, strange: make(map[slavelist.Slave]bool)}
}

// dial returns the master to dial, of a list that may have changed.
func (r *rota) dial(masters []slavelist.Slave) slavelist.Slave {
	r.masters = masters
	if !slices.Contains(masters, r.next) {
		r.next = masters[0]
	}
	maps.DeleteFunc(r.strange, func(m slavelist.Slave, _ bool) bool { return m == r.next || !slices.Contains(masters, m) })
	return r.next
}

// accept decides whether the dialled master, which is at one point, is to feed the slave, which is at another.
func (r *rota) accept(feeder, own wire.Point, now time.Time) error {
	switch {
	case len(r.masters) == 1, own.Epoch == 0, r.next == r.followed, now.Sub(r.heard) >= epochPatience:
		return nil
	case feeder.Epoch == own.Epoch && feeder.Serial < own.Serial:
		return errBehind
	case feeder.Epoch == own.Epoch:
		return nil
	}
	r.strange[r.next] = true
	if len(r.strange) < len(r.masters) {
		return errEpoch
	}
	return nil
}

// outcome is what came of an attempt.
type outcome uint8

const (
	unreached outcome = iota // or refused
	declined                 // by accept
	unfed                    // reached, and it did not say hello, or refused the slave
	lost                     // fed, and the stream did not end in order
	ended                    // fed, and the stream did
)

// done takes what came of the attempt, which began at start, and returns how long to pause before the next:
// 0 as long as there is somebody who has not been asked in this round.
func (r *rota) done(o outcome, start, now time.Time) time.Duration {
	long := now.Sub(start) >= connectGood
	if o >= unfed && long {
		r.wait = connectFirst
	}
	if o == unfed && r.next == r.followed {
		r.heard = now
	}
	if o >= lost {
		r.followed, r.heard, r.failed = r.next, now, 0
		clear(r.strange)
	}
	if r.short++; o != lost || long {
		r.short = 0
	}
	if o < lost || r.short == connectTries {
		r.next, r.short = r.masters[(slices.Index(r.masters, r.next)+1)%len(r.masters)], 0
	}
	if o < lost {
		if r.failed++; r.failed%len(r.masters) != 0 {
			return 0
		}
	}
	d := r.wait - time.Duration(rand.Int64N(int64(r.wait/2)))
	r.wait = min(2*r.wait, connectMax)
	return d
}

// changed makes the next attempts soon: the list may be another one.
func (r *rota) changed() { r.wait, r.failed = connectFirst, 0 }
