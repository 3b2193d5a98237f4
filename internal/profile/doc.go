// Package profile reads the files krb5.conf and kdc.conf.
//
// It is a reader of the profile format as MIT's libprofile understands it, written
// so that one file means the same to the stock programs and to ours:
//
//   - [section] headers, tag = value relations, tag = { … } subsections nested to
//     any depth (bounded here), # and ; comment lines;
//   - a quoted value knows the escapes \n, \t, \b and \x for any other x; an
//     unquoted one ends at the end of its line, and # does not start a comment in it;
//   - lines before the first header are ignored, as are repeated spellings of one
//     section: its parts are merged;
//   - "include FILE" and "includedir DIR" stand at the start of a line and may stand
//     anywhere; what they read is added at the top level;
//   - a * after a section's ], after a subsection's tag or after its closing brace
//     makes it final: files further down the list are not asked about it. A * after
//     the tag of a plain relation is accepted and, as in MIT's library, means nothing;
//   - "module LIBRARY:RESIDUAL" before the first header is accepted and ignored.
//
// Several files form one profile: the values of a relation are those of all files in
// order, and where one value is wanted the first counts.
//
// Where this reader differs from MIT's: a UTF-8 byte order mark is skipped, a line may
// be longer than 2047 bytes, and depth, size and number of included files are bounded.
//
// Syntax errors are *SyntaxError and values of the wrong kind *ValueError; both name
// file and line. A Profile does not change after Load and may be used concurrently.
package profile
