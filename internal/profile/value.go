package profile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ValueError says that a relation's value is not of the kind asked for.
type ValueError struct {
	Source string // "file:line"
	Tag    string
	Value  string
	Err    error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%s: %s = %q: %v", e.Source, e.Tag, e.Value, e.Err)
}

// Unwrap returns the cause.
func (e *ValueError) Unwrap() error { return e.Err }

// Causes found in a ValueError.
var (
	ErrBoolean  = errors.New("not a boolean (yes, no, true, false, on, off, 1, 0)")
	ErrInteger  = errors.New("not an integer")
	ErrDuration = errors.New("not a duration")
)

// Bool returns the boolean at path, or def when there is none.
func (p *Profile) Bool(def bool, path ...string) (bool, error) {
	return get(p, def, ParseBool, path)
}

// Int returns the integer at path, or def when there is none.
func (p *Profile) Int(def int, path ...string) (int, error) {
	return get(p, def, func(s string) (int, error) {
		n, err := strconv.ParseInt(strings.Trim(s, blanks), 10, 32)
		if err != nil {
			return 0, ErrInteger
		}
		return int(n), nil
	}, path)
}

// Duration returns the duration at path (see ParseDelta), or def when there is none.
// Negative ones are errors.
func (p *Profile) Duration(def time.Duration, path ...string) (time.Duration, error) {
	return get(p, def, func(s string) (time.Duration, error) {
		n, err := ParseDelta(strings.TrimRight(s, blanks))
		if err != nil || n < 0 {
			return 0, ErrDuration
		}
		return time.Duration(n) * time.Second, nil
	}, path)
}

func get[T any](p *Profile, def T, parse func(string) (T, error), path []string) (T, error) {
	n := p.first(path)
	if n == nil {
		return def, nil
	}
	v, err := parse(n.value)
	if err != nil {
		return def, &ValueError{Source: n.src.String(), Tag: n.name, Value: n.value, Err: err}
	}
	return v, nil
}

// ParseBool takes MIT's spellings of a boolean, in any case.
func ParseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "y", "yes", "true", "t", "1", "on":
		return true, nil
	case "n", "no", "false", "nil", "0", "off":
		return false, nil
	}
	return false, ErrBoolean
}

// ParseDelta takes an interval in the grammar of MIT krb5 src/lib/krb5/krb/x-deltat.y
// and returns its seconds:
//
//	[n]d [n]h [n]m [n]s   any of the four in this order, blanks only before a number
//	D-H:M:S   H:M:S   H:M   seconds
//
// Each number may carry a minus sign; in the colon forms those after the first colon
// have at most two digits. Unlike MIT's parser it does not stop at a character it does
// not know: "1w" is an error and not one second.
func ParseDelta(s string) (int32, error) {
	ps := deltaParser{s: s}
	first, ok := ps.number()
	if !ok {
		return 0, ErrDuration
	}
	switch {
	case ps.s == "":
		return ps.sum(0, 0, 0, first)
	case ps.s[0] == '-':
		ps.s = ps.s[1:]
		if hms, ok := ps.colons(3); ok {
			return ps.sum(first, hms[0], hms[1], hms[2])
		}
		return 0, ErrDuration
	case ps.s[0] == ':':
		ps.s = ps.s[1:]
		rest := ps.s
		if ms, ok := ps.colons(2); ok {
			return ps.sum(0, first, ms[0], ms[1])
		}
		ps.s = rest
		if m, ok := ps.colons(1); ok {
			return ps.sum(0, first, m[0], 0)
		}
		return 0, ErrDuration
	}
	return ps.units(first)
}

const deltaUnits = "dhms"

type deltaParser struct{ s string }

// number takes blanks, a sign and digits.
func (ps *deltaParser) number() (int64, bool) {
	s := strings.TrimLeft(ps.s, " \t\n")
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseInt(s[:i], 10, 64)
	if err != nil || n > math.MaxInt32 {
		return 0, false
	}
	ps.s = s[i:]
	if neg {
		n = -n
	}
	return n, true
}

// colons takes n numbers of one or two digits with colons between, up to the end.
func (ps *deltaParser) colons(n int) ([]int64, bool) {
	parts := strings.Split(ps.s, ":")
	if len(parts) != n {
		return nil, false
	}
	out := make([]int64, n)
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(p) > 2 || strings.HasPrefix(p, "+") {
			return nil, false
		}
		out[i] = int64(v)
	}
	return out, true
}

// units takes the unit letter of the first number and the further number-unit pairs.
func (ps *deltaParser) units(n int64) (int32, error) {
	var v [4]int64
	next := 0 // the first unit still allowed
	for {
		i := strings.IndexByte(deltaUnits, ps.s[0])
		if i < next {
			return 0, ErrDuration
		}
		v[i], next = n, i+1
		ps.s = ps.s[1:]
		if ps.s == "" || (next < len(v) && strings.Trim(ps.s, " \t\n") == "") {
			return ps.sum(v[0], v[1], v[2], v[3])
		}
		var ok bool
		if n, ok = ps.number(); !ok || ps.s == "" {
			return 0, ErrDuration
		}
	}
}

func (ps *deltaParser) sum(d, h, m, s int64) (int32, error) {
	t := d*86400 + h*3600 + m*60 + s // each below 2^31: no overflow in 64 bits
	if t > math.MaxInt32 || t < math.MinInt32 {
		return 0, fmt.Errorf("%w: out of range", ErrDuration)
	}
	return int32(t), nil
}
