package delta

import (
	"bytes"
	"errors"
	"fmt"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Change is what one line of a changeset does.
type Change struct {
	Kind dumpfmt.Kind
	Name string // of the principal, with realm, or of the policy
}

// Delete tells whether the change removes the entry; else it inserts or replaces it whole.
func (c Change) Delete() bool {
	return c.Kind == dumpfmt.KindDeletePrincipal || c.Kind == dumpfmt.KindDeletePolicy
}

// Policy tells whether the entry is a policy; else it is a principal.
func (c Change) Policy() bool {
	return c.Kind == dumpfmt.KindPolicy || c.Kind == dumpfmt.KindDeletePolicy
}

// Changes reads the lines of a changeset, each checked strictly. The error is a *LineError.
func Changes(cs *deltafile.Changeset) ([]Change, error) {
	out := make([]Change, 0, cs.NLines)
	err := eachLine(cs, func(line []byte) error {
		if _, err := dumpfmt.ParseDeltaLine(line); err != nil {
			return err
		}
		kind, name, err := dumpfmt.LineName(line)
		out = append(out, Change{kind, name})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eachLine calls f with each line of a changeset, LF included. An error of f comes back in a
// *LineError.
func eachLine(cs *deltafile.Changeset, f func(line []byte) error) error {
	off := bytes.IndexByte(cs.Raw, '\n') + 1
	n := 0
	for rest := cs.Lines; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		n++
		if err := f(rest[:end]); err != nil {
			return &LineError{Serial: cs.Serial, Line: n, Offset: int64(off), Err: err}
		}
		off += end
		rest = rest[end:]
	}
	return nil
}

// LineError is a line that is no record. Line counts from 1 within the changeset, Offset in bytes
// from its begin line.
type LineError struct {
	Serial uint64
	Line   int
	Offset int64
	Err    error // a *dumpfmt.SyntaxError
}

func (e *LineError) Error() string {
	return fmt.Sprintf("change %d, its line %d: %v", e.Serial, e.Line, e.Err)
}

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Each calls f with every changeset of a file and what it does, in order, and says at the end how
// the file is; see deltafile.Scan. A line that is no record is damage like any other: a
// *deltafile.FormatError with the line's place in the file.
func Each(path string, f func(base deltafile.State, cs *deltafile.Changeset, changes []Change) error) (deltafile.Report, error) {
	return deltafile.Scan(path, func(base deltafile.State, off int64, css []*deltafile.Changeset) error {
		for _, cs := range css {
			changes, err := Changes(cs)
			var line *LineError
			if errors.As(err, &line) {
				return &deltafile.FormatError{File: path, Offset: off + line.Offset, Err: err}
			}
			if err := f(base, cs, changes); err != nil {
				return err
			}
			off += int64(len(cs.Raw))
		}
		return nil
	})
}

// Summary is what a file holds, in numbers of lines.
type Summary struct {
	deltafile.Report
	Principals, Policies               int
	DeletedPrincipals, DeletedPolicies int
}

// Check reads a whole file and verifies frame, serials, chain and every line. *deltafile.FormatError
// is damage; deltafile.ErrIncomplete a file that ends within its head. It takes no lock: while
// somebody appends, the last changeset may look torn.
func Check(path string) (Summary, error) {
	var s Summary
	var err error
	s.Report, err = Each(path, func(_ deltafile.State, _ *deltafile.Changeset, changes []Change) error {
		for _, c := range changes {
			switch c.Kind {
			case dumpfmt.KindPrincipal:
				s.Principals++
			case dumpfmt.KindPolicy:
				s.Policies++
			case dumpfmt.KindDeletePrincipal:
				s.DeletedPrincipals++
			case dumpfmt.KindDeletePolicy:
				s.DeletedPolicies++
			}
		}
		return nil
	})
	return s, err
}
