// Package deltafile reads and writes the delta file: numbered, hash-chained changesets of a
// realm, appended by whoever changes the database and followed by whoever replicates it.
package deltafile
