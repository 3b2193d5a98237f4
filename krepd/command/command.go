package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/control"
	"krealm/internal/daemon"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/krep/slavelist"
)

// defaultPort is where krepd listens unless told otherwise.
const defaultPort = 7754

// Main runs krepd with the given arguments and returns its exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if args[0] == "status" {
			return statusCommand(args[1:], stdout, stderr)
		}
		return fail(stderr, fmt.Errorf("unknown command %q", args[0]), "krepd -help lists the commands")
	}
	return daemonCommand(args, stdout, stderr)
}

// fail reports an error, with hints, and returns the exit status.
func fail(stderr io.Writer, err error, hints ...string) int {
	return daemon.Fail(stderr, "krepd", err, hints...)
}

// settings are the effective values of the daemon.
type settings struct {
	*daemon.Settings
	spool   string
	keytab  string
	delta   string // of a relay; empty: none
	control string
	listen  []string
	allow   []string
	check   bool
	debug   bool

	connect   []slavelist.Slave // masters to dial
	principal string            // to dial as; empty: krep/HOST of the keytab

	again func() (*settings, error) // finds them anew, see reload
}

type flags struct {
	*flag.FlagSet
	realm, database, spool, keytab, control, delta, principal string
	listen, allow, connect                                    daemon.List
	check, debug, foreground                                  bool
}

func newFlags(name string, stderr io.Writer, full bool) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.StringVar(&f.realm, "r", "", "`realm`; default: default_realm of krb5.conf")
	f.StringVar(&f.control, "control", "", "UNIX `socket` for status; default: krepd_control, else control")
	if !full {
		return f
	}
	f.StringVar(&f.database, "d", "", "database `name`, without .sqlite; default: database_name")
	f.StringVar(&f.spool, "spool", "", "spool `file`; default: spool, else DATABASE.spool")
	f.StringVar(&f.keytab, "keytab", "", "keytab `file`; default: keytab, else the default keytab")
	f.StringVar(&f.delta, "delta", "", "delta `file` to write for slaves of this slave; default: delta_file, else none")
	f.Var(&f.listen, "listen", "`address` to listen on, may be repeated; default: listen, else port 7754 of all addresses")
	f.Var(&f.allow, "allow", "`principal` that may feed this slave, may be repeated; default: allow")
	f.Var(&f.connect, "connect", "`master` to dial instead of waiting for it to dial, \"host[:port] [principal]\"; of several one at a time; default: connect, else none")
	f.StringVar(&f.principal, "principal", "", "`principal` to dial as; default: krep/HOST of the keytab")
	f.BoolVar(&f.check, "check", false, "print the effective settings and where they came from, check them, and exit")
	f.BoolVar(&f.foreground, "n", true, "run in the foreground (always)")
	f.BoolVar(&f.debug, "debug", false, "log more")
	f.Usage = func() {
		_, _ = fmt.Fprint(stderr, "usage: krepd [flags]\n       krepd status [-json]\n\nflags:\n")
		f.PrintDefaults()
	}
	return f
}

var (
	errNobody = errors.New("nobody may feed this slave")
	errNoName = errors.New("not a principal name")
	errRelay  = errors.New("delta file and spool are the same file")
)

// load finds the effective settings: a flag wins over the files.
func (f *flags) load() (*settings, error) {
	found, err := daemon.LoadSettings(realmconf.Options{Realm: f.realm, Database: f.database})
	if err != nil {
		return nil, err
	}
	s := &settings{Settings: found, check: f.check, debug: f.debug, principal: f.principal, again: f.load}
	s.NoteKnown("database", s.Realm.Database, "database_name", f.database != "")
	s.spool = s.Relation("spool", f.spool, s.Realm.DatabaseName+".spool")
	s.keytab = s.Relation("keytab", f.keytab, s.Conf.DefaultKeytab())
	s.delta = s.Relation("delta_file", f.delta, "")
	s.control = s.FirstRelation(f.control, "", controlNames...)
	s.NoteKnown("iprop_ulogsize", strconv.Itoa(s.Realm.KeepChanges), "iprop_ulogsize", false)
	s.noteSkew()
	if s.connect, err = parseMasters(s.Relations("connect", f.connect), s.Realm.Name); err != nil {
		return nil, err
	}
	if err := s.loadListen(f); err != nil {
		return nil, err
	}
	return s, s.loadAllow(f)
}

func (s *settings) noteSkew() {
	source, path := "default", []string{"libdefaults", "clockskew"}
	if s.Conf.Profile().Has(path...) {
		source = s.Conf.Profile().Source(path...)
	}
	s.Note("clockskew", s.Conf.ClockSkew.String(), source)
}

// controlNames are the relations that name krepd's control socket: a host with a krep beside its
// krepd needs one for each.
var controlNames = []string{"krepd_control", "control"}

func (s *settings) loadListen(f *flags) error {
	words, given := s.Realm.Krep.Listen, len(f.listen) > 0
	if given {
		words = f.listen
	}
	if len(words) == 0 && len(s.connect) == 0 {
		words = []string{strconv.Itoa(defaultPort)}
	}
	for _, w := range words {
		addr, err := realmconf.ParseListen(w, strconv.Itoa(defaultPort))
		if err != nil {
			return fmt.Errorf("listen %q: %w", w, err)
		}
		s.listen = append(s.listen, addr)
	}
	s.NoteKnown("listen", strings.Join(s.listen, " "), "krep listen", given)
	return nil
}

func (s *settings) loadAllow(f *flags) error {
	names, given := s.Realm.Krep.Allow, len(f.allow) > 0
	if given {
		names = f.allow
	}
	for _, n := range names {
		name, err := dumpfmt.ParseName(n, s.Realm.Name)
		if err == nil && (len(name.Components) == 0 || name.Components[0] == "") {
			err = errNoName
		}
		if err != nil {
			return fmt.Errorf("allow %q: %w", n, err)
		}
		s.allow = append(s.allow, name.String())
	}
	for _, m := range s.connect { // whoever is dialled may feed
		if !slices.Contains(s.allow, m.Principal) {
			s.allow = append(s.allow, m.Principal)
		}
	}
	s.NoteKnown("allow", strings.Join(s.allow, " "), "krep allow", given)
	return nil
}

// validate looks at what can be looked at before anything is started.
func (s *settings) validate() error {
	if len(s.allow) == 0 {
		return errNobody
	}
	if s.delta != "" && filepath.Clean(s.delta) == filepath.Clean(s.spool) {
		return errRelay
	}
	return nil
}

func hints(err error) []string {
	switch {
	case errors.Is(err, errNobody):
		return []string{"name the master's principal, krep/HOST, with allow in [krep] of kdc.conf, or use -allow"}
	case errors.Is(err, kdb.ErrNotExpendable):
		return []string{moveAway}
	case errors.Is(err, kdb.ErrMaster):
		return []string{"a host that was the master becomes a slave with an empty database: \"krep delta export\" shows what its delta file still has, then \"kdc kdb5_util destroy\" and start krepd again"}
	case errors.Is(err, control.ErrInUse):
		return []string{"krep and krepd on one host have a socket each: set krepd_control in [krep] of kdc.conf for krepd's"}
	}
	return nil
}
