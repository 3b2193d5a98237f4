package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

const kdbUtilName = "kdb5_util"

const kdbUtilUsage = `Usage: kdb5_util [-r realm] [-d dbname] [-k mkeytype] [-kv mkeyVNO]
	        [-M mkeyname] [-m] [-sf stashfilename] [-P password]
	        [-x db_args]* cmd [cmd_options]
	create  [-s]
	destroy [-f]
	stash   [-f keyfile]
	dump    [-b7|-r13|-r18] [-verbose]
	        [-mkey_convert] [-new_mkey_file mkey_file]
	        [-rev] [-recurse] [filename [princs...]]
	load    [-b7|-r13|-r18] [-hash] [-verbose] [-update] filename
	ark     [-e etype_list] principal
	add_mkey [-e etype] [-s]
	use_mkey kvno [time]
	list_mkeys
	update_princ_encryption [-f] [-n] [-v] [princ-pattern]
	purge_mkeys [-f] [-n] [-v]
	tabdump [-H] [-c] [-e] [-n] [-o outfile] dumptype

where,
	[-x db_args]* - any number of database specific arguments.
			Look at each database documentation for supported arguments
`

// kdbUtil is one run of kdb5_util.
type kdbUtil struct {
	*console
	opts       realmOptions
	masterType krbcrypto.Enctype // -k; 0: as configured
	masterKvno uint16            // -kv; 0: not given
	conf       *realmconf.Conf
	realm      *realmconf.Realm
	db         *kdb.DB    // opened by openAll
	ring       *mkey.Ring // nil when there is no master key
	status     int        // errors so far
	now        func() time.Time
}

// kdbCommands are the commands; each gets the words behind its name.
var kdbCommands = map[string]struct {
	run  func(u *kdbUtil, ctx context.Context, args []string) error
	open bool // with database and master key
}{
	"create":  {(*kdbUtil).create, false},
	"destroy": {(*kdbUtil).destroy, true},
	"stash":   {(*kdbUtil).stash, true},
	"dump":    {(*kdbUtil).dump, true},
	"load":    {(*kdbUtil).load, false},
	"tabdump": {(*kdbUtil).tabdump, true},
	"verify":  {(*kdbUtil).verify, false},
	"ark":     {(*kdbUtil).addRandomKey, true},

	"add_mkey":                {(*kdbUtil).addMasterKey, true},
	"use_mkey":                {(*kdbUtil).useMasterKey, true},
	"list_mkeys":              {(*kdbUtil).listMasterKeys, true},
	"update_princ_encryption": {(*kdbUtil).updateEncryption, true},
	"purge_mkeys":             {(*kdbUtil).purgeMasterKeys, true},
}

// KDBUtil is kdb5_util. args are without the program's name; the exit status is returned: the
// number of errors.
func KDBUtil(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	u := &kdbUtil{console: newConsole(stdin, stdout, stderr), now: time.Now}
	defer u.flush()
	if wantsHelp(args) {
		u.help()
		return 0
	}
	command, rest, err := u.parse(args)
	if err != nil {
		return u.end(err)
	}
	if u.conf, u.realm, err = u.opts.load(); err != nil {
		return u.end(fmt.Errorf("%w while retrieving configuration parameters", err))
	}
	if u.masterType != 0 {
		u.realm.MasterKeyType = u.masterType
	}
	ctx := context.Background()
	c := kdbCommands[command]
	if c.open {
		if err := u.openAll(ctx); err != nil {
			return u.end(err)
		}
	}
	err = c.run(u, ctx, rest)
	if ferr := u.out.Flush(); err == nil && ferr != nil {
		err = fmt.Errorf("%w while writing what was found", ferr)
	}
	if u.db != nil {
		if cerr := u.db.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w while closing database", cerr)
		}
	}
	return u.end(err)
}

// errSilent ends a command whose message is out already.
var errSilent = errors.New("failed")

// end reports the error that ended the command and returns the exit status.
func (u *kdbUtil) end(err error) int {
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		u.errorf("%s", kdbUtilUsage)
		u.status++
	case errors.Is(err, errSilent):
		u.status++
	default:
		u.fail(err)
	}
	return min(u.status, 125)
}

// fail reports an error and goes on.
func (u *kdbUtil) fail(err error) {
	u.errorf("%s: %v\n", kdbUtilName, err)
	u.hintDamaged(err)
	u.status++
}

// hintDamaged says how to go on where the engine does not understand its file: no command mends it.
func (u *kdbUtil) hintDamaged(err error) {
	if errors.Is(err, kdb.ErrDamaged) {
		u.errorf("%[1]s: hint: move %[2]s away with the -wal and -shm beside it, and load a dump: the last one, or one made on a slave\n",
			kdbUtilName, u.realm.Database)
	}
}

// parse takes the global options, which may stand anywhere, off the command line.
func (u *kdbUtil) parse(args []string) (command string, rest []string, err error) {
	values := map[string]func(v string) error{
		"-P":  func(v string) error { u.opts.password = []byte(v); return nil },
		"-d":  func(v string) error { u.opts.database = v; return nil },
		"-x":  u.opts.dbArg,
		"-r":  func(v string) error { u.opts.realm = v; return nil },
		"-M":  func(v string) error { u.opts.master = v; return nil },
		"-sf": func(v string) error { u.opts.stash = v; return nil },
		"-k": func(v string) (err error) {
			if u.masterType, err = krbcrypto.ParseEnctype(v); err != nil || !krbcrypto.Supported(u.masterType) {
				return fmt.Errorf(": %s is an invalid enctype", v)
			}
			return nil
		},
		"-kv": func(v string) error {
			n, err := strconv.ParseUint(v, 10, 16)
			if err != nil || n == 0 {
				return fmt.Errorf(": %s is an invalid mkeyVNO", v)
			}
			u.masterKvno = uint16(n)
			return nil
		},
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if set, ok := values[arg]; ok {
			if len(args) == 0 {
				return "", nil, errUsage
			}
			if err := set(args[0]); err != nil {
				return "", nil, err
			}
			args = args[1:]
			continue
		}
		_, isCommand := kdbCommands[arg]
		switch {
		case arg == "-m":
			u.opts.manual = true
		case isCommand && command != "":
			return "", nil, errUsage
		case isCommand:
			command = arg
		default:
			rest = append(rest, arg)
		}
	}
	if command == "" {
		return "", nil, errUsage
	}
	return command, rest, nil
}

// openAll opens the database and, if it can, its master key. Without the key the command goes
// on, and the exit status says so.
func (u *kdbUtil) openAll(ctx context.Context) error {
	var err error
	if u.db, err = openDB(ctx, u.console.warner(kdbUtilName), u.realm); err != nil {
		return fmt.Errorf("%w while initializing database", err)
	}
	km, err := u.db.Principal(ctx, u.realm.MasterPrincipal)
	if errors.Is(err, kdb.ErrNotFound) {
		err = messagef("Cannot find master key record in database")
	}
	if err != nil {
		_ = u.db.Close()
		return fmt.Errorf("%w while retrieving master entry", err)
	}
	u.openMaster(km)
	return nil
}

func (u *kdbUtil) openMaster(km *dumpfmt.Principal) {
	ring, err := u.opts.opener(u.console, u.console.warner(kdbUtilName), u.realm)(km)
	switch {
	case err == nil:
		u.ring = ring
	case errors.Is(err, errMasterPassword):
		u.fail(fmt.Errorf("%w while getting master key list", err))
		u.errorf("%s: Warning: proceeding without master key list\n", kdbUtilName)
	default:
		u.fail(fmt.Errorf("%w while reading master key", err))
		u.errorf("%s: Warning: proceeding without master key\n", kdbUtilName)
	}
}

// confirm asks for a "yes".
func (u *kdbUtil) confirm(question string) bool {
	answer, err := u.ask(question + "\n(type 'yes' to confirm)? ")
	return err == nil && answer == "yes"
}
