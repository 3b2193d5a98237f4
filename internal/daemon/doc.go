// Package daemon is what krep and krepd have in common as programs: the logger, the signals, the
// exit codes, how many processors they use, the command that asks them how they are, and settings that
// know where they came from.
package daemon
