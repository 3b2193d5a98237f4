package testrealm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds the wait for a server's readiness line.
const startTimeout = 30 * time.Second

// ready is what every server of the field prints on stderr once it answers.
const ready = ": starting..."

// Process is a server that was started and, until it ended, runs.
type Process struct {
	Name string // "slave1 krepd"
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
	err  error // of Wait; set before done is closed
}

// start runs a program as the leader of a process group of its own. Its stderr and stdout go to
// logFile and to memory. It returns when the words of readiness have appeared; a program that ends or
// stays silent before that is an error that carries what it wrote.
func start(ctx context.Context, name, logFile, words string, cmd *exec.Cmd) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(logFile), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, cmd: cmd, log: newLogBuffer(), done: make(chan struct{})}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // a child that keeps the pipe open does not hold Wait
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("testrealm: %s: %w", name, err), file.Close())
	}
	go func() {
		defer file.Close()
		p.log.follow(io.TeeReader(reader, file))
	}()
	go func() {
		p.err = cmd.Wait()
		_ = writer.Close()
		<-p.log.closed
		close(p.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := p.WaitLog(ctx, words); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is everything the process has written so far.
func (p *Process) Log() string { return p.log.String() }

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitLog returns when the process has written text, whenever that was; the process ending
// without having written it, or the context ending, is an error.
func (p *Process) WaitLog(ctx context.Context, text string) error {
	for {
		have, changed := p.log.state()
		if strings.Contains(have, text) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			if strings.Contains(p.Log(), text) {
				return nil
			}
			return fmt.Errorf("testrealm: %s ended (%v) without %q; it wrote:\n%s", p.Name, p.err, text, p.Log())
		case <-ctx.Done():
			return fmt.Errorf("testrealm: %s: %w while waiting for %q; it wrote:\n%s", p.Name, ctx.Err(), text, p.Log())
		}
	}
}

// WaitExit returns the exit status, or an error when the context ends first.
func (p *Process) WaitExit(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("testrealm: %s still runs: %w; it wrote:\n%s", p.Name, ctx.Err(), p.Log())
	}
}

// Kill ends the process and its group with SIGKILL and waits for its end.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop asks the process to end (SIGTERM), waits up to ten seconds, then kills it. It reports the
// exit status; -1 means that it had to be killed.
func (p *Process) Stop() int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = syscall.Kill(-p.Pid(), syscall.SIGTERM)
	status, err := p.WaitExit(ctx)
	if err != nil {
		p.Kill()
		return -1
	}
	return status
}

func (p *Process) signal(s syscall.Signal) {
	if p.Running() { // else its number may be somebody else's by now
		_ = syscall.Kill(-p.Pid(), s)
	}
	<-p.done
}

// logBuffer collects lines and tells those who wait that there are more.
type logBuffer struct {
	closed chan struct{}

	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	changed chan struct{}
}

func newLogBuffer() *logBuffer {
	return &logBuffer{closed: make(chan struct{}), changed: make(chan struct{})}
}

func (b *logBuffer) follow(r io.Reader) {
	defer close(b.closed)
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		b.mu.Lock()
		b.text.Write(line)
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (b *logBuffer) state() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String(), b.changed
}

func (b *logBuffer) String() string {
	s, _ := b.state()
	return s
}
