package delta

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Exported says what Export has written.
type Exported struct {
	After, Last         deltafile.State // the changes behind After up to Last
	Principals          int
	Policies            int
	Deletions           int
	Changes, Superseded int // lines read; lines left out because a later one has the same name
}

// ErrReplaced says that the file was truncated or replaced while it was read.
var ErrReplaced = errors.New("the delta file was replaced while it was read: run it again")

// ErrAfter says that the file begins behind the serial asked for.
var ErrAfter = errors.New("the delta file begins after the serial asked for")

type entry struct {
	policy bool
	name   string
}

type place struct {
	serial uint64
	line   int
}

// Export turns the changes behind a serial into what MIT's tools take: a dump of version 7 for
// kdb5_util load -update with the last state of each name, and the deletions as commands for
// kadmin.local, both in the order of the file. A name stands in one of the two only, so it does
// not matter which is run first. after 0 means all that the file holds.
//
// The file is read twice, so that no more than the names is kept in memory. What is appended after
// the first reading is left out. Errors are those of Each, ErrReplaced and ErrAfter.
func Export(path string, after uint64, dump, deletions io.Writer) (Exported, error) {
	var x Exported
	last := make(map[entry]place)
	report, err := Each(path, func(base deltafile.State, cs *deltafile.Changeset, changes []Change) error {
		if cs.Serial <= after {
			return nil
		}
		for i, c := range changes {
			last[entry{c.Policy(), c.Name}] = place{cs.Serial, i}
			x.Changes++
		}
		return nil
	})
	if err != nil {
		return x, err
	}
	x.After, x.Last = report.Base, report.Last
	if after != 0 && report.Base.Serial > after {
		return x, fmt.Errorf("%w: %d, wanted %d", ErrAfter, report.Base.Serial, after)
	}
	w, err := dumpfmt.NewWriter(dump, dumpfmt.Current)
	if err != nil {
		return x, err
	}
	second, err := Each(path, func(base deltafile.State, cs *deltafile.Changeset, changes []Change) error {
		if base != report.Base {
			return ErrReplaced
		}
		if cs.Serial <= after || cs.Serial > report.Last.Serial {
			return nil
		}
		if cs.Serial == after+1 {
			x.After.Serial = after
		}
		n := -1
		return eachLine(cs, func(line []byte) error {
			n++
			c := changes[n]
			if last[entry{c.Policy(), c.Name}] != (place{cs.Serial, n}) {
				x.Superseded++
				return nil
			}
			return x.write(w, deletions, c, line)
		})
	})
	switch {
	case err != nil:
		return x, err
	case second.Base != report.Base:
		return x, ErrReplaced
	}
	return x, w.Flush()
}

func (x *Exported) write(w *dumpfmt.Writer, deletions io.Writer, c Change, line []byte) error {
	switch c.Kind {
	case dumpfmt.KindPrincipal:
		x.Principals++
		return w.WriteLine(line)
	case dumpfmt.KindPolicy:
		x.Policies++
		return w.WriteLine(line)
	case dumpfmt.KindDeletePrincipal:
		x.Deletions++
		_, err := fmt.Fprintf(deletions, "delete_principal -force %s\n", quote(c.Name))
		return err
	default:
		x.Deletions++
		_, err := fmt.Fprintf(deletions, "delete_policy -force %s\n", quote(c.Name))
		return err
	}
}

// quote writes a name as one word of kadmin.local's command language: between double quotes if it
// must, and a double quote is doubled. A backslash is nothing special there, it belongs to the
// name's own way of writing.
func quote(name string) string {
	if !strings.ContainsAny(name, " \t\"") {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
