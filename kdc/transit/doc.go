// Package transit reads, extends and checks the list of realms that a client's ticket came
// through, in the DOMAIN-X500-COMPRESS form (RFC 4120 section 3.3.3.2; docs/protocols/kdc.md
// section 5.7).
//
// Realms are separated by commas. A realm that ends in "." lends the suffix of the realm
// before it, one that begins with "/" its prefix; a leading blank says that it does neither;
// a backslash makes the next character ordinary; an empty element stands for all realms
// between its neighbours in the hierarchy.
package transit
