package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/admin"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
)

const kadminName = "kadmin.local"

const kadminUsage = `Usage: kadmin.local [-r realm] [-p principal] [-q query] [clnt|local args]
              [command args...]
	clnt args: [-s admin_server[:port]] [[-c ccache]|[-k [-t keytab]]]|[-n] [-O | -N]
	local args: [-x db_args]* [-d dbname] [-e "enc:salt ..."] [-m] [-w password] where,
	[-x db_args]* - any number of database specific arguments.
			Look at each database documentation for supported arguments
`

// kadminMore is what help says beside the usage, which is MIT's word for word.
const kadminMore = `
not in MIT's:
	[-wait all|quorum|number] [-wait-timeout duration]
			return when that many slaves have applied each change, or say which
			have not in time (default 5s): then the exit status is 2, and the
			change is stored all the same. Defaults: wait, wait_timeout in
			[krep] of kdc.conf
`

// kadmin is one run of kadmin.local.
type kadmin struct {
	*console
	conf   *realmconf.Conf
	realm  *realmconf.Realm
	db     *kdb.DB
	adm    *admin.Admin
	actor  string // recorded as modifier
	script bool   // one command from the command line: no notices, no questions
	failed bool   // something went through fail or usage
	over   bool   // quit was typed
	now    func() time.Time
	waiter *waiter
}

// kadminOptions are the options of the command line.
type kadminOptions struct {
	realmOptions
	waitOptions
	principal string // -p
	ccache    string // -c
	keytab    bool   // -k
	query     string // -q
	hasQuery  bool
	keySalts  []realmconf.KeySalt // -e
	command   []string
}

// KadminLocal is kadmin.local. args are without the program's name; the exit status is
// returned.
func KadminLocal(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	con := newConsole(stdin, stdout, stderr)
	defer con.flush()
	if wantsHelp(args) && args[0] != "help" {
		con.printf("%s%s", kadminUsage, kadminMore)
		return 0
	}
	o, err := parseKadmin(args)
	if err != nil {
		sep := "\n"
		if errors.Is(err, errExclusive) {
			sep = "" // as MIT prints it
		}
		con.errorf("%s: %v%s%s", kadminName, err, sep, kadminUsage)
		if errors.As(err, new(ownOption)) {
			con.errorf("%s", kadminMore)
		}
		return 1
	}
	k := &kadmin{console: con, script: len(o.command) > 0, now: time.Now}
	ctx := context.Background()
	if err := k.open(ctx, o); err != nil {
		con.errorf("%s: %s while initializing %s interface\n", kadminName, text(err), kadminName)
		return 1
	}
	status := k.run(ctx, o)
	if status == 0 && k.waiter.late {
		status = statusUnconfirmed
	}
	_ = k.waiter.krep.Close() // nothing hangs on it
	if err := k.db.Close(); err != nil {
		con.errorf("%s: %v while closing the database\n", kadminName, err)
		status = 1
	}
	return status
}

var errExclusive = errors.New("-q is exclusive with command-line query")

func parseKadmin(args []string) (*kadminOptions, error) {
	o := &kadminOptions{}
	const spec = "x:r:p:knq:w:d:s:mc:t:e:ON"
	args, err := o.waitOptions.take(args, spec)
	if err != nil {
		return nil, ownOption{err}
	}
	g := getopt{args: args, spec: spec}
	for {
		opt, arg, err := g.next()
		if err != nil {
			return nil, err
		}
		switch opt {
		case 0:
			o.command = g.args
			if o.hasQuery && len(g.args) > 0 {
				return nil, errExclusive
			}
			return o, nil
		case 'x':
			err = o.dbArg(arg)
		case 'r':
			o.realm = arg
		case 'p':
			o.principal = arg
		case 'k':
			o.keytab = true
		case 'c':
			o.ccache = arg
		case 'q':
			o.query, o.hasQuery = arg, true
		case 'd':
			o.database = arg
		case 'm':
			o.manual = true
		case 'e':
			if o.keySalts, _ = realmconf.ParseKeySalts(arg); len(o.keySalts) == 0 {
				err = fmt.Errorf("%w while parsing keysalts %s", admin.ErrBadKeySalts, arg)
			}
		} // n, w, s, t, O, N: for kadmin, which this is not
		if err != nil {
			return nil, err
		}
	}
}

// open reads the configuration, says who is recorded as modifier, and opens the database and
// its master key.
func (k *kadmin) open(ctx context.Context, o *kadminOptions) error {
	var err error
	if k.conf, k.realm, err = o.load(); err != nil {
		return err
	}
	if k.waiter, err = o.waiter(k.realm.Krep); err != nil {
		return err
	}
	if k.actor, err = o.actor(k.realm.Name); err != nil {
		return err
	}
	if !k.script {
		k.printf("Authenticating as principal %s with password.\n", k.actor)
	}
	if k.db, err = openDB(ctx, k.console.warner(kadminName), k.realm); err != nil {
		return err
	}
	k.adm, err = admin.New(ctx, k.db, k.realm, o.opener(k.console, k.console.warner(kadminName), k.realm), admin.Options{
		KeySalts:  o.keySalts,
		Warn:      func(s string) { k.errorf("%s: %s\n", kadminName, s) },
		Committed: k.waiter.committed,
	})
	if err != nil {
		_ = k.db.Close()
	}
	return err
}

// run executes what the command line asks for, or what is typed, and returns the exit status.
func (k *kadmin) run(ctx context.Context, o *kadminOptions) int {
	switch {
	case k.script:
		if !k.execute(ctx, o.command) {
			k.errorf("%s: Command not found %s\n", kadminName, o.command[0])
			return 1
		}
		return status(k.failed)
	case o.hasQuery:
		words, ok := k.words(ctx, o.query)
		if ok && len(words) > 0 && !k.execute(ctx, words) {
			k.errorf("%s: Command not found %s\n", kadminName, words[0])
			return 1
		}
		return 0
	}
	k.loop(ctx)
	return 0
}

func status(failed bool) int {
	if failed {
		return 1
	}
	return 0
}

// loop reads and executes commands until quit or the end of the input.
func (k *kadmin) loop(ctx context.Context) {
	for !k.over {
		line, err := k.command()
		if errors.Is(err, errLineTooLong) {
			k.errorf("%s: %v\n", kadminName, err)
			return
		}
		if err != nil {
			return
		}
		if words, ok := k.words(ctx, line); ok && len(words) > 0 && !k.execute(ctx, words) {
			k.errorf("%s: Unknown request \"%s\".  Type \"?\" for a request list.\n", kadminName, words[0])
		}
		k.flush()
	}
}

// command reads one command. The prompt is for people only.
func (k *kadmin) command() (string, error) {
	if k.terminal() {
		return k.ask(kadminName + ":  ")
	}
	return k.line()
}

// words splits a command line, and runs the shell for one that begins with "!". ok is false
// when there is nothing left to do.
func (k *kadmin) words(ctx context.Context, line string) (words []string, ok bool) {
	if cmd, shell := strings.CutPrefix(strings.TrimLeft(line, " \t"), "!"); shell {
		k.flush()
		c := exec.CommandContext(ctx, "/bin/sh", "-c", cmd)
		c.Stdout, c.Stderr = k.out, k.err
		if err := c.Run(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				k.errorf("%s: %v\n", kadminName, err)
			}
		}
		return nil, false
	}
	words, ok = splitWords(line)
	if !ok {
		k.errorf("%s: Unbalanced quotes in command line\n", kadminName)
	}
	return words, ok
}

// splitWords splits at blanks and tabs. Double quotes keep them, in the middle of a word too,
// and a doubled quote inside is one quote; ok is false if a quote is not closed.
func splitWords(line string) (words []string, ok bool) {
	var b strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"' && quoted && i+1 < len(line) && line[i+1] == '"':
			b.WriteByte(c)
			i++
		case c == '"':
			quoted, inWord = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if inWord {
				words = append(words, b.String())
				b.Reset()
			}
			inWord = false
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, b.String())
	}
	return words, !quoted
}

// execute runs one command, and waits for slaves if that is asked for; false if there is none of
// that name.
func (k *kadmin) execute(ctx context.Context, words []string) bool {
	for _, c := range kadminCommands() {
		for _, name := range c.names {
			if name == words[0] {
				c.run(k, ctx, words)
				k.wait(ctx)
				return true
			}
		}
	}
	return false
}

// fail reports the error of a command: "command: TEXT doing."
func (k *kadmin) fail(command string, err error, doing string, args ...any) {
	k.failed = true
	k.errorf("%s: %s %s\n", command, text(err), fmt.Sprintf(doing, args...))
}

// complain prints a message of the error path.
func (k *kadmin) complain(format string, args ...any) {
	k.failed = true
	k.errorf(format, args...)
}

// notice prints what is not said in script mode.
func (k *kadmin) notice(format string, args ...any) {
	if !k.script {
		k.printf(format, args...)
	}
}

// confirmed asks a question that only "yes" agrees to. In script mode, and with force, nobody
// is asked.
func (k *kadmin) confirmed(force bool, format string, args ...any) bool {
	if force || k.script {
		return true
	}
	answer, err := k.ask(fmt.Sprintf(format, args...) + "? (yes/no): ")
	return err == nil && answer == "yes"
}

// principalName completes a name with the realm and brings it into its string form. An empty
// realm is refused, as kadmin does.
func (k *kadmin) principalName(s string) (string, error) {
	n, err := dumpfmt.ParseName(s, k.realm.Name)
	if err == nil && n.Realm == "" {
		err = dumpfmt.ErrName
	}
	if err != nil {
		return "", err
	}
	return n.String(), nil
}
