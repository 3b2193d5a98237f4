// Package getdate understands the dates that kadmin and kdb5_util take on their command lines:
// the grammar of MIT krb5 src/kadmin/cli/getdate.y.
//
// A date is a list of items in any order: at most one each of a date, a time of day, a zone
// and a weekday, and any number of relative items. Without a date, time or weekday the base is
// the present moment if there are relative items, else midnight today. Words may be in any
// case; text in parentheses is a comment.
//
//	date      M/D  M/D/Y  Y-M-D  D-mon-Y  D mon  D mon Y  mon D  mon D, Y
//	time      H am  H:MM [am]  H:MM:SS [am], or with +HHMM or -HHMM in place of am
//	zone      gmt, est, cet and others of a fixed list, also "ZONE dst"
//	weekday   monday, N monday, next monday
//	relative  [N] year, month, fortnight, week, day, hour, minute, second, each also in the
//	          plural; "ago" turns the sign of all relative items before it;
//	          today, now, this, tomorrow, yesterday
//	number    digits, or last (-1), first, next (2), third … twelfth
//
// "next" is 2 as it always was: "next week" is two weeks ahead, "next monday" the second
// Monday from today on. A year below 1900 gets 1900 added.
//
// This parser does not follow MIT's where that computes something else than it was told: 12am
// is midnight and 12pm noon, and dates from 2100 on are what they say.
package getdate
