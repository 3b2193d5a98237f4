// Package ticket holds the rules that AS and TGS share about what goes into a ticket: times,
// flags, enctypes of session keys, addresses, the transited list, and how tickets are sealed
// and opened. It does no I/O and reads no clock. Section numbers in its comments are those of
// docs/protocols/kdc.md.
package ticket
