package deltafile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// held counts the descriptors that this process has of files in a directory.
func held(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && filepath.Dir(name) == dir {
			n++
		}
	}
	return n
}

// A Tail that is closed holds its file no longer, whether somebody reads from it just then or not: a
// file that was cut meanwhile would keep its room on the disk.
func TestTailLetsGo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "delta")
	base := Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0))
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cs, err := Encode(base, time.Unix(1700000000, 0), []byte("delprinc\t1\tx\t;\n"))
	if err == nil {
		err = a.Reset(t.Context(), base)
	}
	if err == nil {
		_, err = a.AppendRaw(t.Context(), []*Changeset{cs})
	}
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	for _, reading := range []bool{false, true} {
		tail, err := OpenTail(path, base)
		if err != nil {
			t.Fatal(err)
		}
		if css, err := tail.Next(t.Context()); err != nil || len(css) != 1 || held(t, dir) != 1 {
			t.Fatalf("%d, %v, %d files", len(css), err, held(t, dir))
		}
		ended := make(chan error, 1)
		if reading {
			go func() {
				_, err := tail.Next(context.Background())
				ended <- err
			}()
			<-time.After(time.Millisecond)
		} else {
			ended <- ErrClosed
		}
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if n := held(t, dir); n != 0 {
			t.Errorf("reading %v: closed, and %d files are open", reading, n)
		}
	}
}
