package command

import (
	"fmt"
	"slices"

	"krealm/kdc/serve"
)

// What MIT's krb5kdc obeys and this one does not is named in the log at the start, with file and line, where an
// administrator would count on it: modules above all, which may be what keeps somebody out. What changes
// nothing for anybody, such as mapsize, is passed over.

// pluginWords are the interfaces of [plugins] that a KDC has. All others are of clients and
// applications, and of kadmin.local.
var pluginWords = []string{"kdcpreauth", "kdcpolicy", "kdcauthdata", "certauth", "audit"}

// pkinitWords are the relations of PKINIT that a realm or [kdcdefaults] may have.
var pkinitWords = []string{"pkinit_identity", "pkinit_anchors", "pkinit_pool", "pkinit_revoke",
	"pkinit_require_crl_checking", "pkinit_allow_upn", "pkinit_eku_checking", "pkinit_dh_min_bits", "pkinit_indicator",
	"pkinit_require_freshness"}

// singleWords are relations of which one value counts: here the first, so that kdc.conf comes before krb5.conf,
// but with MIT's krb5kdc the last.
var singleWords = []string{"kdc_listen", "kdc_ports", "kdc_tcp_listen", "kdc_tcp_ports", "kdc_max_dgram_reply_size",
	"max_life", "max_renewable_life", "restrict_anonymous_to_tgt", "reject_bad_transit", "disable_pac", "master_key_name", "master_key_type",
	"key_stash_file", "database_module", "database_name"}

// ignored lists what is configured without effect, one line each.
func (r *servedRealm) ignored() []string {
	p := r.all.Profile()
	var out []string
	say := func(path []string, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s: ", p.Source(path...))+fmt.Sprintf(format, args...))
	}
	for _, word := range pluginWords {
		path := []string{"plugins", word, "module"}
		for _, value := range p.Strings(path...) {
			say(path, "[plugins] %s: module = %q is not loaded: this KDC takes no modules", word, value)
		}
	}
	for _, word := range pkinitWords {
		if path := r.path(word); p.Has(path...) {
			say(path, "%s has no effect: PKINIT is not supported", word)
			break // one is enough
		}
	}
	for _, kind := range p.Names("otp") {
		say([]string{"otp", kind}, "[otp] %s has no effect: one-time passwords are not supported", kind)
	}
	module, ok := p.String("realms", r.conf.Name, "database_module")
	if !ok {
		module = r.conf.Name
	}
	for _, word := range singleWords {
		for _, path := range [][]string{{"realms", r.conf.Name, word}, {"kdcdefaults", word}} {
			if all := p.Strings(path...); len(all) > 1 && slices.ContainsFunc(all, func(v string) bool { return v != all[0] }) {
				say(path, "%s stands there %d times: %q counts here, %q with MIT's krb5kdc", word, len(all), all[0], all[len(all)-1])
			}
		}
	}
	path := []string{"dbmodules", module, "db_library"}
	if lib, ok := p.String(path...); ok && !slices.Contains([]string{"db2", "klmdb"}, lib) {
		say(path, "db_library = %q has no effect: the realm is served from %s", lib, r.conf.Database)
	}
	if path := []string{"libdefaults", "allow_weak_crypto"}; p.Has(path...) {
		if weak, err := p.Bool(false, path...); err == nil && weak {
			say(path, "allow_weak_crypto has no effect: weak encryption types are never used")
		}
	}
	return out
}

// switchedOff reports whether [plugins] kdcpreauth leaves out a mechanism that this KDC has.
func (r *servedRealm) switchedOff(mechanism string) bool {
	p := r.all.Profile()
	only := p.Strings("plugins", "kdcpreauth", "enable_only")
	return slices.Contains(p.Strings("plugins", "kdcpreauth", "disable"), mechanism) ||
		len(only) > 0 && !slices.Contains(only, mechanism)
}

// tellIgnored logs them.
func (r *servedRealm) tellIgnored() {
	for _, line := range r.ignored() {
		r.server.log.Line(serve.LevelWarning, line)
	}
}
