package repeats

import (
	"slices"
	"strings"
	"time"
)

const (
	// Gap without a failure ends a spell: what comes after it is new.
	Gap = 10 * time.Minute

	minute   = time.Minute
	hour     = time.Hour
	maxKinds = 8 // of one spell that are remembered
)

// Pace is how much of a spell is told.
type Pace struct {
	First    int           // times at its beginning
	Minutely time.Duration // once a minute for so long since then; once an hour afterwards
}

// The paces of what may be over at once, and of what somebody has asked for.
var (
	Trouble = Pace{First: 3, Minutely: 10 * time.Minute}
	Calm    = Pace{First: 1}
)

// often is the pace of what is done again and again and is no trouble by itself.
var often = Pace{First: 10, Minutely: 10 * time.Minute}

// Spell is a run of failures of one thing. The zero Spell is none. It reads no clock and is not safe for
// concurrent use.
type Spell struct {
	times             int
	begun, last, told time.Time
	kinds             []kind // the latest, that seen longest ago first
}

// kind is a sort of failure.
type kind struct {
	text string
	seen time.Time
}

// Again counts a failure, and says whether it is one to be logged. kind tells failures apart that are
// not the same: one that was not seen for Gap is told at once, as if it were the first of a spell, or, where
// too many others were meanwhile, once a minute.
func (s *Spell) Again(p Pace, kind string, now time.Time) (tell bool) {
	if s.times > 0 && now.Sub(s.last) >= Gap {
		*s = Spell{}
	}
	if s.times == 0 {
		s.begun = now
	}
	s.times++
	s.last = now
	fresh, many := s.note(kind, now)
	tell = s.times <= p.First || s.due(p, now) || fresh && (!many || now.Sub(s.told) >= minute)
	if tell {
		s.told = now
	}
	return tell
}

// note remembers a kind, and says whether it was not seen for Gap, and whether it takes the place of
// another that was.
func (s *Spell) note(text string, now time.Time) (fresh, many bool) {
	i := slices.IndexFunc(s.kinds, func(k kind) bool { return k.text == text })
	switch {
	case i >= 0:
		fresh = now.Sub(s.kinds[i].seen) >= Gap
		s.kinds = slices.Delete(s.kinds, i, i+1)
	case len(s.kinds) == maxKinds:
		fresh, many = true, now.Sub(s.kinds[0].seen) < Gap
		s.kinds = slices.Delete(s.kinds, 0, 1)
	default:
		fresh = true
	}
	s.kinds = append(s.kinds, kind{text, now})
	return fresh, many
}

func (s *Spell) due(p Pace, now time.Time) bool {
	every := hour
	if now.Sub(s.begun) < p.Minutely {
		every = minute
	}
	return now.Sub(s.told) >= every
}

// Quiet says that one more failure of a known kind would not be told now, and so nothing that leads to it needs to be.
func (s *Spell) Quiet(p Pace, now time.Time) bool {
	return s.times >= p.First && s.times > 0 && now.Sub(s.last) < Gap && !s.due(p, now)
}

// Stale says that there was no failure for so long that the next one begins a new spell.
func (s *Spell) Stale(now time.Time) bool { return s.times == 0 || now.Sub(s.last) >= Gap }

// Times returns how many failures there were.
func (s *Spell) Times() int { return s.times }

// Over ends the spell. It returns how many failures there were, since when, and whether the end is to be told,
// because some of them were not.
func (s *Spell) Over(p Pace) (times int, since time.Time, tell bool) {
	times, since = s.times, s.begun
	*s = Spell{}
	return times, since, times > p.First
}

// Kind is an error's text without its digits: ports and serials, which are others each time.
func Kind(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// Efforts are attempts at something large, each of which is told as it begins: of those that come to nothing
// as many as Trouble has, of those that are done the first ten, then one a minute. As with Spell.
type Efforts struct{ vain, all Spell }

// Again counts an attempt, and says whether it is one to be logged.
func (e *Efforts) Again(kind string, now time.Time) (tell bool) {
	vain := e.vain.Again(Trouble, kind, now)
	return e.all.Again(often, kind, now) && vain
}

// Done tells that the last one has come to its end.
func (e *Efforts) Done() { e.vain = Spell{} }
