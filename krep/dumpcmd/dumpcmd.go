package dumpcmd

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
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

// Timeout is how long a command may run.
const Timeout = time.Hour

const (
	maxComplaints = 2000        // bytes of a command's standard error that are kept
	maxAttempts   = 3           // when new epochs begin meanwhile
	killWait      = time.Second // for the command's pipes to close once it was killed
)

// Reasons for which a copy is refused.
var (
	ErrVersion = errors.New("not a dump of version 7 (kdb5_util dump without -b7, -ov or -r13)")
	ErrRealm   = errors.New("not a dump of this realm")
	ErrEpochs  = errors.New("new epochs keep beginning while the command runs")
)

// Source makes full copies. Its methods may be called concurrently; each copy runs the command.
type Source struct {
	Command string // for /bin/sh -c
	Realm   string
	Delta   string // the delta file
	Dir     string // for the copies, which are files without a name, mode 0600
	Log     zerolog.Logger

	timeout time.Duration // 0: Timeout
}

// Copy is a dump in its frame. It is a file without a name until Close.
type Copy struct {
	*io.SectionReader
	f        *os.File
	from, to deltafile.State
}

// State is the end of the delta file before the command started: what the copy counts as.
func (c *Copy) State() deltafile.State { return c.from }

// UpTo is the end of the delta file after the command had ended. The copy may hold changes up to
// there, and those made and not yet appended by then.
func (c *Copy) UpTo() deltafile.State { return c.to }

// Close lets go of the file.
func (c *Copy) Close() error { return c.f.Close() }

// Take runs the command and returns what it wrote, checked strictly: every line must parse, and
// krbtgt/REALM@REALM must be among them. Errors are fs.ErrNotExist while there is no delta file,
// *deltafile.FormatError for a damaged one, *dumpfmt.SyntaxError with line and field, ErrVersion,
// ErrRealm, ErrEpochs, and what kept the command from ending well, with the beginning of what it
// wrote to standard error.
func (s *Source) Take(ctx context.Context) (*Copy, error) {
	for range maxAttempts {
		from, err := s.end(ctx)
		if err != nil {
			return nil, err
		}
		c, err := s.take(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("snapshot command: %w", err)
		}
		c.to, err = s.end(ctx)
		switch {
		case err != nil:
			return nil, errors.Join(err, c.Close())
		case c.to.Epoch == from.Epoch:
			s.Log.Info().Uint64("serial", from.Serial).Uint64("may_hold_up_to", c.to.Serial).Int64("bytes", c.Size()).
				Msg("snapshot command has made a dump")
			return c, nil
		}
		// The database was replaced meanwhile: nobody knows whether before or after the dump.
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("snapshot command: %w", ErrEpochs)
}

// end is the last state of the delta file, read under its lock.
func (s *Source) end(ctx context.Context) (at deltafile.State, err error) {
	a, err := deltafile.OpenAppender(s.Delta, deltafile.AppenderOptions{})
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	at, err = a.Last(ctx)
	if err == nil && at.Realm != s.Realm {
		err = fmt.Errorf("delta file %q is of realm %q: %w", s.Delta, at.Realm, deltafile.ErrRealm)
	}
	return at, err
}

func (s *Source) take(ctx context.Context, from deltafile.State) (c *Copy, err error) {
	f, err := os.CreateTemp(s.Dir, ".snapshot-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	size, err := s.run(ctx, f)
	if err != nil {
		return nil, err
	}
	lines, err := s.verify(ctx, io.NewSectionReader(f, deltafile.FullRoom, size))
	if err != nil {
		return nil, err
	}
	start, total, err := deltafile.SealFull(f, from, lines, size)
	if err != nil {
		return nil, err
	}
	return &Copy{SectionReader: io.NewSectionReader(f, start, total), f: f, from: from}, nil
}

// run runs the command with its output going to f, behind the room for the frame. The command is in
// a process group of its own, all of which is killed when ctx or the time ends, or this process.
func (s *Source) run(ctx context.Context, f *os.File) (size int64, err error) {
	limit := s.timeout
	if limit == 0 {
		limit = Timeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	g, err := newGuard(ctx)
	if err != nil {
		return 0, err
	}
	defer g.end()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.Command)
	cmd.SysProcAttr = g.member()
	cmd.Cancel = g.kill
	cmd.WaitDelay = killWait
	var complaints bytes.Buffer
	out := &counter{w: io.NewOffsetWriter(f, deltafile.FullRoom)}
	buffered := bufio.NewWriterSize(out, 256<<10)
	cmd.Stdout = buffered
	cmd.Stderr = &beginning{w: &complaints, left: maxComplaints}
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if flushErr := buffered.Flush(); err == nil {
		err = flushErr
	}
	if text := strings.TrimSpace(complaints.String()); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return out.size, err
}

// verify reads the dump as the slave will and returns its lines, header included.
func (s *Source) verify(ctx context.Context, dump io.Reader) (lines int64, err error) {
	r, err := dumpfmt.NewReader(dump)
	if err != nil {
		return 0, err
	}
	if r.Version() != dumpfmt.Current {
		return 0, ErrVersion
	}
	tgs := dumpfmt.Name{Realm: s.Realm, Components: []string{"krbtgt", s.Realm}}.String()
	found := false
	for {
		kind, name, _, err := r.NextLine()
		switch {
		case errors.Is(err, io.EOF) && !found:
			return 0, fmt.Errorf("%w: it has no %s", ErrRealm, tgs)
		case errors.Is(err, io.EOF):
			return int64(r.Line()), nil
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		found = found || kind == dumpfmt.KindPrincipal && name == tgs
	}
}

// counter counts what goes through.
type counter struct {
	w    io.Writer
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.size += int64(n)
	return n, err
}

// beginning keeps the beginning of what is written.
type beginning struct {
	w    io.Writer
	left int
}

func (b *beginning) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if n > 0 {
		if _, err := b.w.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
