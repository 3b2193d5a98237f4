package sender

import (
	"fmt"
	"time"
)

// rivalTime is how long another krep that has taken a slave from us is remembered: longer than two
// that take it from one another wait between their attempts.
const rivalTime = 5 * time.Minute

// rival is another krep that feeds the slave: two masters, say, that both list it, or a list that
// has one slave twice. The zero rival is nobody.
type rival struct {
	who   string // principal and address, as the slave says
	times int    // in a row
	last  time.Time
}

// fresh tells whether there is one.
func (r rival) fresh() bool { return r.times > 0 && time.Since(r.last) < rivalTime }

// text says so, for people; empty: there is none.
func (r rival) text() string {
	if !r.fresh() {
		return ""
	}
	return fmt.Sprintf("%v: %s (%d times, last %v ago)", errDisplaced, r.who, r.times, time.Since(r.last).Round(time.Second))
}

// displaced notes that the slave has ended our stream for another's.
func (s *Sender) displaced(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.rival.fresh() {
		s.rival.times = 0
	}
	s.rival = rival{by, s.rival.times + 1, time.Now()}
}

// spacing counts what happened as failures in a row, so that two who take a slave from one another
// do so more and more rarely: each change of hands may cost a full copy.
func (s *Sender) spacing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 2 * s.rival.times
}
