package dumpfmt

import (
	"bytes"
	"errors"
	"slices"
)

// Lockout holds the three fields of a principal that are not replicated: every database
// keeps its own. Times are Unix seconds, 0 for never.
type Lockout struct {
	LastSuccess uint32
	LastFailed  uint32
	FailCount   uint32
}

// Lockout returns the lockout fields of p.
func (p *Principal) Lockout() Lockout {
	return Lockout{LastSuccess: p.LastSuccess, LastFailed: p.LastFailed, FailCount: p.FailCount}
}

// SetLockout sets the lockout fields of p.
func (p *Principal) SetLockout(l Lockout) {
	p.LastSuccess, p.LastFailed, p.FailCount = l.LastSuccess, l.LastFailed, l.FailCount
}

var zeroLockout = []byte("0\t0\t0")

// SplitLockout appends line, a "princ" line of any form but with the three lockout fields
// set to 0, to dst, and returns them. It looks at no more of the line than it must to find
// them. The error is a *SyntaxError without a line number.
func SplitLockout(dst, line []byte) (stripped []byte, l Lockout, err error) {
	s, err := toLockout(line)
	if err != nil {
		return dst, Lockout{}, err
	}
	start := s.pos + 1
	l.LastSuccess = s.uint32("last success")
	l.LastFailed = s.uint32("last failure")
	l.FailCount = s.signedUint32("failure count")
	if s.err != nil {
		return dst, Lockout{}, s.err
	}
	if l == (Lockout{}) {
		return append(dst, line...), l, nil
	}
	dst = slices.Grow(dst, len(line))
	dst = append(dst, line[:start]...)
	dst = append(dst, zeroLockout...)
	return append(dst, line[s.pos:]...), l, nil
}

// JoinLockout appends stripped, which must have come from SplitLockout, with l in its
// lockout fields to dst: the inverse of SplitLockout. With a zero l nothing is looked at.
func JoinLockout(dst, stripped []byte, l Lockout) ([]byte, error) {
	if l == (Lockout{}) {
		return append(dst, stripped...), nil
	}
	s, err := toLockout(stripped)
	if err != nil {
		return dst, err
	}
	rest, ok := bytes.CutPrefix(stripped[s.pos:], []byte("\t0\t0\t0\t"))
	if !ok {
		return dst, &SyntaxError{Field: s.field + 1, Err: errors.New("lockout fields are not zero")}
	}
	dst = slices.Grow(dst, len(stripped)+3*len("4294967295"))
	dst = append(dst, stripped[:s.pos]...)
	dst = appendTabUint(dst, l.LastSuccess)
	dst = appendTabUint(dst, l.LastFailed)
	dst = appendTabInt(dst, int32(l.FailCount))
	dst = append(dst, '\t')
	return append(dst, rest...), nil
}

// toLockout goes to the end of the field before the lockout fields of a "princ" line.
func toLockout(line []byte) (scanner, error) {
	s, _, err := toName(line)
	if err != nil {
		return s, err
	}
	const between = 5 // attributes to password expiration
	i := s.pos
	for range between {
		n := bytes.IndexByte(line[min(i+1, len(line)):], '\t')
		if n < 0 {
			s.fail("lockout fields", errMissing)
			return s, s.err
		}
		i += 1 + n
		s.field++
	}
	s.pos = i
	return s, nil
}

// toName goes to the end of the name of a "princ" line and returns its text.
func toName(line []byte) (scanner, []byte, error) {
	s := scanner{line: line, pos: len(tagPrinc) - 1, field: 1}
	if !bytes.HasPrefix(line, tagPrinc) {
		s.fail("record word", tagError(line))
		return s, nil, s.err
	}
	s.fixed("base length", baseLength)
	n := int(s.unsigned("name length", MaxName+1))
	s.unsigned("number of tagged data", maxCount)
	s.unsigned("number of keys", maxCount)
	s.fixed("extra length", "0")
	text := s.sized("name", n)
	return s, text, s.err
}

// Kind says what a line of a delta file is.
type Kind int

// The kinds of lines. The zero Kind is none.
const (
	KindPrincipal Kind = iota + 1
	KindPolicy
	KindDeletePrincipal
	KindDeletePolicy
)

// String returns the record word.
func (k Kind) String() string {
	switch k {
	case KindPrincipal:
		return "princ"
	case KindPolicy:
		return "policy"
	case KindDeletePrincipal:
		return "delprinc"
	case KindDeletePolicy:
		return "delpolicy"
	}
	return "unknown"
}

// LineName returns the kind of a line that was checked before, and the name in it, without
// the guard of a leading white space. It looks at no more of the line than it must. The
// error is a *SyntaxError without a line number.
func LineName(line []byte) (kind Kind, name string, err error) {
	var text []byte
	switch {
	case bytes.HasPrefix(line, tagPrinc):
		kind = KindPrincipal
		_, text, err = toName(line)
	case bytes.HasPrefix(line, tagPolicy):
		s := scanner{line: line, pos: len(tagPolicy) - 1, field: 1}
		kind, text, err = KindPolicy, s.word("policy name", maxPolName), s.err
	case bytes.HasPrefix(line, tagDelPrinc):
		kind = KindDeletePrincipal
		_, text, err = deleteText(line, tagDelPrinc, MaxName+1)
	case bytes.HasPrefix(line, tagDelPolicy):
		kind = KindDeletePolicy
		_, text, err = deleteText(line, tagDelPolicy, maxPolName)
	default:
		err = &SyntaxError{Field: 1, Err: tagError(line)}
	}
	if err != nil {
		return 0, "", err
	}
	if (kind == KindPrincipal || kind == KindDeletePrincipal) && guarded(text) {
		text = text[1:]
	}
	return kind, string(text), nil
}
