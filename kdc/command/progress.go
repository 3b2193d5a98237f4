package command

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

const (
	progressEvery = 250 * time.Millisecond // on a terminal
	progressSlow  = 5 * time.Second        // a line each, where nobody looks
)

// progress shows on standard error how far a long loop is: on a terminal all the time, else with
// a line now and then.
type progress struct {
	con   *console // nil: show nothing
	what  string   // "loaded"
	total int      // records there are; 0: not known
	// share tells which part of a file has been read, where the records are not counted; nil: not known.
	share func() float64
	n     int
	tty   bool
	begin time.Time
	next  time.Time
	shown bool
}

// progress starts showing progress.
func (u *kdbUtil) progress(what string) *progress {
	p := &progress{con: u.console, what: what, begin: time.Now()}
	if f, ok := u.err.(*os.File); ok {
		p.tty = term.IsTerminal(int(f.Fd()))
	}
	p.next = p.begin.Add(p.every())
	return p
}

// of says how many records there are in all.
func (p *progress) of(total int) { p.total = total }

func (p *progress) every() time.Duration {
	if p.tty {
		return progressEvery
	}
	return progressSlow
}

func (p *progress) step() { p.set(p.n + 1) }

// set says how many records are done.
func (p *progress) set(n int) {
	p.n = n
	if p.con == nil {
		return
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next, p.shown = now.Add(p.every()), true
	text := p.text(now.Sub(p.begin))
	if p.tty {
		p.con.errorf("\r%s\x1b[K", text)
	} else {
		p.con.errorf("%s: %s\n", kdbUtilName, text)
	}
}

// text is what is shown after some time.
func (p *progress) text(d time.Duration) string {
	rate := float64(p.n) / d.Seconds()
	s := fmt.Sprintf("%d records %s, %.0f a second", p.n, p.what, rate)
	switch {
	case p.total >= p.n && p.total > 0 && rate > 0:
		left := time.Duration(float64(p.total-p.n) / rate * float64(time.Second))
		s = fmt.Sprintf("%d of %d records %s, %.0f a second, %v left", p.n, p.total, p.what, rate, left.Round(time.Second))
	case p.share != nil:
		if part := p.share(); part > 0 && part <= 1 {
			left := time.Duration(float64(d) * (1 - part) / part)
			s += fmt.Sprintf(", %.0f%%, %v left", 100*part, left.Round(time.Second))
		}
	}
	return s
}

// counter counts what is read from a file of a known size.
type counter struct {
	r    io.Reader
	size int64 // 0: not known
	n    atomic.Int64
}

// newCounter counts what is read from f, and knows its size where it is a regular file.
func newCounter(f *os.File) *counter {
	c := &counter{r: f}
	if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
		c.size = fi.Size()
	}
	return c
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// share is the part that has been read, 0 if that is not known.
func (c *counter) share() float64 {
	if c.size == 0 {
		return 0
	}
	return float64(c.n.Load()) / float64(c.size)
}

// end removes what was shown.
func (p *progress) end() {
	if p.shown && p.tty {
		p.con.errorf("\r\x1b[K")
	}
}
