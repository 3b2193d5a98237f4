// Gen writes a realm of any size as a dump file.
//
//	go run ./tests/largerealm/gen -n 200000 -stash realm.stash > realm.dump
package main
