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
// the seed and the name of the event. So a seed is a whole story; it is told again by
//
//	go test ./tests/sim -run TestSeed -sim.seed=N -v
//
// Two things are not under the seed's control: which goroutine the scheduler of Go runs first where
// one event has woken several, and which case a select takes where several are ready. With one
// processor, which is what these tests run on, that makes little difference; TestReplay counts
// how much. A seed that fails only now and then is run many times with -sim.repeat.
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
//
// That these observers see something is shown by planting bugs below the real code (TestMutants).
package sim
