package deltafile

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A FileWatch wakes for its file, whatever has the name, and for nothing beside it.
func TestWatchFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	path := filepath.Join(dir, "delta")
	if _, err := WatchFile(path); err == nil {
		t.Error("a file in a missing directory is watched")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string) { must(os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600)) }
	must(os.Mkdir(dir, 0o700))
	w, err := WatchFile(path)
	must(err)
	f, err := os.Create(path) // the name appears
	must(err)
	<-w.C()
	steps := map[string]func(){
		"written":   func() { _, err := f.Write([]byte("x")); must(err) },
		"cut":       func() { must(f.Truncate(0)) },
		"replaced":  func() { write("new"); must(os.Rename(filepath.Join(dir, "new"), path)) },
		"new one":   func() { write("delta") },
		"taken off": func() { must(os.Remove(path)) },
		"again":     func() { write("delta") },
	}
	for _, name := range []string{"written", "cut", "replaced", "new one", "taken off", "again"} {
		steps[name]()
		select {
		case <-w.C():
		case <-time.After(time.Minute):
			t.Fatalf("not woken when the file was %s", name)
		}
	}
	// The events so far are read before those that follow: a last one of the file comes behind them.
	for range 100 {
		write("beside")
	}
	_, err = f.Write([]byte("nobody's any more")) // had the name once
	must(err)
	write("delta")
	<-w.C()

	// The directory goes away and another comes in its place: the watch finds it.
	must(f.Close())
	must(os.RemoveAll(dir))
	<-w.C()
	must(os.Mkdir(dir, 0o700))
	for done := false; !done; {
		write("delta")
		select {
		case <-w.C():
			done = true
		case <-time.After(defaultPoll / 8):
		}
	}
	must(w.Close())
	select {
	case <-w.done:
	default:
		t.Error("the goroutine is still there")
	}
}

// What events of the kernel mean.
func TestWatchEvents(t *testing.T) {
	w := &FileWatch{base: []byte("delta"), dirWatch: 1, fileWatch: 2}
	raw := func(wd int32, mask uint32, name string) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(wd))
		b = binary.NativeEndian.AppendUint32(b, mask)
		b = binary.NativeEndian.AppendUint32(b, 0)
		padded := append([]byte(name), make([]byte, 16-len(name))...)
		if name == "" {
			padded = nil
		}
		return append(binary.NativeEndian.AppendUint32(b, uint32(len(padded))), padded...)
	}
	behind := raw(9, unix.IN_MODIFY, "")
	for name, c := range map[string]struct {
		b    []byte
		want event
	}{
		"written":        {raw(2, unix.IN_MODIFY, ""), event{wake: true}},
		"given a name":   {raw(1, unix.IN_MOVED_TO, "delta"), event{true, true}},
		"another's name": {raw(1, unix.IN_MOVED_TO, "delta2"), event{}},
		"shorter name":   {raw(1, unix.IN_CREATE, "delt"), event{}},
		"gone":           {raw(2, unix.IN_IGNORED, ""), event{true, true}},
		"old file":       {raw(3, unix.IN_MODIFY, ""), event{}},
		"directory gone": {raw(1, unix.IN_DELETE_SELF, ""), event{true, true}},
		"overflow":       {raw(-1, unix.IN_Q_OVERFLOW, ""), event{true, true}},
	} {
		got, rest := w.event(append(c.b, behind...))
		if got != c.want || !bytes.Equal(rest, behind) {
			t.Errorf("%s: %+v, %d octets left, want %+v and %d", name, got, len(rest), c.want, len(behind))
		}
	}
}
