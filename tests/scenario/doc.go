// Package scenario tests a master and its slaves together, in one process: real databases, delta
// files and spools, real sockets on the loopback interface, and tickets that are made in memory
// instead of by a KDC.
package scenario
