package getdate

import (
	"errors"
	"math"
	"strings"
	"time"
)

// ErrDate means a text that is no date of the grammar, or one that does not exist or lies
// outside 1970 to 2106.
var ErrDate = errors.New("not a date")

// Parse returns the moment that s says, in Unix seconds; "never" is 0. Dates without a zone are
// in now's location.
func Parse(s string, now time.Time) (uint32, error) {
	if strings.EqualFold(strings.TrimSpace(s), "never") {
		return 0, nil
	}
	toks, ok := lex(s)
	if !ok {
		return 0, ErrDate
	}
	p := parser{toks: toks, day: now.Day(), month: int(now.Month()), year: now.Year()}
	for p.peek(0).kind != tEOF {
		if !p.item() {
			return 0, ErrDate
		}
	}
	t, ok := p.moment(now)
	if !ok || t.Unix() < 0 || t.Unix() > math.MaxUint32 {
		return 0, ErrDate
	}
	return uint32(t.Unix()), nil
}

// parser collects the items.
type parser struct {
	toks []token

	hasDate, hasTime, hasZone, hasDay, hasRel bool

	year, month, day  int
	hour, minute, sec int
	meridian          int // 0, am, pm
	weekday, ordinal  int
	west              int // minutes west of UTC, when hasZone
	relSeconds        int
	relMonths         int
}

func (p *parser) peek(i int) token {
	if i < len(p.toks) {
		return p.toks[i]
	}
	return token{}
}

func (p *parser) skip(n int) { p.toks = p.toks[n:] }

// char reports whether token i is the character c.
func (p *parser) char(i int, c byte) bool { return p.peek(i).kind == tChar && p.peek(i).ch == c }

// once sets a flag that may be set once only.
func once(flag *bool) bool {
	was := *flag
	*flag = true
	return !was
}

// item takes one item; where the grammar is ambiguous the longer one, as yacc does.
func (p *parser) item() bool {
	t := p.peek(0)
	switch t.kind {
	case tNumber:
		return p.numberItem(t.val)
	case tSigned:
		return isUnit(p.peek(1)) && p.relative(t.val, 1)
	case tMinutes, tSeconds, tMonths:
		return p.relative(1, 0)
	case tMonth:
		if p.peek(1).kind != tNumber {
			return false
		}
		p.month, p.day = t.val, p.peek(1).val
		p.skip(2)
		if p.char(0, ',') {
			if p.peek(1).kind != tNumber {
				return false
			}
			p.year = p.peek(1).val
			p.skip(2)
		}
		return once(&p.hasDate)
	case tDay:
		p.weekday, p.ordinal = t.val, 1
		p.skip(1)
		if p.char(0, ',') {
			p.skip(1)
		}
		return once(&p.hasDay)
	case tZone, tDayZone:
		p.west = t.val
		p.skip(1)
		if t.kind == tDayZone {
			p.west -= 60
		} else if p.peek(0).kind == tDST {
			p.west -= 60
			p.skip(1)
		}
		return once(&p.hasZone)
	}
	return false
}

func isUnit(t token) bool { return t.kind == tMinutes || t.kind == tSeconds || t.kind == tMonths }

// numberItem takes the items that begin with a number.
func (p *parser) numberItem(n int) bool {
	next := p.peek(1)
	switch {
	case next.kind == tMeridian:
		p.hour, p.meridian = n, next.val
		p.skip(2)
		return once(&p.hasTime)
	case p.char(1, ':'):
		return p.clock(n)
	case p.char(1, '/'):
		if p.peek(2).kind != tNumber {
			return false
		}
		p.month, p.day = n, p.peek(2).val
		p.skip(3)
		if p.char(0, '/') {
			if p.peek(1).kind != tNumber {
				return false
			}
			p.year = p.peek(1).val
			p.skip(2)
		}
		return once(&p.hasDate)
	case next.kind == tSigned:
		if p.peek(2).kind != tSigned {
			return false
		}
		p.year, p.month, p.day = n, -next.val, -p.peek(2).val
		p.skip(3)
		return once(&p.hasDate)
	case next.kind == tMonth:
		p.day, p.month = n, next.val
		p.skip(2)
		switch y := p.peek(0); y.kind {
		case tSigned:
			p.year = -y.val
			p.skip(1)
		case tNumber:
			p.year = y.val
			p.skip(1)
		}
		return once(&p.hasDate)
	case next.kind == tDay:
		p.weekday, p.ordinal = next.val, n
		p.skip(2)
		return once(&p.hasDay)
	}
	return isUnit(next) && p.relative(n, 1)
}

// clock takes H:MM and H:MM:SS with what may follow.
func (p *parser) clock(hour int) bool {
	if p.peek(2).kind != tNumber {
		return false
	}
	p.hour, p.minute = hour, p.peek(2).val
	p.skip(3)
	if p.char(0, ':') {
		if p.peek(1).kind != tNumber {
			return false
		}
		p.sec = p.peek(1).val
		p.skip(2)
	}
	switch t := p.peek(0); t.kind {
	case tMeridian:
		p.meridian = t.val
		p.skip(1)
	case tSigned:
		p.west = -(t.val%100 + t.val/100*60)
		p.skip(1)
		p.hasZone = true
	}
	return once(&p.hasTime)
}

// relative takes a unit at token i, counted n times, and "ago".
func (p *parser) relative(n, i int) bool {
	t := p.peek(i)
	p.skip(i + 1)
	switch t.kind {
	case tMinutes:
		p.relSeconds += n * t.val * 60
	case tSeconds:
		p.relSeconds += n
	case tMonths:
		p.relMonths += n * t.val
	}
	if p.peek(0).kind == tAgo {
		p.skip(1)
		p.relSeconds, p.relMonths = -p.relSeconds, -p.relMonths
	}
	p.hasRel = true
	const limit = 1 << 40
	return p.relSeconds > -limit && p.relSeconds < limit && p.relMonths > -limit && p.relMonths < limit
}

// moment computes what the items add up to.
func (p *parser) moment(now time.Time) (time.Time, bool) {
	t := now
	if p.hasDate || p.hasTime || p.hasDay || !p.hasRel {
		hour, ok := p.hour24()
		if !ok {
			return t, false
		}
		loc := now.Location()
		if p.hasZone && (p.hasDate || p.hasTime || p.hasDay) {
			loc = time.FixedZone("", -p.west*60)
		}
		if t, ok = date(p.year, p.month, p.day, hour, p.minute, p.sec, loc); !ok {
			return t, false
		}
		t = t.In(now.Location())
	}
	t = t.Add(time.Duration(p.relSeconds) * time.Second)
	if p.relMonths != 0 {
		m := 12*t.Year() + int(t.Month()) - 1 + p.relMonths
		if m < 0 {
			return t, false
		}
		var ok bool
		if t, ok = date(m/12, m%12+1, t.Day(), t.Hour(), t.Minute(), t.Second(), t.Location()); !ok {
			return t, false
		}
	}
	if p.hasDay && !p.hasDate {
		ordinal := p.ordinal
		if ordinal > 0 {
			ordinal--
		}
		days := (p.weekday-int(t.Weekday())+7)%7 + 7*ordinal
		if days < -maxDays || days > maxDays {
			return t, false
		}
		t = t.AddDate(0, 0, days)
	}
	return t, true
}

const maxDays = 200 * 366

// hour24 checks the time of day and returns its hour.
func (p *parser) hour24() (int, bool) {
	if p.minute < 0 || p.minute > 59 || p.sec < 0 || p.sec > 59 {
		return 0, false
	}
	switch p.meridian {
	case am, pm:
		h := p.hour % 12
		if p.meridian == pm {
			h += 12
		}
		return h, p.hour >= 1 && p.hour <= 12
	}
	return p.hour, p.hour >= 0 && p.hour <= 23
}

// date is the moment of a calendar date that must exist.
func date(year, month, day, hour, minute, sec int, loc *time.Location) (time.Time, bool) {
	if year < 0 {
		year = -year
	}
	if year < 1900 {
		year += 1900
	}
	if year < 1970 || year > 2106 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, sec, 0, loc)
	return t, time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
}
