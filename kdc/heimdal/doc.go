// Package heimdal turns a dump of Heimdal's kadmin, in its own form or in MIT's, into an MIT dump of
// version 7 as it is read: keys are opened with Heimdal's master key, where they are not in the
// clear, and sealed by the realm's own. Nothing of it is written anywhere in between.
//
// A Heimdal dump has no entry of the master key; the one of the realm that it is moved into goes in
// front. What an entry had that MIT's format has no place for is said, entry by entry, and keys of
// types that nobody should use any more (single DES) are left out.
package heimdal
