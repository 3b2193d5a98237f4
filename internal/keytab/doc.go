// Package keytab reads and changes keytab files, version 0x0502:
//
//	05 02
//	int32   size of the record; negative: a hole of that many bytes
//	uint16  number of components, without the realm
//	counted realm, counted components        (uint16 length, bytes)
//	uint32  name type
//	uint32  time of writing, Unix seconds
//	uint8   low byte of the kvno
//	uint16  enctype
//	uint16  length of the key, bytes
//	uint32  kvno; may be absent or 0: then the low byte counts
//
// All numbers are big-endian. Add writes a record into the first hole that is large enough,
// else at the end; Remove fills a record with zeros and makes it a hole, so that a key that
// was removed is not in the file any more. Both hold the lock that MIT's library takes, an
// fcntl lock on the whole file, and sync the file before they let go of it.
//
// A file that is not of this form is ErrFormat and is not changed.
package keytab
