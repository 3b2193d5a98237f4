package keytab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// ErrFormat means a file that is not a keytab of version 0x0502, or a damaged one.
var ErrFormat = errors.New("not a keytab file of version 0x0502")

// maxFile bounds a keytab, in bytes.
const maxFile = 64 << 20

const (
	magic        = "\x05\x02"
	namePrinc    = 1 // NT-PRINCIPAL
	nameInstance = 2 // NT-SRV-INST, of krbtgt
)

// Entry is one key of a keytab.
type Entry struct {
	Name    dumpfmt.Name
	Time    uint32 // of writing, Unix seconds
	Kvno    uint32
	Enctype krbcrypto.Enctype // may be one that we do not support
	Key     []byte
}

// record is an Entry and its place in the file.
type record struct {
	Entry
	off  int64 // of the size field
	size int   // without the size field
	hole bool
}

// Read returns the entries of a keytab in the order of the file. A missing file is an os
// error.
func Read(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := lock(f, unix.F_RDLCK); err != nil {
		return nil, err
	}
	recs, _, err := scan(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []Entry
	for _, r := range recs {
		if !r.hole {
			out = append(out, r.Entry)
		}
	}
	return out, nil
}

// Add writes entries to a keytab, creating the file with mode 0600 if it is not there.
func Add(path string, entries ...Entry) error {
	return change(path, os.O_RDWR|os.O_CREATE, func(f *os.File, recs []record, end int64) error {
		for _, e := range entries {
			b, err := e.encode()
			if err != nil {
				return err
			}
			off, size := end, len(b)
			for i, r := range recs {
				if r.hole && r.size >= len(b) {
					off, size = r.off, r.size
					recs[i].hole = false
					break
				}
			}
			buf := make([]byte, 4+size)
			binary.BigEndian.PutUint32(buf, uint32(size))
			copy(buf[4:], b)
			if _, err := f.WriteAt(buf, off); err != nil {
				return err
			}
			if off == end {
				end += int64(len(buf))
			}
		}
		return nil
	})
}

// Remove turns the entries for which drop returns true into holes and returns them. A missing
// file is an os error.
func Remove(path string, drop func(Entry) bool) ([]Entry, error) {
	var gone []Entry
	err := change(path, os.O_RDWR, func(f *os.File, recs []record, _ int64) error {
		for _, r := range recs {
			if r.hole || !drop(r.Entry) {
				continue
			}
			buf := make([]byte, 4+r.size)
			binary.BigEndian.PutUint32(buf, uint32(-int32(r.size)))
			if _, err := f.WriteAt(buf, r.off); err != nil {
				return err
			}
			gone = append(gone, r.Entry)
		}
		return nil
	})
	return gone, err
}

// change opens, locks and scans a keytab, calls fn and syncs.
func change(path string, flags int, fn func(f *os.File, recs []record, end int64) error) (err error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := lock(f, unix.F_WRLCK); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		if _, err := f.WriteAt([]byte(magic), 0); err != nil {
			return err
		}
	}
	recs, end, err := scan(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := fn(f, recs, end); err != nil {
		return err
	}
	return f.Sync()
}

// lock takes an open-file-description lock, which conflicts with those of MIT's library and
// ends with the descriptor.
func lock(f *os.File, kind int16) error {
	lk := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &lk)
}

// scan reads all records and holes, and the offset behind the last of them.
func scan(f *os.File) ([]record, int64, error) {
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, math.MaxInt64), maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	return parse(data)
}

func parse(data []byte) ([]record, int64, error) {
	if len(data) > maxFile || len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return nil, 0, ErrFormat
	}
	var out []record
	off := len(magic)
	for len(data)-off >= 4 {
		n := int64(int32(binary.BigEndian.Uint32(data[off:])))
		r := record{off: int64(off), hole: n < 0}
		if n < 0 {
			n = -n
		}
		if n == 0 {
			break // MIT: the end
		}
		if n > int64(len(data)-off-4) {
			return nil, 0, fmt.Errorf("%w: record at offset %d is cut off", ErrFormat, off)
		}
		r.size = int(n)
		if !r.hole {
			var ok bool
			if r.Entry, ok = decode(data[off+4 : off+4+r.size]); !ok {
				return nil, 0, fmt.Errorf("%w: record at offset %d", ErrFormat, off)
			}
		}
		out = append(out, r)
		off += 4 + r.size
	}
	return out, int64(off), nil
}

// reader takes fields off a record; past its end it is bad and yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, min(n, 4))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint16() int    { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) counted() string {
	return string(r.take(r.uint16()))
}

func decode(b []byte) (Entry, bool) {
	r := reader{b: b}
	var e Entry
	n := r.uint16()
	e.Name.Realm = r.counted()
	for range n {
		if r.bad {
			return e, false
		}
		e.Name.Components = append(e.Name.Components, r.counted())
	}
	r.uint32() // name type
	e.Time = r.uint32()
	e.Kvno = uint32(r.take(1)[0])
	e.Enctype = krbcrypto.Enctype(int16(r.uint16()))
	e.Key = []byte(r.counted())
	if r.bad {
		return e, false
	}
	if len(r.b) >= 4 {
		if kvno := r.uint32(); kvno != 0 {
			e.Kvno = kvno
		}
	}
	return e, true
}

func (e *Entry) encode() ([]byte, error) {
	be := binary.BigEndian
	if len(e.Name.Components) > math.MaxUint16 || len(e.Key) > math.MaxUint16 {
		return nil, fmt.Errorf("keytab: entry of %q is too long", e.Name)
	}
	b := be.AppendUint16(nil, uint16(len(e.Name.Components)))
	for _, s := range append([]string{e.Name.Realm}, e.Name.Components...) {
		if len(s) > math.MaxUint16 {
			return nil, fmt.Errorf("keytab: entry of %q is too long", e.Name)
		}
		b = append(be.AppendUint16(b, uint16(len(s))), s...)
	}
	nameType := uint32(namePrinc)
	if len(e.Name.Components) == 2 && e.Name.Components[0] == "krbtgt" {
		nameType = nameInstance
	}
	b = be.AppendUint32(b, nameType)
	b = be.AppendUint32(b, e.Time)
	b = append(b, byte(e.Kvno))
	b = be.AppendUint16(b, uint16(e.Enctype))
	b = append(be.AppendUint16(b, uint16(len(e.Key))), e.Key...)
	return be.AppendUint32(b, e.Kvno), nil
}

// Writable reports, as an error, why Add could not write to a keytab. It changes nothing.
func Writable(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		if err := unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK); err != nil {
			return &os.PathError{Op: "create", Path: path, Err: err}
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() == 0 {
		return err
	}
	if _, _, err := scan(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
