// Package realm is one realm as the KDC sees it while it answers: the settings, the entries of
// the database with their opened keys, and the rules by which keys are chosen.
//
// An entry is decoded and its keys are opened once, and kept until the entry changes. The
// cache is read without a lock and bounded; when it is full it is emptied, since the hot
// entries are back within a few requests.
package realm
