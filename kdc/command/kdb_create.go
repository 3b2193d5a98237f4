package command

import (
	"context"
	"errors"
	"fmt"

	"krealm/internal/admin"
	"krealm/internal/krbcrypto"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

const masterPromptAgain = "Re-enter KDC database master key to verify"

// create makes a new database with the entries that every realm has.
func (u *kdbUtil) create(ctx context.Context, args []string) error {
	keepStash := false
	for _, a := range args {
		if a != "-s" {
			return errUsage
		}
		keepStash = true
	}
	u.printf("Initializing database '%s' for realm '%s',\nmaster key name '%s'\n",
		u.realm.DatabaseName, u.realm.Name, u.realm.MasterPrincipal)
	password := u.opts.password
	if password == nil {
		var err error
		u.printf("You will be prompted for the database Master Password.\n" +
			"It is important that you NOT FORGET this password.\n")
		if password, err = u.newPassword(masterPrompt, masterPromptAgain); err != nil {
			return fmt.Errorf("%w while reading master key from keyboard", err)
		}
	}
	key, err := mkey.PasswordKey(u.realm.MasterKeyType, u.realm.MasterPrincipal, password)
	if err != nil {
		return fmt.Errorf("%w while transforming master key from password", err)
	}
	if err := u.createFilled(ctx, key); err != nil {
		return err
	}
	if !keepStash {
		return nil
	}
	if err := mkey.WriteStashOf(u.realm.StashFile, u.realm.MasterPrincipal, []mkey.StashKey{{Kvno: u.firstKvno(), Key: key}}); err != nil {
		u.errorf("%s: %v while storing key\n", kdbUtilName, err)
		u.printf("Warning: couldn't stash master key.\n")
	}
	return nil
}

// firstKvno is the version that the master key starts with.
func (u *kdbUtil) firstKvno() uint16 { return max(u.masterKvno, 1) }

// createFilled makes the database file and its first entries; if the latter fails there is no
// file.
func (u *kdbUtil) createFilled(ctx context.Context, key *krbcrypto.Key) error {
	name := u.realm.DatabaseName
	db, err := kdb.Create(ctx, u.realm.Database, u.realm.Name, dbOptions(u.console.warner(kdbUtilName), u.realm))
	if errors.Is(err, kdb.ErrExists) {
		err = messagef("Cannot open database '%s': File exists", name)
	}
	if err != nil {
		return fmt.Errorf("%w while creating database '%s'", err, name)
	}
	err = admin.Bootstrap(ctx, db, u.realm, u.firstKvno(), key, admin.Options{Clock: u.now})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w while adding entries to the database", err), kdb.Remove(u.realm.Database))
	}
	return nil
}

// destroy deletes the database. The stash file stays.
func (u *kdbUtil) destroy(ctx context.Context, args []string) error {
	force := false
	for _, a := range args {
		if a != "-f" {
			return errUsage
		}
		force = true
	}
	name := u.realm.DatabaseName
	if !force {
		if !u.confirm(fmt.Sprintf("Deleting KDC database stored in '%s', are you sure?", name)) {
			return errSilent
		}
		u.printf("OK, deleting database '%s'...\n", name)
	}
	err := u.db.Close()
	u.db = nil
	if err == nil {
		err = kdb.Remove(u.realm.Database)
	}
	if err != nil {
		return fmt.Errorf("%w deleting database '%s'", err, name)
	}
	u.printf("** Database '%s' destroyed.\n", name)
	return nil
}

// stash writes all versions of the master key to the stash file, or to the one of -f.
func (u *kdbUtil) stash(ctx context.Context, args []string) error {
	path := u.realm.StashFile
	switch {
	case len(args) == 2 && args[0] == "-f":
		path = args[1]
	case len(args) != 0:
		return errUsage
	}
	if u.ring != nil {
		u.printf("Using existing stashed keys to update stash file.\n")
	} else {
		km, err := u.db.Principal(ctx, u.realm.MasterPrincipal)
		if err != nil {
			return fmt.Errorf("%w while retrieving master entry", err)
		}
		manual := realmOptions{manual: true}
		if u.ring, err = manual.opener(u.console, u.console.warner(kdbUtilName), u.realm)(km); err != nil {
			return fmt.Errorf("%w while reading master key", err)
		}
	}
	if err := mkey.WriteStashOf(path, u.realm.MasterPrincipal, u.ring.Versions()); err != nil {
		return fmt.Errorf("%w while storing key", err)
	}
	return nil
}
