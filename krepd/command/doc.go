// Package command is krepd's command line: the daemon, and the command that asks it.
//
//	krepd [-r REALM] [...]   receive and apply, in the foreground
//	krepd status [-json]     where it stands
//
// SIGHUP has the daemon read its configuration again: who may feed it and whom it dials may change
// then, everything else is as at the start.
//
// Where it dials, one of several masters feeds it at a time; a rota says which (ADR 12).
//
// It wires listener, receiver, spool, applier and database together, and does little else. They
// stop in this order: signal, listeners and streams (each says goodbye to its feeder), applier
// (a batch or full copy that is being committed is finished or rolled back), database, spool.
package command
