// Package mkey holds the master key of a realm: the stash file that keeps it beside the
// database, the versions in the K/M entry, and the sealing and opening of principals' keys
// with them. Formats and rules are MIT's (docs/formats, MIT krb5 src/lib/kdb/kdb_default.c,
// encrypt_key.c, decrypt_key.c).
//
// A master key has versions, numbered like any key. The newest one seals all versions in K/M,
// itself included; K/M's tagged data says from when on which version seals principals' keys
// (the active one), and carries the newest key sealed by each older one, so that an old stash
// file still opens the realm.
//
// What a principal's entry says of the version that sealed it (tagged data type 8) can be
// wrong in databases that MIT's programs wrote, so opening tries every version.
//
// Files are read and written here; entries are changed as values only.
package mkey
