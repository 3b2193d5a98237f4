package mkey

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
)

// TestStashForms reads the variants that MIT reads, and opens MIT's database with them.
func TestStashForms(t *testing.T) {
	km := loadDump(t, "testdata/basic/created-1.20.1.dump").km()
	for _, name := range []string{"keytab", "keytab-no-kvno32", "keytab-hole-first", "raw-le"} {
		st, err := ReadStash("testdata/stash/"+name, testRealm)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(st.Keys) != 1 || st.Keys[0].Kvno != 1 || st.Keys[0].Key.Enctype() != krbcrypto.ETypeAES256SHA1 {
			t.Errorf("%s: keys %v", name, st.Keys)
		}
		if r, err := Open(st, km); err != nil || r.Master() != "K/M@EXAMPLE.COM" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// keytabOf builds a keytab for the error cases.
func keytabOf(t *testing.T, master string, etype uint16, key []byte) []byte {
	t.Helper()
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := appendStash(nil, master, []StashKey{{Kvno: 1, Key: k}}, at)
	if err != nil {
		t.Fatal(err)
	}
	head := len(b) - 4 - 32 - 2 - 2 // enctype, length and key, 32-bit version
	b = binary.BigEndian.AppendUint16(b[:head], etype)
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, key...)
	binary.BigEndian.PutUint32(b[2:], uint32(len(b)-6))
	return b
}

// TestStashRefused checks that what is no stash for this realm is refused with words that
// say what it is.
func TestStashRefused(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := read("stash/keytab")
	raw := read("stash/raw-le")
	for _, c := range []struct {
		name string
		data []byte
		want error
		text string
	}{
		{"empty", nil, ErrStashFormat, "0 bytes"},
		{"one byte", []byte{5}, ErrStashFormat, "1 bytes"},
		{"only a version", good[:2], ErrStashFormat, "without entries"},
		{"cut in an entry", good[:40], ErrStashFormat, "ends inside an entry"},
		{"entry ends early", append([]byte{5, 2, 0, 0, 0, 20}, good[6:26]...), ErrStashFormat, "damaged entry"},
		{"keytab version 1", append([]byte{5, 1}, good[2:]...), ErrStashFormat, "keytab of version 1"},
		{"big-endian", read("stash/raw-be"), ErrStashFormat, "big-endian machine"},
		{"old form, cut", raw[:20], ErrStashFormat, "ends inside the key"},
		{"old form, cut in the head", raw[:4], ErrStashFormat, "4 bytes"},
		{"text", []byte("this is not a stash file\n"), ErrStashFormat, "neither a keytab nor"},
		{"hole past the end", []byte{5, 2, 0x80, 0, 0, 0}, ErrStashFormat, "ends inside an entry"},
		{"huge entry", []byte{5, 2, 0x7f, 0xff, 0xff, 0xff, 0, 2}, ErrStashFormat, "ends inside an entry"},
		{"too large", make([]byte, maxStash+1), ErrStashFormat, "larger than"},
		{"another realm", keytabOf(t, "K/M@OTHER", 18, make([]byte, 32)), ErrWrongStash, `"K/M@OTHER"`},
		{"another principal", keytabOf(t, "host/www@EXAMPLE.COM", 18, make([]byte, 32)), ErrWrongStash, `"host/www@EXAMPLE.COM"`},
		{"enctype 6", keytabOf(t, "K/M@EXAMPLE.COM", 6, make([]byte, 24)), ErrUnsupported, "des3-cbc-raw"},
		{"key length", keytabOf(t, "K/M@EXAMPLE.COM", 18, make([]byte, 31)), krbcrypto.ErrKeySize, "31 bytes"},
		{"old form, enctype 6", append([]byte{6, 0, 24, 0, 0, 0}, make([]byte, 24)...), ErrUnsupported, "des3-cbc-raw"},
		{"old form, key length", append([]byte{18, 0, 16, 0, 0, 0}, make([]byte, 16)...), ErrStashFormat, "16 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stash")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			st, err := ReadStash(path, testRealm)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, %v, want %v", st, err, c.want)
			}
			if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not say %q or not which file", err, c.text)
			}
		})
	}
	if _, err := ReadStash(filepath.Join(t.TempDir(), "none"), testRealm); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// TestWrongStash: the message must name file, principal, version, enctype and the way out.
func TestWrongStash(t *testing.T) {
	km := loadDump(t, "testdata/basic/created-1.20.1.dump").km()
	st, err := ReadStash("testdata/stash/keytab-wrong-key", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(st, km)
	if !errors.Is(err, ErrWrongStash) {
		t.Fatal(err)
	}
	for _, s := range []string{"testdata/stash/keytab-wrong-key", "K/M@EXAMPLE.COM", "version 1",
		"aes256-cts-hmac-sha1-96", "kdb5_util stash"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not mention %q", err, s)
		}
	}
	// A database made with the same password is this one's twin; the stash fits.
	if st, err = ReadStash("testdata/basic/created-1.23pre.stash", testRealm); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(st, km); err != nil {
		t.Error(err)
	}
	st.Master = "K/M@OTHER"
	if _, err := Open(st, km); !errors.Is(err, ErrWrongStash) || !strings.Contains(err.Error(), "OTHER") {
		t.Errorf("stash of another realm: %v", err)
	}
}

// TestWriteStash writes what MIT writes, byte for byte, and replaces a file whole.
func TestWriteStash(t *testing.T) {
	for _, base := range []string{"testdata/mkey/1.20.1/4-stashed", "testdata/basic/created-1.20.1"} {
		_, ring := openRealm(t, base)
		want, err := os.ReadFile(base + ".stash")
		if err != nil {
			t.Fatal(err)
		}
		// The time stands behind size, names and name type.
		written := binary.BigEndian.Uint32(want[2+4+2+2+len(testRealm)+2+1+2+1+4:])
		got, err := appendStash(nil, ring.Master(), ring.Versions(), time.Unix(int64(written), 0))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x, %v\nwant %x", base, got, err, want)
		}
	}
	_, ring := openRealm(t, "testdata/mkey/1.20.1/4-stashed")
	dir := t.TempDir()
	path := filepath.Join(dir, ".k5."+testRealm)
	if err := os.WriteFile(path, []byte("what stood there"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteStash(path, testRealm, ring.Versions()); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
	st, err := ReadStash(path, testRealm)
	if err != nil || len(st.Keys) != 2 {
		t.Fatalf("%v, %v", st, err)
	}
	for i, k := range st.Keys {
		if v := ring.Versions()[i]; k.Kvno != v.Kvno || !k.Key.Equal(v.Key) {
			t.Errorf("key %d: version %d, want %d", i, k.Kvno, v.Kvno)
		}
	}
}

func TestWriteStashFails(t *testing.T) {
	_, ring := openRealm(t, "testdata/basic/created-1.20.1")
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"no directory":      WriteStash(filepath.Join(dir, "none", "stash"), testRealm, ring.Versions()),
		"a directory there": WriteStash(taken, testRealm, ring.Versions()),
		"no keys":           WriteStash(filepath.Join(dir, "stash"), testRealm, nil),
		"bad name":          WriteStashOf(filepath.Join(dir, "stash"), "K/M", ring.Versions()),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func FuzzParseStash(f *testing.F) {
	for _, name := range []string{"keytab", "keytab-no-kvno32", "keytab-hole-first", "raw-le", "raw-be"} {
		b, err := os.ReadFile("testdata/stash/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := ParseStash(data, "K/M@"+testRealm)
		if err != nil {
			return
		}
		if len(st.Keys) == 0 {
			t.Fatal("no error and no key")
		}
		b, err := appendStash(nil, st.Master, st.Keys, at)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseStash(b, st.Master)
		if err != nil || len(again.Keys) != len(st.Keys) {
			t.Fatalf("written again: %v", err)
		}
	})
}
