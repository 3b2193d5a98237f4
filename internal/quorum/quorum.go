package quorum

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Verb is what krep's control socket calls the request.
const Verb = "wait"

// MaxTimeout bounds how long krep keeps somebody waiting.
const MaxTimeout = time.Hour

// Want is how many slaves are asked for. The zero Want is None.
type Want struct {
	kind kind
	n    int
}

type kind uint8

const (
	kindNone kind = iota
	kindAll
	kindQuorum
	kindNumber
)

// The Wants that are not a number.
var (
	None   = Want{}
	All    = Want{kind: kindAll}
	Quorum = Want{kind: kindQuorum}
)

// ErrWant: a word that says no number of slaves.
var ErrWant = errors.New("want all, quorum, none or a number of slaves")

// maxNumber bounds N: no slave list is longer.
const maxNumber = 1 << 16

// Parse reads "all", "quorum", "none" or a number; 0 is none. The error is ErrWant.
func Parse(s string) (Want, error) {
	switch s {
	case "none":
		return None, nil
	case "all":
		return All, nil
	case "quorum":
		return Quorum, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxNumber {
		return None, fmt.Errorf("%q: %w", s, ErrWant)
	}
	if n == 0 {
		return None, nil
	}
	return Want{kindNumber, int(n)}, nil
}

// String is what Parse reads.
func (w Want) String() string {
	switch w.kind {
	case kindAll:
		return "all"
	case kindQuorum:
		return "quorum"
	case kindNumber:
		return strconv.Itoa(w.n)
	}
	return "none"
}

// Need returns how many of the listed slaves that is. A quorum is more than half of all databases,
// the master's, which has the change already, among them: 1 of 1 and of 2 slaves, 2 of 3 and of 4. A
// number may be larger than listed: then it cannot be met.
func (w Want) Need(listed int) int {
	switch w.kind {
	case kindAll:
		return listed
	case kindQuorum:
		return (listed + 1) / 2
	case kindNumber:
		return w.n
	}
	return 0
}

// Answer is what krep says. Enough is false when the time was over, or when there are fewer slaves
// than asked for.
type Answer struct {
	Enough  bool   `json:"enough"`
	Need    int    `json:"need"`
	Applied int    `json:"applied"` // slaves that have the change in their database
	Listed  int    `json:"listed"`
	Missing []Late `json:"missing,omitempty"` // the others, in the order of the list
}

// Late is a slave that has not applied the change.
type Late struct {
	Slave     string `json:"slave"`
	State     string `json:"state"`           // as krep status has it
	Epoch     string `json:"epoch,omitempty"` // of Serial; empty: nothing known
	Serial    uint64 `json:"applied_serial"`  // how far it is
	LastError string `json:"last_error,omitempty"`
}
