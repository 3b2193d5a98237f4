package mkey

import (
	"errors"
	"fmt"
)

var (
	// ErrStashFormat means a file that is no stash file, or a damaged one, or one written
	// on a machine of the other byte order.
	ErrStashFormat = errors.New("not a readable stash file")

	// ErrWrongStash means a readable stash file that does not open this database.
	ErrWrongStash = errors.New("the stash file does not belong to this database")

	// ErrWrongPassword means a master password that does not open this database.
	ErrWrongPassword = errors.New("the master password does not open this database")

	// ErrUnsupported means a master key of an enctype that cannot be used here.
	ErrUnsupported = errors.New("master key enctype not supported")

	// ErrMaster means a K/M entry that is damaged or of another principal.
	ErrMaster = errors.New("damaged master key entry")

	// ErrSealed means a key that no version of the master key opens.
	ErrSealed = errors.New("no master key opens this key")
)

// formatError is an ErrStashFormat that says what is wrong and not once more that something is.
type formatError struct{ err error }

func stashFormat(format string, args ...any) error { return &formatError{fmt.Errorf(format, args...)} }

func (e *formatError) Error() string        { return e.err.Error() }
func (e *formatError) Unwrap() error        { return e.err }
func (e *formatError) Is(target error) bool { return target == ErrStashFormat }
