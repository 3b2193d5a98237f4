// Package krbcrypto implements the Kerberos encryption and checksum types: AES with
// HMAC-SHA1 (RFC 3962) and with HMAC-SHA2 (RFC 8009), Camellia (RFC 6803), and, for realms
// that still hold such keys, triple DES (RFC 3961) and RC4 (RFC 4757).
//
// A Key is an immutable value. It remembers the keys it derived, one set per key usage, so
// that a second message under the same key and usage costs the cipher and the hash and
// nothing else. Reading that memory takes no lock.
//
// Nothing here trusts its input: Decrypt and the Verify functions return an error for any
// byte string, of any length, that the key did not produce; comparisons of tags take constant
// time; string-to-key parameters are bounded on both sides. A Key prints as its enctype,
// never as its bytes, whatever the format verb.
//
// Usage numbers are taken as given, zero included: MIT seals the keys of a realm database
// under the master key with usage 0.
package krbcrypto
