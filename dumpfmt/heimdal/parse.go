package heimdal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"krealm/dumpfmt"
)

// Columns of a line.
const (
	colName = iota
	colKeys
	colCreated
	colModified
	colStart
	colEnd
	colPwEnd
	colLife
	colRenew
	colFlags
	colGeneration
	colExtensions // not in dumps of old versions
	columns
)

// parser reads the columns of one line. After the first error the others do nothing.
type parser struct {
	f     [][]byte
	name  dumpfmt.Name
	entry *Entry
	kvno  uint16 // the current one
	err   error
}

// ParseLine reads one line without its LF. The error is a *dumpfmt.SyntaxError without line number;
// it quotes no key.
func ParseLine(line []byte) (*Entry, error) {
	p := &parser{f: split(line), entry: &Entry{Principal: &dumpfmt.Principal{}}}
	if len(p.f) == columns-1 {
		p.f = append(p.f, []byte("-"))
	}
	if len(p.f) != columns {
		return nil, &dumpfmt.SyntaxError{Err: fmt.Errorf("%d columns, not %d", len(p.f), columns)}
	}
	p.names()
	p.lives()
	p.events()
	p.keys()
	p.extensions()
	if p.err != nil {
		return nil, p.err
	}
	return p.entry, nil
}

func (p *parser) fail(column int, format string, args ...any) {
	if p.err == nil {
		p.err = &dumpfmt.SyntaxError{Field: column + 1, Err: fmt.Errorf(format, args...)}
	}
}

// canonical is a name in MIT's string form.
func canonical(text []byte) (dumpfmt.Name, error) {
	name, err := dumpfmt.ParseName(string(text), "")
	if err == nil && len(name.String()) > dumpfmt.MaxName {
		err = fmt.Errorf("%w: longer than %d bytes", dumpfmt.ErrName, dumpfmt.MaxName)
	}
	return name, err
}

func (p *parser) names() {
	name, err := canonical(p.f[colName])
	if err != nil {
		p.fail(colName, "%w", err)
		return
	}
	p.name, p.entry.Principal.Name = name, name.String()
}

func absent(b []byte) bool { return string(b) == "-" }

// uint32 reads a number; Heimdal prints large ones as negative.
func (p *parser) uint32(column int) (n uint32, ok bool) {
	text := p.f[column]
	if absent(text) {
		return 0, false
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || v < math.MinInt32 || v > math.MaxUint32 {
		p.fail(column, "not a number of 32 bits")
		return 0, false
	}
	return uint32(v), true
}

// time reads a time, which must have a place in MIT's 32 bits.
func (p *parser) time(column int, text []byte) uint32 {
	if absent(text) {
		return 0
	}
	t, err := time.Parse("20060102150405", string(text))
	if err != nil || len(text) != 14 {
		p.fail(column, "not a time")
		return 0
	}
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

func (p *parser) lives() {
	q := p.entry.Principal
	if n, ok := p.uint32(colLife); ok {
		q.MaxLife = life(n)
	}
	q.MaxRenewLife = math.MaxInt32 // no limit; 0 would mean: not renewable
	if n, ok := p.uint32(colRenew); ok {
		q.MaxRenewLife = life(n)
	}
	q.Expire = p.time(colEnd, p.f[colEnd])
	q.PwExpire = p.time(colPwEnd, p.f[colPwEnd])
	if p.time(colStart, p.f[colStart]) != 0 {
		p.entry.lose("the time from which on it is valid")
	}
	flags, ok := p.uint32(colFlags)
	if !ok {
		p.fail(colFlags, "no flags")
		return
	}
	p.entry.setFlags(flags)
	if g := p.f[colGeneration]; !absent(g) && bytes.Count(g, []byte(":")) != 2 {
		p.fail(colGeneration, "not a time with two numbers")
	}
}

// events sets who changed the entry last, or else who made it.
func (p *parser) events() {
	for _, column := range []int{colModified, colCreated} {
		text := p.f[column]
		if absent(text) {
			continue
		}
		when, by, ok := bytes.Cut(text, []byte(":"))
		if !ok {
			p.fail(column, "no name behind the time")
			return
		}
		at := p.time(column, when)
		name, err := canonical(by)
		if string(by) == "UNKNOWN" {
			name, err = importer(p.name.Realm), nil
		}
		if err != nil {
			p.fail(column, "%w", err)
			return
		}
		p.entry.Principal.SetModPrinc(at, name.String())
		return
	}
	p.entry.Principal.SetModPrinc(0, importer(p.name.Realm).String())
}

// importer is who stands for somebody that the dump does not name.
func importer(realm string) dumpfmt.Name {
	return dumpfmt.Name{Realm: realm, Components: []string{"kdb5_util"}}
}

// bytes reads what is hex, or stands in quotes; "-1" is nothing.
func (p *parser) bytes(text []byte) ([]byte, bool) {
	n := len(text)
	switch {
	case string(text) == "-1":
		return nil, true
	case n >= 2 && text[0] == '"' && text[n-1] == '"':
		return bytes.Clone(text[1 : n-1]), true
	}
	b := make([]byte, hex.DecodedLen(n))
	_, err := hex.Decode(b, text)
	return b, err == nil && n > 0
}

var errKvno = errors.New("key version above 65535")

func (p *parser) keys() {
	parts := bytes.Split(p.f[colKeys], []byte(":"))
	kvno, err := strconv.ParseUint(string(parts[0]), 10, 32)
	if err != nil {
		p.fail(colKeys, "key version: not a number")
		return
	}
	if kvno > math.MaxUint16 {
		p.fail(colKeys, "%w", errKvno)
		return
	}
	p.kvno = uint16(kvno)
	if parts = parts[1:]; len(parts)%4 != 0 {
		p.fail(colKeys, "a key has four parts")
		return
	}
	for ; len(parts) > 0 && p.err == nil; parts = parts[4:] {
		p.key(parts)
	}
}

// key reads the four parts of one key.
func (p *parser) key(parts [][]byte) {
	k := Key{Kvno: p.kvno, MKVNO: -1, Ver: 1}
	if len(parts[0]) > 0 {
		n, err := strconv.ParseUint(string(parts[0]), 10, 32)
		if err != nil {
			p.fail(colKeys, "version of the master key: not a number")
		}
		k.Sealed, k.MKVNO = true, int64(n)
	}
	e, err := strconv.ParseInt(string(parts[1]), 10, 32)
	if err != nil {
		p.fail(colKeys, "enctype: not a number")
	}
	k.Enctype = int32(e)
	var ok bool
	if k.Value, ok = p.bytes(parts[2]); !ok {
		p.fail(colKeys, "key: neither hexadecimal nor quoted")
	}
	if !absent(parts[3]) {
		kind, text, found := bytes.Cut(parts[3], []byte("/"))
		n, err := strconv.ParseUint(string(kind), 10, 32)
		salt, ok := p.bytes(text)
		if len(text) == 0 {
			ok = true
		}
		switch {
		case !found || err != nil || !ok:
			p.fail(colKeys, "salt: not a number and bytes")
		case !k.setSalt(p.name, uint32(n), salt):
			p.fail(colKeys, "salt of unknown type %d", n)
		}
	}
	p.entry.Keys = append(p.entry.Keys, k)
}
