package deltafile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Epoch names one history of a realm: 64 random bits, drawn when a database is created,
// wholly replaced or promoted. Serials of different epochs are unrelated. Zero means "no
// epoch" and never stands in a file.
type Epoch uint64

// NewEpoch draws an epoch from the system's random source; it is never zero.
func NewEpoch() Epoch {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the program instead
		if e := Epoch(binary.BigEndian.Uint64(b[:])); e != 0 {
			return e
		}
	}
}

// ParseEpoch reads the 16 lower-case hex digits String writes. Zero is refused.
func ParseEpoch(s string) (Epoch, error) {
	var b [8]byte
	if err := parseHex(b[:], []byte(s)); err != nil {
		return 0, fmt.Errorf("deltafile: epoch: %w", err)
	}
	e := Epoch(binary.BigEndian.Uint64(b[:]))
	if e == 0 {
		return 0, errors.New("deltafile: epoch: zero")
	}
	return e, nil
}

// String is 16 lower-case hex digits.
func (e Epoch) String() string { return fmt.Sprintf("%016x", uint64(e)) }

// Hash is one link of the chain: SHA-256 over the link before it and a changeset's bytes.
type Hash [sha256.Size]byte

// ParseHash reads the 64 lower-case hex digits String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("deltafile: hash: %w", err)
	}
	return h, nil
}

// String is 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// State is a point in a realm's history: what holds after change Serial of Epoch, and the
// hash of everything up to there. A file's base line carries one. The zero State is "no
// state"; see IsZero.
type State struct {
	Realm  string // as a name is written in a dump (escaped): no TAB, LF, BS or NUL
	Epoch  Epoch
	Serial uint64 // 0 before the first change
	Sec    int64  // UTC of the change, seconds since 1970; informative
	Usec   int    // microseconds, 0..999999
	Hash   Hash
}

// MaxRealm bounds the written form of a realm, in bytes.
const MaxRealm = 4096

// Initial is the state of a realm at serial 0 of an epoch. t is when the epoch began.
func Initial(realm string, e Epoch, t time.Time) State {
	s := State{Realm: realm, Epoch: e, Hash: initialHash(realm, e)}
	s.Sec, s.Usec = splitTime(t)
	return s
}

// initialHash is h(0): it ties the chain to realm and epoch.
func initialHash(realm string, e Epoch) Hash {
	return sha256.Sum256([]byte("krep delta 1\n" + realm + "\n" + e.String() + "\n"))
}

// IsZero says that s names no state: nothing was ever received or written.
func (s State) IsZero() bool { return s.Epoch == 0 }

// Time is the moment of the change, in UTC.
func (s State) Time() time.Time { return time.Unix(s.Sec, int64(s.Usec)*1000).UTC() }

// Same says that two states are the same point of the same history. Times are not compared:
// the hash covers them.
func (s State) Same(o State) bool {
	return s.Realm == o.Realm && s.Epoch == o.Epoch && s.Serial == o.Serial && s.Hash == o.Hash
}

// After is the state once cs, which must follow s, has been applied.
func (s State) After(cs *Changeset) State {
	s.Serial, s.Sec, s.Usec, s.Hash = cs.Serial, cs.Sec, cs.Usec, cs.Hash
	return s
}

// String is for logs: epoch and serial.
func (s State) String() string { return fmt.Sprintf("%s/%d", s.Epoch, s.Serial) }

// check says whether s can be written as a base line.
func (s State) check() error {
	switch {
	case s.Epoch == 0:
		return errors.New("epoch is zero")
	case len(s.Realm) == 0 || len(s.Realm) > MaxRealm:
		return fmt.Errorf("realm of %d bytes", len(s.Realm))
	case strings.ContainsAny(s.Realm, "\t\n\b\x00"):
		return errors.New("realm is not in its written form")
	case s.Sec < 0 || s.Usec < 0 || s.Usec > 999999:
		return errors.New("time out of range")
	case s.Serial == 0 && s.Hash != initialHash(s.Realm, s.Epoch):
		return fmt.Errorf("hash of serial 0 is not that of realm and epoch: %w", ErrHash)
	}
	return nil
}

// splitTime cuts t to what a begin line holds; a time before 1970 becomes 1970.
func splitTime(t time.Time) (sec int64, usec int) {
	if sec = t.Unix(); sec < 0 {
		return 0, 0
	}
	return sec, t.Nanosecond() / 1000
}

// parseHex decodes exactly len(dst) bytes of lower-case hex.
func parseHex(dst, src []byte) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%d hex digits, want %d", len(src), 2*len(dst))
	}
	for i := range dst {
		hi, lo := unhex(src[2*i]), unhex(src[2*i+1])
		if hi > 15 || lo > 15 {
			return errors.New("not lower-case hex")
		}
		dst[i] = hi<<4 | lo
	}
	return nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
