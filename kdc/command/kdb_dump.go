package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
)

// dumpVersions are the options that choose a version, and how MIT calls it. The iprop forms,
// which MIT gives only where iprop is enabled, show what replicates and nothing else.
var dumpVersions = map[string]dumpfmt.Version{"-b7": 4, "-r13": 5, "-r18": 6,
	"-i0": dumpfmt.Iprop, "-i1": dumpfmt.Ipropx}

// dumpArgs are the arguments of dump.
type dumpArgs struct {
	kdb.DumpOptions
	verbose bool
	file    string     // "" for standard output
	convert *converter // -mkey_convert
	exprs   []*regexp.Regexp
}

func (u *kdbUtil) parseDump(ctx context.Context, args []string) (dumpArgs, error) {
	var a dumpArgs
	convert, newKey := false, ""
	for ; len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-'; args = args[1:] {
		opt := args[0]
		version, ok := dumpVersions[opt]
		switch {
		case ok:
			a.Version = version
		case opt == "-verbose":
			a.verbose = true
		case opt == "-rev":
			a.Reverse = true
		case opt == "-recurse": // the order is the same
		case opt == "-ov":
			u.errorf("OV dump format not supported\n")
			return a, errSilent
		case opt == "-i":
			u.errorf("Iprop not enabled\n")
			return a, errSilent
		case opt == "-mkey_convert":
			convert = true
		case opt == "-new_mkey_file" && len(args) > 1:
			convert, newKey = true, args[1]
			args = args[1:]
		default:
			return a, errUsage
		}
	}
	if len(args) > 0 {
		if args[0] != "-" {
			a.file = args[0]
		}
		args = args[1:]
	}
	for _, expr := range args {
		re, err := posixMatcher(expr)
		if err != nil {
			return a, fmt.Errorf("regular expression error: %w", err)
		}
		a.exprs = append(a.exprs, re)
	}
	if convert {
		if a.Version == dumpfmt.Iprop || a.Version == dumpfmt.Ipropx {
			return a, errUsage
		}
		var err error
		if a.convert, err = u.newConverter(ctx, newKey); err != nil {
			return a, err
		}
	}
	return a, nil
}

// dump writes the database, or the principals whose names match, as text.
func (u *kdbUtil) dump(ctx context.Context, args []string) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	a, err := u.parseDump(ctx, args)
	if err != nil {
		return err
	}
	a.NoPolicies = len(a.exprs) > 0
	var names *bufio.Writer
	if a.verbose {
		names = bufio.NewWriter(u.err)
		defer names.Flush()
	}
	done := u.progress("dumped")
	if n, _, err := u.db.Count(ctx); err == nil && len(a.exprs) == 0 {
		done.of(n)
	}
	a.Match = func(name string) bool {
		if len(a.exprs) > 0 && !matchesAny(a.exprs, name) {
			return false
		}
		if names != nil {
			fmt.Fprintln(names, name)
		}
		done.step()
		return true
	}
	defer done.end()
	if a.file == "" {
		if err := u.write(ctx, u.out, a); err != nil {
			return fmt.Errorf("%w performing dump", interrupted(err))
		}
		return u.out.Flush()
	}
	return u.dumpFile(ctx, a)
}

func matchesAny(exprs []*regexp.Regexp, name string) bool {
	for _, re := range exprs {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

// dumpFile writes the dump under a temporary name, renames it, and marks FILE.dump_ok, which
// kprop looks at. FILE.dump_ok is locked meanwhile.
//
// What is there and is no file, as /dev/stdout, is written to as it is: a rename would put a file
// in its place.
func (u *kdbUtil) dumpFile(ctx context.Context, a dumpArgs) (err error) {
	if fi, err := os.Stat(a.file); err == nil && !fi.Mode().IsRegular() {
		return u.dumpDevice(ctx, a)
	}
	okName := a.file + ".dump_ok"
	ok, err := os.OpenFile(okName, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("%w while creating 'ok' file, '%s'", err, okName)
	}
	defer func() {
		if cerr := ok.Close(); err == nil {
			err = cerr
		}
	}()
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(ok.Fd(), unix.F_OFD_SETLK, &lk); err != nil {
		return fmt.Errorf("%w while locking 'ok' file, '%s'", err, okName)
	}
	tmp, err := os.CreateTemp(filepath.Dir(a.file), filepath.Base(a.file)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w while allocating temporary filename dump", err)
	}
	err = u.writeDump(ctx, tmp, a)
	if err == nil {
		err = os.Rename(tmp.Name(), a.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w performing dump", interrupted(err)), os.Remove(tmp.Name()))
	}
	_, err = ok.Write([]byte{0})
	return err
}

func (u *kdbUtil) dumpDevice(ctx context.Context, a dumpArgs) error {
	f, err := os.OpenFile(a.file, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%w while opening %s", cause(err), a.file)
	}
	w := bufio.NewWriterSize(f, 1<<16)
	err = u.write(ctx, w, a)
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w performing dump", interrupted(err))
	}
	return nil
}

func (u *kdbUtil) writeDump(ctx context.Context, f *os.File, a dumpArgs) error {
	w := bufio.NewWriterSize(f, 1<<16)
	err := u.write(ctx, w, a)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (u *kdbUtil) write(ctx context.Context, w io.Writer, a dumpArgs) error {
	if a.convert != nil {
		return u.writeConverted(ctx, w, a)
	}
	_, err := u.db.Dump(ctx, w, a.DumpOptions)
	return err
}
