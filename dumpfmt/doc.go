// Package dumpfmt reads and writes the text form of a Kerberos realm database: the dump
// files of MIT's kdb5_util, versions 4 to 7 and the two iprop forms, and the lines that a
// delta file carries.
package dumpfmt
