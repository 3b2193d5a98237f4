// Package tabdump prints the entries of a realm as tables for people and their spreadsheets: one
// row an entry, a key, a flag or an attribute, as kdb5_util tabdump does. The tables are not for
// loading.
//
// The bytes are those of MIT krb5 (src/kadmin/dbutil/tabdump.c; 1.20.1, and 1.22 for the table of
// aliases), where MIT prints a table at all. MIT stops in the middle of a row at the first entry
// without a valid modifier, or whenever it has no master key, though no table needs it; here such
// an entry is left out and reported, and the rest follows.
package tabdump
