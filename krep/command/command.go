package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/realmconf"
	"krealm/krep/slavelist"
)

// DefaultPort is krepd's port.
const DefaultPort = 7754

// Main runs krep with the given arguments and returns its exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "status":
			return statusCommand(args[1:], stdout, stderr)
		case "resync", "pause", "resume":
			return askCommand(args[0], args[1:], stdout, stderr)
		case "verify":
			return verifyCommand(args[1:], stdout, stderr)
		case "delta":
			return deltaCommand(args[1:], os.Stdin, stdout, stderr)
		}
		return fail(stderr, fmt.Errorf("unknown command %q", args[0]), "krep -help lists the commands")
	}
	return daemonCommand(args, stdout, stderr)
}

// fail reports an error, with hints, and returns the exit status.
func fail(stderr io.Writer, err error, hints ...string) int {
	return daemon.Fail(stderr, "krep", err, hints...)
}

// settings are the effective values of the daemon.
type settings struct {
	*daemon.Settings
	delta       string
	slaves      string
	keytab      string
	snapshotCmd string
	control     string
	principal   string
	check       bool
	debug       bool
	listed      fileStamp // of the slave list, when validate was about to read it
	limits
}

// flags declares the flags that every command of krep takes, and those of the daemon.
type flags struct {
	*flag.FlagSet
	realm, database                                 string
	delta, slaves, keytab, snapshot, control, princ string
	maxSize, maxAge, listen                         string
	check, debug, foreground                        bool
}

func newFlags(name string, stderr io.Writer, full bool) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.StringVar(&f.realm, "r", "", "`realm` to serve; default: default_realm of krb5.conf")
	f.StringVar(&f.control, "control", "", "UNIX `socket` for status and commands; default: control")
	if !full {
		return f
	}
	f.StringVar(&f.delta, "delta", "", "delta `file` to follow; default: delta_file")
	f.StringVar(&f.slaves, "slaves", "", "slave list `file`; default: slave_list")
	f.StringVar(&f.keytab, "keytab", "", "keytab `file`; default: keytab, else the default keytab")
	f.StringVar(&f.snapshot, "snapshot-command", "", "shell `command` that writes a dump to its standard output; default: snapshot_command, else our database")
	f.StringVar(&f.princ, "principal", "", "`principal` to authenticate as; default: krep/HOST of the keytab")
	f.StringVar(&f.maxSize, "max-size", "", "`size` of the delta file beyond which slaves that are down let go of it; default: delta_max_size, else 1 GiB")
	f.StringVar(&f.maxAge, "max-age", "", "`age` of changes beyond which slaves that are down let go of them; default: delta_max_age, else none")
	f.StringVar(&f.listen, "listen", "", "`address` to listen on for slaves that connect; default: connect_listen, else none")
	f.StringVar(&f.database, "d", "", "database `name`, without .sqlite; default: database_name")
	f.BoolVar(&f.check, "check", false, "print the effective settings and where they came from, check them, and exit")
	f.BoolVar(&f.foreground, "n", true, "run in the foreground (always)")
	f.BoolVar(&f.debug, "debug", false, "log more")
	f.Usage = func() {
		_, _ = fmt.Fprint(stderr, "usage: krep [flags]\n       krep status [-json]\n       krep verify [-deep] [-json] [-timeout 1m]\n       krep resync|pause|resume SLAVE\n       krep delta show|follow|check|export|append|init [FILE]\n\nflags:\n")
		f.PrintDefaults()
	}
	return f
}

// load finds the effective settings: a flag wins over the files.
func (f *flags) load() (*settings, error) {
	found, err := daemon.LoadSettings(realmconf.Options{Realm: f.realm, Database: f.database})
	if err != nil {
		return nil, err
	}
	s := &settings{Settings: found, check: f.check, debug: f.debug, principal: f.princ}
	s.delta = s.Relation("delta_file", f.delta, "")
	s.slaves = s.Relation("slave_list", f.slaves, "")
	s.keytab = s.Relation("keytab", f.keytab, s.Conf.DefaultKeytab())
	s.snapshotCmd = s.Relation("snapshot_command", f.snapshot, "")
	s.control = s.Relation("control", f.control, "")
	s.NoteKnown("database", s.Realm.Database, "database_name", f.database != "")
	return s, s.loadLimits(f)
}

var (
	errNoDelta  = errors.New("no delta file given")
	errNoSlaves = errors.New("no slave list given")
)

// validate looks at what can be looked at before anything is started.
func (s *settings) validate() ([]slavelist.Slave, error) {
	if s.delta == "" {
		return nil, errNoDelta
	}
	if s.slaves == "" {
		return nil, errNoSlaves
	}
	s.listed = stampOf(s.slaves)
	return s.loadSlaves()
}

func (s *settings) loadSlaves() ([]slavelist.Slave, error) {
	return slavelist.Load(s.slaves, slavelist.Defaults{Realm: s.Realm.Name, Port: DefaultPort})
}

func hints(err error) []string {
	switch {
	case errors.Is(err, errNoDelta):
		return []string{"set delta_file in [krep] of kdc.conf, for krep and for the programs that change the database, or use -delta"}
	case errors.Is(err, control.ErrInUse):
		return []string{"krep and krepd on one host have a socket each: set krepd_control in [krep] of kdc.conf for krepd's"}
	case errors.Is(err, errNoSlaves):
		return []string{"set slave_list in [krep] of kdc.conf, or use -slaves; an empty file is a list without slaves"}
	}
	return nil
}
