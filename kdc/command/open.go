package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/admin"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// realmOptions are the options that kadmin.local and kdb5_util share.
type realmOptions struct {
	realm    string // -r
	database string // -d, or -x dbname=
	manual   bool   // -m: the master password is typed
	password []byte // -P: the master password; nil without
	stash    string // -sf
	master   string // -M: name of the master key, without realm
	listen   string // krb5kdc -p: addresses, unless the realm has its own
}

// dbArg takes an argument of -x: what MIT's database modules understand and means something
// here.
func (o *realmOptions) dbArg(arg string) error {
	name, value, _ := strings.Cut(arg, "=")
	if name != "dbname" {
		return messagef("Unsupported argument \"%s\"", arg)
	}
	o.database = value
	return nil
}

// load reads the configuration and applies the options to it.
func (o *realmOptions) load() (*realmconf.Conf, *realmconf.Realm, error) {
	conf, err := realmconf.Load(realmconf.Options{Realm: o.realm, Database: o.database})
	if err != nil {
		return nil, nil, err
	}
	r, err := conf.Realm("")
	if err != nil {
		return nil, nil, err
	}
	if o.stash != "" {
		r.StashFile = o.stash
	}
	if o.master != "" {
		r.MasterKeyName, r.MasterPrincipal = o.master, o.master+"@"+r.Name
	}
	return conf, r, nil
}

// masterPrompt asks for the master password.
const masterPrompt = "Enter KDC database master key"

// opener returns what opens the realm's master key: with the password given, with one that is
// asked for at the first use, or with the stash file. warn is told of a stash file that others can read.
func (o *realmOptions) opener(con *console, warn func(string), r *realmconf.Realm) admin.Opener {
	password := o.password
	return func(km *dumpfmt.Principal) (*mkey.Ring, error) {
		if !o.manual && password == nil {
			warning, err := mkey.CheckStash(r.StashFile)
			if err != nil {
				return nil, messagef("Can not fetch master key (error: %w).", err)
			}
			if warning != "" {
				warn(warning)
			}
			st, err := mkey.ReadStashOf(r.StashFile, r.MasterPrincipal)
			if err != nil {
				return nil, messagef("Can not fetch master key (error: %w).", err)
			}
			return mkey.Open(st, km)
		}
		if password == nil {
			var err error
			if password, err = con.password(masterPrompt); err != nil {
				return nil, err
			}
		}
		ring, err := mkey.FromPassword(km, password)
		if errors.Is(err, mkey.ErrWrongPassword) {
			return nil, errMasterPassword
		}
		return ring, err
	}
}

var errMasterPassword = messagef("Unable to decrypt latest master key with the provided master key")

// openTimeout bounds the wait for another process at the start.
const openTimeout = time.Minute

// openDB opens the realm's database; warn is told of trouble with the delta file.
func openDB(ctx context.Context, warn func(string), r *realmconf.Realm) (*kdb.DB, error) {
	return openWith(ctx, dbOptions(warn, r), r)
}

func openWith(ctx context.Context, o kdb.Options, r *realmconf.Realm) (*kdb.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	db, err := kdb.Open(ctx, r.Database, o)
	if errors.Is(err, kdb.ErrNoDatabase) {
		return nil, noDatabase(r)
	}
	if err != nil {
		return nil, err
	}
	if db.Realm() != r.Name {
		_ = db.Close()
		return nil, fmt.Errorf("database %s is of realm %s, not of %s", r.Database, db.Realm(), r.Name)
	}
	return db, nil
}

// noDatabase says that the realm's database is not there. Who finds a file under the configured
// name learns that it is MIT's.
func noDatabase(r *realmconf.Realm) error {
	if _, err := os.Stat(r.DatabaseName); err == nil {
		return messagef("Cannot open database '%s': MIT's database moves in by MIT's \"kdb5_util dump\" and our \"kdb5_util load\"; there is no '%s'",
			r.DatabaseName, r.Database)
	}
	return messagef("Cannot open database '%s': No such file or directory", r.DatabaseName)
}

func dbOptions(warn func(string), r *realmconf.Realm) kdb.Options {
	return kdb.Options{
		DeltaFile:   r.Krep.DeltaFile,
		KeepChanges: r.KeepChanges,
		OnDrainError: func(err error) {
			warn(fmt.Sprintf("the change is stored, but not in the delta file yet: %v", err))
		},
		OnDeltaDamage: func(err error) {
			warn(fmt.Sprintf("the delta file was damaged; it is kept as %s.damaged and written anew from the database: %v",
				r.Krep.DeltaFile, err))
		},
	}
}

// warner returns a function that prints warnings of a program on standard error.
func (c *console) warner(who string) func(string) {
	return func(text string) { c.errorf("%s: warning: %s\n", who, text) }
}

// text is an error as it is shown: the text that MIT's programs have for it where there is one.
func text(err error) string {
	var e *admin.Error
	switch {
	case errors.As(err, &e):
		return e.Text
	case errors.Is(err, dumpfmt.ErrName):
		return "Malformed representation of principal"
	}
	return err.Error()
}

// messagef is fmt.Errorf for the texts of MIT's programs, which begin with a capital letter.
func messagef(format string, args ...any) error { return fmt.Errorf(format, args...) }
