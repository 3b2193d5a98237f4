package command

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"krealm/dumpfmt"
	"krealm/kdc/heimdal"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// loadArgs are the arguments of load.
type loadArgs struct {
	version dumpfmt.Version // the only one accepted; 0: any
	iprop   bool            // a full copy of MIT's iprop, of either form if version is 0
	verbose bool
	update  bool
	force   bool // whatever is lost
	dryRun  bool
	file    string

	heimdalKey string // file with the master key of Heimdal's; "" for none
}

func parseLoad(u *kdbUtil, args []string) (loadArgs, error) {
	var a loadArgs
	for ; len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-'; args = args[1:] {
		opt := args[0]
		version, ok := dumpVersions[opt]
		switch {
		case ok:
			a.version = version
			a.iprop = version == dumpfmt.Iprop || version == dumpfmt.Ipropx
		case opt == "-i":
			a.version, a.iprop = 0, true
		case opt == "-verbose":
			a.verbose = true
		case opt == "-update":
			a.update = true
		case opt == "-force":
			a.force = true
		case opt == "-n":
			a.dryRun = true
		case opt == "-heimdal_mkey" && len(args) > 1:
			a.heimdalKey, args = args[1], args[1:]
		case opt == "-hash": // a matter of MIT's db2
		case opt == "-ov":
			u.errorf("OV dump format not supported\n")
			return a, errSilent
		default:
			return a, errUsage
		}
	}
	if len(args) != 1 || a.iprop && a.update {
		return a, errUsage
	}
	a.file = args[0]
	return a, nil
}

// load replaces the database with a dump, or with -update merges it. If anything is wrong with
// the dump nothing has happened.
func (u *kdbUtil) load(ctx context.Context, args []string) error {
	a, err := parseLoad(u, args)
	if err != nil {
		return err
	}
	f, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("%w while opening %s", cause(err), a.file)
	}
	defer f.Close()
	counted := newCounter(f)
	in := bufio.NewReaderSize(counted, dumpHead)
	form, err := sniff(in, a)
	if err == nil && form != formMIT {
		err = u.noRealmYet()
	}
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	db, undo, err := u.openForLoad(ctx, a)
	if err != nil {
		return err
	}
	p := u.progress("loaded")
	p.share = counted.share
	err = u.loadInto(ctx, db, in, form, a, p)
	p.end()
	switch {
	case err != nil:
		u.reportLoad(a, err)
		err = errSilent
	case !a.update && !a.dryRun:
		u.warnStash(ctx, db)
	}
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if undo != nil && (err != nil || a.dryRun) {
		err = errors.Join(err, undo())
	}
	return err
}

// untilSignal ends with the first SIGINT or SIGTERM, so that a long command can clean up. A
// second signal ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

var errInterrupted = errors.New("interrupted")

// interrupted is err, or errInterrupted if a signal is what it comes from.
func interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}

// cause is an os error without its operation and file, in the words of the C library, which
// begin with a capital letter.
func cause(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	text := errno.Error()
	return messagef("%s%s", strings.ToUpper(text[:1]), text[1:])
}

// openForLoad opens the database; a full load makes one if there is none, which undo removes.
func (u *kdbUtil) openForLoad(ctx context.Context, a loadArgs) (db *kdb.DB, undo func() error, err error) {
	db, err = openDB(ctx, u.console.warner(kdbUtilName), u.realm)
	if err == nil {
		return db, nil, nil
	}
	if _, serr := os.Stat(u.realm.Database); a.update || !errors.Is(serr, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w while opening database", err)
	}
	if a.dryRun {
		db, undo, err = u.scratch(ctx)
	} else {
		db, err = kdb.Create(ctx, u.realm.Database, u.realm.Name, dbOptions(u.console.warner(kdbUtilName), u.realm))
		undo = func() error { return kdb.Remove(u.realm.Database) }
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w while creating database", err)
	}
	return db, undo, nil
}

func (u *kdbUtil) loadInto(ctx context.Context, db *kdb.DB, in io.Reader, form dumpForm, a loadArgs, p *progress) (err error) {
	if form != formMIT {
		if in, err = u.fromHeimdal(ctx, db, in, form, a); err != nil {
			return err
		}
	}
	if a.verbose {
		names := &nameWriter{w: bufio.NewWriter(u.err)}
		defer names.w.Flush()
		in = io.TeeReader(in, names)
	}
	o := kdb.LoadOptions{Update: a.update, Iprop: a.iprop, Progress: p.set, DryRun: a.dryRun, Master: u.realm.MasterPrincipal,
		Review: func(r *kdb.Review) error { return u.review(a, r) }}
	var t tally
	if a.dryRun {
		o.Changed = func(c kdb.LoadChange) {
			_ = t.add(c) // never fails
			u.showChange(c)
		}
	}
	res, err := db.Load(ctx, in, o)
	if err == nil && a.iprop && (a.verbose || a.dryRun) {
		u.printf("%s was made at serial %d of MIT's update log; ours begins a new epoch\n", a.file, res.Iprop.Serial)
	}
	if err == nil && a.dryRun {
		t.gone = nil
		u.printf("%d principals and %d policies in %s; %v\n", res.Principals, res.Policies, a.file, &t)
	}
	return err
}

// reportLoad says what was wrong with a dump, and where.
func (u *kdbUtil) reportLoad(a loadArgs, err error) {
	var syn *dumpfmt.SyntaxError
	switch {
	case errors.Is(err, errSilent), errors.Is(err, errRefused):
	case !errors.As(err, &syn):
		u.errorf("%s: %v while loading %s\n", kdbUtilName, interrupted(err), a.file)
		u.hintDamaged(err)
	default:
		field := ""
		if syn.Field > 0 {
			field = fmt.Sprintf(", field %d", syn.Field)
		}
		u.errorf("%s: %s: line %d%s: %v\n", kdbUtilName, a.file, syn.Line, field, syn.Err)
		u.errorf("%s: error processing line %d of %s\n", kdbUtilName, syn.Line, a.file)
	}
	if errors.Is(err, heimdal.ErrSealed) {
		u.errorf("%s: hint: give the file with Heimdal's master key (m-key) with -heimdal_mkey, or make the dump with kadmin -l dump --decrypt\n", kdbUtilName)
	}
	u.errorf("%s: restore failed, the database is as it was\n", kdbUtilName)
}

// warnStash says that the stash file does not open what was loaded: a load needs no key, but
// neither the KDC nor kadmin.local will start. A stash file that is not there yet is no news.
func (u *kdbUtil) warnStash(ctx context.Context, db *kdb.DB) {
	km, err := db.Principal(ctx, u.realm.MasterPrincipal)
	if err != nil { // a part of a realm
		return
	}
	st, err := mkey.ReadStashOf(u.realm.StashFile, u.realm.MasterPrincipal)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = mkey.Open(st, km)
	}
	if err != nil {
		u.errorf("%s: Warning: loaded, but %v\n", kdbUtilName, err)
	}
}

// nameWriter prints the name of each record that passes through it.
type nameWriter struct {
	w    *bufio.Writer
	line []byte // what has come of the current line
}

func (n *nameWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			n.line = append(n.line, rest...)
			break
		}
		n.line = append(n.line, rest[:i+1]...)
		if kind, name, err := dumpfmt.LineName(n.line); err == nil {
			if kind == dumpfmt.KindPolicy {
				name = "created policy " + name
			}
			fmt.Fprintln(n.w, name)
		}
		n.line, rest = n.line[:0], rest[i+1:]
	}
	return len(p), nil
}
