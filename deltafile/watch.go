package deltafile

import (
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

// DirWatch wakes its user when something in a directory changes. It is a hint and carries no
// meaning: truncation looks like an append, many changes come as one event, and some file
// systems report nothing. Its user looks for himself, and also looks now and then without being
// woken.
type DirWatch struct {
	dir  string
	w    *fsnotify.Watcher
	c    chan struct{}
	done chan struct{}
}

// WatchDir watches the directory dir, which must exist. A watch on a file would go deaf when
// the file is replaced by rename. If the directory itself goes away and comes back, the
// watch is set up again. One goroutine reads the events until Close, which waits for it.
func WatchDir(dir string) (*DirWatch, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("deltafile: watch %q: %w", dir, err)
	}
	if err := w.Add(dir); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("deltafile: watch %q: %w", dir, err)
	}
	d := &DirWatch{dir: dir, w: w, c: make(chan struct{}, 1), done: make(chan struct{})}
	go d.run()
	return d, nil
}

// C receives after each change; changes that come before it is read are one.
func (d *DirWatch) C() <-chan struct{} { return d.c }

// Close ends the watch and the goroutine behind it. C is not closed.
func (d *DirWatch) Close() error {
	err := d.w.Close()
	<-d.done
	return err
}

// run ends when the watcher is closed. Both of its channels must be read: an error nobody
// takes blocks the events behind it.
func (d *DirWatch) run() {
	defer close(d.done)
	var again <-chan time.Time // set while the watch is lost
	for {
		select {
		case ev, ok := <-d.w.Events:
			if !ok {
				return
			}
			if ev.Has(fsnotify.Remove|fsnotify.Rename) && len(d.w.WatchList()) == 0 {
				again = time.After(defaultPoll)
			}
		case _, ok := <-d.w.Errors: // an overflow, mostly: something was missed
			if !ok {
				return
			}
		case <-again:
			if again = nil; d.w.Add(d.dir) != nil {
				again = time.After(defaultPoll)
				continue
			}
		}
		select {
		case d.c <- struct{}{}:
		default:
		}
	}
}
