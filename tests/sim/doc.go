// Package sim is a simulated realm: a master, relays and slaves on machines whose disks, networks
// and processes fail in every way that a generator of random numbers can think of.
//
// What runs is the real code of deltafile, feed, sender, receiver, spool, apply and stream, with
// real handshakes and encrypted frames. What is simulated is below and around it: the disk (a
// deltafile.FS), the network, the clock (testing/synctest), the starting and killing of
// processes, and, but for the runs that use the real one, the database.
//
// # How it goes
//
// Everything that a process does to the world outside it - a write, an fsync, a rename, a
// commit, octets that arrive - is an event. One event happens at a time, and the next one only when
// every goroutine of the realm is waiting. When an event happens, how long it takes, whether it
// fails, does half of its work or is the last thing its process or its machine does, is drawn from
// the seed and the name of the event.
//
// What a goroutine does between two events is up to Go, and Go tosses coins: which goroutine runs
// first where one event has woken several, which case a select takes where several are ready, which
// timer of one moment fires first, where a walk through a map begins. So these tests build
// themselves anew with a runtime whose coins come from the seed, and which interrupts nobody
// (patches); the first build of that takes about a minute of processor time, and is kept by the go
// command. Random numbers of package crypto come from the seed too, and no garbage is collected while
// a goroutine runs. With that a seed is a whole story, the same each time, and the order of
// goroutines is one more thing that stories try out. TestReplay compares: the sum of a story is
// over every event, every octet written, sent or left by a power cut, and every coin.
//
// A bad story says how it is told again, in every detail:
//
//	make simulate SEED=n SEEDS=1
//
// # What breaks
//
// A story has some of all kinds of trouble only, each at a rate of its own, and some kinds not at all (plan). In
// half of all stories one trouble on a machine may call another one there, within moments: an fsync that
// fails is followed by a full disk, the beginning of a full copy by a pause. A disk may be sick for some
// seconds, so that what fails comes together, and one that is full may have room for every other write. Faults that
// take two or three troubles on one machine hardly ever come otherwise: one of that kind, an
// acknowledgement behind a failed fsync and a disk without room for the repair, came in none of 13,000 stories
// without sick disks, and in one of 1,500 with them.
//
// Disks also lose what an fsync has made sure of (rot). Then O3, O4 and O9 are not asked of that file any more, but
// all others are: nothing wrong is applied, and the realm comes to rest, by itself unless the
// head of a file was hit, which every program leaves alone for an administrator.
//
// Services get new keys, which a keytab may have only after a while; streams end before their tickets, and clocks jump.
// Tickets are made without a KDC and asked for anew each time: what package internal/krb keeps of them is not here.
//
// In one story of ten the master has no database of ours (legacy): tools change another one and append the changes to
// the delta file, half of them by package deltafile as krep delta append does, half by docs/formats/delta.md
// alone; full copies come from a command that dumps entry by entry while they change, fails, hangs, or is cut
// short. The command is simulated, and with it what package krep/dumpcmd does, which needs a shell. So is
// what care an administrator has to take there (runCare). The history is then a tree, for
// a power cut takes back what was sent to slaves and not synced.
//
// A story has three parts. In the first, writers change the realm while things break. Then
// everything is mended and started, and the realm must come to rest by itself with all databases
// equal. In the last part it must stay so, take one more change everywhere, and do so without a
// full copy.
//
// # What is checked
//
// After every event, by observers that share no code with what they watch but the decoder of the
// delta file (oracle):
//
//	O1  serials are gapless, and none is used twice, in the master's database
//	O2  a replica's database is, hash and content, at a state that the master has committed, and
//	    goes forward only
//	O3  what a slave has acknowledged is in its database, or on its disk in a place and form that
//	    a power cut at this moment leaves there; and after a power cut its krepd still has it
//	O4  krep cuts from the delta file only what every listed slave has on its disk; nobody else
//	    cuts anything
//	O5  a delta file holds nothing that its database has not committed, in order, without a gap
//	O6  at rest: equal content, equal digests, empty delta files and spools, and every change that
//	    a writer was told is committed
//	O7  who waits for slaves (-wait) is told that they have applied the change only when they have;
//	    he waits no longer than he said, and at rest they all have
//	O8  krep verify never calls a slave different that nobody has tampered with, and at rest
//	    it finds all the same (with the real database)
//	O9  what a foreign master's tool was told is appended stays in the delta file until it is cut, and what a slave
//	    has is a state that stood there; its content is that of the state as soon as krep/dumpcmd says so
//
// That these observers see something is shown by planting bugs below the real code (TestMutants).
package sim
