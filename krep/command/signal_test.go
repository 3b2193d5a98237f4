package command

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the test, or krep itself where the test starts it.
func TestMain(m *testing.M) {
	if os.Getenv("KREP_TEST_MAIN") != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestHangupAtTheStart: a SIGHUP that comes while krep starts does not end it.
func TestHangupAtTheStart(t *testing.T) {
	dir := host(t, section)
	if err := errors.Join(os.Remove(dir+"/slaves"), syscall.Mkfifo(dir+"/slaves", 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KREP_TEST_MAIN=1")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	var list *os.File
	await(t, func() bool { // until krep reads its list
		list, err = os.OpenFile(dir+"/slaves", os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-time.After(10 * time.Millisecond)
	_, err = list.WriteString("kdc2.example.org\n")
	if err := errors.Join(err, list.Close()); err != nil {
		t.Errorf("krep does not read any more: %v", err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "krep: starting") {
			return
		}
	}
	t.Error("krep has ended")
}
