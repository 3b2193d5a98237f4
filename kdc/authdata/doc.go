// Package authdata composes the authorization data of tickets: the PAC in front, what the
// request and the subject ticket carry over, and the authentication indicators in a CAMMAC at
// the end (docs/protocols/kdc.md section 6).
package authdata
