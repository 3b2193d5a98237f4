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
