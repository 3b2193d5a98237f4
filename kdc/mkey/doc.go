// Package mkey holds the master key of a realm: the stash file that keeps it beside the
// database, the versions in the K/M entry, and the sealing and opening of principals' keys
// with them. Formats and rules are MIT's (MIT krb5 src/lib/kdb/kdb_default.c, encrypt_key.c,
// decrypt_key.c).
//
// A master key has versions, numbered like any key. The newest one seals all versions in K/M,
// itself included; K/M's tagged data says from when on which version seals principals' keys
// (the active one), and carries the newest key sealed by each older one, so that an old stash
// file still opens the realm.
//
// What a principal's entry says of the version that sealed it (tagged data type 8) can be
// wrong in databases that MIT's programs wrote, so opening tries every version.
//
// A stash file is a keytab of version 2 (05 02), all integers big end first, with one entry
// for each version of the master key, newest first:
//
//	int32   size of the entry; negative: a hole of that size; 0: the end
//	uint16  2, the number of components
//	counted realm, "K", "M"       (counted: uint16 length, then the bytes)
//	uint32  1, the name type
//	uint32  time written, Unix seconds
//	uint8   version, low byte
//	uint16  enctype
//	counted key
//	uint32  version; may be missing, then the low byte counts
//
// The old form, read but never written, is one key: uint16 enctype, uint32 length, bytes,
// little end first; its version counts as 1.
//
// Files are read and written here; entries are changed as values only.
package mkey
