package deltafile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// scanChunk is how much is read at once, in bytes; a longer changeset is read whole.
const scanChunk = 256 << 10

// scanner decodes the changesets of one file forward from a known state. It holds no bytes
// between calls: whatever was torn when it last looked is read again.
type scanner struct {
	f     io.ReaderAt
	name  string // for errors
	state State  // after the last changeset decoded
	off   int64  // where that one ends
	need  int64  // below this file size another try is pointless, while
	begin []byte // the line at off, or what there is of it, is still this
	reuse bool   // read into the same buffer again: changesets live until the next call
	buf   []byte
}

// batch decodes complete changesets from what stands before size, at least one unless it
// returns an error or there is nothing (nil, nil). ErrIncomplete: a torn or growing
// changeset stands at off. *FormatError: damage stands there.
func (s *scanner) batch(size int64) ([]*Changeset, error) {
	avail := size - s.off
	if avail <= 0 {
		return nil, nil
	}
	if size < s.need {
		same, err := s.sameBegin(avail)
		if err != nil {
			return nil, err
		}
		if same {
			return nil, ErrIncomplete
		}
		s.need = 0 // a torn changeset was cut off and another begun in its place
	}
	for want := min(avail, scanChunk); ; {
		buf, err := s.read(want)
		if err != nil {
			return nil, fmt.Errorf("deltafile: %w", err)
		}
		css, need, err := s.decode(buf)
		if len(css) > 0 {
			return css, nil
		}
		if !errors.Is(err, ErrIncomplete) {
			return nil, at(err, s.name, s.off)
		}
		if want == avail || int64(len(buf)) < want { // the file ends (or has shrunk) here
			s.need, s.begin = s.off+need, bytes.Clone(buf[:min(len(buf), maxBegin)])
			return nil, ErrIncomplete
		}
		want = min(avail, max(need+int64(maxEnd), 2*want))
	}
}

// sameBegin says whether the torn changeset at off is the one of the last try.
func (s *scanner) sameBegin(avail int64) (bool, error) {
	b := make([]byte, min(avail, int64(len(s.begin))))
	n, err := s.f.ReadAt(b, s.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("deltafile: %w", err)
	}
	return bytes.Equal(b[:n], s.begin), nil
}

// decode takes all complete changesets out of buf, which stands at off. Of an error behind a
// complete changeset it says nothing: the next call meets it first.
func (s *scanner) decode(buf []byte) (css []*Changeset, need int64, err error) {
	for n := 0; n < len(buf); {
		d := decoder{prev: s.state, raw: buf[n:]}
		cs, k, err := d.changeset()
		if err != nil {
			return css, d.need, err
		}
		css = append(css, cs)
		s.state = s.state.After(cs)
		s.off += int64(k)
		n += k
	}
	if len(css) == 0 {
		return nil, 1, ErrIncomplete
	}
	return css, 0, nil
}

func (s *scanner) read(n int64) ([]byte, error) {
	var b []byte
	if s.reuse && int64(cap(s.buf)) >= n {
		b = s.buf[:n]
	} else {
		b = make([]byte, n)
		s.buf = b
	}
	if !s.reuse {
		s.buf = nil
	}
	k, err := s.f.ReadAt(b, s.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:k], nil
}

// run decodes to the end and counts changesets; nil, ErrIncomplete or *FormatError as batch.
func (s *scanner) run(size int64) (n int, err error) {
	for {
		css, err := s.batch(size)
		if err != nil || len(css) == 0 {
			return n, err
		}
		n += len(css)
	}
}

// readHead reads header and base line. ErrIncomplete: the file is a proper beginning of a
// head, such as an empty file.
func readHead(f io.ReaderAt, name string, size int64) (base State, off int64, err error) {
	b := make([]byte, min(size, int64(maxHead)))
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return State{}, 0, fmt.Errorf("deltafile: %w", err)
	}
	base, n, err = parseHead(b[:n], Header)
	return base, int64(n), at(err, name, 0)
}

// parseHead reads a first line, which must be header, and a base line.
func parseHead(b []byte, header string) (base State, n int, err error) {
	if k := min(len(b), len(header)); string(b[:k]) != header[:k] {
		return State{}, 0, &FormatError{Err: ErrHeader}
	}
	if len(b) < len(header) {
		return State{}, 0, ErrIncomplete
	}
	line, err := cutLine(b[len(header):], "base\t", maxBase)
	if err == nil {
		base, err = ParseBase(line)
	}
	if errors.Is(err, ErrIncomplete) {
		return State{}, 0, ErrIncomplete
	}
	if err != nil {
		return State{}, 0, &FormatError{Offset: int64(len(header)), Err: err}
	}
	return base, len(header) + len(line), nil
}

// appendHead appends header and base line.
func appendHead(dst []byte, base State) []byte {
	return base.AppendBase(append(dst, Header...))
}

// fileEnd is what is known of a file's end.
type fileEnd struct {
	base  State
	head  int64 // where the base line ends
	state State // after the last complete changeset
	off   int64 // where that one ends
}

// findEnd finds the last state of a file and verifies the chain over at least the last window
// bytes (all of it when window is negative): it starts from an end line in front of the
// window, as the only kind of line that can begin with "end", and decodes from there, so
// the cost does not depend on the size of the file. nil, ErrIncomplete or *FormatError as
// scanner.batch, with the fileEnd up to there; head is 0 when the head itself is at fault.
func findEnd(f io.ReaderAt, name string, size, window int64) (fileEnd, error) {
	base, head, err := readHead(f, name, size)
	if err != nil {
		return fileEnd{}, err
	}
	for {
		s := scanner{f: f, name: name, state: base, off: head, reuse: true}
		anchored := window >= 0 && size-window > head
		if anchored {
			s.state, s.off, err = findAnchor(f, base, size-window, size)
			if err != nil {
				return fileEnd{}, err
			}
			if s.off == 0 {
				window = widen(window)
				continue
			}
		}
		n, err := s.run(size)
		if anchored && n == 0 { // an end line tells no time, and there may be damage before it
			window = widen(window)
			continue
		}
		return fileEnd{base: base, head: head, state: s.state, off: s.off}, err
	}
}

func widen(window int64) int64 { return 8 * max(window, 4096) }

// findAnchor looks from off on for an end line and returns the state it names, its time
// missing, and where it ends; 0 if there is none.
func findAnchor(f io.ReaderAt, base State, off, size int64) (State, int64, error) {
	buf := make([]byte, scanChunk)
	for off < size {
		n, err := f.ReadAt(buf[:min(size-off, scanChunk)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return State{}, 0, fmt.Errorf("deltafile: %w", err)
		}
		b := buf[:n]
		for i := 0; ; {
			k := bytes.Index(b[i:], []byte("\nend\t"))
			if k < 0 {
				break
			}
			i += k + 1
			line, err := cutLine(b[i:], "end\t", maxEnd)
			if err != nil {
				continue
			}
			serial, sum, err := parseEnd(line)
			if err == nil && serial > base.Serial {
				s := State{Realm: base.Realm, Epoch: base.Epoch, Serial: serial, Hash: sum}
				return s, off + int64(i+len(line)), nil
			}
		}
		if n < scanChunk {
			return State{}, 0, nil
		}
		off += int64(n - maxEnd) // an end line may lie across the border
	}
	return State{}, 0, nil
}
