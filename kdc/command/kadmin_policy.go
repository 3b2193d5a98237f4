package command

import (
	"context"
	"strconv"

	"krealm/internal/admin"
)

// The "usage;" is MIT's.
const policyUsage = `usage; %s [options] policy
	options are:
		[-maxlife time] [-minlife time] [-minlength length]
		[-minclasses number] [-history number]
		[-maxfailure number] [-failurecountinterval time]
		[-allowedkeysalts keysalts]
		[-lockoutduration time]
`

// parsePolicyArgs parses what stands behind the command's name; the policy's name is the last
// word.
func (k *kadmin) parsePolicyArgs(command string, args []string) (name string, f admin.PolicyFields, err error) {
	if len(args) == 0 {
		k.complain("%s: parser lost count!\n", command)
		return "", f, errUsage
	}
	times := map[string]**uint32{
		"-maxlife": &f.MaxLife, "-minlife": &f.MinLife,
		"-failurecountinterval": &f.FailInterval, "-lockoutduration": &f.LockoutDuration,
	}
	numbers := map[string]**uint32{
		"-minlength": &f.MinLength, "-minclasses": &f.MinClasses, "-history": &f.History, "-maxfailure": &f.MaxFail,
	}
	opts, name := args[:len(args)-1], args[len(args)-1]
	for ; len(opts) > 0; opts = opts[2:] {
		if len(opts) == 1 {
			return "", f, errUsage
		}
		opt, v := opts[0], opts[1]
		switch {
		case opt == "-allowedkeysalts":
			f.KeySalts = &v
		case times[opt] != nil:
			n, err := k.interval(v)
			if err != nil {
				return "", f, err
			}
			t := uint32(n)
			*times[opt] = &t
		case numbers[opt] != nil:
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil {
				return "", f, errUsage
			}
			u := uint32(n)
			*numbers[opt] = &u
		default:
			return "", f, errUsage
		}
	}
	return name, f, nil
}

func (k *kadmin) addPolicy(ctx context.Context, words []string) {
	k.changePolicy(ctx, "add_policy", "creating", words, k.adm.CreatePolicy)
}

func (k *kadmin) modifyPolicy(ctx context.Context, words []string) {
	k.changePolicy(ctx, "modify_policy", "modifying", words, k.adm.ModifyPolicy)
}

// policyChange is an operation of admin on a policy.
type policyChange func(ctx context.Context, name string, f admin.PolicyFields) error

func (k *kadmin) changePolicy(ctx context.Context, command, doing string, words []string, change policyChange) {
	name, f, err := k.parsePolicyArgs(command, words[1:])
	if err != nil {
		k.complain(policyUsage, command)
		return
	}
	if err := change(ctx, name, f); err != nil {
		k.fail(command, err, "while %s policy \"%s\".", doing, name)
	}
}

func (k *kadmin) deletePolicy(ctx context.Context, words []string) {
	force, args, ok := withForce(words[1:], 1)
	if !ok {
		k.complain("usage: delete_policy [-force] policy\n")
		return
	}
	name := args[0]
	if !k.confirmed(force, "Are you sure you want to delete the policy \"%s\"", name) {
		k.complain("Policy \"%s\" not deleted.\n", name)
		return
	}
	if err := k.adm.DeletePolicy(ctx, name); err != nil {
		k.fail("delete_policy:", err, "while deleting policy \"%s\"", name) // MIT's two colons
	}
}

func (k *kadmin) getPolicy(ctx context.Context, words []string) {
	terse, args := len(words) == 3 && words[1] == "-terse", words[1:]
	if terse {
		args = words[2:]
	}
	if len(args) != 1 {
		k.complain("usage: get_policy [-terse] policy\n")
		return
	}
	p, err := k.adm.Policy(ctx, args[0])
	switch {
	case err != nil:
		k.fail("get_policy", err, "while retrieving policy \"%s\".", args[0])
	case terse:
		k.printf("%s", tersePolicy(p))
	default:
		k.printf("%s", showPolicy(p))
	}
}

func (k *kadmin) listPolicies(ctx context.Context, words []string) {
	const command = "get_policies"
	if len(words) > 2 {
		k.complain("usage: get_policies [expression]\n")
		return
	}
	names, err := k.adm.ListPolicies(ctx, pattern(words))
	if err != nil {
		k.fail(command, err, "while retrieving list.")
		return
	}
	for name, err := range names {
		if err != nil {
			k.fail(command, err, "while retrieving list.")
			return
		}
		k.printf("%s\n", name)
	}
}
