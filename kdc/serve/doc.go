// Package serve brings requests from the network to the KDC core and the answers back: UDP,
// TCP and UNIX sockets, the cache that answers retransmissions, and the log.
//
// Everything that comes from a peer is bounded: datagrams by their buffer, TCP messages by a
// limit that is checked before anything is read, connections by number, by time per message
// and by time in all, buffered octets over all connections, and the cache by age and size. A
// panic in the core costs the request that caused it, and is logged with a digest of that
// request and the stack, never with its content.
//
// A Server owns its sockets from New on; Run serves until its context ends and leaves no
// goroutine behind.
package serve
