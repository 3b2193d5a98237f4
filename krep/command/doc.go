// Package command is krep's command line: the daemon, and the commands that ask it.
//
//	krep [-r REALM] [...]        feed the slaves, in the foreground
//	krep status [-json]          how they stand
//	krep resync SLAVE            rebuild one from a full copy
//	krep pause|resume SLAVE      stop feeding one for a while
//	krep delta COMMAND [FILE]    look at a delta file, or append to one without our database
//
// It wires feed, senders, Kerberos client and snapshot source together, and does nothing else.
// They stop in this order: signal, senders (each says goodbye to its slave), feed, control socket.
package command
