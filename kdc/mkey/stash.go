package mkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// maxStash bounds the size of a stash file in bytes; a key takes fewer than a hundred.
const maxStash = 1 << 20

const (
	keytabVersion1 = 0x0501 // integers in the order of the machine that wrote it; never a stash
	keytabVersion2 = 0x0502
)

// Version is one version of the master key.
type Version struct {
	Kvno uint16
	Key  *krbcrypto.Key
}

// StashKey is a Version as a stash file holds it.
type StashKey = Version

// Stash is what a stash file holds for one realm.
type Stash struct {
	Path   string // for messages
	Master string // principal of the keys: "K/M@REALM"
	Keys   []StashKey
	old    bool     // the old form, which has no version numbers
	unused []string // keys passed over, and why
}

// MasterName is the usual principal of a realm's master key.
func MasterName(realm string) string {
	return dumpfmt.Name{Realm: realm, Components: []string{"K", "M"}}.String()
}

// ReadStash reads a realm's stash file, in the keytab form or in the old raw one. A missing
// file is an os error; everything else that is wrong with it is ErrStashFormat,
// ErrWrongStash (no key for this realm) or ErrUnsupported, with the file's name.
func ReadStash(path, realm string) (*Stash, error) { return ReadStashOf(path, MasterName(realm)) }

// ReadStashOf is ReadStash for a realm with a master_key_name of its own; master is the
// whole principal name.
func ReadStashOf(path, master string) (*Stash, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("stash file: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxStash+1))
	if err != nil {
		return nil, fmt.Errorf("stash file: %w", err)
	}
	defer clear(data)
	s, err := ParseStash(data, master)
	switch {
	case errors.Is(err, ErrStashFormat):
		return nil, fmt.Errorf("stash file %q: %w; write it with \"kdb5_util stash\", or name the right file with key_stash_file or -sf", path, err)
	case err != nil:
		return nil, fmt.Errorf("stash file %q: %w", path, err)
	}
	s.Path = path
	return s, nil
}

// ParseStash is ReadStashOf for the contents of a file. It copies the keys.
func ParseStash(data []byte, master string) (*Stash, error) {
	s := &Stash{Master: master}
	if len(data) > maxStash {
		return nil, stashFormat("larger than %d bytes", maxStash)
	}
	if len(data) < 2 {
		return nil, stashFormat("%d bytes are too few for one", len(data))
	}
	var err error
	switch binary.BigEndian.Uint16(data) {
	case keytabVersion1:
		err = stashFormat("a keytab of version 1, which no stash file is")
	case keytabVersion2:
		err = s.parseKeytab(data[2:])
	default:
		err = s.parseRaw(data)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// parseRaw reads the old form: enctype, length and key in the order of the machine. Little
// end first is assumed, as MIT on such a machine does; the version counts as 1.
func (s *Stash) parseRaw(data []byte) error {
	const head = 6
	if len(data) < head {
		return stashFormat("%d bytes are too few for one", len(data))
	}
	s.old = true
	e, n := krbcrypto.Enctype(binary.LittleEndian.Uint16(data)), binary.LittleEndian.Uint32(data[2:])
	be, bn := krbcrypto.Enctype(binary.BigEndian.Uint16(data)), binary.BigEndian.Uint32(data[2:])
	switch {
	case !e.Known() && be.Known() && bn <= 64:
		return stashFormat("an old stash file of a big-endian machine; run \"kdb5_util stash\" there")
	case !e.Known() || n > 64:
		return stashFormat("neither a keytab nor an old stash file")
	case int(n) > len(data)-head:
		return stashFormat("it ends inside the key")
	case !krbcrypto.Supported(e):
		return fmt.Errorf("key of %s, enctype %d (%v): %w", s.Master, int32(e), e, ErrUnsupported)
	}
	k, err := krbcrypto.NewKey(e, data[head:head+int(n)])
	if err != nil {
		return stashFormat("%w", err)
	}
	s.Keys = []StashKey{{Kvno: 1, Key: k}}
	return nil
}

// parseKeytab reads the entries of a keytab of version 2.
func (s *Stash) parseKeytab(data []byte) error {
	var others []string
	for len(data) >= 4 {
		size := int64(int32(binary.BigEndian.Uint32(data)))
		data = data[4:]
		if size == 0 {
			break // MIT reads no further
		}
		n := max(size, -size)
		if n > int64(len(data)) {
			return stashFormat("it ends inside an entry")
		}
		entry := data[:n]
		data = data[n:]
		if size < 0 {
			continue // a hole left by a deleted entry
		}
		e, err := parseEntry(entry)
		if err != nil {
			return err
		}
		if e.name != s.Master {
			others = append(others, e.name)
			continue
		}
		if err := s.add(e); err != nil {
			return err
		}
	}
	switch {
	case len(s.Keys) > 0:
		return nil
	case len(s.unused) > 0:
		return fmt.Errorf("%s: %w", s.unused[0], ErrUnsupported)
	case len(others) > 0:
		return fmt.Errorf("holds a key of %q, none of %q: %w", others[0], s.Master, ErrWrongStash)
	}
	return stashFormat("a keytab without entries")
}

func (s *Stash) add(e keytabEntry) error {
	if e.kvno > 0xffff {
		return stashFormat("key of %s with version %d", e.name, e.kvno)
	}
	if !krbcrypto.Supported(e.etype) {
		s.unused = append(s.unused, fmt.Sprintf("key of %s version %d, enctype %d (%v)", e.name, e.kvno, int32(e.etype), e.etype))
		return nil
	}
	k, err := krbcrypto.NewKey(e.etype, e.key)
	if err != nil {
		return stashFormat("%w", err)
	}
	s.Keys = append(s.Keys, StashKey{Kvno: uint16(e.kvno), Key: k})
	return nil
}

// newestFirst returns the keys by descending version, those of one version in file order.
func (s *Stash) newestFirst() []StashKey {
	keys := slices.Clone(s.Keys)
	slices.SortStableFunc(keys, func(a, b StashKey) int { return int(b.Kvno) - int(a.Kvno) })
	return keys
}

// keytabEntry is one entry of a keytab; key aliases the input.
type keytabEntry struct {
	name  string
	kvno  uint32
	etype krbcrypto.Enctype
	key   []byte
}

// parseEntry reads one entry: name, name type, time, 8-bit version, key, and the 32-bit
// version that newer writers add.
func parseEntry(b []byte) (keytabEntry, error) {
	r := entryReader{b: b}
	n := int(r.uint16())
	name := dumpfmt.Name{Realm: string(r.counted())}
	for i := 0; i < n && !r.bad; i++ {
		name.Components = append(name.Components, string(r.counted()))
	}
	r.take(8) // name type and time
	e := keytabEntry{kvno: uint32(r.take(1)[0])}
	e.etype = krbcrypto.Enctype(int16(r.uint16()))
	e.key = r.counted()
	if r.bad {
		return e, stashFormat("it has a damaged entry")
	}
	if len(r.b) >= 4 {
		if v := binary.BigEndian.Uint32(r.b); v != 0 {
			e.kvno = v
		}
	}
	e.name = name.String()
	return e, nil
}

// entryReader takes big-endian fields off a slice; after an underrun it is bad and yields
// zeros.
type entryReader struct {
	b   []byte
	bad bool
}

var zeros [8]byte

func (r *entryReader) take(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		r.b = nil
		if n <= len(zeros) {
			return zeros[:n]
		}
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *entryReader) uint16() uint16  { return binary.BigEndian.Uint16(r.take(2)) }
func (r *entryReader) counted() []byte { return r.take(int(r.uint16())) }
