package dumpcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/dumpfmt"
)

const realm = "EXAMPLE.ORG"

func line(t *testing.T, rec dumpfmt.Record) []byte {
	t.Helper()
	b, err := rec.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dumpOf(t *testing.T, names ...string) string {
	t.Helper()
	text := []byte("kdb5_util load_dump version 7\n")
	for _, n := range names {
		text = append(text, line(t, &dumpfmt.Principal{Name: n + "@" + realm})...)
	}
	return string(text)
}

// bench is a delta file and room for a dump.
type bench struct {
	t    *testing.T
	path string // of the delta file
	dump string // file for commands to print
	log  bytes.Buffer
}

func newBench(t *testing.T, dump string) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "delta"), dump: filepath.Join(t.TempDir(), "dump")}
	if err := os.WriteFile(b.dump, []byte(dump), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// append adds n changes to the delta file, which it makes if need be.
func (b *bench) append(n int) deltafile.State {
	b.t.Helper()
	a, err := deltafile.OpenAppender(b.path, deltafile.AppenderOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Close()
	want := deltafile.Initial(realm, 7, time.Unix(1700000000, 0))
	var bodies [][]byte
	for range n {
		bodies = append(bodies, line(b.t, &dumpfmt.DeletePolicy{Name: "gone"}))
	}
	s, err := a.AppendLines(b.t.Context(), want, time.Unix(1700000000, 0), bodies...)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) source(command string) *Source {
	dir := filepath.Join(filepath.Dir(b.path), "copies")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	return &Source{Command: command, Realm: realm, Delta: b.path, Dir: dir, Log: zerolog.New(&b.log)}
}

func TestTake(t *testing.T) {
	dump := dumpOf(t, "K/M", "krbtgt/"+realm, "alice")
	b := newBench(t, dump)
	if _, err := b.source("cat " + b.dump).Take(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no delta file: %v", err)
	}
	at := b.append(3)
	c, err := b.source("cat " + b.dump).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	full, err := deltafile.ReadFull(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(full)
	if err != nil || string(got) != dump || full.Base != at || c.State() != at || c.UpTo() != at || full.NLines != 4 {
		t.Errorf("%d bytes at %v to %v, %v", len(got), full.Base, c.UpTo(), err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestTakeDuringChanges: the copy counts as of before the command, whatever was appended meanwhile.
func TestTakeDuringChanges(t *testing.T) {
	b := newBench(t, dumpOf(t, "krbtgt/"+realm))
	before := b.append(2)
	fifo := filepath.Join(filepath.Dir(b.path), "go")
	done := make(chan error, 1)
	ready := filepath.Join(filepath.Dir(b.path), "ready")
	s := b.source("mkfifo " + fifo + " && : >" + ready + " && read x <" + fifo + " && cat " + b.dump)
	var c *Copy
	go func() {
		var err error
		c, err = s.Take(t.Context())
		done <- err
	}()
	w, err := deltafile.WatchDir(filepath.Dir(b.path))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		select {
		case <-w.C():
		case err := <-done:
			t.Fatal(err)
		}
	}
	after := b.append(5)
	if err := os.WriteFile(fifo, []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.State() != before || c.UpTo() != after {
		t.Errorf("from %v up to %v, want %v and %v", c.State(), c.UpTo(), before, after)
	}
	if want := `"serial":2,"may_hold_up_to":7`; !strings.Contains(b.log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, &b.log)
	}
}

func TestTakeRefuses(t *testing.T) {
	good := dumpOf(t, "krbtgt/"+realm)
	for _, c := range []struct {
		name, dump, command string
		is                  error
		want                string
	}{
		{"fails", good, "echo no database >&2; exit 3", nil, "exit status 3: no database"},
		{"fails at last", good, "cat $DUMP; exit 1", nil, "exit status 1"},
		{"killed", good, "kill -9 $$", nil, "killed"},
		{"no dump", "hello\n", "cat $DUMP", nil, "header"},
		{"nothing", "", "true", nil, "header"},
		{"torn", good[:len(good)-1], "cat $DUMP", dumpfmt.ErrTorn, "line 2"},
		{"cut between lines, krbtgt missing", dumpOf(t, "K/M"), "cat $DUMP", ErrRealm, "krbtgt/EXAMPLE.ORG@EXAMPLE.ORG"},
		{"header alone", dumpOf(t), "cat $DUMP", ErrRealm, ""},
		{"of another realm", strings.ReplaceAll(good, realm, "EXAMPLE.NET"), "cat $DUMP", ErrRealm, ""},
		{"old version", strings.Replace(good, "version 7", "version 6", 1), "cat $DUMP", ErrVersion, ""},
		{"damaged line", good + "princ\t38\tx\n", "cat $DUMP", nil, "line 3, field 3"},
		{"a deletion", good + "delpolicy\t4\tgone\t;\n", "cat $DUMP", nil, "line 3"},
		{"much to say", good, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", nil, "xxx"},
		{"delta file replaced by something else", good, "cat $DUMP; echo no delta file >$DELTA", deltafile.ErrHeader, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.dump)
			b.append(1)
			t.Setenv("DUMP", b.dump)
			t.Setenv("DELTA", b.path)
			s := b.source(c.command)
			_, err := s.Take(t.Context())
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > maxComplaints+200 {
				t.Errorf("%.300v", err)
			}
			if left, err := os.ReadDir(s.Dir); err != nil || len(left) > 0 {
				t.Errorf("left behind %v, %v", left, err)
			}
		})
	}
}

// TestTakeNewEpoch: a dump during which the database was replaced is thrown away, and taken again.
func TestTakeNewEpoch(t *testing.T) {
	b := newBench(t, dumpOf(t, "krbtgt/"+realm))
	b.append(1)
	next := deltafile.Initial(realm, 8, time.Unix(1700000500, 0))
	other := filepath.Join(filepath.Dir(b.path), "other")
	a, err := deltafile.OpenAppender(other, deltafile.AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Reset(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DUMP", b.dump)
	t.Setenv("DELTA", b.path)
	c, err := b.source("cat $DUMP; if [ -e " + other + " ]; then mv " + other + " $DELTA; fi").Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.State() != next || strings.Count(b.log.String(), "has made a dump") != 1 {
		t.Errorf("%v\n%s", c.State(), &b.log)
	}
}

// TestMain is the test, or, for TestKilled, a process that makes a copy.
func TestMain(m *testing.M) {
	if command := os.Getenv("DUMPCMD_COMMAND"); command != "" {
		s := &Source{Command: command, Realm: realm, Delta: os.Getenv("DUMPCMD_DELTA"), Dir: os.TempDir(), Log: zerolog.Nop()}
		_, err := s.Take(context.Background())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestKilled: kill -9 leaves nothing behind of a command that hangs: not the shell, not what it has
// started, and no guard.
func TestKilled(t *testing.T) {
	b := newBench(t, "")
	b.append(1)
	r, w, err := os.Pipe() // its writers are all the processes that are to end
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "DUMPCMD_DELTA="+b.path,
		"DUMPCMD_COMMAND=trap '' TERM; sleep 1000 & kill 0; sleep 1000 & (sleep 1000; :) | cat & echo $$ >&3; sleep 1000; :")
	cmd.ExtraFiles = []*os.File{w} // 3
	cmd.Stderr = os.Stderr
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r)
	line, err := lines.ReadString('\n')
	if err := errors.Join(err, cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(lines); err != nil {
		t.Errorf("what the killed process had started is left: %v", err)
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
}

// TestLeftovers: what a command has left running in its process group ends with it, and so does not outlive
// krep, nor become more with each copy.
func TestLeftovers(t *testing.T) {
	b := newBench(t, dumpOf(t, "krbtgt/"+realm))
	b.append(1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "DUMPCMD_DELTA="+b.path, "DUMPCMD_COMMAND=echo $$ >&3; sleep 1000 >/dev/null 2>&1 & cat "+b.dump)
	cmd.ExtraFiles = []*os.File{w} // 3
	out, _ := cmd.CombinedOutput()
	if err := errors.Join(w.Close(), r.SetReadDeadline(time.Now().Add(10*time.Second))); err != nil {
		t.Fatal(err)
	}
	if string(out) != "<nil>\n" {
		t.Errorf("no copy: %s", out)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("what the command had started is left: %v", err)
	}
}

// TestTakeEnds: all the command has started is gone when the context ends.
func TestTakeEnds(t *testing.T) {
	b := newBench(t, "")
	b.append(1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := b.source("sleep 60 & sleep 60").Take(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// TestTooLong: of a command that hangs it is said that it did.
func TestTooLong(t *testing.T) {
	b := newBench(t, "")
	b.append(1)
	src := b.source("sleep 60")
	src.timeout = 100 * time.Millisecond
	_, err := src.Take(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "not done within 100ms") {
		t.Error(err)
	}
}
