// Package lockout counts failed and successful logins in the entries of clients, and decides
// when an entry is locked (docs/protocols/kdc.md section 4.11). The three fields it writes are
// local to each database (design invariant 6): they never reach a delta record, and a full
// load keeps them.
package lockout
