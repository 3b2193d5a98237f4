// Package dumpfmt reads and writes the text form of a Kerberos realm database: the dump
// files of MIT's kdb5_util in versions 4 to 7 and the two iprop forms, and the lines of a
// delta file. It does no I/O but through io.Reader and io.Writer, and knows no keys: what
// is sealed stays sealed.
//
// # Three ways in
//
//   - Reader and Writer stream whole files, one line in memory at a time. Next gives
//     values; NextLine checks as much and gives the version 7 line, for a store of lines.
//   - ParseLine, ParseDeltaLine and AppendLine take one record.
//   - LineName, SplitLockout and JoinLockout work on a line that was checked before, look
//     only at the fields they need, and parse nothing else.
//
// # What is accepted
//
// The reader is stricter than MIT's loader, which takes any white space between fields,
// cuts numbers, guesses at damaged hex, stores corrupt entries for some lines and never
// ends on others. It takes the form that MIT writes and refuses the rest with line and
// field (SyntaxError). testdata/cases.jsonl holds 151 inputs with what three builds of
// MIT's loader did and what this package does, and why. docs/formats/dump.md is the
// description for operators.
//
// # Invariants
//
//   - F1: a line that ParseDeltaLine takes is printed back byte for byte by AppendLine; so
//     a record has one text, and a hash over lines is a hash over records. ParseLine takes
//     a little more (its comment says what), and what it took prints as a line of F1.
//   - F2: AppendLine prints no line that its own parser or MIT's loader would refuse,
//     misread or lose; it returns an error instead.
//   - F3: no input panics, and none takes more memory than a small multiple of its length;
//     a line has at most MaxLine bytes.
//   - F4: no error quotes the contents of a field.
//   - F5: JoinLockout undoes SplitLockout byte for byte.
//
// Values do not alias the text they were parsed from. Nothing here is safe for concurrent
// use of one value, and there is no state beside the values.
package dumpfmt
