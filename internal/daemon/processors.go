package daemon

import (
	"os"
	"runtime"
	"sync"
)

// processors is how many processors the program may use at a time, which is one setting of the
// whole process.
var processors struct {
	sync.Mutex
	all  int // what Go would use; 0: Frugal is not in force
	wide int // how many want all of them
}

// Frugal keeps the program on one processor at a time, but for what asks for all of them (Wide),
// until the function it returns is called. krep and krepd wake for each change, for a few
// microseconds of work that is handed from goroutine to goroutine: on several processors Go wakes
// another thread at each hand-over, which looks for work and finds none, and its monitor thread
// polls for as long as an fsync takes. That is a third of all they use. GOMAXPROCS in the
// environment has the last word.
func Frugal() (end func()) {
	p := &processors
	p.Lock()
	defer p.Unlock()
	if os.Getenv("GOMAXPROCS") != "" || p.all > 0 {
		return func() {}
	}
	p.all = runtime.GOMAXPROCS(0)
	if p.wide == 0 {
		runtime.GOMAXPROCS(1)
	}
	return func() {
		p.Lock()
		defer p.Unlock()
		runtime.GOMAXPROCS(p.all)
		p.all = 0
	}
}

// Wide is for work of more than a few milliseconds, such as reading through a database: it gives the
// program all its processors until the function it returns is called, so that changes do not wait for
// it. Changing the number stops the program for some microseconds.
func Wide() (end func()) {
	p := &processors
	p.Lock()
	defer p.Unlock()
	if p.wide++; p.wide == 1 && p.all > 0 {
		runtime.GOMAXPROCS(p.all)
	}
	return sync.OnceFunc(func() {
		p.Lock()
		defer p.Unlock()
		if p.wide--; p.wide == 0 && p.all > 0 {
			runtime.GOMAXPROCS(1)
		}
	})
}
