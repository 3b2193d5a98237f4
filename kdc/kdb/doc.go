// Package kdb keeps one realm's database in an SQLite file, and a view of it in memory.
//
// The tables and what is in them are described in docs/formats/database.md. The database is the
// truth of a realm; the delta file that krep reads is a queue out of it.
//
// # Order of writes
//
// A change is one transaction. It writes the rows of the entries, brings the digest up to date,
// stores the changeset, encoded as it will travel, in the table of changes, and advances the
// state. Commit fsyncs. Then, under the delta file's lock, whatever the file does not hold yet is
// appended to it: one's own change, and those of processes that died between the two steps.
//
// Changes of several goroutines that come together share a transaction and an append, each with a
// changeset of its own (group.go). Processes queue for the right to write (gate.go).
//
// What a crash leaves:
//
//	before the commit   the state of before; SQLite rolls back at the next open
//	after the commit    the change is there; the next writer, or Open, appends it
//	during the append   a torn tail, which the next appender cuts off and writes again
//	a failed fsync      the change has not happened, and the -wal begins anew, for what others
//	                    had in it, lockout fields, may be lost to the disk; where that
//	                    cannot be at once, before the next change
//	power cut           as above, and the delta file may lose what was not synced: the
//	                    table still has it, for changes leave the table only after a sync
//
// A full load, or a snapshot on a slave, fills new tables beside the old ones and swaps them by
// name, all in one transaction: readers have the old content until the commit and the new one
// after it. Its cost is a -wal as large as the database until the checkpoint behind it.
//
// Lockout fields (last success, last failure, failure count) are each database's own. They are in
// columns beside the line, in no digest, and make no changeset; their writing is not fsynced.
//
// # Masters and replicas
//
// A database made by InitSlave is a replica: LoadSnapshot and Apply change its content, and nothing
// else does (ErrReplica). One made by Create is a master's: Update and Load change it, and it
// refuses what comes from another (ErrMaster). NewEpoch makes a replica a master's. Both keep
// changes, and both may have a delta file: a replica's carries its master's epoch and serials on
// to a next tier of slaves.
//
// # Processes
//
// Any number of processes may have the file open. Writers wait for one another, readers for nobody.
// No program may open the file other than through SQLite while it is in use: closing any
// descriptor of it drops the POSIX locks that its process holds.
//
// # Invariants
//
//	K1  digest and counts are those of the rows                  VerifyDigest; TestReplicasAgree
//	K2  changes holds base+1 to serial, chained, without a gap   TestCrashUpdate, TestPrune
//	K3  no change leaves the table before the delta file has it  prune; TestPrune
//	K4  a reader sees one state, whole                           TestReadersSeeWholeGenerations
//	K5  Updates that share a transaction fail alone              TestGroupCommit
//	K6  an old epoch's delta file never replaces a newer one's   TestStaleDrainKeepsNewEpoch
//	K7  no writer starves, and the queue never blocks            TestGateIsFair, TestGateIsNoLock
//	K8  only a damaged replica is set aside, and it is kept      TestSetAside, TestNotSetAside
//	K9  a view never shows another file than its own             TestViewOfAReplacedFile
//	K10 a commit survives what a failed fsync lost before it     TestCommitBehindALostOne, TestHarden
package kdb
