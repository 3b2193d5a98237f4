package deltafile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// foreignAppend appends one changeset as docs/formats/delta.md tells a writer in another
// language to: with system calls and string handling, and nothing of this package.
func foreignAppend(path, line string) error {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0) // step 1
		if err != nil {
			return err
		}
		for err = unix.EINTR; err == unix.EINTR; { // step 2
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		var mine, now unix.Stat_t // step 3
		if err == nil {
			err = unix.Fstat(int(f.Fd()), &mine)
		}
		if err == nil {
			err = unix.Stat(path, &now)
		}
		if err == nil && mine.Ino != now.Ino {
			_ = f.Close()
			continue
		}
		if err == nil {
			err = foreignWrite(f, line)
		}
		if cerr := f.Close(); err == nil { // step 7
			err = cerr
		}
		return err
	}
}

func foreignWrite(f *os.File, line string) error {
	b, err := io.ReadAll(f) // step 4; only the end is needed
	if err != nil {
		return err
	}
	text := string(b)
	serial, last := 0, ""
	if i := strings.LastIndex(text, "\nend\t"); i >= 0 {
		if _, err := fmt.Sscanf(text[i+1:], "end\t%d\tsha256\t%64s", &serial, &last); err != nil {
			return err
		}
	} else {
		fields := strings.Split(strings.Split(text, "\n")[1], "\t")
		if _, err := fmt.Sscan(fields[4], &serial); err != nil {
			return err
		}
		last = fields[7]
	}
	prev, err := hex.DecodeString(last)
	if err != nil {
		return err
	}
	framed := fmt.Sprintf("begin\t%d\t1700000000\t0\t1\t%d\t;\n%s", serial+1, len(line), line) // step 5
	sum := sha256.Sum256(append(prev, framed...))
	_, err = fmt.Fprintf(f, "%send\t%d\tsha256\t%x\t;\n", framed, serial+1, sum) // step 6
	return err
}

// TestForeignWriter lets writers that know only the document append while the file is truncated
// and followed.
func TestForeignWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Reset(t.Context(), testBase()); err != nil {
		t.Fatal(err)
	}
	tail, err := OpenTail(path, State{})
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := foreignAppend(path, string(testLine(1000*w+i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := make(map[int]int)
	for n := 0; n < writers*each; {
		css, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, cs := range css {
			var w, i int
			if _, err := fmt.Sscanf(string(cs.Lines), "delprinc\t20\tu%04d%03d@", &w, &i); err != nil {
				t.Fatal(err)
			}
			if want := testLine(1000*w + next[w]); !bytes.Equal(cs.Lines, want) {
				t.Fatalf("writer %d: %q, want %q", w, cs.Lines, want)
			}
			next[w]++
			n++
		}
		if _, err := a.Truncate(t.Context(), testEpoch, tail.Last().Serial); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
