// Package krb reads keytabs and gets service tickets with them. It is the only importer of
// gokrb5, and what it hands out are values of this project's own packages.
//
// What gokrb5 is used for, and what is kept from it:
//
//   - Keytabs are parsed by it, and keys chosen here: it would choose by time stamp and not by
//     key version. Its parse errors quote the file and with it the keys, so they are dropped.
//   - Requests and replies of the AS and TGS exchanges are its messages. Sending is done here: its
//     transport has no context, takes the length of a reply from the network unchecked, loses
//     the reply when it falls back from TCP to UDP (whatever udp_preference_limit says but
//     1), and its sessions renew themselves in goroutines that nobody can wait for.
//   - The ticket is cut out of the reply as the KDC encoded it, not encoded again.
//   - Every call is made under recover: its decoders panic on some input.
//   - The configuration is built from ours; its parser of krb5.conf is not used.
package krb
