package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/admin"
	"krealm/internal/keytab"
	"krealm/internal/realmconf"
)

const (
	ktAddUsage    = "Usage: ktadd [-k[eytab] keytab] [-q] [-e keysaltlist] [-norandkey] [principal | -glob princ-exp] [...]\n"
	ktRemoveUsage = "Usage: ktremove [-k[eytab] keytab] [-q] principal [kvno|\"all\"|\"old\"]\n"
)

// keytabRef is a keytab as it was named and where it is.
type keytabRef struct{ name, path string }

// keytabOf completes a keytab's name; "" is the default keytab.
func (k *kadmin) keytabOf(name string) (keytabRef, error) {
	if name == "" {
		name = k.conf.DefaultKeytab()
	}
	kind, path, ok := strings.Cut(name, ":")
	switch {
	case !ok:
		return keytabRef{"WRFILE:" + name, name}, nil
	case kind == "FILE" || kind == "WRFILE":
		return keytabRef{name, path}, nil
	}
	return keytabRef{}, messagef("Unknown Key table type while resolving keytab %s", name)
}

// ktArgs are the options of ktadd.
type ktArgs struct {
	keytab    string
	quiet     bool
	keepKeys  bool // -norandkey
	keySalts  []realmconf.KeySalt
	arguments []string
}

// parseKtAdd returns errUsage, or an error that says it all.
func parseKtAdd(args []string) (ktArgs, error) {
	var a ktArgs
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-glob" {
		opt := args[0]
		args = args[1:]
		switch {
		case strings.HasPrefix(opt, "-k"):
			if len(args) == 0 || a.keytab != "" {
				return a, errUsage
			}
			a.keytab, args = args[0], args[1:]
		case opt == "-q":
			a.quiet = true
		case opt == "-norandkey":
			a.keepKeys = true
		case opt == "-e":
			if len(args) == 0 {
				return a, errUsage
			}
			if a.keySalts, _ = realmconf.ParseKeySalts(args[0]); len(a.keySalts) == 0 {
				return a, fmt.Errorf("ktadd: %w while parsing keysalts %s", admin.ErrBadKeySalts, args[0])
			}
			args = args[1:]
		default:
			return a, errUsage
		}
	}
	if a.keepKeys && a.keySalts != nil {
		return a, errors.New("cannot specify keysaltlist when not changing key")
	}
	a.arguments = args
	if len(args) == 0 || (args[0] == "-glob" && len(args) == 1) {
		return a, errUsage
	}
	return a, nil
}

func (k *kadmin) ktAdd(ctx context.Context, words []string) {
	a, err := parseKtAdd(words[1:])
	if errors.Is(err, errUsage) {
		k.errorf("%s", ktAddUsage)
		return
	}
	if err != nil {
		k.errorf("%v\n", err)
		return
	}
	kt, err := k.keytabOf(a.keytab)
	if err == nil {
		// A key that is changed and then cannot be written down is lost: look first.
		err = keytab.Writable(kt.path)
	}
	if err != nil {
		k.complain("%s: %v\n", kadminName, err)
		return
	}
	for args := a.arguments; len(args) > 0; args = args[1:] {
		if args[0] != "-glob" {
			k.ktAddPrincipal(ctx, kt, a, args[0])
			continue
		}
		if args = args[1:]; len(args) == 0 {
			k.errorf("%s", ktAddUsage)
			return
		}
		names, err := k.adm.ListPrincipals(ctx, args[0])
		if err != nil {
			k.fail(kadminName, err, "while expanding expression \"%s\".", args[0])
			continue
		}
		var list []string
		for name, err := range names {
			if err != nil {
				k.fail(kadminName, err, "while expanding expression \"%s\".", args[0])
				return
			}
			list = append(list, name)
		}
		for _, name := range list {
			k.ktAddPrincipal(ctx, kt, a, name)
		}
	}
}

// ktAddPrincipal writes one principal's keys, new ones unless told otherwise; typed is its name
// as it was typed.
func (k *kadmin) ktAddPrincipal(ctx context.Context, kt keytabRef, a ktArgs, typed string) {
	name, err := dumpfmt.ParseName(typed, k.realm.Name)
	if err != nil {
		k.fail(kadminName, err, "while parsing -add principal name %s", typed)
		return
	}
	var keys []admin.PlainKey
	if a.keepKeys {
		keys, err = k.adm.ExtractKeys(ctx, name.String(), 0)
	} else {
		keys, err = k.adm.RandomizeKeys(ctx, k.actor, name.String(), admin.Keys{KeySalts: a.keySalts}, false)
	}
	if errors.Is(err, admin.ErrUnkPrinc) {
		k.errorf("%s: Principal %s does not exist.\n", kadminName, typed)
		return
	}
	if err != nil {
		k.fail(kadminName, err, "while changing %s's key", typed)
		return
	}
	var entries []keytab.Entry
	for _, key := range keys {
		entries = append(entries, keytab.Entry{Name: name, Time: uint32(k.now().Unix()), Kvno: uint32(key.Kvno),
			Enctype: key.Key.Enctype(), Key: key.Key.Bytes()})
	}
	if err := keytab.Add(kt.path, entries...); err != nil {
		k.fail(kadminName, err, "while adding key to keytab")
		return
	}
	if a.quiet {
		return
	}
	for _, e := range entries {
		k.printf("Entry for principal %s with kvno %d, encryption type %s added to keytab %s.\n", typed, e.Kvno, e.Enctype, kt.name)
	}
}

func (k *kadmin) ktRemove(ctx context.Context, words []string) {
	args, name, quiet := words[1:], "", false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		opt := args[0]
		args = args[1:]
		switch {
		case strings.HasPrefix(opt, "-k") && len(args) > 0 && name == "":
			name, args = args[0], args[1:]
		case opt == "-q":
			quiet = true
		default:
			k.errorf("%s", ktRemoveUsage)
			return
		}
	}
	if len(args) != 1 && len(args) != 2 {
		k.errorf("%s", ktRemoveUsage)
		return
	}
	kt, err := k.keytabOf(name)
	if err != nil {
		k.complain("%s: %v\n", kadminName, err)
		return
	}
	which := "highest"
	if len(args) == 2 {
		which = args[1]
	}
	k.ktRemovePrincipal(kt, args[0], which, quiet)
}

// selectKvno turns what was asked for into a test of the kvno, given the versions there are.
func selectKvno(which string, have []keytab.Entry) (func(uint32) bool, error) {
	highest := uint32(0)
	for _, e := range have {
		highest = max(highest, e.Kvno)
	}
	switch which {
	case "all":
		return func(uint32) bool { return true }, nil
	case "old":
		return func(v uint32) bool { return v != highest }, nil
	case "highest":
		return func(v uint32) bool { return v == highest }, nil
	}
	n, err := strconv.ParseUint(which, 10, 32)
	if err != nil {
		return nil, errUsage
	}
	for _, e := range have {
		if e.Kvno == uint32(n) {
			return func(v uint32) bool { return v == uint32(n) }, nil
		}
	}
	return nil, errKvno
}

var errKvno = messagef("Key version number for principal in key table is incorrect")

func (k *kadmin) ktRemovePrincipal(kt keytabRef, typed, which string, quiet bool) {
	name, err := dumpfmt.ParseName(typed, k.realm.Name)
	if err != nil {
		k.fail(kadminName, err, "while parsing principal name %s", typed)
		return
	}
	all, err := keytab.Read(kt.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.errorf("%s: Keytab %s does not exist.\n", kadminName, kt.name)
		return
	}
	if err != nil {
		k.fail(kadminName, err, "while starting keytab scan")
		return
	}
	var have []keytab.Entry
	for _, e := range all {
		if e.Name.String() == name.String() {
			have = append(have, e)
		}
	}
	if len(have) == 0 {
		version := ""
		if n, err := strconv.ParseUint(which, 10, 32); err == nil {
			version = fmt.Sprintf(" with kvno %d", n)
		}
		k.errorf("%s: No entry for principal %s%s exists in keytab %s\n", kadminName, typed, version, kt.name)
		return
	}
	drop, err := selectKvno(which, have)
	if errors.Is(err, errUsage) {
		k.errorf("%s", ktRemoveUsage)
		return
	}
	if err != nil {
		k.fail(kadminName, err, "while retrieving highest kvno from keytab")
		return
	}
	gone, err := keytab.Remove(kt.path, func(e keytab.Entry) bool {
		return e.Name.String() == name.String() && drop(e.Kvno)
	})
	if err != nil {
		k.fail(kadminName, err, "while deleting entry from keytab")
		return
	}
	if len(gone) == 0 {
		k.errorf("%s: There is only one entry for principal %s in keytab %s\n", kadminName, typed, kt.name)
	}
	for _, e := range gone {
		if !quiet {
			k.printf("Entry for principal %s with kvno %d removed from keytab %s.\n", typed, e.Kvno, kt.name)
		}
	}
}
