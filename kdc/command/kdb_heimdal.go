package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"krealm/dumpfmt"
	forms "krealm/dumpfmt/heimdal"
	"krealm/kdc/heimdal"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// dumpForm is what kind of file load has been given.
type dumpForm int

const (
	formMIT        dumpForm = iota
	formHeimdal             // kadmin -l dump of Heimdal
	formHeimdalMIT          // the same with --format=MIT
)

// dumpHead is how much of a dump is looked at to tell its form, in bytes.
const dumpHead = 1 << 16

// maxHeader is more than the longest first line of an MIT dump, in bytes.
const maxHeader = 128

// sniff tells the form of a dump before a database is touched. A file that is no dump, or of a
// version that was not asked for, is an error. in is at the beginning still.
func sniff(in *bufio.Reader, a loadArgs) (dumpForm, error) {
	head, _ := in.Peek(maxHeader)
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	read := dumpfmt.NewReader
	if a.iprop {
		read = dumpfmt.NewIpropReader
	}
	r, err := read(bytes.NewReader(head))
	if err == nil && (a.version == 0 || r.Version() == a.version) {
		if r.Version() == dumpfmt.Version5 && heimdalWrote(in) {
			return formHeimdalMIT, nil
		}
		return formMIT, nil
	}
	if err != nil && a.version == 0 && !a.iprop {
		head, _ = in.Peek(dumpHead)
		line, _, _ := bytes.Cut(head, []byte("\n"))
		if forms.Looks(line) {
			return formHeimdal, nil
		}
	}
	return 0, fmt.Errorf("dump header bad in %s", a.file)
}

// heimdalWrote looks for what only Heimdal writes in the entries at the head of a dump.
func heimdalWrote(in *bufio.Reader) bool {
	head, _ := in.Peek(dumpHead)
	r, err := dumpfmt.NewReader(bytes.NewReader(head))
	for err == nil {
		var rec dumpfmt.Record
		rec, err = r.Next()
		if p, ok := rec.(*dumpfmt.Principal); ok && forms.LooksMIT(p) {
			return true
		}
	}
	return false
}

// fromHeimdal turns a Heimdal dump into an MIT dump for db: keys get sealed by the realm's master
// key, whose entry stays. What is left out is said on standard error.
func (u *kdbUtil) fromHeimdal(ctx context.Context, db *kdb.DB, in io.Reader, form dumpForm, a loadArgs) (io.Reader, error) {
	km, err := db.Principal(ctx, u.realm.MasterPrincipal)
	if errors.Is(err, kdb.ErrNotFound) {
		err = messagef("Cannot find master key record in database")
	}
	if err != nil {
		return nil, fmt.Errorf("%w while retrieving master entry", err)
	}
	if u.openMaster(km); u.ring == nil {
		return nil, errSilent
	}
	o := heimdal.Options{Ring: u.ring, Now: u.now(), Warn: func(line int, name, text string) {
		u.errorf("%s: %s: line %d: %s: %s\n", kdbUtilName, a.file, line, name, text)
	}}
	if !a.update {
		o.Master = km
	}
	if a.heimdalKey != "" {
		st, err := mkey.ReadStashOf(a.heimdalKey, u.realm.MasterPrincipal)
		if err != nil {
			return nil, fmt.Errorf("%w while reading Heimdal's master key", err)
		}
		o.Heimdal = st.Keys
	}
	if form == formHeimdalMIT {
		return heimdal.MIT(in, o)
	}
	return heimdal.Own(in, o), nil
}

// noRealmYet says what a Heimdal dump needs.
func (u *kdbUtil) noRealmYet() error {
	if _, err := os.Stat(u.realm.Database); errors.Is(err, os.ErrNotExist) {
		return messagef("Cannot open database '%s': No such file or directory: a Heimdal dump has no master key, "+
			"make the realm with create before it is loaded", u.realm.DatabaseName)
	}
	return nil
}
