// Package interop holds tests that run this project's programs against the stock MIT programs and
// against one another, as processes: dumps both ways, logins with the stock client, MIT's KDC over
// our dump, replication end to end, bad input, kill -9.
//
// TestMain builds the programs first (with the race detector when the tests have it). A stock
// program that is missing is an error, not a reason to pass: `make deps` installs them.
package interop
