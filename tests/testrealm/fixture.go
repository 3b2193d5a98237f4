package testrealm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Fixture is the realm that the stock programs made (tests/testdata/realm).
type Fixture struct {
	Dir      string
	Dump     string // version 7
	Stash    string // git does not keep its mode: copy it with CopyFile
	Services string // keytab of host/*
	Entries  []Entry
}

// Entry is one principal that the fixture's script made by hand; those that MIT makes by itself
// (K/M, krbtgt, kadmin/...) are only in the dump.
type Entry struct {
	Principal string
	Password  string // "" for a random key
	Note      string // what is special about it; "" for most
}

// ReadFixture reads the list of principals and finds the other files.
func ReadFixture(dir string) (*Fixture, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &Fixture{Dir: dir, Dump: filepath.Join(dir, "realm.dump"), Stash: filepath.Join(dir, "stash"),
		Services: filepath.Join(dir, "services.keytab")}
	table := filepath.Join(dir, "principals.tsv")
	b, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		if len(columns) != 3 {
			return nil, fmt.Errorf("%s: line %d: %d columns, want 3", table, n+1, len(columns))
		}
		if columns[1] == "-" {
			columns[1] = ""
		}
		f.Entries = append(f.Entries, Entry{Principal: columns[0], Password: columns[1], Note: columns[2]})
	}
	return f, nil
}

// Entry finds a principal by its name without the realm.
func (f *Fixture) Entry(name string) (Entry, error) {
	for _, e := range f.Entries {
		if e.Principal == name+"@"+RealmName {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("testrealm: the fixture has no %s", name)
}

// Counts are the records in the dump file.
func (f *Fixture) Counts() (principals, policies int, err error) {
	b, err := os.ReadFile(f.Dump)
	if err != nil {
		return 0, 0, err
	}
	return bytes.Count(b, []byte("\nprinc\t")), bytes.Count(b, []byte("\npolicy\t")), nil
}
