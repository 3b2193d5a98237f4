// Package verify looks for what is wrong with the entries of a realm, in a dump file or in a
// database: lines that do not parse, tagged data that cannot be read, keys that no master key
// opens, references to what does not exist, and what MIT's loader would choke on, lose or damage.
//
// It changes nothing and stops at nothing that it can step over. A Finding is an Error where
// something is lost or unusable, here or in MIT's programs, and a Warning where it is only odd.
//
// Of a realm of any size it keeps 8 bytes an entry, a hash of the name, besides names that are
// referred to.
package verify
