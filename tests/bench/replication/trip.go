package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// trip measures one octet over loopback TCP to another process, which sleeps until it comes, and back:
// nobody hears of a change and answers in less.
type trip struct {
	near *os.File
	echo *exec.Cmd
	list []time.Duration
}

// echoWord is the only argument of a process of this program that echoes.
const echoWord = "echo"

// newTrip starts the process that echoes.
func newTrip() (*trip, error) {
	near, far, err := loopback()
	if err != nil {
		return nil, err
	}
	defer func() { _ = far.Close() }()
	cmd := exec.Command("/proc/self/exe", echoWord)
	cmd.Stdin = far
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, near.Close())
	}
	return &trip{near: near, echo: cmd}, nil
}

// loopback returns the ends of a TCP connection, whose reads and writes block, as in a program that has
// nothing else to do.
func loopback() (near, far *os.File, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = ln.Close() }()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = dialed.Close() }()
	accepted, err := ln.Accept()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = accepted.Close() }()
	if near, err = blocking(dialed); err != nil {
		return nil, nil, err
	}
	if far, err = blocking(accepted); err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}

func blocking(c net.Conn) (*os.File, error) {
	f, err := c.(*net.TCPConn).File()
	if err == nil {
		err = syscall.SetNonblock(int(f.Fd()), false)
	}
	return f, err
}

func (t *trip) sample() error {
	start := time.Now()
	b := []byte{0}
	if _, err := t.near.Write(b); err != nil {
		return fmt.Errorf("round trip: %w", err)
	}
	if _, err := t.near.Read(b); err != nil {
		return fmt.Errorf("round trip: %w", err)
	}
	t.list = append(t.list, time.Since(start))
	return nil
}

// close hangs up, on which the other process ends.
func (t *trip) close() error {
	return errors.Join(syscall.Shutdown(int(t.near.Fd()), syscall.SHUT_RDWR), t.near.Close(), t.echo.Wait())
}

// echo sends back what comes on standard input, which is a socket, until it ends.
func echo() error {
	b := make([]byte, 1)
	for {
		n, err := syscall.Read(0, b)
		if err != nil || n == 0 {
			return err
		}
		if _, err := syscall.Write(0, b); err != nil {
			return err
		}
	}
}
