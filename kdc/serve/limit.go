package serve

import (
	"strconv"
	"sync"
	"time"
)

// maxLines is how many lines a second of log may have of each kind of event that a peer can make at
// will.
const maxLines = 20

// limiter keeps a flood of one kind of events from filling the log: beyond so many lines a second
// it counts. Its zero value is ready for use, but for what.
type limiter struct {
	what string // "damaged messages"

	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
}

// limits are the limiters of a server.
type limits struct {
	damaged, repeated, evicted, unsent, proxied limiter
}

func newLimits() *limits {
	l := new(limits)
	l.damaged.what = "damaged messages were dropped"
	l.repeated.what = "repeated requests were answered"
	l.evicted.what = "connections were dropped"
	l.unsent.what = "replies could not be sent"
	l.proxied.what = "proxied requests were refused"
	return l
}

func (l *limits) all() []*limiter {
	return []*limiter{&l.damaged, &l.repeated, &l.evicted, &l.unsent, &l.proxied}
}

// flush tells of what was left out in seconds that are over.
func (l *limits) flush(log Log, now time.Time) {
	for _, one := range l.all() {
		one.mu.Lock()
		leftOut := one.turn(now)
		one.mu.Unlock()
		one.tell(log, leftOut)
	}
}

// turn begins another second if it is one, and returns how many lines the last one left out. The
// caller holds the lock.
func (l *limiter) turn(now time.Time) (leftOut int) {
	if s := now.Unix(); s != l.second {
		leftOut, l.dropped = l.dropped, 0
		l.second, l.lines = s, 0
	}
	return leftOut
}

func (l *limiter) tell(log Log, leftOut int) {
	if leftOut > 0 {
		log.Line(LevelWarning, strconv.Itoa(leftOut)+" more "+l.what+" without a line")
	}
}

// line calls line unless there was too much of its kind already.
func (l *limiter) line(log Log, now time.Time, line func()) {
	l.mu.Lock()
	leftOut := l.turn(now)
	l.lines++
	ok := l.lines <= maxLines
	if !ok {
		l.dropped++
	}
	l.mu.Unlock()
	l.tell(log, leftOut)
	if ok {
		line()
	}
}
