// Replication measures how fast changes reach slaves, with real processes (krep and krepd on real
// sockets and real databases, all on this machine), and the stock iprop pair (kadmind and kpropd) in
// the same run.
//
//	go run ./tests/bench/replication -bin bin -slaves 1,2,8 -n 10000
//
// A change's latency is measured with 1, 2, 8 and 64 slaves, one change at a time: from
// the return of the commit to the moment at which the last slave has committed it too, which krepd
// status tells (applied_at); and to the moment at which who waits for it on the master knows, as
// "kadmin.local -wait all" does. The commit returns behind its fsync and the append to the delta file, when
// krep has been woken already: so the time from the call of the commit to the last slave's is told too. The first is divided by what cannot be avoided: one fsync where the
// master's database is, one fsync where the slave's is, one round trip over loopback to a process
// that sleeps and back; the medians, taken in turn with the changes, each after the same rest, so that all
// suffer from the same load and find the machine in the same sleep. Of these the master's fsync is over
// when the first begins; the ratio "with the commit" is that of the whole, and the one to go by where that matters. Slaves that have a machine each fsync at
// the same time, but here they share processors and a disk: so the latency is also divided by one fsync and
// what that many bare processes take that are told of something by one octet, fsync half a KiB, and answer.
//
// The slaves run no KDC here (but for the full copy): one reads a change a millisecond after it was
// applied, and on a machine of its own it takes nothing from the other slaves.
//
// A burst is n changes by one writer, and by eight at a time, as fast as the database takes them; the
// time ends when the last slave has the last. Octets on the wire are those that TCP counted (ss),
// in both directions, without headers of TCP and IP; processor time is user and system time of the
// daemons. Then one slave is stopped (SIGSTOP) during a burst, and the memory of krep is looked at.
//
// A full copy of 200,000 principals (-copy) fills an empty slave; then another is sent while a client
// logs in at the slave's KDC again and again, which must never fail.
//
// The stock pair runs with iprop_replica_poll = 1s, below which it does not go (0 means 10 s). Its
// slave counts as having a change when its update log's header says so. Since its only writers are
// its own programs, both sides also take the same script of kadmin.local.
package main
