package tabdump

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"krealm/dumpfmt"
)

// Options say how rows are printed. The zero value gives columns apart by TABs, without any
// quoting.
type Options struct {
	CSV      bool // commas; quotes where a comma, a quote or a line feed needs them
	NoHeader bool // no row of column names
	EmptyHex bool // no bytes are printed as nothing, not as "-1"
	// Numeric prints numbers for flags, enctypes, salt types and times. Times are then signed 32-bit
	// numbers, as MIT's are: those behind January 2038 are negative.
	Numeric bool
	// MKVNO is the master key version of entries that name none: the lowest in K/M.
	MKVNO uint16
}

// table is one kind of table.
type table struct {
	name    string
	columns []string
	rows    func(w *writer, p *dumpfmt.Principal) error // an error: before anything was written
}

var tables = []table{
	{"keydata", []string{"name", "keyindex", "kvno", "enctype", "key", "salttype", "salt"}, keydata},
	{"keyinfo", []string{"name", "keyindex", "kvno", "enctype", "salttype", "salt"}, keyinfo},
	{"princ_flags", []string{"name", "flag", "value"}, flags},
	{"princ_lockout", []string{"name", "last_success", "last_failed", "fail_count"}, lockout},
	{"princ_meta", []string{"name", "modby", "modtime", "lastpwd", "policy", "mkvno", "hist_kvno"}, meta},
	{"princ_stringattrs", []string{"name", "key", "value"}, stringAttrs},
	{"princ_tktpolicy", []string{"name", "expiration", "pw_expiration", "max_life", "max_renew_life"}, ticketPolicy},
	{"alias", []string{"aliasname", "targetname"}, alias},
}

// Tables returns the names of the tables.
func Tables() []string {
	var list []string
	for _, t := range tables {
		list = append(list, t.name)
	}
	return list
}

// Write prints a table of entries. An entry that cannot be printed is left out and handed to
// damaged with the reason. The error is that of writing, or of entries; for a name that is none of
// Tables there is one too.
func Write(w io.Writer, name string, o Options, entries iter.Seq2[*dumpfmt.Principal, error], damaged func(principal string, err error)) error {
	for _, t := range tables {
		if t.name == name {
			return t.write(&writer{o: o, out: bufio.NewWriterSize(w, 1<<16)}, entries, damaged)
		}
	}
	return fmt.Errorf("tabdump: no table %q", name)
}

func (t *table) write(w *writer, entries iter.Seq2[*dumpfmt.Principal, error], damaged func(string, error)) error {
	if !w.o.NoHeader {
		for _, c := range t.columns {
			w.text(c)
		}
		w.end()
	}
	for p, err := range entries {
		if err != nil {
			return err
		}
		if err := t.rows(w, p); err != nil {
			damaged(p.Name, err)
		}
		if w.err != nil {
			break
		}
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("tabdump: %w", err)
	}
	return nil
}

// writer prints rows, field by field.
type writer struct {
	o     Options
	out   *bufio.Writer
	begun bool   // the row has a field
	buf   []byte // scratch
	err   error  // of the first field that could not be written
}

func (w *writer) field(b []byte) {
	if w.begun {
		sep := byte('\t')
		if w.o.CSV {
			sep = ','
		}
		w.check(w.out.WriteByte(sep))
	}
	w.begun = true
	_, err := w.out.Write(b)
	w.check(err)
}

func (w *writer) check(err error) {
	if w.err == nil {
		w.err = err
	}
}

// end ends the row.
func (w *writer) end() {
	w.begun = false
	w.check(w.out.WriteByte('\n'))
}

func (w *writer) text(s string) {
	if w.o.CSV {
		w.buf = appendCSV(w.buf[:0], s)
	} else {
		w.buf = append(w.buf[:0], s...)
	}
	w.field(w.buf)
}

// appendCSV appends a field as RFC 4180 has it, quoted only where it must be.
func appendCSV(dst []byte, s string) []byte {
	quoted := false
	for i := range len(s) {
		quoted = quoted || s[i] == '"' || s[i] == ',' || s[i] == '\n'
	}
	if !quoted {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

func (w *writer) int(n int64) {
	w.buf = strconv.AppendInt(w.buf[:0], n, 10)
	w.field(w.buf)
}

func (w *writer) time(t uint32) {
	if w.o.Numeric {
		w.int(int64(int32(t)))
		return
	}
	w.buf = time.Unix(int64(t), 0).UTC().AppendFormat(w.buf[:0], "2006-01-02T15:04:05Z")
	w.field(w.buf)
}

func (w *writer) bytes(b []byte) {
	const digits = "0123456789abcdef"
	w.buf = w.buf[:0]
	for _, c := range b {
		w.buf = append(w.buf, digits[c>>4], digits[c&15])
	}
	if len(b) == 0 && !w.o.EmptyHex {
		w.buf = append(w.buf, "-1"...)
	}
	w.field(w.buf)
}

// named prints a name, or its number where there is no name or numbers are asked for.
func (w *writer) named(name string, known bool, number int64) {
	if known && !w.o.Numeric {
		w.text(name)
		return
	}
	w.int(number)
}
