package mkey

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

const testRealm = "EXAMPLE.COM"

// at is a time after all that the fixtures know of.
var at = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// realm is a dump in memory.
type realm map[string]*dumpfmt.Principal

func (r realm) km() *dumpfmt.Principal { return r["K/M@"+testRealm] }

func loadDump(t testing.TB, path string) realm {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rd, err := dumpfmt.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := make(realm)
	for {
		rec, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := rec.(*dumpfmt.Principal); ok {
			r[p.Name] = p
		}
	}
}

func openRealm(t testing.TB, base string) (realm, *Ring) {
	t.Helper()
	r := loadDump(t, base+".dump")
	st, err := ReadStash(base+".stash", testRealm)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := Open(st, r.km())
	if err != nil {
		t.Fatal(err)
	}
	return r, ring
}

// opened is one row of a keys.tsv file: an independent decoder opened the key.
type opened struct {
	name            string
	kvno            string
	etype           string
	key             string
	saltType        string
	salt            string
	claimed, really string // version of the master key
}

func readTSV(t testing.TB, path string) []opened {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []opened
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			t.Fatalf("%s: %d fields in %q", path, len(f), line)
		}
		rows = append(rows, opened{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]})
	}
	return rows
}

// openAll opens every key of a realm and returns rows like those of keys.tsv; a key that
// does not open has neither key nor version.
func openAll(t *testing.T, r realm, ring *Ring, names []string) []opened {
	t.Helper()
	var rows []opened
	for _, name := range names {
		p := r[name]
		claimed := "" // as the entry says
		if v, ok := p.MKVNO(); ok {
			claimed = fmt.Sprint(v)
		}
		for i := range p.Keys {
			k := &p.Keys[i]
			row := opened{name: name, kvno: fmt.Sprint(k.Kvno), etype: fmt.Sprint(k.Enctype), claimed: claimed}
			key, really, err := ring.OpenKeyVersion(p, k)
			if err == nil {
				row.key, row.really = hex.EncodeToString(key.Bytes()), fmt.Sprint(really)
			} else if !errors.Is(err, ErrSealed) {
				t.Errorf("%v", err)
			}
			if k.Ver > 1 {
				row.saltType, row.salt = fmt.Sprint(k.SaltType), hex.EncodeToString(k.Salt)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// TestFixtures opens every key of MIT's databases, at every stage of a rollover of the master
// key, and compares key, version claimed and version found with what was recorded. From the
// purge on, one entry's keys are lost: MIT had recorded a version that did not seal them.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("testdata/mkey/*/*.keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, more...)
	if len(files) != 20 {
		t.Fatalf("%d fixtures, want 20", len(files))
	}
	lost := 0
	for _, file := range files {
		base := strings.TrimSuffix(file, ".keys.tsv")
		t.Run(strings.TrimPrefix(base, "testdata/"), func(t *testing.T) {
			r, ring := openRealm(t, base)
			want := readTSV(t, file)
			var names []string
			n := 0
			for _, row := range want {
				if len(names) == 0 || names[len(names)-1] != row.name {
					names = append(names, row.name)
				}
			}
			for _, p := range r {
				n += len(p.Keys)
			}
			got := openAll(t, r, ring, names)
			if len(got) != len(want) || n != len(want) {
				t.Fatalf("%d of %d keys listed, want %d", len(got), n, len(want))
			}
			for i := range want {
				if want[i].name == "svc/new@"+testRealm && want[i].really == "1" && ring.Key(1) == nil {
					want[i].key, want[i].really = "", ""
					lost++
				}
				if got[i] != want[i] {
					t.Errorf("row %d:\n got %v\nwant %v", i+2, got[i], want[i])
				}
			}
		})
	}
	if lost != 12 {
		t.Errorf("%d keys lost, want 12: two in each of six stages", lost)
	}
}

// TestMasterKeyTypes opens realms sealed by master keys of all enctypes, password histories
// included.
func TestMasterKeyTypes(t *testing.T) {
	files, err := filepath.Glob("testdata/mketype/*.dump")
	if err != nil || len(files) != 18 {
		t.Fatalf("%d fixtures, %v, want 18", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".dump")
		t.Run(filepath.Base(base), func(t *testing.T) {
			r, ring := openRealm(t, base)
			for _, p := range r {
				for i := range p.Keys {
					if _, err := ring.OpenKey(p, &p.Keys[i]); err != nil {
						t.Errorf("%v", err)
					}
				}
			}
			if n := openHistories(t, r, ring); n == 0 {
				t.Error("no key in any password history")
			}
		})
	}
}

// openHistories opens all old keys with the key of kadmin/history and returns their number.
func openHistories(t *testing.T, r realm, ring *Ring) int {
	t.Helper()
	hist := r["kadmin/history@"+testRealm]
	if hist == nil {
		t.Fatal("no history principal")
	}
	hk, err := ring.OpenKey(hist, &hist.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range r {
		kd, err := p.KadmData()
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range kd.History {
			for _, k := range old {
				if _, err := OpenSealed(hk, k.Sealed, krbcrypto.Enctype(k.Enctype)); err != nil {
					t.Errorf("history of %s: %v", p.Name, err)
				}
				n++
			}
		}
	}
	return n
}

// TestPasswords computes keys from the passwords the fixtures were made with and compares
// them with the opened ones.
func TestPasswords(t *testing.T) {
	checked := 0
	for _, version := range []string{"1.20.1", "1.23pre"} {
		r, ring := openRealm(t, "testdata/full/"+version)
		for _, p := range r {
			name, err := dumpfmt.ParseName(p.Name, "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.Keys {
				k := &p.Keys[i]
				pw, ok := fixturePassword(name, k.Kvno)
				if !ok {
					continue
				}
				salt, err := krbcrypto.Salt(krbcrypto.SaltType(k.SaltType), name.Realm, name.Components, k.Salt)
				if err != nil {
					t.Fatal(err)
				}
				got, err := krbcrypto.StringToKey(krbcrypto.Enctype(k.Enctype), []byte(pw), salt, nil)
				if err != nil {
					t.Fatal(err)
				}
				want, err := ring.OpenKey(p, k)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Equal(want) {
					t.Errorf("%s %s version %d, enctype %d, salt type %d: key differs", version, p.Name, k.Kvno, k.Enctype, k.SaltType)
				}
				checked++
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d keys checked", checked)
	}
}

// fixturePassword is the table in the fixtures' README.
func fixturePassword(n dumpfmt.Name, kvno uint16) (string, bool) {
	first, plain := n.Components[0], strings.Join(n.Components, "-")
	switch {
	case first == "host" || first == "svc" || first == "kadmin" || first == "K",
		plain == "krbtgt-"+testRealm && n.Realm == testRealm:
		return "", false // random
	case first == "krbtgt":
		return "xrealm-secret", true
	case strings.HasPrefix(first, "et-"):
		return "pw-et", true
	case first == "poleverything":
		return "Pw-poleverything-1", true
	case first == "renamed-new":
		return "pw-renamed-old-1", true
	}
	nth := int(kvno) // how many passwords the principal had
	if strings.HasPrefix(first, "kvno") && first != "kvnos" {
		nth = 1 // given one of the high versions at first; 1 comes after 65535
		if kvno == 1 {
			nth = 2
		}
	}
	return fmt.Sprintf("pw-%s-%d", plain, nth), true
}
