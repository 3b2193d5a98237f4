package testrealm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runTimeout bounds one command; ours take milliseconds, a stock client that finds no KDC
// gives up after about 15 seconds.
const runTimeout = time.Minute

// Result is what a command left behind.
type Result struct {
	Args   []string
	Stdout string
	Stderr string
	Status int
}

// Err is nil for status 0, else an error with all the command wrote.
func (r Result) Err() error {
	if r.Status == 0 {
		return nil
	}
	return fmt.Errorf("%s: exit status %d\n%s%s", strings.Join(r.Args, " "), r.Status, r.Stdout, r.Stderr)
}

// Run runs a command on this host to its end with the given standard input. The error is for what
// kept it from running; a non-zero status is in the Result.
func (h *Host) Run(ctx context.Context, stdin, program string, args ...string) (Result, error) {
	return h.run(ctx, h.Env(), stdin, program, args...)
}

func (h *Host) run(ctx context.Context, env []string, stdin, program string, args ...string) (Result, error) {
	path, err := h.lookUp(h.realm.Bin, program)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	line := h.wrapped(path, args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.Env, cmd.Dir = env, h.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	r := Result{Args: append([]string{filepath.Base(path)}, args...), Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && ctx.Err() == nil:
		r.Status = exit.ExitCode()
	case err != nil:
		return r, fmt.Errorf("testrealm: %s: %w\n%s%s", strings.Join(r.Args, " "), errors.Join(err, ctx.Err()), r.Stdout, r.Stderr)
	}
	return r, nil
}

// Must is Run for commands that have to succeed: any status but 0 is an error.
func (h *Host) Must(ctx context.Context, stdin, program string, args ...string) (string, error) {
	r, err := h.Run(ctx, stdin, program, args...)
	if err != nil {
		return "", err
	}
	return r.Stdout, r.Err()
}

// Kadmin runs one kadmin.local query of ours. kadmin.local -q ends with status 0 whatever the
// query met, so anything on stderr that reads like its error ("... while ...") counts as one.
func (h *Host) Kadmin(ctx context.Context, query string) (string, error) {
	r, err := h.Run(ctx, "", "kdc", "kadmin.local", "-r", RealmName, "-q", query)
	if err != nil {
		return "", err
	}
	if r.Status == 0 && strings.Contains(r.Stderr, " while ") {
		r.Status = 1
	}
	return r.Stdout, r.Err()
}

// CopyFile copies a file to a new one with mode 0600.
func CopyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
