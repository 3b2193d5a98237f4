// Package der reads and writes the part of DER (ITU-T X.690) that Kerberos messages use.
//
// The Reader walks forward over one byte slice. It keeps a sticky error, so a message is
// decoded by straight-line code and the error is looked at once, and it keeps the ends of the
// elements it is inside of, so that nothing is read past its parent. Values alias the input.
//
// The Writer fills its buffer from the end: contents first, then length, then tag. No length
// is computed twice and nothing moves, but fields are written in reverse order.
//
// Only definite, minimal lengths, single-octet tags and minimal integers are accepted, and
// elements nest at most MaxDepth deep. Where MIT krb5 is more tolerant than DER in a way that
// clients need, the reading function says so.
package der
