// Package as answers AS requests: a client that has no ticket yet asks for one, usually for
// the ticket granting service, and shows by preauthentication that it knows its key.
//
// The exchange is a list of named steps in the order of docs/protocols/kdc.md section 4.1;
// the first that refuses ends it. It is a function of the request, the clock and the database:
// it starts no goroutine, does no I/O and keeps nothing. What it wants written goes into the
// Outcome.
package as
