package deltafile

import (
	"errors"
	"fmt"
)

// Reasons inside a FormatError, for errors.Is. Anything else that does not parse is a plain
// reason.
var (
	// ErrIncomplete means "not there yet": the bytes are a proper beginning of something
	// valid. It is not damage; a reader waits, a writer under its lock may cut them off.
	ErrIncomplete = errors.New("incomplete")
	// ErrHash is a break of the hash chain.
	ErrHash = errors.New("hash does not match")
	// ErrSerial is a serial other than the one after the last.
	ErrSerial = errors.New("serial out of order")
	// ErrKind is a body line whose first word is not princ, policy, delprinc or delpolicy.
	ErrKind = errors.New("unknown kind of line")
	// ErrTooLarge is a changeset or line over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrHeader is a first line other than this version's.
	ErrHeader = errors.New("not a delta file of version 1")
	// ErrRealm is a file of another realm than the caller's.
	ErrRealm = errors.New("file of another realm")
)

// Reasons an operation gives besides damage.
var (
	// ErrRebase is returned by a fetch callback that cannot continue from the file's last
	// state: the file is set aside and a new one starts at the wanted state.
	ErrRebase = errors.New("deltafile: start the file anew")
	// ErrBehind is what a GapError unwraps to.
	ErrBehind = errors.New("behind the start of the file")
	// ErrForeign is what a ForeignError unwraps to.
	ErrForeign = errors.New("another history")
	// ErrUnsure says that an fsync has failed and the file could not be written anew: what stands in it may be lost in
	// a power cut, though a later fsync succeeds.
	ErrUnsure = errors.New("what the file holds may not be on disk")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("deltafile: closed")
)

// FormatError is damage: bytes that no correct writer leaves, torn writes excepted. Offset
// counts from 0 at the start of File, or of the decoded slice when File is "".
type FormatError struct {
	File   string
	Offset int64
	Err    error
}

// Error never quotes a line: lines hold sealed keys.
func (e *FormatError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("deltafile: offset %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("deltafile: %s: offset %d: %v", e.File, e.Offset, e.Err)
}

// Unwrap gives the reason.
func (e *FormatError) Unwrap() error { return e.Err }

// at returns err with file and base offset filled in where it is a FormatError.
func at(err error, file string, base int64) error {
	var fe *FormatError
	if errors.As(err, &fe) {
		return &FormatError{File: file, Offset: base + fe.Offset, Err: fe.Err}
	}
	return err
}

// EpochError says that the file now holds another history. State is the new file's base:
// whoever followed the old one needs a full copy of State or later.
type EpochError struct {
	State State
}

func (e *EpochError) Error() string {
	return fmt.Sprintf("deltafile: new epoch %s from serial %d", e.State.Epoch, e.State.Serial)
}

// GapError says that the file starts after the state asked for: what lies between has been
// truncated away. The follower needs a full copy.
type GapError struct {
	After State // where the follower stands
	Base  State // where the file starts
}

func (e *GapError) Error() string {
	return fmt.Sprintf("deltafile: file starts at %s, after %s", e.Base, e.After)
}

// Unwrap gives ErrBehind.
func (e *GapError) Unwrap() error { return ErrBehind }

// ForeignError says that the file holds a change of the same epoch and serial as the
// follower's state, but with another hash: two histories share one epoch. The follower needs
// a full copy.
type ForeignError struct {
	Have State // the follower's
	File State // the file's, at the same serial
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("deltafile: %s in the file has another hash than the follower's", e.File)
}

// Unwrap gives ErrForeign.
func (e *ForeignError) Unwrap() error { return ErrForeign }
