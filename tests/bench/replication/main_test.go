package main

import (
	"os"
	"testing"
	"time"
)

func TestSpreadOf(t *testing.T) {
	var list []time.Duration
	for i := range 101 {
		list = append(list, time.Duration(100-i)*time.Second)
	}
	if got, want := spreadOf(list), (spread{50, 99, 100}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParse(t *testing.T) {
	for list, ok := range map[string]bool{"1": true, "1,2,64": true, "": false, "0": false, "1,": false, "x": false} {
		if err := (&settings{changes: 1, singles: 1}).parse(list); (err == nil) != ok {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	if m, err := memory(os.Getpid(), "VmRSS"); err != nil || m < 1 {
		t.Errorf("%v MiB, %v", m, err)
	}
}
