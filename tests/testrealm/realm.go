package testrealm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// RealmName is the realm of the fixture.
const RealmName = "EXAMPLE.ORG"

// Options say what to lay out.
type Options struct {
	Bin    string   // directory of kdc, krep, krepd
	Daemon string   // the same for programs that keep running; "" means Bin
	Slaves []string // host names; nil means slave1 and slave2
	Keep   bool     // Close leaves the directory

	// CountLogins lets the KDCs write down successful and failed logins, as they do without a
	// setting. Each counts for itself, so dumps of master and slaves then differ in three fields
	// of whoever logged in; without it they are the same to the byte.
	CountLogins bool
}

// Realm is one throw-away realm.
type Realm struct {
	Dir    string // 0700, holds one directory a host
	Bin    string
	Daemon string
	Master *Host
	Slaves []*Host

	owner     *os.File // see own; nil: the directory is kept
	keep      bool
	count     bool
	hosts     []*Host
	processes []*Process
}

// New lays out the directories, the configuration and the ports of a master and its slaves.
// Nothing runs yet and no database exists.
func New(o Options) (*Realm, error) {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return nil, err
	}
	daemon := bin
	if o.Daemon != "" {
		if daemon, err = filepath.Abs(o.Daemon); err != nil {
			return nil, err
		}
	}
	for _, program := range []string{"kdc", "krep", "krepd"} {
		for _, where := range []string{bin, daemon} {
			if _, err := os.Stat(filepath.Join(where, program)); err != nil {
				return nil, fmt.Errorf("testrealm: build first: %w", err)
			}
		}
	}
	dir, err := os.MkdirTemp("", dirPattern) // 0700
	if err != nil {
		return nil, err
	}
	var owner *os.File
	if !o.Keep {
		if owner, err = own(dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	r := &Realm{owner: owner, Dir: dir, Bin: bin, Daemon: daemon, keep: o.Keep, count: o.CountLogins}
	names := o.Slaves
	if names == nil {
		names = []string{"slave1", "slave2"}
	}
	if r.Master, err = r.AddHost("master"); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	for _, name := range names {
		h, err := r.AddHost(name)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.Slaves = append(r.Slaves, h)
	}
	if err := r.writeSlaveList(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends all processes of the realm and removes its directory.
func (r *Realm) Close() error {
	for i := len(r.processes) - 1; i >= 0; i-- {
		r.processes[i].Kill()
	}
	r.processes = nil
	for _, h := range r.hosts {
		for _, p := range h.held {
			p.release()
		}
	}
	if r.keep {
		return nil
	}
	return errors.Join(os.RemoveAll(r.Dir), r.owner.Close())
}

// Logs gives the end of what each process wrote, for the message of a failed test.
func (r *Realm) Logs() string {
	const keep = 4000
	var b strings.Builder
	for _, p := range r.processes {
		text := p.Log()
		if len(text) > keep {
			text = "[...]" + text[len(text)-keep:]
		}
		fmt.Fprintf(&b, "--- %s (pid %d, running %v)\n%s\n", p.Name, p.Pid(), p.Running(), text)
	}
	return b.String()
}

// Host is one machine of the realm: a directory with its configuration.
type Host struct {
	Name      string // "slave1"
	FQDN      string // "slave1.example.org"
	Dir       string
	KDCPort   int
	KrepdPort int // slaves only

	KRB5Conf string
	KDCConf  string
	Database string // database_name: ours adds .sqlite, the stock programs use it as it is
	Stash    string
	Delta    string
	Spool    string
	Keytab   string
	SlaveList,
	Control string

	// Wrap is put before the command line of everything that is run on the host, as in
	// {"nsenter", "--net=/run/netns/slave1"}. It has to end by executing the rest in its own place.
	Wrap []string

	clock string // file
	realm *Realm
	held  map[int]*port
	runs  int
}

// AddHost lays out one more host, which is in no slave list.
func (r *Realm) AddHost(name string) (*Host, error) {
	dir := filepath.Join(r.Dir, name)
	h := &Host{
		Name: name, FQDN: name + ".example.org", Dir: dir, realm: r, held: map[int]*port{},
		KRB5Conf: filepath.Join(dir, "krb5.conf"), KDCConf: filepath.Join(dir, "kdc.conf"),
		Database: filepath.Join(dir, "principal"), Stash: filepath.Join(dir, "stash"),
		Delta: filepath.Join(dir, "delta"), Spool: filepath.Join(dir, "spool"),
		Keytab: filepath.Join(dir, "krep.keytab"), SlaveList: filepath.Join(dir, "slaves"),
		Control: filepath.Join(dir, "control"), clock: filepath.Join(dir, "clock"),
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for _, number := range []*int{&h.KDCPort, &h.KrepdPort} {
		p, err := freePort()
		if err != nil {
			return nil, err
		}
		*number, h.held[p.Number] = p.Number, p
	}
	if err := os.WriteFile(h.clock, make([]byte, 8), 0o600); err != nil {
		return nil, err
	}
	r.hosts = append(r.hosts, h)
	krb5 := fmt.Sprintf(krb5Conf, RealmName, RealmName, h.KDCPort)
	if err := os.WriteFile(h.KRB5Conf, []byte(krb5), 0o600); err != nil {
		return nil, err
	}
	return h, os.WriteFile(h.KDCConf, []byte(h.kdcConf()), 0o600)
}

// krb5Conf takes the realm twice and the port of the one KDC that clients of this host ask.
const krb5Conf = `[libdefaults]
    default_realm = %s
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    allow_rc4 = true
    allow_des3 = true
[realms]
    %s = {
        kdc = 127.0.0.1:%d
    }
`

// dbModules takes the realm.
const dbModules = `[dbmodules]
    %s = {
        disable_last_success = true
        disable_lockout = true
    }
`

func (h *Host) kdcConf() string {
	var b strings.Builder
	fmt.Fprintf(&b, `[realms]
    %[1]s = {
        database_name = %[2]s
        key_stash_file = %[3]s
        kdc_listen = 127.0.0.1:%[4]d
        kdc_tcp_listen = 127.0.0.1:%[4]d
        max_life = 1d
        max_renewable_life = 7d
        default_principal_flags = +preauth
    }
[krep]
    %[1]s = {
        keytab = %[5]s
        control = %[6]s
`, RealmName, h.Database, h.Stash, h.KDCPort, h.Keytab, h.Control)
	if h.Name == "master" {
		fmt.Fprintf(&b, "        delta_file = %s\n        slave_list = %s\n", h.Delta, h.SlaveList)
	} else {
		fmt.Fprintf(&b, "        listen = 127.0.0.1:%d\n        spool = %s\n        allow = krep/master.example.org@%s\n",
			h.KrepdPort, h.Spool, RealmName)
	}
	b.WriteString("    }\n")
	if !h.realm.count {
		fmt.Fprintf(&b, dbModules, RealmName)
	}
	return b.String()
}

// writeSlaveList names all slaves: address, principal.
func (r *Realm) writeSlaveList() error {
	var b strings.Builder
	b.WriteString("# address  principal\n")
	for _, h := range r.Slaves {
		fmt.Fprintf(&b, "127.0.0.1:%d  %s\n", h.KrepdPort, h.Principal())
	}
	return os.WriteFile(r.Master.SlaveList, []byte(b.String()), 0o600)
}

// Realm is the realm that the host belongs to.
func (h *Host) Realm() *Realm { return h.realm }

// Principal is the name under which the host's krep or krepd is known.
func (h *Host) Principal() string { return "krep/" + h.FQDN + "@" + RealmName }

// Env is the environment for programs on this host.
func (h *Host) Env() []string {
	return append(os.Environ(),
		"KRB5_CONFIG="+h.KRB5Conf, "KRB5_KDC_PROFILE="+h.KDCConf,
		"KRB5CCNAME=FILE:"+filepath.Join(h.Dir, "ccache"),
		clockVariable+"="+h.clock, "KRB5RCACHETYPE=none", "LC_ALL=C.UTF-8", "TZ=UTC",
		"PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
}

// Start starts a server on this host and waits for its readiness line. The program is looked up
// by lookUp. The realm ends it when it is closed.
func (h *Host) Start(ctx context.Context, program string, args ...string) (*Process, error) {
	return h.start(ctx, ready, program, args...)
}

// StartSaying is Start for a server that announces its readiness with other words.
func (h *Host) StartSaying(ctx context.Context, words, program string, args ...string) (*Process, error) {
	return h.start(ctx, words, program, args...)
}

func (h *Host) start(ctx context.Context, words, program string, args ...string) (*Process, error) {
	h.release(program)
	path, err := h.lookUp(h.realm.Daemon, program)
	if err != nil {
		return nil, err
	}
	h.runs++
	name := h.Name + " " + program
	line := h.wrapped(path, args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env, cmd.Dir = h.Env(), h.Dir
	logFile := filepath.Join(h.Dir, "log", fmt.Sprintf("%02d-%s", h.runs, filepath.Base(program)))
	p, err := start(ctx, name, logFile, words, cmd)
	if err != nil {
		return nil, err
	}
	h.realm.processes = append(h.realm.processes, p)
	return p, nil
}

// Release lets go of the ports that are held for this host: for servers that Start does not know.
func (h *Host) Release() {
	for _, p := range h.held {
		p.release()
	}
}

// wrapped is the command line that runs a program on this host.
func (h *Host) wrapped(path string, args []string) []string {
	return slices.Concat(h.Wrap, []string{path}, args)
}

// release lets go of the port that the program is about to bind.
func (h *Host) release(program string) {
	number := h.KDCPort
	if program == "krepd" {
		number = h.KrepdPort
	}
	if p := h.held[number]; p != nil {
		p.release()
	}
}

// lookUp finds kdc, krep and krepd among what was built into bin; every other name is a stock program.
func (h *Host) lookUp(bin, program string) (string, error) {
	switch program {
	case "kdc", "krep", "krepd":
		return filepath.Join(bin, program), nil
	}
	return Stock(program)
}

// Stock finds a stock program, which may lie in sbin.
func Stock(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("testrealm: %s is not installed (make deps)", program)
}
