package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"krealm/dumpfmt"
)

// reader begins a dump file of any form.
func reader(f io.ReadSeeker) (*dumpfmt.Reader, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r, err := dumpfmt.NewReader(f)
	if !errors.Is(err, dumpfmt.ErrHeader) {
		return r, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	iprop, ierr := dumpfmt.NewIpropReader(f)
	if errors.Is(ierr, dumpfmt.ErrIpropHeader) {
		return nil, err
	}
	return iprop, ierr
}

// each goes over the records of a file; bad is told the lines that do not parse. The error is that
// of reading, or of the header.
func each(f io.ReadSeeker, record func(r *dumpfmt.Reader, rec dumpfmt.Record), bad func(*dumpfmt.SyntaxError)) error {
	r, err := reader(f)
	if err != nil {
		return err
	}
	for {
		rec, err := r.Next()
		var syntax *dumpfmt.SyntaxError
		switch {
		case err == nil:
			record(r, rec)
		case errors.Is(err, io.EOF):
			return nil
		case !errors.As(err, &syntax):
			return err
		default:
			bad(syntax)
			if !r.Skip() {
				return nil
			}
		}
	}
}

// Find reads the entries of these names out of a dump file; of an entry that comes twice, the last.
func Find(f io.ReadSeeker, names ...string) (map[string]*dumpfmt.Principal, error) {
	found := make(map[string]*dumpfmt.Principal)
	r, err := reader(f)
	if err != nil {
		return nil, err
	}
	for {
		_, name, line, err := r.NextLine()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil && !r.Skip():
			return found, ignoreSyntax(err)
		case err != nil:
			continue
		}
		for _, n := range names {
			if n != name {
				continue
			}
			rec, err := dumpfmt.ParseLine(line, dumpfmt.Current)
			if p, ok := rec.(*dumpfmt.Principal); ok && err == nil {
				found[n] = p
			}
		}
	}
}

// ignoreSyntax leaves the faults of a file to File.
func ignoreSyntax(err error) error {
	var syntax *dumpfmt.SyntaxError
	if errors.As(err, &syntax) {
		return nil
	}
	return err
}

// File checks a dump file of any form. It reads it once, and again if a name comes twice.
func File(f io.ReadSeeker, o Options) (Summary, error) {
	c := New(o)
	version := dumpfmt.Current
	err := each(f, func(r *dumpfmt.Reader, rec dumpfmt.Record) {
		version = r.Version()
		switch rec := rec.(type) {
		case *dumpfmt.Principal:
			if unguarded(rec.Name, r.RawLine()) {
				at{c, r.Line(), rec.Name}.error("the name begins with white space: MIT's loader destroys it; dump the realm with this program")
			}
			c.Principal(rec, r.Line())
		case *dumpfmt.Policy:
			c.Policy(rec, r.Line())
		}
	}, func(e *dumpfmt.SyntaxError) {
		at{c, e.Line, ""}.error("%s", syntaxText(e))
	})
	if err != nil {
		return c.sum, err
	}
	if v := version; v == dumpfmt.Iprop || v == dumpfmt.Ipropx {
		c.report(Finding{Severity: Warning, Line: 1, Text: "an iprop dump: kdb5_util load takes it with -i only"})
	}
	c.End()
	err = c.nameDuplicates(f)
	return c.sum, err
}

// syntaxText is what a report says of a line, with what MIT's loader makes of it where that is
// worse than an error.
func syntaxText(e *dumpfmt.SyntaxError) string {
	text := e.Err.Error()
	if e.Field > 0 {
		text = fmt.Sprintf("field %d: %s", e.Field, text)
	}
	if errors.Is(e.Err, dumpfmt.ErrTorn) {
		text += "; MIT's loader never returns from such a file"
	}
	return text
}

// unguarded reports whether a name that begins with white space stands on its line without the
// backslash that keeps MIT's loader from eating it. No name holds a TAB as it is.
func unguarded(name string, line []byte) bool {
	if name == "" || !strings.ContainsRune(" \v\f\r", rune(name[0])) {
		return false
	}
	fields := bytes.SplitN(line, []byte("\t"), 8)
	return len(fields) == 8 && bytes.HasPrefix(fields[6], []byte(name[:1]))
}

// nameDuplicates reads the file again for the names that come twice.
func (c *Checker) nameDuplicates(f io.ReadSeeker) error {
	double := c.Duplicates()
	if len(double) == 0 {
		return nil
	}
	first := make(map[string]int)
	return each(f, func(r *dumpfmt.Reader, rec dumpfmt.Record) {
		p, ok := rec.(*dumpfmt.Principal)
		if !ok || !double[c.hash(p.Name)] {
			return
		}
		if line, ok := first[p.Name]; ok {
			at{c, r.Line(), p.Name}.warning("comes again, after line %d: the last counts", line)
		}
		first[p.Name] = r.Line()
	}, func(*dumpfmt.SyntaxError) {})
}
