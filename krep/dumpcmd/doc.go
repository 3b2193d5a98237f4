// Package dumpcmd makes full copies of a realm whose database is not ours: it runs a command, such
// as the stock kdb5_util dump, and takes its standard output for the dump. The changes come by a
// delta file that some other program appends to.
//
// What the command has started ends with the command, and with krep, however krep ends, a command that
// hangs included: see guard.
//
// # At which serial a command's dump counts
//
// A dump does not say which changes it holds. It counts as of state B, the end of the delta file
// read under the file's lock before the command starts. That is right if
//
//	(1) whoever changes the database appends the change after it has made it, or holds the delta
//	    file's lock from before the one until after the other;
//	(2) every change that is made is appended in the end, those of one entry in the order in which
//	    they were made;
//	(3) a dump shows each entry as it was at one moment between start and end of the command, and
//	    every entry that existed all that time. (kdb5_util dump holds the database's lock; all of
//	    its dump is of one moment.)
//
// By (1), when B is read everything up to B is in the database, so the dump holds every change up to
// B. It may hold more: changes behind B that were made before it came to the entry. The slave takes
// it as state B and then gets every change behind B. Each of these puts a whole entry, or removes
// one whatever it was. So for a name that some change behind B is about, the last such change
// decides, with or without it in the dump; for any other name the dump is right by (3). Once the
// slave has applied all of them its content is the master's.
//
// Let U be the end of the delta file read after the command has ended. A slave between B and U may
// show an entry newer than its serial, go back to an older state of that entry, and come forward
// again. From U on it shows exactly the states that the master had, unless a change was made and
// not yet appended while the dump was taken: then from that change on.
//
// What breaks (2) breaks more than the copy: a program that dies between its change and its append
// leaves a change that a dump may hold and the delta file never will, so that slaves differ by when
// their copy was taken; and two programs that change one entry and append the other way round leave
// the slaves with the older state. Nothing can find that here, for the master has no digest to
// compare with. After a death, append the entry as it is now, or copy to all slaves; against the
// other, a lock of one's own around change and append.
package dumpcmd
