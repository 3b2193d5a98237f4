package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"krealm/deltafile"
	"krealm/internal/daemon"
	"krealm/internal/realmconf"
	"krealm/krep/delta"
)

// Exit statuses of krep delta. A file that cannot be looked at is daemon.ExitFail for the commands
// that do something, and exitUnread for check, whose 1 means something else.
const (
	exitTorn    = 1 // check: nothing wrong, but the last changeset or the head is not complete
	exitDamaged = 2
	exitUnread  = 3
)

const deltaUsage = `usage: krep delta show [-json] [-after SERIAL] [FILE]      what a delta file says
       krep delta follow [-json] [-after SERIAL] [FILE]    the same, and what is appended from now on
       krep delta check [-json] [FILE]                     status 0 good, 1 incomplete, 2 damaged, 3 not read
       krep delta export [-o OUT] [-deletions FILE] [-after SERIAL] [FILE]
                                                           a file for kdb5_util load -update
       krep delta append [-each] [-i INPUT] [-delprinc NAME] [-delpolicy NAME] [FILE]
                                                           append dump-format lines from standard input
       krep delta init [-new-epoch] [FILE]                 make an empty file, or begin a new epoch

FILE is delta_file of the realm (-r REALM) when it is left out. "krep delta COMMAND -help" lists the flags.
`

// deltaCommand runs krep delta.
func deltaCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	run := map[string]func(*deltaFlags, []string) int{
		"show": deltaShow, "follow": deltaFollow, "check": deltaCheck,
		"export": deltaExport, "append": deltaAppend, "init": deltaInit,
	}[name]
	if run == nil {
		_, _ = fmt.Fprint(stderr, deltaUsage)
		if name == "-h" || name == "-help" || name == "help" {
			return daemon.ExitOK
		}
		return daemon.ExitUsage
	}
	f := &deltaFlags{FlagSet: flag.NewFlagSet("krep delta "+name, flag.ContinueOnError), stdin: stdin, stdout: stdout, stderr: stderr}
	f.SetOutput(stderr)
	f.StringVar(&f.realm, "r", "", "`realm`; default: default_realm of krb5.conf")
	return run(f, args[1:])
}

// deltaFlags are the flags of one command of krep delta, and where it reads and writes.
type deltaFlags struct {
	*flag.FlagSet
	stdin          io.Reader
	stdout, stderr io.Writer
	realm          string
	path           string // of the delta file
}

// parse reads the arguments, flags before and after FILE. ok is false when the command is to end
// with status.
func (f *deltaFlags) parse(args []string) (status int, ok bool) {
	var files []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			return daemon.ExitOK, false
		} else if err != nil {
			return daemon.ExitUsage, false
		}
		if f.NArg() == 0 {
			break
		}
		files, args = append(files, f.Arg(0)), f.Args()[1:]
	}
	switch len(files) {
	case 1:
		f.path = files[0]
		return 0, true
	case 0:
		realm, err := f.configured()
		if err == nil && realm.Krep.DeltaFile == "" {
			err = errNoDelta
		}
		if err != nil {
			return fail(f.stderr, err, "name the file: "+f.Name()+" FILE"), false
		}
		f.path = realm.Krep.DeltaFile
		return 0, true
	}
	_, _ = fmt.Fprint(f.stderr, deltaUsage)
	return daemon.ExitUsage, false
}

func (f *deltaFlags) configured() (*realmconf.Realm, error) {
	conf, err := realmconf.Load(realmconf.Options{Realm: f.realm})
	if err != nil {
		return nil, err
	}
	return conf.Realm("")
}

// initial is the state that a new file begins with.
func (f *deltaFlags) initial() (deltafile.State, error) {
	realm, err := f.configured()
	if err != nil {
		return deltafile.State{}, err
	}
	return deltafile.Initial(realm.Name, deltafile.NewEpoch(), time.Now()), nil
}

// fail reports an error; damage has a status of its own.
func (f *deltaFlags) fail(err error) int {
	var damage *deltafile.FormatError
	if errors.As(err, &damage) {
		fail(f.stderr, err, "keep a copy; the good part reads with krep delta show")
		return exitDamaged
	}
	if errors.Is(err, deltafile.ErrUnsure) {
		return fail(f.stderr, err, "once the disk works: krep delta init -new-epoch")
	}
	return fail(f.stderr, err)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// printable is a name as it is, or quoted if a terminal could take part of it for something else.
func printable(name string) string {
	if !utf8.ValidString(name) {
		return strconv.Quote(name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

func deltaExport(f *deltaFlags, args []string) int {
	out := f.String("o", "", "write the dump to this `file`; default: standard output")
	deletions := f.String("deletions", "", "write the deletions, as commands for kadmin.local, to this `file`")
	after := f.Uint64("after", 0, "only changes behind this `serial`")
	if status, ok := f.parse(args); !ok {
		return status
	}
	dump, err := newOutput(*out, f.stdout)
	if err != nil {
		return fail(f.stderr, err)
	}
	defer dump.discard()
	commands, err := newOutput(*deletions, io.Discard)
	if err != nil {
		return fail(f.stderr, err)
	}
	defer commands.discard()
	x, err := delta.Export(f.path, *after, dump, commands)
	if err == nil {
		err = errors.Join(dump.keep(), commands.keep())
	}
	if err != nil {
		return f.fail(err)
	}
	_, _ = fmt.Fprintf(f.stderr, "krep: serial %d to %d: %s, %s, %s; %d older states of the same names left out\n", x.After.Serial, x.Last.Serial,
		count(x.Principals, "principal"), count(x.Policies, "policy line"), count(x.Deletions, "deletion"), x.Superseded)
	if x.Deletions > 0 && *deletions == "" {
		_, _ = fmt.Fprintln(f.stderr, "krep: hint: a dump cannot carry deletions: -deletions FILE writes them as commands for kadmin.local")
	}
	return daemon.ExitOK
}

// output is a file that gets its name when it is complete, or a stream.
type output struct {
	io.Writer
	path string
	tmp  *os.File // nil: a stream
}

func newOutput(path string, otherwise io.Writer) (*output, error) {
	if path == "" {
		return &output{Writer: otherwise}, nil
	}
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: no regular file: a new one would take its place", path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &output{Writer: tmp, path: path, tmp: tmp}, nil
}

func (o *output) keep() error {
	if o.tmp == nil {
		return nil
	}
	err := errors.Join(o.tmp.Sync(), o.tmp.Close())
	if err == nil {
		err = os.Rename(o.tmp.Name(), o.path)
	}
	if err == nil {
		o.tmp = nil
	}
	return err
}

func (o *output) discard() {
	if o.tmp != nil {
		_ = o.tmp.Close()
		_ = os.Remove(o.tmp.Name())
	}
}

// errNothing: a dump of a principal that does not exist is a header, one that failed is empty. Whoever
// appends it believes that the slaves have something now.
var errNothing = errors.New("nothing to append: no principal, no policy, no deletion")

func deltaAppend(f *deltaFlags, args []string) int {
	var principals, policies daemon.List
	f.Var(&principals, "delprinc", "append the deletion of this principal; may be given several times. `Name` with realm, or of the realm of -r")
	f.Var(&policies, "delpolicy", "append the deletion of this policy; may be given several times. `Name`")
	input := f.String("i", "", "read lines from this `file`, - is standard input; default: -, but nothing with -delprinc and -delpolicy")
	each := f.Bool("each", false, "a changeset for each line, not one for all")
	if status, ok := f.parse(args); !ok {
		return status
	}
	if *input == "" && len(principals)+len(policies) == 0 {
		*input = "-"
	}
	lines, err := f.lines(*input)
	if err == nil {
		var more [][]byte
		more, err = delta.Deletions(f.realm, principals, policies)
		lines = append(lines, more...)
	}
	if err == nil && len(lines) == 0 {
		err = errNothing
	}
	if err != nil {
		return fail(f.stderr, err)
	}
	ctx, stop := daemon.Interrupts(context.Background())
	defer stop()
	last, err := delta.Append(ctx, f.path, deltafile.State{}, lines, *each)
	if errors.Is(err, fs.ErrNotExist) {
		var want deltafile.State
		if want, err = f.initial(); err == nil {
			last, err = delta.Append(ctx, f.path, want, lines, *each)
		}
	}
	if err != nil {
		return f.fail(err)
	}
	_, _ = fmt.Fprintf(f.stdout, "%s %d\n", last.Epoch, last.Serial)
	return daemon.ExitOK
}

func (f *deltaFlags) lines(input string) ([][]byte, error) {
	switch input {
	case "":
		return nil, nil
	case "-":
		lines, err := delta.ParseLines(f.stdin)
		if err != nil {
			err = fmt.Errorf("standard input: %w", err)
		}
		return lines, err
	}
	in, err := os.Open(input)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	lines, err := delta.ParseLines(in)
	if err != nil {
		err = fmt.Errorf("%s: %w", input, err)
	}
	return lines, err
}

func deltaInit(f *deltaFlags, args []string) int {
	force := f.Bool("new-epoch", false, "begin a new epoch although there is a file: every slave gets a full copy")
	if status, ok := f.parse(args); !ok {
		return status
	}
	want, err := f.initial()
	if err != nil {
		return fail(f.stderr, err)
	}
	ctx, stop := daemon.Interrupts(context.Background())
	defer stop()
	last, err := delta.Begin(ctx, f.path, want, *force)
	if err != nil {
		return f.fail(err)
	}
	_, _ = fmt.Fprintf(f.stdout, "%s %d\n", last.Epoch, last.Serial)
	return daemon.ExitOK
}
