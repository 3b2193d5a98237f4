package krb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// Errors of keytabs; they come wrapped with the file's name.
var (
	ErrKeytab     = errors.New("not a keytab, or damaged")
	ErrMode       = errors.New("mode lets others read it")
	ErrNoEntry    = errors.New("no usable key for the principal in the keytab")
	ErrNotRegular = errors.New("not a regular file")
)

// maxKeytab bounds the size of a keytab, in bytes: some 10,000 keys.
const maxKeytab = 1 << 20

// Keytab is a keytab file that is read again when it has changed, so that keys rotate without a
// restart. It is safe for concurrent use.
type Keytab struct {
	path string

	mu      sync.Mutex
	stamp   stamp
	entries []Entry
	err     error // of the last attempt to read a changed file
}

// Entry is one key of a keytab.
type Entry struct {
	Principal string // with realm
	Kvno      uint32
	Time      time.Time
	Key       *krbcrypto.Key
	raw       int // index in the file as gokrb5 reads it
}

// stamp tells one state of a file from another.
type stamp struct {
	size  int64
	mtime time.Time
	sys   any
}

// OpenKeytab reads a keytab; a "FILE:" before the path is accepted. A file that others than owner
// and group can read, or group and others can write, is refused.
func OpenKeytab(path string) (*Keytab, error) {
	k := &Keytab{path: strings.TrimPrefix(strings.TrimPrefix(path, "WRFILE:"), "FILE:")}
	if i := strings.IndexByte(k.path, ':'); i > 0 && !strings.Contains(k.path[:i], "/") {
		return nil, fmt.Errorf("keytab %q: only files are supported", path)
	}
	if err := k.refresh(); err != nil {
		return nil, err
	}
	return k, nil
}

// Path returns the name of the file.
func (k *Keytab) Path() string { return k.path }

// Keys implements stream.Keys: the keys of a service principal with the given enctype, and with
// key version kvno unless it is 0; newest version first. As MIT krb5 does, it takes the low
// eight bits for the version where the keytab has no more.
func (k *Keytab) Keys(service string, kvno uint32, e krbcrypto.Enctype) []*krbcrypto.Key {
	_ = k.refresh() // the last good state serves on; Err tells
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []Entry
	for _, en := range k.entries {
		if en.Principal == service && en.Key.Enctype() == e &&
			(kvno == 0 || en.Kvno == kvno || en.Kvno < 256 && en.Kvno == kvno&0xff) {
			found = append(found, en)
		}
	}
	slices.SortStableFunc(found, newerFirst)
	keys := make([]*krbcrypto.Key, len(found))
	for i, en := range found {
		keys[i] = en.Key
	}
	return keys
}

func newerFirst(a, b Entry) int {
	switch {
	case a.Kvno > b.Kvno:
		return -1
	case a.Kvno < b.Kvno:
		return 1
	}
	return b.Time.Compare(a.Time)
}

// Principals returns the principals of the keytab in the order of the file, each once.
func (k *Keytab) Principals() []string {
	_ = k.refresh()
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for _, en := range k.entries {
		if !slices.Contains(names, en.Principal) {
			names = append(names, en.Principal)
		}
	}
	return names
}

// Err returns why a changed keytab could not be read again, or nil.
func (k *Keytab) Err() error {
	_ = k.refresh()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// refresh reads the file if it is not the one that was read last.
func (k *Keytab) refresh() error {
	st, err := os.Stat(k.path)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.err = fmt.Errorf("keytab: %w", err)
		return k.err
	}
	now := stamp{st.Size(), st.ModTime(), inode(st)}
	if now == k.stamp {
		return k.err
	}
	entries, err := readEntries(k.path, st)
	if k.err = err; err == nil {
		k.entries = entries
	}
	k.stamp = now
	return err
}

func readEntries(path string, st fs.FileInfo) ([]Entry, error) {
	kt, err := parseFile(path, st)
	if err != nil {
		return nil, fmt.Errorf("keytab %q: %w", path, err)
	}
	var entries []Entry
	for i, e := range kt.Entries {
		key, err := krbcrypto.NewKey(krbcrypto.Enctype(e.Key.KeyType), e.Key.KeyValue)
		if err != nil {
			continue // of an enctype from another time
		}
		name := dumpfmt.Name{Realm: e.Principal.Realm, Components: e.Principal.Components}
		entries = append(entries, Entry{Principal: name.String(), Kvno: e.KVNO, Time: e.Timestamp, Key: key, raw: i})
	}
	return entries, nil
}

// parseFile checks and parses a keytab file.
func parseFile(path string, st fs.FileInfo) (*keytab.Keytab, error) {
	switch {
	case !st.Mode().IsRegular():
		return nil, ErrNotRegular
	case st.Mode().Perm()&0o027 != 0:
		return nil, fmt.Errorf("mode %04o: %w", st.Mode().Perm(), ErrMode)
	case st.Size() > maxKeytab:
		return nil, ErrKeytab
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	kt := keytab.New()
	if err := guard(func() error { return kt.Unmarshal(b) }); err != nil {
		return nil, ErrKeytab // its text would quote the keys
	}
	return kt, nil
}

// guard calls f and makes an error of a panic.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("gokrb5 panicked: %v", r)
		}
	}()
	return f()
}
