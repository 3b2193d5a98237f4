// Package verify compares the content of slaves' databases with the master's.
//
// It compares rows, not what is said of them: both sides read every entry in one read transaction
// and sum up the hashes of the lines in 256 parts by name. The master's side is kept at one
// serial (kdb.Frozen) while slaves are asked. A slave answers for a serial at or beyond that: on a
// busy master it may be a few changes further. Those are in the master's table of changes, and
// bring the frozen sums forward to the slave's serial, so both sides of a comparison are of the
// same serial whatever happens meanwhile, and nobody has to stand still.
//
// Deep, the parts that differ are asked for again, a few at a time, with the names and hashes of
// their entries.
//
// Nothing is changed, here or there.
package verify
