package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/admin"
	"krealm/internal/getdate"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/mkey"
)

// The life of the master key: add_mkey, use_mkey, list_mkeys, update_princ_encryption and
// purge_mkeys; and ark. What they do is in package admin.

var errNoMasterKeys = messagef("master keylist not initialized")

// flags takes single-letter options off the words of a command, wherever they stand, and
// returns the other words. spec is getopt's.
func (u *kdbUtil) flags(command string, args []string, spec string, set func(opt byte, arg string)) ([]string, error) {
	g := getopt{args: args, spec: spec}
	var rest []string
	for {
		opt, arg, err := g.next()
		switch {
		case err != nil:
			u.errorf("%s: %v\n", command, err)
			return nil, errUsage
		case opt != 0:
			set(opt, arg)
		case len(g.args) == 0:
			return rest, nil
		default:
			rest = append(rest, g.args[0])
			g.args = g.args[1:]
		}
	}
}

// admin returns the operations on the database, with the master key that is open. It fails
// where there is none.
func (u *kdbUtil) admin(ctx context.Context) (*admin.Admin, error) {
	if u.ring == nil {
		return nil, errNoMasterKeys
	}
	open := func(km *dumpfmt.Principal) (*mkey.Ring, error) { return u.ring.Reopen(km) }
	a, err := admin.New(ctx, u.db, u.realm, open, admin.Options{Clock: u.now})
	if err != nil {
		return nil, fmt.Errorf("%w while getting master key principal %s", err, u.realm.MasterPrincipal)
	}
	return a, nil
}

// addMasterKey adds a version of the master key, made of a new password.
func (u *kdbUtil) addMasterKey(ctx context.Context, args []string) error {
	etype, stash := u.realm.MasterKeyType, false
	bad := ""
	rest, err := u.flags("add_mkey", args, "e:s", func(opt byte, arg string) {
		if opt == 's' {
			stash = true
			return
		}
		var err error
		if etype, err = krbcrypto.ParseEnctype(arg); err != nil || !krbcrypto.Supported(etype) {
			bad = arg
		}
	})
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return errUsage
	case bad != "":
		return messagef("Invalid argument %s is an invalid enctype", bad)
	}
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	u.printf("Creating new master key for master key principal '%s'\n"+
		"You will be prompted for a new database Master Password.\n"+
		"It is important that you NOT FORGET this password.\n", u.realm.MasterPrincipal)
	password, err := u.newPassword(masterPrompt, masterPromptAgain)
	if err != nil {
		return fmt.Errorf("%w while reading new master key from keyboard", err)
	}
	defer clear(password)
	key, err := mkey.PasswordKey(etype, u.realm.MasterPrincipal, password)
	if err != nil {
		return fmt.Errorf("%w while transforming master key from password", err)
	}
	ring, err := a.AddMasterKey(ctx, key)
	if err != nil {
		return fmt.Errorf("%w adding new master key to master principal", err)
	}
	if !stash {
		return nil
	}
	if err := mkey.WriteStashOf(u.realm.StashFile, u.realm.MasterPrincipal, ring.Versions()); err != nil {
		u.printf("Warning: couldn't stash master key.\n")
		return fmt.Errorf("%w while storing key", err)
	}
	return nil
}

// useMasterKey says from when on a version seals keys.
func (u *kdbUtil) useMasterKey(ctx context.Context, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errUsage
	}
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	kvno, _ := strconv.ParseUint(args[0], 10, 16) // 0, which is no version, if it cannot be read
	if u.ring.Key(uint16(kvno)) == nil {
		return messagef("Invalid argument %d is an invalid KVNO value", kvno)
	}
	var from time.Time
	if len(args) == 2 {
		when, err := getdate.Parse(args[1], u.now())
		if err != nil {
			return messagef("could not parse date-time string '%s'", args[1])
		}
		from = time.Unix(int64(when), 0)
	}
	switch err := a.UseMasterKey(ctx, uint16(kvno), from); {
	case errors.Is(err, mkey.ErrNoneActive):
		return messagef("Invalid argument there must be one master key currently active")
	case err != nil:
		return fmt.Errorf("%w while updating actkvno data for master principal entry", err)
	}
	return nil
}

// masterKeyTime is how list_mkeys prints a time.
const masterKeyTime = "Mon Jan 02 15:04:05 MST 2006"

// listMasterKeys lists the versions of the master key.
func (u *kdbUtil) listMasterKeys(ctx context.Context, _ []string) error {
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	keys, err := a.MasterKeys(ctx)
	if err != nil {
		return fmt.Errorf("%w while looking up active master key", err)
	}
	u.printf("Master keys for Principal: %s\n", u.realm.MasterPrincipal)
	for _, k := range keys {
		since := "No activate time set"
		if !k.From.IsZero() {
			since = "Active on: " + k.From.Format(masterKeyTime)
		}
		star := ""
		if k.Active {
			star = " *"
		}
		u.printf("KVNO: %d, Enctype: %v, %s%s\n", k.Kvno, k.Enctype, since, star)
	}
	return nil
}

// passFlags are the options of the commands that go through all principals.
type passFlags struct{ force, dryRun, verbose bool }

func (u *kdbUtil) passFlags(command string, args []string) (f passFlags, rest []string, err error) {
	rest, err = u.flags(command, args, "fnv", func(opt byte, _ string) {
		switch opt {
		case 'f':
			f.force = true
		case 'n':
			f.dryRun = true
		case 'v':
			f.verbose = true
		}
	})
	return f, rest, err
}

// updateEncryption seals the keys of principals with the active master key.
func (u *kdbUtil) updateEncryption(ctx context.Context, args []string) error {
	f, rest, err := u.passFlags("update_princ_encryption", args)
	if err != nil {
		return err
	}
	if len(rest) > 1 {
		return errUsage
	}
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	o := admin.Reencryption{Kvno: u.ring.Active(u.now()).Kvno, DryRun: f.dryRun}
	if len(rest) == 1 {
		o.Pattern = rest[0]
	}
	if !f.force && !f.dryRun && !u.confirm(fmt.Sprintf("Re-encrypt all keys not using master key vno %d?", o.Kvno)) {
		u.printf("OK, doing nothing.\n")
		return errSilent
	}
	switch {
	case f.verbose && f.dryRun:
		u.printf("Principals whose keys WOULD BE re-encrypted to master key vno %d:\n", o.Kvno)
	case f.verbose:
		u.printf("Principals whose keys are being re-encrypted to master key vno %d if necessary:\n", o.Kvno)
	}
	done, err := u.reencrypt(ctx, a, o, f)
	if errors.Is(err, admin.ErrPattern) {
		return fmt.Errorf("error compiling pattern '%s'", o.Pattern)
	}
	verb := "updated"
	if f.dryRun {
		verb = "would be updated"
	}
	u.printf("%d principals processed: %d %s, %d already current\n",
		done.Updated+done.Current+done.Lost, done.Updated, verb, done.Current)
	if err != nil {
		return fmt.Errorf("%w trying to process principal database", err)
	}
	return nil
}

// updateWords say what happens to a principal; with -n, what would.
var updateWords = map[admin.Outcome][2]string{
	admin.Updated: {"updating: ", "would update: "},
	admin.Current: {"skipping: ", "would skip:   "},
}

func (u *kdbUtil) reencrypt(ctx context.Context, a *admin.Admin, o admin.Reencryption, f passFlags) (admin.Reencrypted, error) {
	p := &progress{}
	if !f.verbose {
		p = u.progress("looked at")
		defer p.end()
		if n, _, err := u.db.Count(ctx); err == nil && o.Pattern == "" {
			p.of(n - 1) // not K/M
		}
	}
	when := 0
	if f.dryRun {
		when = 1
	}
	o.Each = func(name string, out admin.Outcome) {
		if out == admin.Lost {
			u.fail(messagef("no version of the master key opens the keys of principal '%s': left as it is", name))
		} else if f.verbose {
			u.printf("%s%s\n", updateWords[out][when], name)
		}
		p.step()
	}
	return a.Reencrypt(ctx, o)
}

// purgeMasterKeys removes the versions of the master key that nothing needs.
func (u *kdbUtil) purgeMasterKeys(ctx context.Context, args []string) error {
	f, rest, err := u.passFlags("purge_mkeys", args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return errUsage
	}
	name := u.realm.MasterPrincipal
	if !f.force && !f.dryRun {
		if !u.confirm(fmt.Sprintf("Will purge all unused master keys stored in the '%s' principal, are you sure?", name)) {
			return errSilent
		}
		u.printf("OK, purging unused master keys from '%s'...\n", name)
	}
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	if len(u.ring.Versions()) == 1 {
		if f.verbose {
			u.printf("There is only one master key which can not be purged.\n")
		}
		return nil
	}
	verb, would := "Purging", ""
	if f.dryRun {
		verb, would = "Would purge", "would be "
	}
	u.printf("%s the following master key(s) from %s:\n", verb, name)
	gone, err := a.PurgeMasterKeys(ctx, u.workingStash(ctx), f.dryRun)
	switch {
	case errors.Is(err, mkey.ErrStashOld):
		return messagef("Stored master key is not current master key stash file needs updating, command aborting")
	case err != nil:
		return fmt.Errorf("%w while updating mkey aux data for master principal entry", err)
	case len(gone) == 0:
		u.printf("All keys in use, nothing purged.\n")
		return nil
	}
	for _, kvno := range gone {
		u.printf("KVNO: %d\n", kvno)
	}
	u.printf("%d key(s) %spurged.\n", len(gone), would)
	return nil
}

// workingStash returns the stash file if it opens the database as it is: then it must go on doing
// so. nil where there is none that does.
func (u *kdbUtil) workingStash(ctx context.Context) *mkey.Stash {
	st, err := mkey.ReadStashOf(u.realm.StashFile, u.realm.MasterPrincipal)
	if err != nil {
		return nil
	}
	km, err := u.db.Principal(ctx, u.realm.MasterPrincipal)
	if err != nil {
		return nil
	}
	if _, err := mkey.Open(st, km); err != nil {
		return nil
	}
	return st
}

// addRandomKey gives a principal random keys and keeps those of the version before.
func (u *kdbUtil) addRandomKey(ctx context.Context, args []string) error {
	list := ""
	for len(args) > 0 && args[0] == "-e" {
		if len(args) < 2 {
			return errUsage
		}
		list = args[1]
		args = args[2:]
	}
	if len(args) != 1 {
		return errUsage
	}
	name, err := dumpfmt.ParseName(args[0], u.realm.Name)
	if err != nil {
		return messagef("Malformed representation of principal while parsing principal name %s", args[0])
	}
	salts, unknown := realmconf.ParseKeySalts(list)
	if len(unknown) > 0 {
		return messagef("Invalid argument while parsing keysalts %s", list)
	}
	a, err := u.admin(ctx)
	if err != nil {
		return err
	}
	switch err := a.AddRandomKeys(ctx, name.String(), slices.Clone(salts)); {
	case errors.Is(err, admin.ErrUnkPrinc):
		return messagef("No such entry in the database while fetching principal %s", args[0])
	case err != nil:
		return fmt.Errorf("%s while randomizing principal %s", text(err), args[0])
	}
	u.printf("%s changed\n", args[0])
	return nil
}
