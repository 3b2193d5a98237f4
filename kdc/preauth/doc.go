// Package preauth verifies what a client sends with an AS request to show that it knows its
// key, and tells clients what to send (docs/protocols/kdc.md sections 4.3 to 4.7). It does no
// I/O and reads no clock.
package preauth
