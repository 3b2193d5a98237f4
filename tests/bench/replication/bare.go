package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// bare measures what programs would take that do nothing else: one octet over loopback TCP to each of n
// processes, which sleep until it comes, and back from all of them. With files, each of them first
// writes half a KiB to one of its own, and syncs it, as a slave must.
type bare struct {
	near []*os.File
	far  []*exec.Cmd
	list []time.Duration
}

// bareWord is the first argument of such a process of this program; a directory may follow.
const bareWord = "bare"

// newBare starts n processes, with a file each in dir if that is not empty.
func newBare(n int, dir string) (b *bare, err error) {
	b = &bare{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	for i := range n {
		near, far, err := loopback()
		if err != nil {
			return b, err
		}
		b.near = append(b.near, near)
		cmd := exec.Command("/proc/self/exe", bareWord)
		if dir != "" {
			cmd.Args = append(cmd.Args, filepath.Join(dir, fmt.Sprintf("bare%d", i)))
		}
		cmd.Stdin, cmd.Stderr = far, os.Stderr
		err = cmd.Start()
		if err = errors.Join(err, far.Close()); err != nil {
			return b, err
		}
		b.far = append(b.far, cmd)
	}
	return b, nil
}

func (b *bare) sample() error {
	start := time.Now()
	octet := []byte{0}
	for _, f := range b.near {
		if _, err := f.Write(octet); err != nil {
			return fmt.Errorf("bare process: %w", err)
		}
	}
	for _, f := range b.near {
		if _, err := f.Read(octet); err != nil {
			return fmt.Errorf("bare process: %w", err)
		}
	}
	b.list = append(b.list, time.Since(start))
	return nil
}

// close hangs up, on which the processes end.
func (b *bare) close() error {
	var errs []error
	for _, f := range b.near {
		errs = append(errs, f.Close())
	}
	for _, cmd := range b.far {
		errs = append(errs, cmd.Wait())
	}
	return errors.Join(errs...)
}

// answerBarely is such a process: standard input is its socket, path the file that it syncs, if any.
func answerBarely(path string) error {
	var f *os.File
	if path != "" {
		var err error
		if f, err = os.Create(path); err != nil {
			return err
		}
		defer func() { _ = errors.Join(f.Close(), os.Remove(path)) }()
	}
	octet := make([]byte, 1)
	for {
		n, err := syscall.Read(0, octet)
		if err != nil || n == 0 {
			return err
		}
		if f != nil {
			_, err := f.Write(make([]byte, 512))
			if err = errors.Join(err, f.Sync()); err != nil {
				return err
			}
		}
		if _, err := syscall.Write(0, octet); err != nil {
			return err
		}
	}
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
