package serve

import (
	"strconv"
	"sync"
	"time"
)

// maxDamaged is how many lines about damaged messages a second of log may have.
const maxDamaged = 20

// limiter keeps a flood of damaged messages from filling the log: beyond so many lines a second it
// counts.
type limiter struct {
	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
}

// allow reports whether one more line may be written, and how many were left out before it.
func (l *limiter) allow(now time.Time) (ok bool, leftOut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		leftOut, l.dropped = l.dropped, 0
		l.second, l.lines = s, 0
	}
	if l.lines++; l.lines > maxDamaged {
		l.dropped++
		return false, 0
	}
	return true, leftOut
}

// damaged calls line unless there was too much of its kind already.
func (d *dispatcher) damaged(now time.Time, line func()) {
	ok, leftOut := d.limit.allow(now)
	if leftOut > 0 {
		d.log.Line(LevelWarning, strconv.Itoa(leftOut)+" more damaged messages were dropped without a line")
	}
	if ok {
		line()
	}
}
