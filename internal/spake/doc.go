// Package spake is the key exchange of Kerberos SPAKE pre-authentication (RFC 9588): groups,
// transcript hash, derived keys, and the state that a KDC keeps between two messages. Messages are
// in package krbmsg, who says what when in kdc/preauth.
//
// Both sides know the client's initial key, from which comes w. The KDC sends T = x*P + w*M, the
// client S = y*P + w*N, and both have K = x*(S - w*N) = y*(T - w*M). Who does not know w learns
// nothing from the messages with which it could try passwords offline.
//
// Everything that touches w or a private number runs in constant time (filippo.io/edwards25519,
// filippo.io/nistec).
package spake
