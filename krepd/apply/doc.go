// Package apply brings a slave's database forward by what stands in the spool.
//
// Run is the only writer of the database in krepd. It reads the spool in batches and applies each
// in one transaction together with its last serial; loads full copies when it is given one; and
// cuts the spool behind what is applied. Everybody else asks it where it stands.
//
// A record that cannot be applied stops it: what stands before the record is applied, a copy of the
// record is kept beside the spool, and Position says from then on that a full copy is
// wanted, until one is loaded. A record is never skipped. The same holds when the content is
// found to differ from the master's at the same serial (Expect). Trouble that may pass, such as a
// full disk or a locked database, is tried again for as long as it lasts.
package apply
