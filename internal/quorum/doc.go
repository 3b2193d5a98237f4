// Package quorum says how many slaves must have applied a change before whoever made it is told
// that it is done, and what is asked of krep, and answered, about that.
//
// A program that changes the database asks krep, over its control socket, with a Request of verb
// Verb; krep answers with an Answer once enough slaves have applied the change, or the time is
// over. Nothing of this undoes a change: it is committed on the master before anybody asks.
package quorum
