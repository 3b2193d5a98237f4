package daemon

import (
	"syscall"
	"testing"
)

// A SIGHUP that comes when the program is about to end does not make a kill of that.
func TestHangupAtTheEnd(t *testing.T) {
	ctx, hup, stop := Signals(t.Context())
	stop()
	<-ctx.Done()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-hup
}

// A command that follows something ends with its terminal.
func TestHangupEndsACommand(t *testing.T) {
	_, _, ignore := Signals(t.Context()) // so that the program goes on
	defer ignore()
	ctx, stop := Interrupts(t.Context())
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}
