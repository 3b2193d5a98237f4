package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxLine is the longest line read or written, LF included: 16 MiB. A principal could in
// theory hold more (32767 elements of 65535 bytes); a real one has a few kilobytes.
const MaxLine = 16 << 20

const (
	maxCount     = 1<<15 - 1 // elements of tagged data, keys
	maxData      = 1<<16 - 1 // bytes of one element
	maxPolName   = 1023
	maxKeySalts  = 512
	minTLText    = len("\t1\t0\t-1")
	minKeyText   = len("\t0\t1")
	baseLength   = "38"
	keySaltsNone = "-"
)

// ParseLine reads one "princ" or "policy" line of a dump of form v, with or without its
// LF. Only what MIT writes is taken: single TABs, minimal decimals, lower-case
// hexadecimal, exact counts. Three things are read although this package writes them
// otherwise: a name with a leading white space without its guard, or with backslashes it
// does not need (Heimdal writes them), and the reference count that old versions kept in
// a policy. The error is a *SyntaxError without a line number.
func ParseLine(line []byte, v Version) (Record, error) {
	rec, _, err := parseLine(line, v)
	return rec, err
}

// ParseDeltaLine reads one line of a delta file: a version 7 "princ" or "policy" line,
// "delprinc" or "delpolicy". It takes exactly what AppendLine writes, nothing looser, so
// that a record has one text only. The error is a *SyntaxError without a line number.
func ParseDeltaLine(line []byte) (Record, error) {
	var rec Record
	var strict bool
	var err error
	switch {
	case bytes.HasPrefix(line, tagDelPrinc):
		rec, strict, err = parseDeletePrincipal(line)
	case bytes.HasPrefix(line, tagDelPolicy):
		rec, err = parseDeletePolicy(line)
		strict = true
	default:
		rec, strict, err = parseLine(line, Current)
	}
	if err != nil {
		return nil, err
	}
	if !strict {
		return nil, &SyntaxError{Err: errors.New("not in the canonical form that a delta file has")}
	}
	return rec, nil
}

var (
	tagPrinc     = []byte("princ\t")
	tagPolicy    = []byte("policy\t")
	tagDelPrinc  = []byte("delprinc\t")
	tagDelPolicy = []byte("delpolicy\t")
)

// trimLF returns the line without its LF and checks the length.
func trimLF(line []byte) ([]byte, error) {
	if len(line) > MaxLine {
		return nil, &SyntaxError{Err: ErrTooLong}
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	return line, nil
}

// parseLine also reports whether the line is the one that AppendLine would print.
func parseLine(line []byte, v Version) (rec Record, strict bool, err error) {
	if !v.valid() {
		return nil, false, fmt.Errorf("dumpfmt: no dump version %d", int(v))
	}
	switch {
	case bytes.HasPrefix(line, tagPrinc):
		p := new(Principal)
		name, strict, err := parsePrincipal(line, p, nil)
		if err != nil {
			return nil, false, err
		}
		p.Name = string(name)
		return p, strict, nil
	case bytes.HasPrefix(line, tagPolicy):
		p := new(Policy)
		strict, err := parsePolicy(line, p, v)
		if err != nil {
			return nil, false, err
		}
		return p, strict, nil
	}
	return nil, false, &SyntaxError{Field: 1, Err: tagError(line)}
}

// tagError describes a line that is no record of the file at hand.
func tagError(line []byte) error {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) == 0 {
		return errors.New("empty line")
	}
	word, _, _ := bytes.Cut(line, []byte("\t"))
	for _, c := range word {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || c == '_') {
			return errors.New("unknown record type")
		}
	}
	if len(word) > 16 {
		return errors.New("unknown record type")
	}
	if known := string(word) + "\t"; known == string(tagPrinc) || known == string(tagPolicy) {
		return fmt.Errorf("nothing but the record word %q", word)
	}
	return fmt.Errorf("unknown record type %q", word)
}

// parsePrincipal fills all of p but the name, which it returns, reusing p's slices. The
// bytes of data go into buf where that is large enough. strict: see parseLine.
func parsePrincipal(line []byte, p *Principal, buf []byte) (name []byte, strict bool, err error) {
	line, err = trimLF(line)
	if err != nil {
		return nil, false, err
	}
	s := scanner{line: line, pos: len(tagPrinc) - 1, field: 1}
	s.fixed("base length", baseLength)
	nameLen := int(s.unsigned("name length", MaxName+1))
	nTL := int(s.unsigned("number of tagged data", maxCount))
	nKey := int(s.unsigned("number of keys", maxCount))
	s.fixed("extra length", "0")
	text := s.sized("name", nameLen)
	if s.err != nil {
		return nil, false, s.err
	}
	name, strict, err = wireName(text)
	if err != nil {
		s.fail("name", err)
		return nil, false, s.err
	}

	p.Attributes = s.signedUint32("attributes")
	p.MaxLife = s.int32("maximum life")
	p.MaxRenewLife = s.int32("maximum renewable life")
	p.Expire = s.uint32("expiration")
	p.PwExpire = s.uint32("password expiration")
	p.LastSuccess = s.uint32("last success")
	p.LastFailed = s.uint32("last failure")
	p.FailCount = s.signedUint32("failure count")

	if need := (len(line) - s.pos) / 2; cap(buf) < need && (nTL > 0 || nKey > 0) {
		buf = make([]byte, 0, need)
	}
	s.buf = buf[:0]
	p.TL = s.taggedData(p.TL[:0], nTL)
	p.Keys = s.keys(p.Keys[:0], nKey)
	if s.open("end of record") && string(s.line[s.pos:]) != "-1;" {
		s.fail("end of record", errEnd)
	}
	if s.err != nil {
		return nil, false, s.err
	}
	return name, strict, nil
}

// taggedData appends n elements to tl.
func (s *scanner) taggedData(tl []TL, n int) []TL {
	if room := (len(s.line) - s.pos) / minTLText; cap(tl) < n && s.err == nil {
		tl = make([]TL, 0, min(n, room))
	}
	for range n {
		t := s.int16("tagged data type")
		if t == TLDBArgs {
			s.fail("tagged data type", errors.New("database arguments are never stored"))
		}
		size := s.uint16("tagged data length")
		data := s.hex("tagged data", int(size))
		if s.err != nil {
			return tl
		}
		tl = append(tl, TL{Type: t, Data: data})
	}
	return tl
}

// keys appends n keys to list.
func (s *scanner) keys(list []Key, n int) []Key {
	if room := (len(s.line) - s.pos) / minKeyText; cap(list) < n && s.err == nil {
		list = make([]Key, 0, min(n, room))
	}
	for range n {
		var k Key
		k.Ver = int16(s.unsigned("key data version", 2))
		k.Kvno = s.uint16("kvno")
		if k.Ver >= 1 {
			k.Enctype = s.int16("enctype")
			size := s.uint16("key length")
			k.Sealed = s.hex("key", int(size))
		}
		if k.Ver == 2 {
			k.SaltType = s.int16("salt type")
			size := s.uint16("salt length")
			k.Salt = s.hex("salt", int(size))
		}
		if s.err != nil {
			return list
		}
		list = append(list, k)
	}
	return list
}

// parsePolicy fills p. strict: see parseLine.
func parsePolicy(line []byte, p *Policy, v Version) (strict bool, err error) {
	line, err = trimLF(line)
	if err != nil {
		return false, err
	}
	s := scanner{line: line, pos: len(tagPolicy) - 1, field: 1}
	p.Name = string(s.word("policy name", maxPolName))
	p.MinLife = s.signedUint32("minimum password life")
	p.MaxLife = s.signedUint32("maximum password life")
	p.MinLength = s.signedUint32("minimum password length")
	p.MinClasses = s.signedUint32("minimum password classes")
	p.History = s.signedUint32("password history")
	refs := s.signedUint32("reference count")
	strict = refs == 0

	values := v.policyValues()
	if values >= 10 {
		p.MaxFail = s.signedUint32("maximum failures")
		p.FailInterval = s.signedUint32("failure count interval")
		p.LockoutDuration = s.signedUint32("lockout duration")
	}
	switch {
	case values < 14:
		strict = strict && v == Current
	case v == Ipropx && s.err == nil && s.pos == len(s.line):
		strict = false // masters before 1.11 wrote ten values into this form
	default:
		p.Attributes = s.signedUint32("policy attributes")
		p.MaxTicketLife = s.signedUint32("maximum ticket life")
		p.MaxRenewLife = s.signedUint32("maximum renewable life")
		p.KeySalts = string(s.word("key salts", maxKeySalts))
		if p.KeySalts == keySaltsNone {
			p.KeySalts = ""
		}
		n := int(s.unsigned("number of tagged data", maxCount))
		if n > 0 && s.err == nil {
			s.buf = make([]byte, 0, (len(s.line)-s.pos)/2)
		}
		p.TL = s.taggedData(nil, n)
	}
	s.end()
	return strict, s.err
}

func parseDeletePrincipal(line []byte) (*DeletePrincipal, bool, error) {
	s, text, err := deleteText(line, tagDelPrinc, MaxName+1)
	if err != nil {
		return nil, false, err
	}
	name, strict, err := wireName(text)
	if err != nil {
		s.field = 3
		s.fail("name", err)
		return nil, false, s.err
	}
	return &DeletePrincipal{Name: string(name)}, strict, nil
}

func parseDeletePolicy(line []byte) (*DeletePolicy, error) {
	s, text, err := deleteText(line, tagDelPolicy, maxPolName)
	if err != nil {
		return nil, err
	}
	if err := checkWord(text, maxPolName); err != nil {
		s.field = 3
		s.fail("policy name", err)
		return nil, s.err
	}
	return &DeletePolicy{Name: string(text)}, nil
}

// deleteText reads the name of a deletion as it stands on the line.
func deleteText(line, tag []byte, limit uint64) (scanner, []byte, error) {
	line, err := trimLF(line)
	if err != nil {
		return scanner{}, nil, err
	}
	s := scanner{line: line, pos: len(tag) - 1, field: 1}
	n := int(s.unsigned("name length", limit))
	text := s.sized("name", n)
	s.fixed("end of record", ";")
	s.end()
	return s, text, s.err
}
