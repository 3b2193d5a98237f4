package deltafile

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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleEnv makes the test binary play a part in a test of several processes.
const roleEnv = "DELTAFILE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(strings.Fields(role)); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play runs a part: "writer DIR COUNT" commits and appends, "spooler DIR" appends, syncs and
// reports until it is killed. COUNT 0 means for ever.
func play(role []string) error {
	switch role[0] {
	case "writer":
		count, err := strconv.Atoi(role[2])
		if err != nil {
			return err
		}
		return playWriter(role[1], count)
	case "spooler":
		return playSpooler(role[1])
	}
	return errors.New("unknown role")
}

// diskOutbox is a database that several processes change: a file of changesets under its own
// lock. It is a file of the format too, but handled with plain system calls.
type diskOutbox struct{ path string }

// with runs fn with the lock held and the present content.
func (d diskOutbox) with(fn func(f *os.File, base State, css []*Changeset) error) error {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return err
	}
	image, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	base, css, good, err := readBytes(image)
	if errors.Is(err, ErrIncomplete) { // a writer was killed within its commit
		err = f.Truncate(good)
	}
	if err != nil {
		return err
	}
	return fn(f, base, css)
}

// commit adds one changeset and returns its serial.
func (d diskOutbox) commit() (n uint64, err error) {
	err = d.with(func(f *os.File, base State, css []*Changeset) error {
		last := base
		if len(css) > 0 {
			last = base.After(css[len(css)-1])
		}
		n = last.Serial + 1
		cs, err := Encode(last, time.Unix(int64(n), 0), bytes.Repeat(testLine(int(n)), 1+int(n%7)))
		if err != nil {
			return err
		}
		_, err = f.Write(cs.Raw)
		return err
	})
	return n, err
}

func (d diskOutbox) fetch(after State) (css []*Changeset, err error) {
	err = d.with(func(_ *os.File, base State, all []*Changeset) error {
		css = all[after.Serial-base.Serial:]
		return nil
	})
	return css, err
}

func playWriter(dir string, count int) error {
	a, err := OpenAppender(filepath.Join(dir, "delta"), AppenderOptions{})
	if err != nil {
		return err
	}
	d := diskOutbox{filepath.Join(dir, "outbox")}
	for i := 0; count == 0 || i < count; i++ {
		n, err := d.commit()
		if err != nil {
			return err
		}
		s, err := a.Append(context.Background(), testBase(), d.fetch)
		if err != nil {
			return err
		}
		if s.Serial < n {
			return fmt.Errorf("committed %d, the file ends at %d", n, s.Serial)
		}
		fmt.Println(n)
	}
	return a.Close()
}

func playSpooler(dir string) error {
	ctx := context.Background()
	a, err := OpenAppender(filepath.Join(dir, "delta"), AppenderOptions{})
	if err != nil {
		return err
	}
	s, damage, err := a.Recover(ctx)
	if errors.Is(err, os.ErrNotExist) {
		s, err = testBase(), a.Reset(ctx, testBase())
	}
	if err = errors.Join(err, damage, a.Sync()); err != nil {
		return err
	}
	for fmt.Println(s.Serial); ; fmt.Println(s.Serial) {
		cs, err := Encode(s, time.Unix(1, 0), bytes.Repeat(testLine(int(s.Serial+1)), 100))
		if err != nil {
			return err
		}
		if s, err = a.AppendRaw(ctx, []*Changeset{cs}); err != nil {
			return err
		}
		if err = a.Sync(); err != nil {
			return err
		}
		if s.Serial%5 == 0 {
			if _, err = a.Truncate(ctx, s.Epoch, s.Serial-3); err != nil {
				return err
			}
		}
	}
}

// actor is a running part.
type actor struct {
	cmd *exec.Cmd
	out *bufio.Scanner
	err bytes.Buffer
}

func start(t testing.TB, role ...string) *actor {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &actor{cmd: exec.CommandContext(t.Context(), exe, "-test.run=^$")}
	a.cmd.Env = append(os.Environ(), roleEnv+"="+strings.Join(role, " "))
	a.cmd.Stderr = &a.err
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.out = bufio.NewScanner(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// next is the serial the actor reports next, 0 at its end.
func (a *actor) next(t testing.TB) uint64 {
	t.Helper()
	if !a.out.Scan() {
		return 0
	}
	n, err := strconv.ParseUint(a.out.Text(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kill ends the actor as kill -9 does, and returns the last serial it reported.
func (a *actor) kill(t testing.TB) (last uint64) {
	t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for n := a.next(t); n != 0; n = a.next(t) {
		last = n
	}
	_ = a.cmd.Wait() // it was killed
	return last
}

func newDiskOutbox(t testing.TB, dir string) diskOutbox {
	t.Helper()
	d := diskOutbox{filepath.Join(dir, "outbox")}
	if err := os.WriteFile(d.path, appendHead(nil, testBase()), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// truncateRead drops from the file what a tail has read, again and again until ctx ends.
func truncateRead(ctx context.Context, path string, tail *Tail) error {
	for ctx.Err() == nil {
		s := tail.Last()
		if s.IsZero() {
			continue
		}
		if _, err := Truncate(ctx, path, s.Epoch, s.Serial); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// TestProcesses: several processes append to one file, some are killed and followed by others,
// a truncator drops what a tail has read - and the tail reads every changeset once, in order.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	d := newDiskOutbox(t, dir)
	path := filepath.Join(dir, "delta")
	tail, err := OpenTail(path, State{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	truncated := make(chan error, 1)
	go func() { truncated <- truncateRead(ctx, path, tail) }()
	batches := make(chan []*Changeset, 10000) // more than there will be
	go func() {
		defer close(batches)
		for {
			css, err := tail.Next(ctx)
			if err != nil {
				if ctx.Err() == nil {
					t.Error("tail:", err)
				}
				return
			}
			batches <- css
		}
	}()

	const steady, each = 3, 60
	var writers [steady]*actor
	for i := range writers {
		writers[i] = start(t, "writer", dir, strconv.Itoa(each))
	}
	for range 4 { // one after the other is killed while it writes
		w := start(t, "writer", dir, "0")
		for range 10 {
			w.next(t)
		}
		w.kill(t)
	}
	for _, w := range writers {
		for w.next(t) != 0 {
		}
		if err := w.cmd.Wait(); err != nil {
			t.Errorf("writer: %v\n%s", err, w.err.Bytes())
		}
	}
	// The last of the killed may have committed what nobody appended since.
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := a.Append(ctx, testBase(), d.fetch)
	if err != nil {
		t.Fatal(err)
	}
	var got []*Changeset
	for uint64(len(got)) < last.Serial {
		css, ok := <-batches
		if !ok {
			t.Fatal("the tail has ended")
		}
		got = append(got, css...)
	}
	cancel()
	if err := <-truncated; err != nil {
		t.Error("truncate:", err)
	}
	checkProcesses(t, d, got, last)
	if err := errors.Join(a.Close(), tail.Close()); err != nil {
		t.Error(err)
	}
}

func checkProcesses(t *testing.T, d diskOutbox, got []*Changeset, last State) {
	t.Helper()
	err := d.with(func(_ *os.File, _ State, want []*Changeset) error {
		if len(want) < 3*60+4*10 || len(got) != len(want) {
			return fmt.Errorf("%d changesets committed, %d read", len(want), len(got))
		}
		for i := range want {
			if !bytes.Equal(got[i].Raw, want[i].Raw) {
				return fmt.Errorf("changeset %d read at place %d", got[i].Serial, i+1)
			}
		}
		if end := want[len(want)-1]; end.Serial != last.Serial || end.Hash != last.Hash {
			return fmt.Errorf("the file ends at %v, the outbox at %d", last, end.Serial)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestKilledSpooler kills a spool's writer again and again, at whatever it is doing: what it
// had reported as synced is there for the next.
func TestKilledSpooler(t *testing.T) {
	dir := t.TempDir()
	reported := uint64(0)
	for round := range 25 {
		s := start(t, "spooler", dir)
		first := s.next(t)
		if first < reported {
			t.Fatalf("round %d: begins at %d, reported was %d\n%s", round, first, reported, s.err.Bytes())
		}
		reported = first
		for range round % 8 {
			reported = max(reported, s.next(t))
		}
		reported = max(reported, s.kill(t))
		if s.err.Len() > 0 {
			t.Fatalf("round %d: %s", round, s.err.Bytes())
		}
		r, err := Check(filepath.Join(dir, "delta"))
		if reported == 0 && errors.Is(err, os.ErrNotExist) {
			continue // killed before it had begun a file
		}
		if err != nil || r.Last.Serial < reported {
			t.Fatalf("round %d: %+v, %v; reported %d", round, r, err, reported)
		}
	}
}
