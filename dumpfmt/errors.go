package dumpfmt

import (
	"errors"
	"fmt"
)

// Errors that a caller may want to tell apart with errors.Is. All but ErrName come inside a
// *SyntaxError when they speak of a file.
var (
	// ErrHeader: the first line is not that of a dump this package reads.
	ErrHeader = errors.New("not the header of a dump file (want kdb5_util load_dump version 4, 5, 6 or 7)")
	// ErrIpropHeader: the first line is not that of an iprop dump.
	ErrIpropHeader = errors.New("not the header of an iprop dump")
	// ErrTorn: the file ends inside a line. MIT's loader never returns from such a file.
	ErrTorn = errors.New("the file ends inside this line: its line feed is missing")
	// ErrTooLong: a line has more than MaxLine bytes.
	ErrTooLong = fmt.Errorf("line longer than %d bytes", MaxLine)
	// ErrName: the text is no principal name.
	ErrName = errors.New("malformed principal name")
	// ErrDeltaOnly: a deletion was to be written into a dump file.
	ErrDeltaOnly = errors.New("deletions belong to delta files only")
)

// SyntaxError says where a dump or delta line stopped making sense. Err never quotes the
// contents of a field, which may be key material, except the record word.
type SyntaxError struct {
	Line  int // counts from 1, the header being line 1; 0 where one line was parsed by itself
	Field int // counts from 1 at the record word, the name being one field; 0: the line as a whole
	Err   error
}

func (e *SyntaxError) Error() string {
	switch {
	case e.Line == 0 && e.Field == 0:
		return fmt.Sprintf("dumpfmt: %v", e.Err)
	case e.Line == 0:
		return fmt.Sprintf("dumpfmt: field %d: %v", e.Field, e.Err)
	case e.Field == 0:
		return fmt.Sprintf("dumpfmt: line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("dumpfmt: line %d, field %d: %v", e.Line, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }
