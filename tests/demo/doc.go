// Command demo is what `make run` shows: a real MIT realm moves in, replicates to two slaves,
// survives kill -9, and is measured while it does.
//
// Every step runs the programs as an administrator would (kdb5_util, kadmin.local, krep, krepd,
// the KDC, kinit), checks what came of it, and prints it. The exit status is 0 only if all of it
// held. With ONCE=1, or when stdin or stdout is no terminal, it ends after the last step; else the
// realm keeps running until Ctrl-C, and the last lines say how to use it.
package main
