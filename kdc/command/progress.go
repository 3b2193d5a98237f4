package command

import (
	"os"
	"time"

	"golang.org/x/term"
)

// progressEvery is how often progress is shown.
const progressEvery = 250 * time.Millisecond

// progress shows on a terminal how far a long loop is.
type progress struct {
	con   *console
	what  string // "loaded"
	n     int
	next  time.Time
	shown bool
}

// progress starts showing progress on standard error, if that is a terminal.
func (u *kdbUtil) progress(what string) *progress {
	f, ok := u.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{con: u.console, what: what, next: time.Now().Add(progressEvery)}
}

func (p *progress) step() { p.set(p.n + 1) }

// set says how many records are done.
func (p *progress) set(n int) {
	p.n = n
	if p.con == nil || time.Now().Before(p.next) {
		return
	}
	p.next, p.shown = time.Now().Add(progressEvery), true
	p.con.errorf("\r%d records %s", n, p.what)
}

// end removes what was shown.
func (p *progress) end() {
	if p.shown {
		p.con.errorf("\r\x1b[K")
	}
}
