// Package largerealm makes realms of any size for measurements: a dump file that stock
// kdb5_util loads and gives back byte for byte, and its stash file.
//
// The same options always give the same bytes. Records come in MIT's order, bytewise by name,
// and are made one at a time, so a file of any size takes the same memory.
//
// A realm has the five entries MIT makes, one in twenty a web server, one in five a host, one in
// twenty a file server, and the rest people, some with an administrator's entry beside. What their
// entries hold, policies, histories, string attributes, older keys, expirations, lockout fields, is
// drawn for each from the seed and its number. Every key is sealed by the master key as MIT seals
// it, with a confounder of its own.
//
// The sealing here is written apart from the project's own, which opens it in the tests.
package largerealm
