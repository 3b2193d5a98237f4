// Package repeats decides which lines are logged of what goes wrong again and again: the first few, then
// one in a minute, then one in an hour, each with how often it was. A night of one kind of trouble is some
// lines, and a new kind of it is seen at once.
package repeats
