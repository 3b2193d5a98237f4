// Package deltafile reads and writes the delta file: numbered, hash-chained changesets of a
// realm, appended by whoever changes the database and followed by whoever replicates it. The
// spool of a slave is the same kind of file. docs/formats/delta.md has the format for people and
// for writers in other languages; this page has the order of writes and what a crash leaves.
//
// # Parts
//
//	State, Changeset       a point in a history, a step to the next; Encode, Decode
//	Appender               appends from an outbox (Append), as a spool (AppendRaw, Sync) or for a
//	                       writer that has neither (AppendLines)
//	Truncate               drops what everybody has acknowledged
//	Tail, DirWatch         follow a file while others write
//	Check, Scan, ReadAll   read a file that stands still
//	FullWriter, SealFull,  the frame around a dump that is sent whole
//	ReadFull
//	Possess                keeps a second krep or krepd out
//
// The package carries body lines and does not parse them: it knows the word each begins with,
// and refuses one it does not know.
//
// # Names in the directory
//
//	NAME                   header, base line, changesets; nothing else
//	.NAME.new-X            a draft: a file about to get its name (X is random)
//	NAME.EPOCH[.N]         set aside: another epoch, or one that could not be continued; only if
//	                       it held changesets
//	NAME.damaged[.N]       set aside: damage was found in it
//	NAME.paused            the slaves that krep does not feed for now
//	NAME.krep, NAME.lock   locks of the one krep that follows it, of the one krepd whose spool it is
//
// Files set aside are never read again nor deleted: that is for the administrator. There may be a
// thousand of one epoch or damaged; after that an append fails rather than fill the disk. Drafts that a
// crash left are removed by whoever next makes a file or replaces one; a draft that was still being
// made is then useless, for the path stands for another file than its maker knows. Mode 0600 always; a rewritten
// file belongs to whoever rewrote it, so writers and truncator run as one user.
//
// # Lock
//
// Whoever changes NAME holds the exclusive flock of the file, and has seen, while holding it,
// that NAME still stands for that file (lock, fstat, lstat; if they differ, open again). Two
// kinds of change are made under it: bytes are added to or cut off the end, or NAME is
// renamed over. A new file is locked by its maker before it gets the name, so whoever waited for
// the old file's lock finds it replaced, and waits for the new one's. Readers take no lock, but
// for a second look at what seems damaged.
//
// # Order of writes
//
//	append      lock; find the end; cut a torn tail; fetch; verify; write (at the end, once for
//	            each 4 MiB); unlock. No fsync.
//	Sync        fsync NAME; after NAME was opened anew also fsync the directory.
//	create      lock a draft, write it, fsync it, link it to NAME (fails if there is one), unlink
//	            the other name, fsync the directory.
//	replace     lock; lock a draft, write it, fsync it; if the old file is kept, link it to its
//	            second name; rename the draft over NAME; fsync the directory. Reset, a new epoch,
//	            healing, an empty file and a truncation of all there is are this.
//	truncate    lock; find the end; unlock. Check all and copy what remains to a draft, fsync it.
//	            Lock; if NAME stands for another file now, begin again; copy what came meanwhile,
//	            fsync; rename over NAME; fsync the directory.
//
// # What a crash leaves
//
// A process that dies (kill -9) at any instruction leaves what the kernel has: its lock is gone,
// and
//
//	in append             nothing, or a prefix of the bytes: complete changesets and at most one
//	                      torn at the end. The next under the lock cuts the torn one and, from
//	                      an outbox, appends it again. Readers wait at a torn one.
//	in create             a draft, or NAME complete with the draft as its second name
//	in replace, truncate  a draft, perhaps the second name of the old file; NAME stands for the
//	                      old file or the new one, both complete
//
// A machine that dies loses, beyond that, any part of what was never synced. Bytes appended since
// the last Sync may be missing, or cut anywhere, or zeros, or rubbish; those before are intact
// (assumption 2). So:
//
//	outbox    Whoever opens the file verifies the chain of its last 4 MiB, finds the first byte
//	          that is wrong, sets the file aside, keeps the good part, and appends the rest
//	          again out of the database, which was synced before the append. Nothing is lost.
//	          What the database has no more (it keeps the last thousand) makes it begin anew.
//	spool     Recover does the same without an outbox, and writes the good part anew, so that it
//	          is durable. Only bytes never synced can be wrong, and those were never acknowledged,
//	          so they come again from the master.
//	rename    The rename may be lost or not: the old and the new file are both complete, and what
//	          the new one leaves out was acknowledged by all. Sync syncs the directory before it
//	          counts bytes in a new file as durable.
//
// A failed fsync is final for its Appender: the kernel may have dropped the bytes and call them
// clean, so a second fsync, be it by another process, proves nothing: what counts has to be written
// anew (Recover; AppendLines does it by itself), or to be somewhere else (an outbox). What a spool wrote since the last good one
// is cut off, so that nobody finds it in the page cache and takes it for durable.
//
// # Assumptions
//
//  1. flock excludes; rename and link are atomic (a local file system of POSIX kind).
//  2. After a successful fsync the bytes of the file survive a power cut, and appending to it does
//     not endanger them; after an fsync of the directory its names do.
//  3. A write at the end of a file opened for appending, under the lock, lands there. It need not
//     be atomic towards readers.
//  4. Writers in other languages lock as described. One that does not can lose its own
//     changesets to a truncation, and no others.
//
// # Reading
//
// A Tail holds (file, offset, state) and no bytes. It looks whenever the file or its name changes and four
// times a second besides, for events are hints: truncation and append look the same, many
// come as one, some file systems report none. A look takes first the inode behind the name,
// then the size of the open file, then what is new in it. If the name stood for another file, this
// one had its final size by then, so it is read to its end before the other is opened; there
// the tail finds its place by serial and hash. Seeming damage is looked at again under the lock,
// because a torn tail may be cut and written over between two reads.
//
// # Invariants
//
//	D1  Serials are gapless and the chain unbroken from a file's base to its last complete
//	    changeset. Every append is verified before it is written. (TestAppendRefusesWrongChangesets,
//	    TestModel)
//	D2  At every moment NAME stands for a file that begins with a complete header and base, and
//	    all of it but the last changeset is complete. (TestStopAtEveryStep, TestProcesses)
//	D3  A changeset is in the file or was acknowledged by all, whoever appends and truncates at
//	    the same time and whoever dies. (TestProcesses, TestFaultAtEveryStep, TestModel)
//	D4  What Sync has confirmed survives. (TestSpoolKeepsWhatItAcknowledged, TestKilledSpooler)
//	D5  A Tail returns each changeset once and in order, or an error that says why it cannot.
//	    (TestTailFollows, TestAppendersTakeTurns, TestProcesses)
//	D6  A torn changeset is never acted on and never taken for damage; damage is never taken for a
//	    torn changeset unless it is at the very end. (TestTornAnywhere, TestDamageAnywhere)
//	D7  No error repeats a body line: it holds sealed keys. (TestErrorsKeepSecrets)
package deltafile
