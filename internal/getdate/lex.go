package getdate

import (
	"strings"
)

// kind is what a token is.
type kind int

const (
	tEOF    kind = iota
	tNumber      // without sign; words such as "next" too
	tSigned      // with a sign
	tMeridian
	tMonth
	tDay
	tZone
	tDayZone
	tDST
	tMinutes // a unit in minutes
	tSeconds
	tMonths // a unit in months
	tAgo
	tChar // any other character
)

type token struct {
	kind kind
	val  int // number, month, weekday, minutes west of UTC, or what a unit counts
	ch   byte
}

// maxNumber bounds a number; nothing larger makes a date within range.
const maxNumber = 1 << 31

var monthDays = map[string]token{
	"january": {tMonth, 1, 0}, "february": {tMonth, 2, 0}, "march": {tMonth, 3, 0}, "april": {tMonth, 4, 0},
	"may": {tMonth, 5, 0}, "june": {tMonth, 6, 0}, "july": {tMonth, 7, 0}, "august": {tMonth, 8, 0},
	"september": {tMonth, 9, 0}, "sept": {tMonth, 9, 0}, "october": {tMonth, 10, 0},
	"november": {tMonth, 11, 0}, "december": {tMonth, 12, 0},
	"sunday": {tDay, 0, 0}, "monday": {tDay, 1, 0}, "tuesday": {tDay, 2, 0}, "tues": {tDay, 2, 0},
	"wednesday": {tDay, 3, 0}, "wednes": {tDay, 3, 0}, "thursday": {tDay, 4, 0}, "thur": {tDay, 4, 0},
	"thurs": {tDay, 4, 0}, "friday": {tDay, 5, 0}, "saturday": {tDay, 6, 0},
}

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
)

var units = map[string]token{
	"year": {tMonths, 12, 0}, "month": {tMonths, 1, 0},
	"fortnight": {tMinutes, 2 * minutesPerWeek, 0}, "week": {tMinutes, minutesPerWeek, 0}, "day": {tMinutes, minutesPerDay, 0},
	"hour": {tMinutes, 60, 0}, "minute": {tMinutes, 1, 0}, "min": {tMinutes, 1, 0},
	"second": {tSeconds, 1, 0}, "sec": {tSeconds, 1, 0},
}

var others = map[string]token{
	"tomorrow": {tMinutes, minutesPerDay, 0}, "yesterday": {tMinutes, -minutesPerDay, 0},
	"today": {tMinutes, 0, 0}, "now": {tMinutes, 0, 0}, "this": {tMinutes, 0, 0},
	"last": {tNumber, -1, 0}, "first": {tNumber, 1, 0}, "next": {tNumber, 2, 0}, "third": {tNumber, 3, 0},
	"fourth": {tNumber, 4, 0}, "fifth": {tNumber, 5, 0}, "sixth": {tNumber, 6, 0}, "seventh": {tNumber, 7, 0},
	"eighth": {tNumber, 8, 0}, "ninth": {tNumber, 9, 0}, "tenth": {tNumber, 10, 0}, "eleventh": {tNumber, 11, 0},
	"twelfth": {tNumber, 12, 0}, "ago": {tAgo, 0, 0},
}

// zones are hours west of UTC; those in dayZones are an hour further east in fact.
var zones = map[string]int{
	"gmt": 0, "ut": 0, "utc": 0, "wet": 0, "wat": 1, "at": 2, "ast": 4, "est": 5, "cst": 6, "mst": 7, "pst": 8,
	"yst": 9, "hst": 10, "cat": 10, "ahst": 10, "nt": 11, "idlw": 12, "cet": -1, "met": -1, "mewt": -1, "swt": -1,
	"fwt": -1, "eet": -2, "bt": -3, "zp4": -4, "zp5": -5, "zp6": -6, "wast": -7, "cct": -8, "jst": -9, "kst": -9,
	"east": -10, "gst": -10, "kdt": -10, "nzt": -12, "nzst": -12, "idle": -12,
}

var dayZones = map[string]int{
	"bst": 0, "adt": 4, "edt": 5, "cdt": 6, "mdt": 7, "pdt": 8, "ydt": 9, "hdt": 10, "mest": -1, "sst": -1, "fst": -1,
	"wadt": -7, "eadt": -10, "nzdt": -12,
}

// lex cuts a date into tokens.
func lex(s string) ([]token, bool) {
	var out []token
	for s != "" {
		c := s[0]
		switch {
		case isSpace(c):
			s = s[1:]
		case isDigit(c) || c == '-' || c == '+':
			tok, rest, ok := number(s)
			if !ok {
				return nil, false
			}
			if s = rest; tok.kind != tEOF {
				out = append(out, tok)
			}
		case isAlpha(c):
			n := 1
			for n < len(s) && (isAlpha(s[n]) || s[n] == '.') {
				n++
			}
			tok, ok := word(strings.ToLower(s[:n]))
			if !ok {
				return nil, false
			}
			out, s = append(out, tok), s[n:]
		case c == '(':
			s = comment(s)
		default:
			out, s = append(out, token{tChar, 0, c}), s[1:]
		}
	}
	return append(out, token{}), true
}

// number takes an optional sign and digits; a sign without digits is passed over (tEOF).
func number(s string) (token, string, bool) {
	tok := token{kind: tNumber}
	neg := s[0] == '-'
	if neg || s[0] == '+' {
		tok.kind, s = tSigned, s[1:]
		if s == "" || !isDigit(s[0]) {
			return token{}, s, true
		}
	}
	for s != "" && isDigit(s[0]) {
		if tok.val = tok.val*10 + int(s[0]-'0'); tok.val > maxNumber {
			return tok, s, false
		}
		s = s[1:]
	}
	if neg {
		tok.val = -tok.val
	}
	return tok, s, true
}

// comment drops a parenthesis with all inside it, or the rest if it is not closed.
func comment(s string) string {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return ""
}

const (
	am = 1
	pm = 2
)

// word looks a word up, in lower case.
func word(w string) (token, bool) {
	switch w {
	case "am", "a.m.":
		return token{kind: tMeridian, val: am}, true
	case "pm", "p.m.":
		return token{kind: tMeridian, val: pm}, true
	case "dst":
		return token{kind: tDST}, true
	}
	if tok, ok := monthDay(w); ok {
		return tok, true
	}
	if tok, ok := zone(w); ok {
		return tok, true
	}
	for _, u := range []string{w, strings.TrimSuffix(w, "s")} {
		if tok, ok := units[u]; ok {
			return tok, true
		}
	}
	if tok, ok := others[w]; ok {
		return tok, true
	}
	return zone(strings.ReplaceAll(w, ".", ""))
}

// monthDay takes whole names and those of three letters, with or without a period.
func monthDay(w string) (token, bool) {
	if tok, ok := monthDays[w]; ok {
		return tok, true
	}
	if len(w) == 4 {
		w = strings.TrimSuffix(w, ".")
	}
	if len(w) != 3 {
		return token{}, false
	}
	for name, tok := range monthDays {
		if strings.HasPrefix(name, w) {
			return tok, true
		}
	}
	return token{}, false
}

func zone(w string) (token, bool) {
	if h, ok := zones[w]; ok {
		return token{kind: tZone, val: h * 60}, true
	}
	h, ok := dayZones[w]
	return token{kind: tDayZone, val: h * 60}, ok
}

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlpha(c byte) bool { return (c|0x20) >= 'a' && (c|0x20) <= 'z' }
