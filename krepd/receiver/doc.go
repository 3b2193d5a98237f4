// Package receiver is krepd's end of a stream: it takes changes into the spool and full copies to
// the applier, and tells krep how far both have come.
//
// One feeder is served at a time. A new one that has authenticated, from the same master or
// another that is allowed, ends the conversation of the old: a master that has lost its
// connection without noticing must not keep itself out.
//
// A conversation has two goroutines. One reads: it appends changes to the spool as they come and
// does not wait for the disk. The other acknowledges (invariant S2: an acknowledged serial is
// durable). Each commit of the applier is acknowledged as it happens, as applied and, since a commit
// is synced, as spooled. What the applier has not come to in syncDelay is synced in the spool, for
// all that has come since the last time at once, and then acknowledged as spooled alone.
//
// A full copy is received into NAME.full beside the spool, synced, verified, and only then loaded.
// A cut leaves the file for the next attempt to overwrite.
package receiver
