// Package admin holds the operations that administer a realm: making, changing and removing
// principals and policies, passwords and keys, with MIT's rules for them.
//
// An Admin works on a kdb.DB. Each operation is one db.Update, hence one transaction, one
// changeset, one step on every slave: a password change that has to create kadmin/history
// does both or neither. Nothing here decides who may do what; kadmin.local is the
// superuser, and a server asks its ACL first.
//
// Errors of the operations carry MIT's code and text (Error); compare with errors.Is.
//
// Keys are made outside the transaction where that is possible, because string-to-key takes
// long, and sealed inside it with the active version of the master key, which is read
// again whenever K/M has changed.
//
// Where MIT's servers do something that harms a realm, this package does not follow:
//
//   - K/M gets no new password, random key or kvno (MIT allows it and the database is lost);
//   - kadmin/history is created with DISALLOW_ALL_TIX; MIT puts that bit in the wrong field;
//   - new keys are sealed with the active master key, never with the one of the start;
//   - a list of key types in which nothing usable is left is an error, not the default list;
//   - policy names have no white space and lists of key types are stored with commas, since
//     MIT's loader cannot read a dump with blanks in them.
package admin
