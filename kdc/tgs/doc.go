// Package tgs answers TGS requests: a client shows a ticket, usually one for the ticket
// granting service, and asks for another one.
//
// The exchange is a list of named steps in the order of docs/protocols/kdc.md section 5.1;
// the first that refuses ends it. It is a function of the request, the clock and the database:
// it starts no goroutine, does no I/O and keeps nothing.
//
// The rules of constrained delegation are string attributes of the services (proxy.go), which
// MIT krb5's db2 module does not have.
package tgs
