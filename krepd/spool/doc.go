// Package spool is what a slave has received and not yet applied: a delta file.
//
// One process owns a spool, through a lock on NAME.lock. Its receiver appends, syncs and then
// acknowledges; its applier reads the file through a Tail, woken in the process without a look at
// the directory, and cuts what it has applied. The way from the file to the database is the same
// after a crash as before it.
//
// What is in the file counts as received only once Sync has returned (invariant S1: Durable is
// never ahead of the disk), or the database has it, which is synced at each commit. A kill at any moment leaves a file that Settle brings into order:
//
//	killed                             the file then                       Settle
//	while appending                    has a torn tail                     cuts it off
//	after appending, before Sync       has more than was acknowledged      keeps it; it is good
//	by a power cut, before Sync        may have anything at its end        keeps what is good; starts
//	                                                                       anew if that ends before
//	                                                                       the database's state
//	while cutting or starting anew     is the old or the new one           keeps it
//	between a full copy's load into    is of the state before the copy     starts anew at the
//	the database and the start anew                                        database's state
//
// A spool that cannot be continued from the database's state is started anew there: the database
// is the truth, and krep sends again, or a full copy, what the spool had beyond.
//
// What an earlier process has written is written anew before any of it counts as durable: one of its
// fsyncs may have failed. On a disk that is too full for that (RoomError) it is applied first; the
// database's commits are what makes it durable then. A spool that has filled its disk and is applied makes
// room in place, where another file could not be put in its place.
package spool
