// Bench measures kdb5_util, ours against the stock one of MIT, on realms of hundreds of thousands
// of principals, in one run on one machine.
//
//	go run ./tests/bench -bin bin -n 200000,1000000 -reps 3
//
// It makes the realm with tests/largerealm, and repeats: load where there is no database, load over
// the database of before, dump. The two programs take turns, and who is first changes from one
// repetition to the next. It reports the median of wall time, processor time (user and system) and
// peak resident memory, with the extremes, and ours divided by MIT's. Both dumps are compared with
// the realm byte for byte.
//
// The file system's cache is warm for both. Both sync the database that they load to disk before
// they report success; ours does so with a dump too, the stock program (1.20.1) does not.
package main
