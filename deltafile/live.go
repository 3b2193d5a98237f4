package deltafile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errNoHead is a file that is empty or ends within its head: nobody has begun it yet.
var errNoHead = errors.New("file without a complete head")

// cutPatience is how long a failed sync waits for the file's lock.
const cutPatience = time.Second

// refresh opens the file behind the path if need be, takes its lock, finds its last state and
// cuts a torn tail. On nil, errNoHead and *FormatError the lock is held; a.known says
// whether a.end tells where the good part ends. fs.ErrNotExist: no file, no lock.
func (a *Appender) refresh(ctx context.Context) error {
	size, err := a.lock(ctx)
	if err != nil {
		return err
	}
	if a.known && size < a.end.off { // somebody has cut into what was complete
		a.known = false
	}
	if !a.known {
		a.end, err = findEnd(a.file, a.path, size, a.verify)
		a.known = a.end.head > 0
		a.group.found(a.file, true)
	} else if size > a.end.off {
		s := scanner{f: a.file, name: a.path, state: a.end.state, off: a.end.off, reuse: true}
		_, err = s.run(size)
		if s.off > a.end.off {
			a.group.found(a.file, false)
		}
		a.end.state, a.end.off = s.state, s.off
	}
	if !errors.Is(err, ErrIncomplete) {
		return err
	}
	if !a.known {
		return errNoHead
	}
	if err := a.file.Truncate(a.end.off); err != nil {
		return fmt.Errorf("cut torn tail: %w", err)
	}
	return nil
}

// lock takes the lock of the file that path names now and returns its size. A lock won on a
// file that has been replaced meanwhile is worth nothing: it begins again with the new one.
func (a *Appender) lock(ctx context.Context) (int64, error) {
	for {
		if a.file == nil {
			f, err := a.fsys.OpenAppend(a.path)
			if err != nil {
				return 0, err
			}
			a.file, a.known = f, false
		}
		if err := a.file.Lock(ctx); err != nil {
			return 0, err
		}
		mine, err := a.file.Stat()
		if err != nil {
			return 0, err
		}
		now, err := a.fsys.Stat(a.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if err == nil && now.Dev == mine.Dev && now.Ino == mine.Ino {
			return mine.Size, nil
		}
		a.drop()
	}
}

// write appends css, which must follow the last state. The lock is held. When a write fails,
// what it left is cut off; should that fail too, it is a torn tail for the next to cut.
func (a *Appender) write(css []*Changeset) error {
	last, err := follow(a.end.state, css)
	if err != nil || len(css) == 0 {
		return err
	}
	start := a.end.off
	if err := writeAll(a.file, css); err != nil {
		a.known = false
		if terr := a.file.Truncate(start); terr != nil {
			err = errors.Join(err, terr)
		}
		return err
	}
	for _, cs := range css {
		a.end.off += int64(len(cs.Raw))
	}
	a.end.state = last
	a.group.wrote(a.file, start, a.end.off)
	return nil
}

// cutUnsynced takes back, after a failed sync, what this Appender alone wrote since the last
// good one, if it is still the end of the file.
func (a *Appender) cutUnsynced(ctx context.Context) error {
	if _, err := a.lock(ctx); err != nil {
		return err
	}
	from, to, ok := a.group.lost(a.file)
	info, err := a.file.Stat()
	if err != nil || !ok || info.Size != to {
		return err
	}
	a.known = false
	return a.file.Truncate(from)
}

// writeAll writes changesets in pieces of about writePiece.
func writeAll(w io.Writer, css []*Changeset) error {
	var buf []byte
	for i, cs := range css {
		if len(css) == 1 {
			buf = cs.Raw
		} else {
			buf = append(buf, cs.Raw...)
		}
		if len(buf) < writePiece && i < len(css)-1 {
			continue
		}
		n, err := w.Write(buf)
		if err == nil && n < len(buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		buf = buf[:0]
	}
	return nil
}

// content is what a new file is to hold: a head, bytes [from, to) of the present file, then
// changesets. last is the state after all of it.
type content struct {
	base     State
	from, to int64
	css      []*Changeset
	last     State
}

// draft is a new file that has not got its name yet: complete, synced and locked.
type draft struct {
	tmp  string
	file File
	end  fileEnd
}

// create makes the missing file: complete under another name, then linked to its own, which
// fails with fs.ErrExist if somebody else was faster. The new file's lock is held before the
// name appears.
func (a *Appender) create(ctx context.Context, c content) error {
	d, err := a.draft(ctx, c)
	if err != nil {
		return err
	}
	err = a.fsys.Link(d.tmp, a.path)
	if errors.Is(err, fs.ErrNotExist) { // swept away: somebody else was faster
		err = fs.ErrExist
	}
	if err != nil {
		return a.discard(d, err)
	}
	if err := a.fsys.Remove(d.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = d.file.Close()
		return err
	}
	return a.adopt(d)
}

// replaceWith returns a function that puts a new file in the place of the present one, whose
// lock is held. With a suffix the old file is kept under NAME.SUFFIX.
func (a *Appender) replaceWith(suffix string) func(context.Context, content) error {
	return func(ctx context.Context, c content) error {
		d, err := a.draft(ctx, c)
		if err != nil {
			return err
		}
		if suffix != "" {
			if err := a.keep(suffix); err != nil {
				return a.discard(d, err)
			}
		}
		return a.install(d)
	}
}

// install renames a draft over the present file, whose lock is held: the path names one or the
// other, complete, at every moment.
func (a *Appender) install(d draft) error {
	if err := a.fsys.Rename(d.tmp, a.path); err != nil {
		return a.discard(d, err)
	}
	return a.adopt(d)
}

// draft writes a new file under a random name, for not everybody who does holds a lock.
func (a *Appender) draft(ctx context.Context, c content) (draft, error) {
	var r [8]byte
	_, _ = rand.Read(r[:]) // never fails
	d := draft{tmp: a.sibling(draftPrefix + hex.EncodeToString(r[:]))}
	f, err := a.fsys.Create(d.tmp)
	if err != nil {
		return draft{}, a.nameless(d, err)
	}
	d.file = f
	if d.end, err = a.fill(ctx, f, c); err != nil {
		return draft{}, a.discard(d, a.nameless(d, err))
	}
	return d, nil
}

// nameless takes a draft's random name out of an error: trouble that lasts is to read the same each time.
func (a *Appender) nameless(d draft, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == d.tmp {
		return &fs.PathError{Op: pe.Op, Path: a.sibling(draftPrefix + "*"), Err: pe.Err}
	}
	return err
}

// discard gives a draft up because of err.
func (a *Appender) discard(d draft, err error) error {
	_ = d.file.Close()
	if rerr := a.fsys.Remove(d.tmp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// fill writes the content of a new file.
func (a *Appender) fill(ctx context.Context, f File, c content) (fileEnd, error) {
	if err := f.Lock(ctx); err != nil {
		return fileEnd{}, err
	}
	head := appendHead(nil, c.base)
	if _, err := f.Write(head); err != nil {
		return fileEnd{}, err
	}
	if c.to > c.from {
		if err := copyRange(f, a.file, c.from, c.to); err != nil {
			return fileEnd{}, err
		}
	}
	if err := writeAll(f, c.css); err != nil {
		return fileEnd{}, err
	}
	end := fileEnd{base: c.base, head: int64(len(head)), state: c.last}
	end.off = end.head + c.to - c.from
	for _, cs := range c.css {
		end.off += int64(len(cs.Raw))
	}
	return end, f.Sync()
}

// copyRange copies bytes [from, to) of src to the end of dst.
func copyRange(dst io.Writer, src io.ReaderAt, from, to int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{dst}, io.NewSectionReader(src, from, to-from), make([]byte, 1<<20))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// adopt makes a draft that has just got its name the open file, and the name durable. Should
// that fail it is not known which file a power cut leaves: no later sync may succeed.
func (a *Appender) adopt(d draft) error {
	if a.file != nil {
		a.group.retire(a.file)
	}
	a.file, a.end, a.known = d.file, d.end, true
	if err := a.group.syncDir(); err != nil {
		a.group.fail(fmt.Errorf("deltafile: sync of the directory: %w", err))
		return err
	}
	a.group.replaced(d.file)
	a.sweep()
	return nil
}

// draftPrefix begins the suffix of files that have not got their name yet.
const draftPrefix = "new-"

// sweep removes drafts that a crash has left behind. One that is being made will find itself
// gone, and another file behind the path. A failure leaves them for the next time.
func (a *Appender) sweep() {
	dir := filepath.Dir(a.path)
	names, err := a.fsys.Names(dir)
	if err != nil {
		return
	}
	prefix := filepath.Base(a.sibling(draftPrefix))
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			_ = a.fsys.Remove(filepath.Join(dir, name))
		}
	}
}

// keep gives the present file a second name, NAME.SUFFIX or NAME.SUFFIX.N, under which it
// outlives its replacement.
func (a *Appender) keep(suffix string) error {
	mine, err := a.file.Stat()
	if err != nil {
		return err
	}
	name := a.path + "." + suffix
	for n := 1; n < 1000; n++ {
		err = a.fsys.Link(a.path, name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		there, err := a.fsys.Stat(name)
		if err == nil && there.Dev == mine.Dev && there.Ino == mine.Ino {
			return nil // a crash came between the link and the rename
		}
		name = a.path + "." + suffix + "." + strconv.Itoa(n)
	}
	return err
}

// sibling is a hidden name beside the file.
func (a *Appender) sibling(suffix string) string {
	return filepath.Join(filepath.Dir(a.path), "."+filepath.Base(a.path)+"."+suffix)
}
