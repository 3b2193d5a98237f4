// Package stream is the authenticated, encrypted connection that krep and krepd talk over.
//
// The end that dials is the initiator, the other the acceptor; which of them has changes to
// send is settled inside (package wire). The handshake is one Kerberos AP exchange with mutual
// authentication and a subkey from either side, together with an ephemeral X25519 exchange:
//
//	initiator -> acceptor   preface, share, AP-REQ
//	acceptor -> initiator   1, share, AP-REP          or 0, and nothing more
//	initiator -> acceptor   an empty frame
//
// The authenticator's checksum covers preface and share, so an AP-REQ made for something else is
// of no use here. The keys of the frames, one per direction, come by HKDF-SHA256 from session key,
// both subkeys and the X25519 secret, salted with the hash of all octets of the handshake: if
// either side saw other octets, no frame opens. The X25519 part means that a recorded stream stays
// closed when a keytab leaks later; the subkey of the acceptor and the empty frame mean that a
// replayed AP-REQ never becomes a connection, even when the acceptor has restarted and its
// replay cache is empty.
//
// A frame is AES-256-GCM with the count of frames as nonce. The first frame that does not open
// (altered, repeated, left out, out of order) ends the connection.
//
// What an unauthenticated peer costs is bounded: HandshakeTimeout, MaxToken octets, and
// Server.MaxPending connections, of which the oldest is dropped for a new one. What was wrong is
// logged at the acceptor and not told to the peer.
//
// docs/protocols/krep.md has the octets. The Kerberos rules are those of RFC 4120 section 3.2.
package stream
