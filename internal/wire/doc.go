// Package wire holds the messages that krep and krepd exchange inside an authenticated stream
// (package stream): one struct per message, with Append and Parse. docs/protocols/krep.md
// describes the conversation.
//
// A message is one octet of kind followed by fixed fields in network order; a text is preceded
// by its length in two octets. An encoding is unique: what Parse accepts, Append reproduces,
// but for a Hello, which may end in fields of a later version that are ignored here. Every
// length is checked before anything is allocated, and Parse never panics.
//
// Byte slices in parsed messages alias the input.
package wire
