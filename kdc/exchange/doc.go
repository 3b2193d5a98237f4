// Package exchange holds what an AS and a TGS exchange have in common on the outside: the
// request as it came in, what came of it, and the two faces of a refusal, one for the client
// and one for the log.
package exchange
