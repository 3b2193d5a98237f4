package command

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"krealm/internal/admin"
	"krealm/internal/getdate"
	"krealm/internal/profile"
	"krealm/internal/realmconf"
)

const attributesUsage = `	attributes are:
		allow_postdated allow_forwardable allow_tgs_req allow_renewable
		allow_proxiable allow_dup_skey allow_tix requires_preauth
		requires_hwauth needchange allow_svr password_changing_service
		ok_as_delegate ok_to_auth_as_delegate no_auth_data_required
		lockdown_keys

where,
	[-x db_princ_args]* - any number of database specific arguments.
			Look at each database documentation for supported arguments
`

const addprincUsage = `usage: add_principal [options] principal
	options are:
		[-randkey|-nokey] [-x db_princ_args]* [-expire expdate] [-pwexpire pwexpdate] [-maxlife maxtixlife]
		[-kvno kvno] [-policy policy] [-clearpolicy]
		[-pw password] [-maxrenewlife maxrenewlife]
		[-e keysaltlist]
		[{+|-}attribute]
` + attributesUsage

const modprincUsage = `usage: modify_principal [options] principal
	options are:
		[-x db_princ_args]* [-expire expdate] [-pwexpire pwexpdate] [-maxlife maxtixlife]
		[-kvno kvno] [-policy policy] [-clearpolicy]
		[-maxrenewlife maxrenewlife] [-unlock] [{+|-}attribute]
` + attributesUsage

// princArgs are the options of addprinc and modprinc.
type princArgs struct {
	name    string // with realm
	fields  admin.Fields
	keys    admin.Keys
	randKey bool
	dbArg   string // -x
	flags   []string
}

// errUsage means options that make no sense; what there is to say of them has been said.
var errUsage = errors.New("usage")

// valueOptions are the options with an argument.
var valueOptions = map[string]func(k *kadmin, a *princArgs, v string) error{
	"-x":            func(_ *kadmin, a *princArgs, v string) error { a.dbArg = v; return nil },
	"-expire":       func(k *kadmin, a *princArgs, v string) error { return setDate(k, &a.fields.Expire, v) },
	"-pwexpire":     func(k *kadmin, a *princArgs, v string) error { return setDate(k, &a.fields.PwExpire, v) },
	"-maxlife":      func(k *kadmin, a *princArgs, v string) error { return setLife(k, &a.fields.MaxLife, v) },
	"-maxrenewlife": func(k *kadmin, a *princArgs, v string) error { return setLife(k, &a.fields.MaxRenewLife, v) },
	"-policy":       func(_ *kadmin, a *princArgs, v string) error { a.fields.Policy = &v; return nil },
	"-pw":           func(_ *kadmin, a *princArgs, v string) error { a.keys.Password = []byte(v); return nil },
	"-kvno": func(_ *kadmin, a *princArgs, v string) error {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return errUsage
		}
		kvno := uint16(n) // MIT: modulo 65536
		a.fields.Kvno = &kvno
		return nil
	},
	"-e": func(k *kadmin, a *princArgs, v string) (err error) {
		a.keys.KeySalts, err = k.keySalts(v)
		return err
	},
}

// parsePrincArgs parses what stands behind the command's name; the principal's name is the
// last word.
func (k *kadmin) parsePrincArgs(command string, args []string) (*princArgs, error) {
	if len(args) == 0 {
		return nil, errUsage
	}
	a := &princArgs{}
	opts, name := args[:len(args)-1], args[len(args)-1]
	for len(opts) > 0 {
		o := opts[0]
		opts = opts[1:]
		if set, ok := valueOptions[o]; ok {
			if len(opts) == 0 {
				return nil, errUsage
			}
			if err := set(k, a, opts[0]); err != nil {
				return nil, err
			}
			opts = opts[1:]
			continue
		}
		switch o {
		case "-clearpolicy":
			a.fields.ClearPolicy = true
		case "-randkey":
			a.randKey = true
		case "-nokey":
			a.keys.None = true
		case "-unlock":
			a.fields.Unlock = true
		default:
			if _, ok := realmconf.ParseFlag(o, 0); !ok || (o[0] != '+' && o[0] != '-') {
				return nil, errUsage
			}
			a.flags = append(a.flags, o)
		}
	}
	var err error
	if a.name, err = k.principalName(name); err != nil {
		k.fail(command, err, "while parsing principal")
		return nil, errUsage
	}
	return a, nil
}

// applyFlags sets the attributes from what they were, if there were any flags.
func (a *princArgs) applyFlags(attrs uint32) {
	if len(a.flags) == 0 {
		return
	}
	for _, f := range a.flags {
		attrs, _ = realmconf.ParseFlag(f, attrs) // checked when it was parsed
	}
	a.fields.Attributes = &attrs
}

// keySalts parses a list of which at least one word must be known.
func (k *kadmin) keySalts(list string) ([]realmconf.KeySalt, error) {
	ks, _ := realmconf.ParseKeySalts(list)
	if len(ks) == 0 {
		return nil, fmt.Errorf("%w while parsing keysalts %s", admin.ErrBadKeySalts, list)
	}
	return ks, nil
}

func setDate(k *kadmin, dst **uint32, v string) error {
	t, err := getdate.Parse(v, k.now())
	if err != nil {
		k.complain("Invalid date specification \"%s\".\n", v)
		return errUsage
	}
	*dst = &t
	return nil
}

func setLife(k *kadmin, dst **int32, v string) error {
	n, err := k.interval(v)
	if err != nil {
		return err
	}
	*dst = &n
	return nil
}

// interval parses a length of time: an interval in MIT's short grammar, else a date, which
// counts from now.
func (k *kadmin) interval(v string) (int32, error) {
	if n, err := profile.ParseDelta(v); err == nil {
		return n, nil
	}
	now := k.now()
	t, err := getdate.Parse(v, now)
	if err != nil {
		k.complain("Invalid date specification \"%s\".\n", v)
		return 0, errUsage
	}
	d := int64(t) - now.Unix()
	if t == 0 {
		d = 0 // never
	}
	if d < 0 || d > int64(1<<31-1) {
		k.complain("Interval specification \"%s\" is in the past.\n", v)
		return 0, errUsage
	}
	return int32(d), nil
}

// strdur is an interval as MIT prints it: days and HH:MM:SS.
func strdur(seconds int64) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	plural := "s"
	if seconds/86400 == 1 {
		plural = ""
	}
	return fmt.Sprintf("%s%d day%s %02d:%02d:%02d", sign, seconds/86400, plural, seconds/3600%24, seconds/60%60, seconds%60)
}

// strdate is a time as MIT prints it, in local time.
func strdate(t uint32) string {
	if t == 0 {
		return "[never]"
	}
	return strtime(t)
}

func strtime(t uint32) string { return time.Unix(int64(t), 0).Format("Mon Jan 02 15:04:05 MST 2006") }
