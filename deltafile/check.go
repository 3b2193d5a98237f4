package deltafile

import (
	"errors"
	"fmt"
)

// Report is what Check found in a file.
type Report struct {
	Base       State // where the file starts
	Last       State // after the last complete changeset
	Changesets int
	Lines      int64
	Size       int64 // of the file, in bytes
	Good       int64 // where the last complete changeset ends; what lies behind is torn
}

// Torn is the number of bytes behind the last complete changeset.
func (r Report) Torn() int64 { return r.Size - r.Good }

// Check reads a whole file and verifies grammar, serials and chain. It takes no lock: of a
// file being appended to, the last changeset may look torn. *FormatError is damage; the report
// then tells of the good part. ErrIncomplete: the file ends within its head.
func Check(path string) (Report, error) {
	var r Report
	err := walk(path, true, &r, func([]*Changeset) error { return nil })
	return r, err
}

// Scan is Check, and calls each with the changesets as it reads them, some at a time; they are
// valid during the call only. before is the place of the first of them in the file, in bytes;
// the others stand behind it without a gap. An error of each ends the scan and
// is returned, for errors.Is.
func Scan(path string, each func(base State, before int64, css []*Changeset) error) (Report, error) {
	var r Report
	off := int64(0)
	err := walk(path, true, &r, func(css []*Changeset) error {
		if off == 0 {
			off = int64(len(appendHead(nil, r.Base)))
		}
		before := off
		for _, cs := range css {
			off += int64(len(cs.Raw))
		}
		return each(r.Base, before, css)
	})
	return r, err
}

// ReadAll reads a whole file into memory: its base and its complete changesets. Errors are
// those of Check; css then holds the good part. A torn tail is left out silently.
func ReadAll(path string) (base State, css []*Changeset, err error) {
	var r Report
	err = walk(path, false, &r, func(more []*Changeset) error { css = append(css, more...); return nil })
	return r.Base, css, err
}

// walk reads the file that path names now, batch by batch.
func walk(path string, reuse bool, r *Report, each func([]*Changeset) error) (err error) {
	f, err := OSFS.Open(path)
	if err != nil {
		return fmt.Errorf("deltafile: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("deltafile: %w", err)
	}
	r.Size = info.Size
	base, head, err := readHead(f, path, info.Size)
	if err != nil {
		return err
	}
	r.Base, r.Last, r.Good = base, base, head
	s := scanner{f: f, name: path, state: base, off: head, reuse: reuse}
	for {
		css, err := s.batch(info.Size)
		r.Last, r.Good = s.state, s.off
		r.Changesets += len(css)
		for _, cs := range css {
			r.Lines += int64(cs.NLines)
		}
		if eachErr := each(css); eachErr != nil {
			return eachErr
		}
		if errors.Is(err, ErrIncomplete) || err == nil && len(css) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
