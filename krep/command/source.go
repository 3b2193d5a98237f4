package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"krealm/deltafile"
	"krealm/kdc/kdb"
	"krealm/krep/sender"
)

// source makes full copies, and can be closed.
type source interface {
	sender.Source
	io.Closer
}

// databaseSource copies our own database.
type databaseSource struct {
	path, dir string

	mu sync.Mutex
	db *kdb.DB
	id os.FileInfo // of the file that db has open
}

// open returns the database, opened again if the file is another one.
func (d *databaseSource) open(ctx context.Context) (*kdb.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, err := os.Stat(d.path)
	if err == nil && d.db != nil && os.SameFile(st, d.id) {
		return d.db, nil
	}
	if d.db != nil {
		_ = d.db.Close()
		d.db = nil
	}
	db, openErr := kdb.Open(ctx, d.path, kdb.Options{ReadOnly: true})
	if openErr != nil {
		return nil, openErr
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	d.db, d.id = db, st
	return db, nil
}

// Copy implements sender.Source.
func (d *databaseSource) Copy(ctx context.Context) (sender.Copy, error) {
	db, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	s, err := db.Snapshot(ctx, d.dir)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Digest implements sender.Source.
func (d *databaseSource) Digest(ctx context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	db, err := d.open(ctx)
	if err != nil {
		return deltafile.State{}, digest, false
	}
	at, sum, err := db.Digest(ctx)
	return at, sum, err == nil && !at.IsZero()
}

// Close implements io.Closer.
func (d *databaseSource) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}

// commandSource takes the standard output of a command for a dump.
//
// The dump counts as of the state that the delta file had before the command started. It may hold
// changes that were made since; those are sent after it once more, and as every change carries the
// whole entry, applying it again brings the slave to the same content.
type commandSource struct {
	command string
	dir     string
	at      func() (deltafile.State, bool)
}

const (
	commandTimeout = time.Hour
	maxStderr      = 2000 // octets of a command's complaints that are kept
	dumpHeader     = "kdb5_util load_dump version 7\n"
)

// Copy implements sender.Source.
func (c *commandSource) Copy(ctx context.Context) (sender.Copy, error) {
	base, ok := c.at()
	if !ok {
		return nil, errors.New("there is no delta file yet")
	}
	f, err := os.CreateTemp(c.dir, ".snapshot-*") // mode 0600
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	lines, size, err := c.run(ctx, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	start, total, err := deltafile.SealFull(f, base, lines, size)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot command: %w", err), f.Close())
	}
	return &commandCopy{SectionReader: io.NewSectionReader(f, start, total), f: f, state: base}, nil
}

// run runs the command with its output going to f, behind the room for the frame.
func (c *commandSource) run(ctx context.Context, f *os.File) (lines, size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var complaints bytes.Buffer
	out := &dumpWriter{w: io.NewOffsetWriter(f, deltafile.FullRoom)}
	buffered := bufio.NewWriterSize(out, 256<<10)
	cmd.Stdout = buffered
	cmd.Stderr = &limitedWriter{w: &complaints, left: maxStderr}
	err = cmd.Run()
	if flushErr := buffered.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return 0, 0, fmt.Errorf("snapshot command: %w: %s", err, strings.TrimSpace(complaints.String()))
	}
	if !bytes.Equal(out.head, []byte(dumpHeader)) {
		return 0, 0, errors.New("snapshot command did not write a dump of version 7")
	}
	return out.lines, out.size, nil
}

// Digest implements sender.Source: there is none.
func (c *commandSource) Digest(context.Context) (at deltafile.State, digest [32]byte, ok bool) {
	return at, digest, false
}

// Close implements io.Closer.
func (c *commandSource) Close() error { return nil }

// dumpWriter counts lines and octets and keeps the first line.
type dumpWriter struct {
	w           io.Writer
	head        []byte
	lines, size int64
}

func (d *dumpWriter) Write(p []byte) (int, error) {
	if n := len(dumpHeader) - len(d.head); n > 0 {
		d.head = append(d.head, p[:min(n, len(p))]...)
	}
	n, err := d.w.Write(p)
	d.size += int64(n)
	d.lines += int64(bytes.Count(p[:n], []byte{'\n'}))
	return n, err
}

// limitedWriter keeps the beginning of what is written.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if n > 0 {
		if _, err := l.w.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

type commandCopy struct {
	*io.SectionReader
	f     *os.File
	state deltafile.State
}

func (c *commandCopy) State() deltafile.State { return c.state }
func (c *commandCopy) Close() error           { return c.f.Close() }
