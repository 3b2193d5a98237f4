// Package krbmsg holds the messages of Kerberos version 5 as Go values, with their DER forms:
// RFC 4120, RFC 6113 (FAST), RFC 6806 (encrypted padata) and the structures inside padata.
//
// Every message has Parse, which decodes one encoding from the start of a slice, and AppendTo,
// which writes it with a backward der.Writer. Parsed values alias the input; what has to be
// checksummed or passed on unchanged (request bodies, tickets) also keeps its raw octets.
// Bytes after a message are ignored, since decrypted messages may end in cipher padding, and
// so are unknown fields at the end of a SEQUENCE; everything else that is not the message is a
// *der.SyntaxError. Wire types hold no decrypted parts, so that none can be sent by mistake.
//
// Times are seconds since 1970 in an int64. A list that is absent is nil; one that is present
// and empty is not.
package krbmsg
