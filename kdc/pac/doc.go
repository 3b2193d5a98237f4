// Package pac reads, makes and checks the Privilege Attribute Certificate ([MS-PAC]) that MIT
// krb5 since 1.20 puts into every ticket: who the client is, signed so that neither a
// service nor a client can change it (docs/protocols/kdc.md section 6).
//
// A PAC carries up to four signatures. The server signature, with the ticket's own key, is
// checked by services. The KDC signature covers the server signature, the full signature the
// whole PAC, the ticket signature the ticket around it; these three are made with the realm's
// krbtgt key and are checked when a service shows the ticket to the KDC again. Every one that
// applies is checked: one bad signature refuses the ticket, whatever the others say.
package pac
