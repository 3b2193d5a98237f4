// Package fast opens requests that are armored with FAST (RFC 6113; docs/protocols/kdc.md section
// 4.6) and armors the answers. The armor key comes from a ticket of the client's host in AS
// exchanges, and from the authenticator's subkey in TGS exchanges.
package fast
