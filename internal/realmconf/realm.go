package realmconf

import (
	"fmt"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/quorum"
)

// Realm is what the configuration says of one realm.
type Realm struct {
	Name string

	DatabaseName    string // database_name or -d, as users know it: "/var/lib/krb5kdc/principal"
	Database        string // the file: DatabaseName + ".sqlite"
	StashFile       string
	MasterKeyName   string // without realm: "K/M"
	MasterPrincipal string // with realm: "K/M@REALM"
	MasterKeyType   krbcrypto.Enctype
	KeepChanges     int // changesets kept in the database: iprop_ulogsize, 1000

	MaxLife           time.Duration // 24 h; a ticket's, and what new principals get
	MaxRenewLife      time.Duration // 7 days: the KDC's limit
	NewMaxRenewLife   time.Duration // what new principals get: max_renewable_life, else 0
	SupportedEnctypes []KeySalt     // keys of new principals, in order; never empty
	DefaultFlags      uint32        // attributes of new principals
	DefaultExpire     uint32        // expiration of new principals, Unix seconds, 0 = never
	DictFile          string        // words refused as passwords; "" = none
	ACLFile           string        // "" = none

	KDCListen        []string // UDP: "host:port", ":port", or "/path"; none = no UDP
	KDCTCPListen     []string // TCP, the same way; the UDP list unless configured
	MaxDgramReply    int      // bytes, 65536
	TCPBacklog       int      // 0: as many as the system allows
	KadmindListen    []string
	KpasswdListen    []string
	HostBased        []string // host_based_services of the realm and of [kdcdefaults]
	NoHostReferral   []string
	RestrictAnon     bool // restrict_anonymous_to_tgt
	RejectBadTransit bool // true unless switched off
	DisablePAC       bool

	EncryptedChallengeIndicator string
	SpakeIndicator              string
	DisableLastSuccess          bool
	DisableLockout              bool

	Krep Krep

	settings []Setting
}

// Krep is the realm's part of section [krep]. Empty strings and lists are not set.
type Krep struct {
	DeltaFile       string   // delta_file: written by whatever changes the database
	SlaveList       string   // slave_list: read by krep
	SnapshotCommand string   // snapshot_command: writes a dump to its standard output
	Spool           string   // spool: krepd's file
	Keytab          string   // keytab: of krep and krepd
	Control         string   // control: UNIX socket
	Listen          []string // listen: krepd's addresses
	AdminListen     []string // admin_listen
	Allow           []string // allow: principals that may feed this slave

	Wait        quorum.Want   // wait: slaves that must have applied a change of kadmin.local; none
	WaitTimeout time.Duration // wait_timeout: 5 s
}

// defaultWait is how long kadmin.local waits for slaves.
const defaultWait = 5 * time.Second

// Setting is one effective value and where it came from.
type Setting struct {
	Name, Value string
	Source      string // "file:line", "command line" or "default"
}

// Settings lists the effective values of the realm, sorted as they were looked up.
func (r *Realm) Settings() []Setting { return r.settings }

// Realm returns the settings of a realm; "" is DefaultRealm. It returns ErrNoRealm when
// there is none, and an error with file and line for a value it cannot take.
func (c *Conf) Realm(name string) (*Realm, error) {
	if name == "" {
		name = c.DefaultRealm
	}
	if name == "" {
		return nil, ErrNoRealm
	}
	l := &lookup{prof: c.prof, realm: name}
	r := &Realm{Name: name}
	c.database(l, r)
	l.lives(r)
	l.kdc(r)
	l.admin(r)
	l.krep(r)
	r.settings = l.settings
	if l.err != nil {
		return nil, fmt.Errorf("realm %s: %w", name, l.err)
	}
	return r, nil
}

// database takes what opens the database. A module's section wins over the realm's, as
// in MIT's db2 module, and the command line over both.
func (c *Conf) database(l *lookup, r *Realm) {
	module := l.str("database_module", r.Name, l.inRealm("database_module"))
	r.DatabaseName = l.str("database_name", defaultDatabase,
		[]string{"dbmodules", module, "database_name"}, l.inRealm("database_name"))
	if c.opts.Database != "" {
		r.DatabaseName = c.opts.Database
		l.settings[len(l.settings)-1] = Setting{"database_name", r.DatabaseName, "command line"}
	}
	r.Database = r.DatabaseName + ".sqlite"
	r.StashFile = l.str("key_stash_file", defaultStash+r.Name, l.inRealm("key_stash_file"))
	r.MasterKeyName = l.str("master_key_name", "K/M", l.inRealm("master_key_name"))
	r.MasterPrincipal = r.MasterKeyName + "@" + r.Name
	r.MasterKeyType = value(l, "master_key_type", krbcrypto.ETypeAES256SHA1, parseMasterType,
		l.inRealm("master_key_type"))
	r.KeepChanges = value(l, "iprop_ulogsize", 1000, parsePositive, l.inRealm("iprop_ulogsize"))
	r.DisableLastSuccess = l.boolean("disable_last_success", false, []string{"dbmodules", module, "disable_last_success"})
	r.DisableLockout = l.boolean("disable_lockout", false, []string{"dbmodules", module, "disable_lockout"})
}

// lives takes the ticket lives. The KDC's limit for renewal and the value that new
// principals get have different defaults in MIT's programs.
func (l *lookup) lives(r *Realm) {
	const day = 24 * time.Hour
	r.MaxLife = l.duration("max_life", day, l.inRealm("max_life"))
	r.NewMaxRenewLife = l.duration("max_renewable_life", 0, l.inRealm("max_renewable_life"))
	r.MaxRenewLife = r.NewMaxRenewLife
	if !l.prof.Has(l.inRealm("max_renewable_life")...) {
		r.MaxRenewLife = 7 * day
	}
}

// kdc takes what only the KDC reads.
func (l *lookup) kdc(r *Realm) {
	r.KDCListen = l.listen("kdc_listen", []string{":88"}, "88",
		l.inRealm("kdc_listen"), l.inRealm("kdc_ports"), kdcDefaults("kdc_listen"), kdcDefaults("kdc_ports"))
	r.KDCTCPListen = l.listen("kdc_tcp_listen", r.KDCListen, "88",
		l.inRealm("kdc_tcp_listen"), l.inRealm("kdc_tcp_ports"), kdcDefaults("kdc_tcp_listen"), kdcDefaults("kdc_tcp_ports"))
	r.MaxDgramReply = value(l, "kdc_max_dgram_reply_size", 65536, parsePositive, kdcDefaults("kdc_max_dgram_reply_size"))
	r.TCPBacklog = value(l, "kdc_tcp_listen_backlog", 0, parsePositive, kdcDefaults("kdc_tcp_listen_backlog"))
	r.HostBased = l.words("host_based_services", l.inRealm("host_based_services"), kdcDefaults("host_based_services"))
	r.NoHostReferral = l.words("no_host_referral", l.inRealm("no_host_referral"), kdcDefaults("no_host_referral"))
	r.RestrictAnon = l.boolean("restrict_anonymous_to_tgt", false,
		l.inRealm("restrict_anonymous_to_tgt"), kdcDefaults("restrict_anonymous_to_tgt"))
	r.RejectBadTransit = l.boolean("reject_bad_transit", true, l.inRealm("reject_bad_transit"))
	r.DisablePAC = l.boolean("disable_pac", false, l.inRealm("disable_pac"))
	r.EncryptedChallengeIndicator = l.str("encrypted_challenge_indicator", "", l.inRealm("encrypted_challenge_indicator"))
	r.SpakeIndicator = l.str("spake_preauth_indicator", "", l.inRealm("spake_preauth_indicator"))
}

// admin takes what the administration reads.
func (l *lookup) admin(r *Realm) {
	r.SupportedEnctypes = value(l, "supported_enctypes", []KeySalt{
		{Enctype: krbcrypto.ETypeAES256SHA1}, {Enctype: krbcrypto.ETypeAES128SHA1},
	}, parseSupported, l.inRealm("supported_enctypes"))
	r.DefaultFlags = value(l, "default_principal_flags", 0, func(s string) (uint32, error) {
		return ParseFlags(s, 0)
	}, l.inRealm("default_principal_flags"))
	r.DefaultExpire = value(l, "default_principal_expiration", 0, ParseTimestamp, l.inRealm("default_principal_expiration"))
	r.DictFile = l.str("dict_file", "", l.inRealm("dict_file"))
	r.ACLFile = l.str("acl_file", defaultACL, l.inRealm("acl_file"))
	port := l.str("kadmind_port", "749", l.inRealm("kadmind_port"))
	r.KadmindListen = l.listen("kadmind_listen", []string{":" + port}, port, l.inRealm("kadmind_listen"))
	port = l.str("kpasswd_port", "464", l.inRealm("kpasswd_port"))
	r.KpasswdListen = l.listen("kpasswd_listen", []string{":" + port}, port, l.inRealm("kpasswd_listen"))
}

// krep takes our own section.
func (l *lookup) krep(r *Realm) {
	str := func(tag string) string {
		return l.str("krep "+tag, "", []string{"krep", l.realm, tag}, []string{"krep", tag})
	}
	list := func(tag string) []string {
		return l.words("krep "+tag, []string{"krep", l.realm, tag}, []string{"krep", tag})
	}
	r.Krep = Krep{
		DeltaFile:       str("delta_file"),
		SlaveList:       str("slave_list"),
		SnapshotCommand: str("snapshot_command"),
		Spool:           str("spool"),
		Keytab:          str("keytab"),
		Control:         str("control"),
		Listen:          list("listen"),
		AdminListen:     list("admin_listen"),
		Allow:           list("allow"),
		Wait: value(l, "krep wait", quorum.None, quorum.Parse,
			[]string{"krep", l.realm, "wait"}, []string{"krep", "wait"}),
		WaitTimeout: value(l, "krep wait_timeout", defaultWait, ParseWaitTimeout,
			[]string{"krep", l.realm, "wait_timeout"}, []string{"krep", "wait_timeout"}),
	}
}
