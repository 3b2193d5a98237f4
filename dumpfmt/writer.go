package dumpfmt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Writer writes a dump. It buffers: Flush at the end. Order is the caller's: MIT writes
// all principals bytewise by name, then all policies. After an error of the underlying
// writer it gives that error for ever. Not for concurrent use.
type Writer struct {
	dst     *bufio.Writer
	version Version
	line    []byte
}

// NewWriter writes the header of version 4, 5, 6 or 7.
func NewWriter(w io.Writer, v Version) (*Writer, error) {
	if !v.valid() || v.iprop() {
		return nil, fmt.Errorf("dumpfmt: no dump version %v", v)
	}
	return newWriter(w, v, IpropHeader{})
}

// NewIpropWriter writes the header of v, Iprop or Ipropx, with position h.
func NewIpropWriter(w io.Writer, v Version, h IpropHeader) (*Writer, error) {
	if !v.iprop() {
		return nil, fmt.Errorf("dumpfmt: no iprop version %v", v)
	}
	return newWriter(w, v, h)
}

func newWriter(w io.Writer, v Version, h IpropHeader) (*Writer, error) {
	d := &Writer{dst: bufio.NewWriterSize(w, 64<<10), version: v}
	d.line = appendHeader(d.line, v, h)
	if _, err := d.dst.Write(d.line); err != nil {
		return nil, fmt.Errorf("dumpfmt: header: %w", err)
	}
	return d, nil
}

// Write writes rec in the writer's form. A record that the format cannot hold is an error
// and leaves the output as it was; so are deletions (ErrDeltaOnly).
func (w *Writer) Write(rec Record) error {
	switch rec.(type) {
	case *DeletePrincipal, *DeletePolicy:
		return fmt.Errorf("dumpfmt: %w", ErrDeltaOnly)
	}
	line, err := rec.AppendLine(w.line[:0], w.version)
	if err != nil {
		return err
	}
	w.line = line
	if _, err := w.dst.Write(line); err != nil {
		return fmt.Errorf("dumpfmt: %w", err)
	}
	return nil
}

// WriteLine writes a line, LF included, that is in the writer's form already: a principal
// line of version 7 is, except in Version4 (tagged data of type 3) and the iprop forms
// (lockout fields); a policy line of version 7 is in Ipropx only. The line's contents are
// not checked.
func (w *Writer) WriteLine(raw []byte) error {
	if i := bytes.IndexByte(raw, '\n'); i < 0 || i != len(raw)-1 {
		return errors.New("dumpfmt: not exactly one line")
	}
	if _, err := w.dst.Write(raw); err != nil {
		return fmt.Errorf("dumpfmt: %w", err)
	}
	return nil
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	if err := w.dst.Flush(); err != nil {
		return fmt.Errorf("dumpfmt: %w", err)
	}
	return nil
}
