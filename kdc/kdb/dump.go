package kdb

import (
	"context"
	"errors"
	"fmt"
	"io"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// errStop ends a scan whose reader has had enough.
var errStop = errors.New("stop")

// Dump writes a dump file: principals, then policies, each in bytewise order of names. It sees one
// state, which it returns, and holds one line in memory. Principals are copied from the rows, with
// the lockout fields put in.
func (db *DB) Dump(ctx context.Context, w io.Writer, o DumpOptions) (deltafile.State, error) {
	var s deltafile.State
	err := db.readTx(ctx, func(c *conn, st *state) error {
		s = st.State
		d, err := newDumper(w, o, st.State)
		if err != nil {
			return err
		}
		return d.dump(ctx, c)
	})
	return s, err
}

type dumper struct {
	o     DumpOptions
	out   *dumpfmt.Writer
	line  []byte
	lines int64 // written, header not counted
}

// newDumper writes the header. The iprop forms state s in it, as far as their fields reach.
func newDumper(w io.Writer, o DumpOptions, s deltafile.State) (*dumper, error) {
	if o.Version == 0 {
		o.Version = dumpfmt.Current
	}
	var out *dumpfmt.Writer
	var err error
	switch o.Version {
	case dumpfmt.Iprop, dumpfmt.Ipropx:
		at := dumpfmt.IpropHeader{Serial: uint32(s.Serial), Sec: uint32(s.Sec), Usec: uint32(s.Usec)}
		out, err = dumpfmt.NewIpropWriter(w, o.Version, at)
	default:
		out, err = dumpfmt.NewWriter(w, o.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("kdb: dump: %w", err)
	}
	return &dumper{o: o, out: out}, nil
}

func (d *dumper) dump(ctx context.Context, c *conn) error {
	sql := selectLines
	if d.o.Reverse {
		sql = selectLinesDesc
	}
	err := scan(ctx, c, sql, func(r *rows) error {
		if d.o.Match != nil && !d.o.Match(r.text(0)) {
			return nil
		}
		return d.principal(r)
	})
	if err == nil && !d.o.NoPolicies {
		err = scan(ctx, c, selectPolicyLines, d.policy)
	}
	if err != nil {
		return err
	}
	if err := d.out.Flush(); err != nil {
		return fmt.Errorf("kdb: dump: %w", err)
	}
	return nil
}

func (d *dumper) principal(r *rows) (err error) {
	if d.o.Version == dumpfmt.Iprop || d.o.Version == dumpfmt.Ipropx {
		return d.raw(r.bytes(1)) // the lockout fields are 0 there, as they are in the row
	}
	if d.o.Version == dumpfmt.Version4 { // the only one with other principal lines
		p, err := parsePrincipal(r.text(0), entry{line: r.bytes(1), lock: lockoutOf(r, 2)})
		if err != nil {
			return err
		}
		return d.record(p)
	}
	if d.line, err = dumpfmt.JoinLockout(d.line[:0], r.bytes(1), lockoutOf(r, 2)); err != nil {
		return fmt.Errorf("kdb: principal %q: %w", r.text(0), err)
	}
	return d.raw(d.line)
}

func (d *dumper) policy(r *rows) error {
	if d.o.Version == dumpfmt.Version7 || d.o.Version == dumpfmt.Ipropx {
		return d.raw(r.bytes(1))
	}
	p, err := parsePolicy(r.text(0), entry{line: r.bytes(1)})
	if err != nil {
		return err
	}
	return d.record(p)
}

func (d *dumper) raw(line []byte) error {
	d.lines++
	if err := d.out.WriteLine(line); err != nil {
		return fmt.Errorf("kdb: dump: %w", err)
	}
	return nil
}

func (d *dumper) record(rec dumpfmt.Record) error {
	d.lines++
	if err := d.out.Write(rec); err != nil {
		return fmt.Errorf("kdb: dump: %w", err)
	}
	return nil
}
