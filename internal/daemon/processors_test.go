package daemon

import (
	"runtime"
	"testing"
)

// Frugal and Wide may overlap in any order, and leave things as they were.
func TestProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	want := func(n int) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != n {
			t.Errorf("%d processors, want %d", got, n)
		}
	}
	frugal := Frugal()
	want(1)
	one, two := Wide(), Wide()
	want(3)
	one()
	one()
	want(3)
	two()
	want(1)
	late := Wide()
	frugal()
	want(3)
	late()
	want(3)
	early := Wide()
	frugal = Frugal()
	want(3)
	early()
	want(1)
	frugal()
	want(3)
	t.Setenv("GOMAXPROCS", "2")
	defer Frugal()()
	want(3)
}
