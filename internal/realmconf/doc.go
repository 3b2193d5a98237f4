// Package realmconf turns krb5.conf and kdc.conf into the settings of a realm.
//
// Load reads the file of KRB5_KDC_PROFILE (default /etc/krb5kdc/kdc.conf) and then the
// files of KRB5_CONFIG (default /etc/krb5.conf), as MIT's KDC programs do; a value in
// kdc.conf therefore wins. A realm's settings are looked up in [realms] REALM, some also
// in [kdcdefaults], those of the database in [dbmodules] SECTION, and ours in
// [krep] REALM and then in [krep] itself; what no file says is MIT's default, with the
// paths Debian gives it.
//
// A value that cannot be understood is an error with file and line. MIT's programs are
// milder in places (a max_life they cannot parse is silently 24 hours); a setting that
// is silently not obeyed is worse than a start that fails with the line's number.
//
// Realm.Settings lists every value with the place it came from, for -check.
package realmconf
