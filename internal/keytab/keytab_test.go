package keytab

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jcmturner/gokrb5/v8/keytab"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

func entry(t *testing.T, name string, kvno uint32, fill byte) Entry {
	t.Helper()
	n, err := dumpfmt.ParseName(name, "EXAMPLE.ORG")
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Name: n, Time: 1_800_000_000, Kvno: kvno, Enctype: krbcrypto.ETypeAES256SHA1, Key: bytes.Repeat([]byte{fill}, 32)}
}

// same compares two lists of entries.
func same(a, b []Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name.String() != b[i].Name.String() || a[i].Kvno != b[i].Kvno || a[i].Time != b[i].Time ||
			a[i].Enctype != b[i].Enctype || !bytes.Equal(a[i].Key, b[i].Key) {
			return false
		}
	}
	return true
}

func TestReadMIT(t *testing.T) {
	const file = "testdata/www-1.20.1.keytab"
	got, err := Read(file)
	if err != nil || len(got) == 0 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	want, err := keytab.Load(file)
	if err != nil || len(want.Entries) != len(got) {
		t.Fatalf("gokrb5: %v", err)
	}
	for i, e := range got {
		w := want.Entries[i]
		if e.Kvno != w.KVNO || int32(e.Enctype) != w.Key.KeyType || !bytes.Equal(e.Key, w.Key.KeyValue) || e.Name.Realm != w.Principal.Realm {
			t.Errorf("entry %d is %v kvno %d, gokrb5 says %v kvno %d", i, e.Name, e.Kvno, w.Principal, w.KVNO)
		}
	}
	// Written again, the file is the same.
	out := filepath.Join(t.TempDir(), "out.keytab")
	if err := Add(out, got...); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil || !bytes.Equal(a, b) {
		t.Errorf("written again it differs (%d and %d bytes), %v", len(a), len(b), err)
	}
}

func TestAddRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.keytab")
	a, b, c := entry(t, "host/a", 1, 1), entry(t, "host/b", 300, 2), entry(t, "h", 2, 3)
	if err := Add(path, a, b); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := Remove(path, func(e Entry) bool { return e.Kvno == 1 })
	if err != nil || !same(gone, []Entry{a}) {
		t.Errorf("removed %v, %v", gone, err)
	}
	after, err := os.ReadFile(path)
	if err != nil || len(after) != len(before) || bytes.Contains(after, a.Key) {
		t.Errorf("the removed key is still in the file, or the file changed its size (%d, %d), %v", len(before), len(after), err)
	}
	if err := Add(path, c); err != nil { // shorter than the hole: goes into it
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != int64(len(before)) {
		t.Errorf("the hole was not used: %d bytes, %v", st.Size(), err)
	}
	if err := Add(path, a); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !same(got, []Entry{c, b, a}) {
		t.Errorf("got %v, %v", got, err)
	}
	if kt, err := keytab.Load(path); err != nil || len(kt.Entries) != 3 {
		t.Errorf("gokrb5: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"empty": "", "magic": "\x05\x01", "cut": "\x05\x02\x00\x00\x00\x09ab", "short": "\x05\x02\x00\x00\x00\x02ab",
		"components": "\x05\x02\x00\x00\x00\x06\xff\xff\x00\x00\x00\x00",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "empty" {
			continue // Add fills it
		}
		if err := Add(path, entry(t, "x", 1, 1)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: Add: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != data {
			t.Errorf("%s was changed, %v", name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("testdata/www-1.20.1.keytab")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		recs, end, err := parse(data)
		if err != nil {
			return
		}
		if end > int64(len(data)) {
			t.Fatalf("end %d past %d bytes", end, len(data))
		}
		for _, r := range recs {
			if r.hole {
				continue
			}
			b, err := r.encode()
			if err != nil {
				t.Fatal(err)
			}
			if again, ok := decode(b); !ok || !same([]Entry{again}, []Entry{r.Entry}) {
				t.Fatalf("%v comes back as %v", r.Entry.Name, again.Name)
			}
		}
	})
}
