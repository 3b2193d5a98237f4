// Package delta looks at delta files for people and for other tools: what a file says, whether it
// is in order, how it becomes a file for kdb5_util load -update, and how a program that has no
// database of ours appends to one. It is what krep delta does, but for the printing.
//
// Package deltafile knows the frame and the chain, package dumpfmt the lines; here the two meet.
//
// What must hold:
//
//   - Nothing here returns or prints key material, export excepted, which is made of it.
//   - What Append writes parses strictly and stands in the one canonical form, or is refused whole.
//   - Export says the same as the file: a database that holds the state of the file's base and takes
//     the exported lines and deletions has the content of the file's end.
package delta
