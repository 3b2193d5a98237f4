package command

import (
	"context"
	"errors"
	"math"
	"strconv"

	"krealm/internal/admin"
	"krealm/internal/realmconf"
)

const (
	aclReminder       = "Make sure that you have removed this principal from all ACLs before reusing.\n"
	renameReminder    = "Make sure that you have removed the old principal from all ACLs before reusing.\n"
	cpwUsage          = "usage: change_password [-randkey] [-keepold] [-e keysaltlist] [-pw password] principal\n"
	purgeUsage        = "usage: purgekeys [-all|-keepkvno oldest_kvno_to_keep] principal\n"
	unsupportedDBArgs = "Unsupported argument \"%s\""
)

// refuse ends a command whose options did not parse.
func (k *kadmin) refuse(command, usage string, err error) {
	if !errors.Is(err, errUsage) {
		k.complain("%s: %s\n", command, errText(err))
		return
	}
	k.complain("%s", usage)
}

// errText is text for an error that already says what was being done.
func errText(err error) string { return err.Error() }

func (k *kadmin) addPrincipal(ctx context.Context, words []string) {
	const command = "add_principal"
	a, err := k.parsePrincArgs(command, words[1:])
	if err != nil {
		k.refuse(command, addprincUsage, err)
		return
	}
	a.applyFlags(0)
	k.choosePolicy(ctx, a)
	switch {
	case a.dbArg != "":
		k.complain("%s: "+unsupportedDBArgs+" while creating \"%s\".\n", command, a.dbArg, a.name)
		return
	case a.randKey || a.keys.None:
		a.keys.Password = nil
	case a.keys.Password == nil:
		if a.keys.Password, err = k.askPassword(a.name); err != nil {
			k.fail(command, err, "while reading password for \"%s\".", a.name)
			return
		}
	}
	if err := k.adm.CreatePrincipal(ctx, k.actor, a.name, a.fields, a.keys); err != nil {
		k.fail(command, err, "while creating \"%s\".", a.name)
		return
	}
	k.notice("Principal \"%s\" created.\n", a.name)
}

// choosePolicy gives a new principal the policy "default" if there is one and nothing else was
// asked for, and says what the outcome is.
func (k *kadmin) choosePolicy(ctx context.Context, a *princArgs) {
	say := func(format string, args ...any) {
		if !k.script {
			k.errorf(format, args...)
		}
	}
	switch {
	case a.fields.Policy != nil:
		if _, err := k.adm.Policy(ctx, *a.fields.Policy); errors.Is(err, admin.ErrUnkPolicy) {
			say("WARNING: policy \"%s\" does not exist\n", *a.fields.Policy)
		}
	case !a.fields.ClearPolicy:
		name := "default"
		if _, err := k.adm.Policy(ctx, name); err != nil {
			say("No policy specified for %s; defaulting to no policy\n", a.name)
			return
		}
		say("No policy specified for %s; assigning \"%s\"\n", a.name, name)
		a.fields.Policy = &name
	default:
		a.fields.ClearPolicy = false // there is none to clear
	}
}

// askPassword asks for a new password twice.
func (k *kadmin) askPassword(name string) ([]byte, error) {
	return k.newPassword("Enter password for principal \""+name+"\"", "Re-enter password for principal \""+name+"\"")
}

func (k *kadmin) modifyPrincipal(ctx context.Context, words []string) {
	const command = "modify_principal"
	a, err := k.parsePrincArgs(command, words[1:])
	if err != nil {
		k.refuse(command, modprincUsage, err)
		return
	}
	p, err := k.adm.Principal(ctx, a.name)
	if err != nil {
		k.fail(command, err, "while getting \"%s\".", a.name)
		return
	}
	if a.randKey || a.keys.None || a.keys.Password != nil || a.keys.KeySalts != nil {
		k.refuse(command, modprincUsage, errUsage)
		return
	}
	if a.dbArg != "" {
		k.complain("%s: "+unsupportedDBArgs+" while modifying \"%s\".\n", command, a.dbArg, a.name)
		return
	}
	a.applyFlags(p.Attributes)
	if pol := a.fields.Policy; pol != nil && !k.script {
		if _, err := k.adm.Policy(ctx, *pol); errors.Is(err, admin.ErrUnkPolicy) {
			k.errorf("WARNING: policy \"%s\" does not exist\n", *pol)
		}
	}
	if err := k.adm.ModifyPrincipal(ctx, k.actor, a.name, a.fields); err != nil {
		k.fail(command, err, "while modifying \"%s\".", a.name)
		return
	}
	k.notice("Principal \"%s\" modified.\n", a.name)
}

// withForce takes "[-force] NAME…" and returns the names.
func withForce(args []string, names int) (force bool, rest []string, ok bool) {
	if len(args) == names+1 && args[0] == "-force" {
		return true, args[1:], true
	}
	return false, args, len(args) == names
}

func (k *kadmin) deletePrincipal(ctx context.Context, words []string) {
	const command = "delete_principal"
	force, args, ok := withForce(words[1:], 1)
	if !ok {
		k.complain("usage: delete_principal [-force] principal\n")
		return
	}
	name, err := k.principalName(args[0])
	if err != nil {
		k.fail(command, err, "while parsing principal name")
		return
	}
	if !k.confirmed(force, "Are you sure you want to delete the principal \"%s\"", name) {
		k.complain("Principal \"%s\" not deleted\n", name)
		return
	}
	if err := k.adm.DeletePrincipal(ctx, name); err != nil {
		k.fail(command, err, "while deleting principal \"%s\"", name)
		return
	}
	k.notice("Principal \"%s\" deleted.\n"+aclReminder, name)
}

func (k *kadmin) renamePrincipal(ctx context.Context, words []string) {
	const command = "rename_principal"
	force, args, ok := withForce(words[1:], 2)
	if !ok {
		k.complain("usage: rename_principal [-force] old_principal new_principal\n")
		return
	}
	from, err := k.principalName(args[0])
	if err != nil {
		k.fail(command, err, "while parsing old principal name")
		return
	}
	to, err := k.principalName(args[1])
	if err != nil {
		k.fail(command, err, "while parsing new principal name")
		return
	}
	if !k.confirmed(force, "Are you sure you want to rename the principal \"%s\" to \"%s\"", from, to) {
		k.complain("Principal \"%s\" not renamed\n", from)
		return
	}
	if err := k.adm.RenamePrincipal(ctx, k.actor, from, to); err != nil {
		k.fail(command, err, "while renaming principal \"%s\" to \"%s\"", from, to)
		return
	}
	k.notice("Principal \"%s\" renamed to \"%s\".\n"+renameReminder, from, to)
}

// parseCpw takes the options of change_password; what is wrong with them is the error.
func parseCpw(args []string) (keys admin.Keys, random bool, name string, err error) {
	for len(args) > 0 && len(args[0]) > 0 && args[0][0] == '-' {
		opt := args[0]
		args = args[1:]
		switch opt {
		case "-randkey":
			random = true
		case "-keepold":
			keys.KeepOld = true
		case "-pw", "-e":
			if len(args) == 0 && opt == "-pw" {
				return keys, random, "", errors.New("missing password arg")
			}
			if len(args) == 0 {
				return keys, random, "", errors.New("missing keysaltlist arg")
			}
			if opt == "-pw" {
				keys.Password = []byte(args[0])
			} else if keys.KeySalts, _ = realmconf.ParseKeySalts(args[0]); len(keys.KeySalts) == 0 {
				return keys, random, "", errors.New(admin.ErrBadKeySalts.Text + " while parsing keysalts " + args[0])
			}
			args = args[1:]
		default:
			return keys, random, "", errors.New("unrecognized option " + opt)
		}
	}
	switch len(args) {
	case 0:
		return keys, random, "", errors.New("missing principal name")
	case 1:
		return keys, random, args[0], nil
	}
	return keys, random, "", errors.New("too many arguments")
}

func (k *kadmin) changePassword(ctx context.Context, words []string) {
	const command = "change_password"
	keys, random, name, err := parseCpw(words[1:])
	if err != nil {
		k.complain("%s: %s\n%s", command, err, cpwUsage)
		return
	}
	if name, err = k.principalName(name); err != nil {
		k.fail(command, err, "while parsing principal name")
		return
	}
	if random && keys.Password == nil {
		if _, err := k.adm.RandomizeKeys(ctx, k.actor, name, keys, false); err != nil {
			k.fail(command, err, "while randomizing key for \"%s\".", name)
			return
		}
		k.notice("Key for \"%s\" randomized.\n", name)
		return
	}
	if keys.Password == nil {
		if keys.Password, err = k.askPassword(name); err != nil {
			k.fail(command, err, "while reading password for \"%s\".", name)
			return
		}
	}
	if err := k.adm.ChangePassword(ctx, k.actor, name, keys, false); err != nil {
		k.fail(command, err, "while changing password for \"%s\".", name)
		return
	}
	k.notice("Password for \"%s\" changed.\n", name)
}

func (k *kadmin) getPrincipal(ctx context.Context, words []string) {
	const command = "get_principal"
	terse, args := len(words) == 3 && words[1] == "-terse", words[1:]
	if terse {
		args = words[2:]
	}
	if len(args) != 1 {
		k.complain("usage: get_principal [-terse] principal\n")
		return
	}
	name, err := k.principalName(args[0])
	if err != nil {
		k.fail(command, err, "while parsing principal")
		return
	}
	p, err := k.adm.Principal(ctx, name)
	if err != nil {
		k.fail(command, err, "while retrieving \"%s\".", name)
		return
	}
	data, err := p.KadmData()
	if err != nil {
		k.fail(command, err, "while retrieving \"%s\".", name)
		return
	}
	if terse {
		k.printf("%s", tersePrincipal(p, data))
		return
	}
	known := data.Policy == ""
	if !known {
		_, err := k.adm.Policy(ctx, data.Policy)
		known = err == nil
	}
	k.printf("%s", showPrincipal(p, data, known))
}

func (k *kadmin) listPrincipals(ctx context.Context, words []string) {
	if len(words) > 2 {
		k.complain("usage: get_principals [expression]\n")
		return
	}
	names, err := k.adm.ListPrincipals(ctx, pattern(words))
	if err != nil {
		k.fail("get_principals", err, "while retrieving list.")
		return
	}
	for name, err := range names {
		if err != nil {
			k.fail("get_principals", err, "while retrieving list.")
			return
		}
		k.printf("%s\n", name)
	}
}

func pattern(words []string) string {
	if len(words) > 1 {
		return words[1]
	}
	return "*"
}

func (k *kadmin) purgeKeys(ctx context.Context, words []string) {
	args := words[1:]
	keep, all := int32(-1), false
	switch {
	case len(args) == 2 && args[0] == "-all":
		keep, all = admin.AllKeys, true
		args = args[1:]
	case len(args) == 3 && args[0] == "-keepkvno":
		n, err := strconv.ParseInt(args[1], 10, 32)
		if err != nil || n > math.MaxInt32 {
			k.complain("%s", purgeUsage)
			return
		}
		keep = int32(n)
		args = args[2:]
	}
	if len(args) != 1 {
		k.complain("%s", purgeUsage)
		return
	}
	name, err := k.principalName(args[0])
	if err != nil {
		k.fail("purgekeys", err, "while parsing principal")
		return
	}
	if err := k.adm.PurgeKeys(ctx, k.actor, name, keep); err != nil {
		k.fail("purgekeys", err, "while purging keys for principal \"%s\"", name)
		return
	}
	if all {
		k.notice("All keys for principal \"%s\" removed.\n", name)
		return
	}
	k.notice("Old keys for principal \"%s\" purged.\n", name)
}

func (k *kadmin) getStrings(ctx context.Context, words []string) {
	const command = "get_strings"
	if len(words) != 2 {
		k.complain("usage: get_strings principal\n")
		return
	}
	name, err := k.principalName(words[1])
	if err != nil {
		k.fail(command, err, "while parsing principal")
		return
	}
	attrs, err := k.adm.StringAttrs(ctx, name)
	if err != nil {
		k.fail(command, err, "while getting attributes for principal \"%s\"", name)
		return
	}
	for _, a := range attrs {
		k.printf("%s: %s\n", a.Key, a.Value)
	}
	if len(attrs) == 0 {
		k.printf("(No string attributes.)\n")
	}
}

func (k *kadmin) setString(ctx context.Context, words []string) {
	const command = "set_string"
	if len(words) != 4 {
		k.complain("usage: set_string principal key value\n")
		return
	}
	name, err := k.principalName(words[1])
	if err != nil {
		k.fail(command, err, "while parsing principal")
		return
	}
	if err := k.adm.SetStringAttr(ctx, k.actor, name, words[2], words[3]); err != nil {
		k.fail(command, err, "while setting attribute on principal \"%s\"", name)
		return
	}
	k.notice("Attribute set for principal \"%s\".\n", name)
}

func (k *kadmin) deleteString(ctx context.Context, words []string) {
	const command = "del_string"
	if len(words) != 3 {
		k.complain("usage: del_string principal key\n")
		return
	}
	name, err := k.principalName(words[1])
	if err != nil {
		k.fail(command, err, "while parsing principal")
		return
	}
	if err := k.adm.DeleteStringAttr(ctx, k.actor, name, words[2]); err != nil {
		k.fail(command, err, "while deleting attribute from principal \"%s\"", name)
		return
	}
	k.notice("Attribute removed from principal \"%s\".\n", name)
}
