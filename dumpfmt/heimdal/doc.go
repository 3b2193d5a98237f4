// Package heimdal reads the two dumps that Heimdal's kadmin makes: its own form (kadmin -l dump,
// Heimdal lib/hdb/print.c) and the one it calls MIT's (--format=MIT). It gives the entries as MIT's,
// without their keys, and the keys apart: in the clear, or as Heimdal's master key sealed them. It
// knows no keys itself and seals nothing.
//
// # The own form
//
// No header, a line an entry, twelve columns apart by one blank each:
//
//	name keys created modified start end pwend life renew flags generation extensions
//
// A blank in a name has a backslash before it. keys is the version and, for each key, the version
// of the master key (empty: in the clear), the enctype, the key and its salt, all apart by colons;
// bytes are upper-case hex, or in quotes where they are letters, digits and dots. Times are
// YYYYMMDDhhmmss in UTC; "-" stands for what is not there. Extensions are DER (Heimdal
// lib/hdb/hdb.asn1) in hex: older keys, the time of the last password change, policy, aliases,
// delegation targets. In a dump made with --decrypt the older keys are sealed all the same.
//
// # The MIT form
//
// Version 5 of MIT's dump format, with two faults of Heimdal 7.8 on 64-bit machines: the time of
// the last password change has 8 bytes, and between time and name of the last modifier stand 4
// bytes of uninitialised memory. MIT reads "never" and a garbled name. FromMIT puts both right.
//
// # What becomes of it
//
// Flags and lives are translated so that an entry may do here what it might do there, where the
// two differ in favour of less: no limit on renewal is the greatest life that the format holds, not
// 0, with which nothing would be renewable. What has no counterpart is listed in Entry.Lost. An
// extension that Heimdal marks as mandatory and that is not known here is an error.
package heimdal
