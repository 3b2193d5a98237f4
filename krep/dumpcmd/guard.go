package dumpcmd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// guard is a small process that leads a process group, in which a command is then started. All of the
// group ends with the command, and the guard ends it when this process ends, in whatever way: kill -9
// leaves nobody here to do it.
//
// It reads from a pipe whose other end only this process has. The kernel closes that end with the
// process, not before a child that was just forked has come as far as exec, and so is in the group.
// PR_SET_PDEATHSIG would reach the shell and not what the shell has started, on Linux only, and go
// off when the thread ends that has made the shell. Two things stay beyond the guard's reach: a process
// that has left the group (setsid, job control), and one of another user (sudo).
type guard struct {
	cmd  *exec.Cmd
	hold *os.File // the end of the pipe that nothing is written to
}

// guardScript ignores what a command may send its own group to tidy up, kill 0 say, and tells when it
// does.
const guardScript = `trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 TSTP TTIN TTOU; echo; read -r x; kill -s KILL 0`

// newGuard starts a guard, which the caller ends, and returns when it stands. It ends with ctx, as the
// whole group is about to.
func newGuard(ctx context.Context) (*guard, error) {
	wait, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = wait.Close() }()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", guardScript, "krep: ends the snapshot command when krep ends")
	cmd.Stdin = wait
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = hold.Close()
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &guard{cmd, hold}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		g.end()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

// member makes a process that is started with it one of the group.
func (g *guard) member() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: g.cmd.Process.Pid}
}

// kill ends all of the group. Its number is nobody else's before end.
func (g *guard) kill() error { return syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) }

// end ends the guard, and what a command that has ended has left in its group. It returns when the guard is
// gone.
func (g *guard) end() {
	_ = g.kill()
	_ = g.cmd.Wait() // says that it was killed
	_ = g.hold.Close()
}
