package deltafile

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// noRoomFS is the real file system on a full disk: new files can be made, and not written to.
type noRoomFS struct{ FS }

func (n noRoomFS) Create(name string) (File, error) {
	f, err := n.FS.Create(name)
	return noRoomFile{f, name}, err
}

type noRoomFile struct {
	File
	name string
}

func (f noRoomFile) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC} // as os.File has it
}

// Trouble with a file that has not got its name yet reads the same each time: who waits it out tells it once.
func TestDraftErrorsAreAlike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	a, err := OpenAppender(path, AppenderOptions{FS: noRoomFS{OSFS}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	base := Initial("EXAMPLE.ORG", 7, time.Unix(1700000000, 0))
	var said [2]string
	for i := range said {
		err := a.Reset(t.Context(), base)
		if !IsFull(err) || !strings.Contains(err.Error(), path) {
			t.Fatal(err)
		}
		said[i] = err.Error()
	}
	if said[0] != said[1] {
		t.Errorf("%s\n%s", said[0], said[1])
	}
}
