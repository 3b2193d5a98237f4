// Package feed is krep's view of the delta file: one reader for all slaves.
//
// Run follows the file and keeps the latest changesets in memory, up to a bound, shared by all
// slaves; a slave that is further behind reads the file itself, through its Cursor, until it
// has caught up with what is in memory. New changesets wake the slaves through a channel that is
// closed, so nothing waits for a timer.
//
// Feed also cuts the file. Its user tells how far every listed slave lets go (Options.Safe) and
// calls Acked when that may have moved; what all have acknowledged is dropped when either all
// of the file is, and nothing was appended for a moment, or it makes up half of a file that
// has grown. So the file of a quiet master is empty, and that of a busy one stays small,
// without a rewrite at each change. With no slave nothing is held and everything is dropped.
//
// A slave that is down holds the file. Beyond Options.MaxSize or MaxAge Feed asks its user to let
// go of such slaves (Options.Release); they get a full copy when they come back.
//
// Damage in the file ends Run with a *deltafile.FormatError: what stands behind it cannot be
// trusted, and only a person can say what happened.
package feed
