// Package slave is what krep knows of one slave: a value that is told what happened and answers
// what to do next. It does no I/O, reads no clock and starts nothing; package sender does.
//
//	             dial                hello: continue
//	Retrying ----------> Connecting -----------------> Streaming
//	   ^                     |                          |    ^
//	   |                     | hello: needs a full copy |    | ack of the copy's base
//	   |                     +-----> Snapshot ----------|----+
//	   |  stream lost, from any state  |                |
//	   +-------------------------------+----------------+
//
// Broken is Retrying for a slave that has said that it cannot apply a record, or that its
// content differs, or that it could not load the copy: the next stream brings a full copy.
//
// A conversation sends at most one full copy, and only at its start. A slave that needs one later
// ends the conversation with an error and says so in its next hello; so no message of before the
// copy can be mistaken for one after it.
package slave
