package mkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"krealm/dumpfmt"
)

// WriteStash replaces a realm's stash file, in the keytab form, with mode 0600. It writes
// a temporary file beside it, syncs, renames and syncs the directory: at any moment the name
// leads to the old file or to the new one, whole. The keys go in the order given; MIT has
// the newest first.
func WriteStash(path, realm string, keys []StashKey) error {
	return WriteStashOf(path, MasterName(realm), keys)
}

// WriteStashOf is WriteStash for a realm with a master_key_name of its own; master is the
// whole principal name.
func WriteStashOf(path, master string, keys []StashKey) (err error) {
	data, err := appendStash(nil, master, keys, time.Now())
	if err != nil {
		return fmt.Errorf("stash file %q: %w", path, err)
	}
	defer clear(data)
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-") // mode 0600
	if err != nil {
		return fmt.Errorf("stash file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("stash file: %w", err)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// appendStash appends a keytab of version 2 with one entry per key.
func appendStash(dst []byte, master string, keys []StashKey, now time.Time) ([]byte, error) {
	name, err := dumpfmt.ParseName(master, "")
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no key to write")
	}
	const nameTypePrincipal = 1
	be := binary.BigEndian
	dst = be.AppendUint16(dst, keytabVersion2)
	for _, k := range keys {
		at := len(dst)
		dst = be.AppendUint32(dst, 0) // the size, filled in below
		dst = be.AppendUint16(dst, uint16(len(name.Components)))
		for _, s := range append([]string{name.Realm}, name.Components...) {
			if len(s) > math.MaxUint16 {
				return nil, errors.New("name too long")
			}
			dst = be.AppendUint16(dst, uint16(len(s)))
			dst = append(dst, s...)
		}
		dst = be.AppendUint32(dst, nameTypePrincipal)
		dst = be.AppendUint32(dst, uint32(now.Unix()))
		dst = append(dst, byte(k.Kvno))
		dst = be.AppendUint16(dst, uint16(k.Key.Enctype()))
		dst = be.AppendUint16(dst, uint16(len(k.Key.Bytes())))
		dst = append(dst, k.Key.Bytes()...)
		dst = be.AppendUint32(dst, uint32(k.Kvno))
		be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, nil
}
