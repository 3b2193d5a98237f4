package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"krealm/internal/sdnotify"
)

// A KDC that is to run in the background starts itself again in a session of its own. The
// child says over a pipe that it is ready, or why not; the parent waits for that, so that
// whoever started it sees errors and an exit status.

// daemonEnv tells the child what it is, and how many sockets of a service manager it has been
// handed; they come first, its report goes to the descriptor behind them.
const daemonEnv = "KREALM_KDC_DAEMON"

// readyWord is what the child writes when it serves; anything else is an error text.
const readyWord = "ready\n"

// report is the child's end of the pipe. A nil report says nothing.
type report struct{ w *os.File }

// daemonParent returns the way to report to the parent, nil if this process has none.
func daemonParent() *report {
	handed, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err != nil || handed < 0 {
		return nil
	}
	_ = os.Unsetenv(daemonEnv)
	if handed > 0 {
		sdnotify.Adopt()
	}
	fd := 3 + handed
	syscall.CloseOnExec(fd)
	return &report{w: os.NewFile(uintptr(fd), "report")}
}

func (r *report) ready() { r.send(readyWord) }

func (r *report) fail(err error) { r.send(err.Error() + "\n") }

// send reports once; later reports have nowhere to go.
func (r *report) send(text string) {
	if r == nil || r.w == nil {
		return
	}
	_, _ = io.WriteString(r.w, text)
	_ = r.w.Close()
	r.w = nil
}

// detach starts the child and returns when it is ready or has failed.
func detach(o *serveOptions, con *console, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", serveName, err)
		return 1
	}
	// Passwords are typed here: the child has no terminal.
	var typed bytes.Buffer
	for _, r := range o.realms {
		if r.manual {
			password, err := con.password(masterPrompt)
			if err != nil {
				return fail(err)
			}
			typed.Write(password)
			typed.WriteByte('\n')
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	sockets, err := sdnotify.Handed()
	if err != nil {
		return fail(err)
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer pr.Close()
	in, err := passwordPipe(typed.Bytes())
	if err != nil {
		return fail(err)
	}
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", daemonEnv, len(sockets)))
	cmd.Stdin = in
	cmd.ExtraFiles = append(sockets, pw)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = pw.Close()
	if in != nil {
		_ = in.Close()
	}
	if err != nil {
		return fail(err)
	}
	answer, err := io.ReadAll(io.LimitReader(pr, 64<<10))
	if err != nil {
		return fail(err)
	}
	if string(answer) == readyWord {
		_ = cmd.Process.Release()
		return 0
	}
	_ = cmd.Wait()
	if len(answer) == 0 {
		answer = []byte("the server ended before it was ready\n")
	}
	fmt.Fprintf(stderr, "%s: %s", serveName, answer)
	return 1
}

// passwordPipe returns a file that reads as the given lines, nil for none.
func passwordPipe(lines []byte) (*os.File, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(lines) // far less than a pipe holds
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}
