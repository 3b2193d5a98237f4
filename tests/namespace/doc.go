// Package namespace gives a test program namespaces of its own (namespaces(7)): what it mounts and
// which networks it makes nobody else sees, and it is gone when the program has ended, however
// that came about.
package namespace
