// Package control is how an administrator's command asks a running krep or krepd: requests and
// answers, each a line of JSON, over a UNIX socket that only its owner can open.
package control
