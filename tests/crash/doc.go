// Package crash kills real processes: a master and three slaves, each host with its daemons and
// each slave reached through a proxy that misbehaves, under commands that change the realm all
// the time.
//
// What is done to them, at instants drawn from a seed:
//
//   - kill -9 of krep, of krepd, of a KDC, and of the command that is making a change
//   - SIGSTOP and SIGCONT of krep, krepd, a KDC
//   - connections between krep and krepd delayed, stalled in one or both directions, closed, reset,
//     refused, and lost on one side only
//   - the disk of slave3, which holds its database and its spool, filled to the last byte (a tmpfs in
//     a mount namespace of the test's own; where none can be made the log of the test says so)
//   - a KDC whose clock is off, by less and by more than the clocks may differ
//   - a host whose wall clock steps forwards or backwards, by minutes, hours or days, and back: krep,
//     krepd, KDC and kadmin.local together, while they run (testrealm.BuildStepped)
//   - a full copy asked for; the slave list read again
//
// A daemon that ends by itself, other than for want of disk, fails the test. In the end all is
// mended, and everything that follows has to hold: the slaves have what the master has, within a
// bound; the dumps with serial and time (kdb5_util dump -i1) are the same to the byte; every
// change whose command was told that it is made is there, and no change that nobody asked for;
// krep says that all is well; and each slave's KDC takes the passwords that were set.
//
// What is not stepped with a wall clock is the time that the kernel gives files, as on a host with a
// file server, and the monotonic clock, which no administrator can step.
//
// The seed decides what happens and when, but not how the machine schedules what runs, so a run is
// not repeated exactly by its seed.
//
//	make crash DURATION=5m          # SEED=n
package crash
