package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxLine bounds a line of input, in bytes.
const maxLine = 64 << 10

var (
	errLineTooLong = errors.New("line too long")
	errMismatch    = messagef("Password mismatch")
	errNoPassword  = messagef("Cannot read password")
)

// console is what a command reads from and writes to. Output is buffered and flushed before
// each read and by flush.
type console struct {
	out *bufio.Writer
	err io.Writer

	in  *bufio.Reader  // when nobody sits at it
	tty *term.Terminal // when somebody does
	fd  int
}

func newConsole(stdin io.Reader, stdout, stderr io.Writer) *console {
	c := &console{out: bufio.NewWriter(stdout), err: stderr}
	if f, ok := stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.fd = int(f.Fd())
		screen := io.Writer(f) // a prompt must not end up in what output was redirected to
		if o, ok := stdout.(*os.File); ok && term.IsTerminal(int(o.Fd())) {
			screen = o
		}
		c.tty = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{f, screen}, "")
		return c
	}
	c.in = bufio.NewReaderSize(stdin, maxLine)
	return c
}

// terminal reports whether a person sits at the console.
func (c *console) terminal() bool { return c.tty != nil }

func (c *console) flush() { _ = c.out.Flush() }

func (c *console) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// errorf writes to standard error, after what was printed before.
func (c *console) errorf(format string, args ...any) {
	c.flush()
	fmt.Fprintf(c.err, format, args...)
}

// ask prints a question and reads the line that answers it.
func (c *console) ask(question string) (string, error) {
	if c.tty != nil {
		return c.raw(func() (string, error) {
			c.tty.SetPrompt(question)
			return c.tty.ReadLine()
		})
	}
	c.printf("%s", question)
	return c.line()
}

// line reads one line without its end. The last line may lack one; io.EOF when there is none.
func (c *console) line() (string, error) {
	c.flush()
	b, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLineTooLong
	case err != nil && len(b) == 0:
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// raw runs fn with the terminal in raw mode, which line editing needs.
func (c *console) raw(fn func() (string, error)) (string, error) {
	c.flush()
	state, err := term.MakeRaw(c.fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(c.fd, state) }()
	if w, h, err := term.GetSize(c.fd); err == nil && w > 0 {
		_ = c.tty.SetSize(w, h)
	}
	return fn()
}

// password asks for a secret, without echo at a terminal.
func (c *console) password(prompt string) ([]byte, error) {
	var s string
	var err error
	if c.tty != nil {
		s, err = c.raw(func() (string, error) { return c.tty.ReadPassword(prompt + ": ") })
	} else {
		c.printf("%s: ", prompt)
		s, err = c.line()
		c.printf("\n")
	}
	if errors.Is(err, io.EOF) {
		err = errNoPassword
	}
	return []byte(s), err
}

// newPassword asks twice; errMismatch if the answers differ.
func (c *console) newPassword(first, second string) ([]byte, error) {
	a, err := c.password(first)
	if err != nil {
		return nil, err
	}
	b, err := c.password(second)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(a, b) {
		return nil, errMismatch
	}
	return a, nil
}
