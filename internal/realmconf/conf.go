package realmconf

import (
	"errors"
	"os"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/profile"
)

// Default places, as Debian builds MIT krb5.
const (
	DefaultKDCProfile = "/etc/krb5kdc/kdc.conf"
	DefaultConfig     = "/etc/krb5.conf"

	defaultDatabase = "/var/lib/krb5kdc/principal"
	defaultStash    = "/etc/krb5kdc/.k5." // followed by the realm
	defaultACL      = "/etc/krb5kdc/kadm5.acl"
	defaultKeytab   = "FILE:/etc/krb5.keytab"
)

// ErrNoRealm means that no realm was named, on the command line or in a file.
var ErrNoRealm = errors.New("no realm given and the configuration has no default_realm")

// Options say what the command line decides.
type Options struct {
	Realm    string // in place of default_realm; "" = as configured
	Database string // in place of database_name (option -d); without ".sqlite"

	// Files to read in place of KRB5_KDC_PROFILE and KRB5_CONFIG; "" = the variable,
	// else the default place.
	KDCProfile string
	Config     string
}

// Conf is the configuration of a host. It does not change after Load.
type Conf struct {
	DefaultRealm      string        // Options.Realm, else [libdefaults] default_realm; may be ""
	ClockSkew         time.Duration // [libdefaults] clockskew, 5 minutes
	PermittedEnctypes []krbcrypto.Enctype

	opts Options
	prof *profile.Profile
}

// Load reads the configuration. Errors name file and line.
func Load(o Options) (*Conf, error) {
	kdc := pick(o.KDCProfile, os.Getenv("KRB5_KDC_PROFILE"), DefaultKDCProfile)
	krb5 := pick(o.Config, os.Getenv("KRB5_CONFIG"), DefaultConfig)
	prof, err := profile.Load(kdc, krb5)
	if err != nil {
		return nil, err
	}
	return New(prof, o)
}

// New takes the settings from a profile that was read already.
func New(prof *profile.Profile, o Options) (*Conf, error) {
	c := &Conf{opts: o, prof: prof, DefaultRealm: o.Realm}
	if c.DefaultRealm == "" {
		c.DefaultRealm, _ = prof.String("libdefaults", "default_realm")
	}
	var err error
	if c.ClockSkew, err = prof.Duration(5*time.Minute, "libdefaults", "clockskew"); err != nil {
		return nil, err
	}
	if c.PermittedEnctypes, err = permittedEnctypes(prof); err != nil {
		return nil, err
	}
	return c, nil
}

// Profile returns the files' contents, for relations that Conf does not know.
func (c *Conf) Profile() *profile.Profile { return c.prof }

// KDCs returns the values of kdc in [realms] realm, in order: "host" or "host:port".
func (c *Conf) KDCs(realm string) []string { return c.prof.Strings("realms", realm, "kdc") }

// DefaultKeytab returns KRB5_KTNAME, else [libdefaults] default_keytab_name, else
// FILE:/etc/krb5.keytab.
func (c *Conf) DefaultKeytab() string {
	name, _ := c.prof.String("libdefaults", "default_keytab_name")
	return pick(os.Getenv("KRB5_KTNAME"), name, defaultKeytab)
}

func pick(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// permittedEnctypes reads permitted_enctypes. Words in it that name no type are passed
// over, as MIT does; a list in which no type is left is an error.
func permittedEnctypes(prof *profile.Profile) ([]krbcrypto.Enctype, error) {
	path := []string{"libdefaults", "permitted_enctypes"}
	list, ok := prof.String(path...)
	if !ok {
		return krbcrypto.DefaultEnctypes(), nil
	}
	ets, err := krbcrypto.ParseEnctypeList(list)
	if len(ets) > 0 {
		return ets, nil
	}
	if err == nil {
		err = errNoEnctype
	}
	return nil, &profile.ValueError{Source: prof.Source(path...), Tag: path[1], Value: list, Err: err}
}

var errNoEnctype = errors.New("no encryption type in the list")

// parseMasterType takes the type of a master key: one that we can seal with.
func parseMasterType(s string) (krbcrypto.Enctype, error) {
	et, err := krbcrypto.ParseEnctype(s)
	if err == nil && !krbcrypto.Supported(et) {
		err = krbcrypto.ErrUnsupported
	}
	return et, err
}
