// Package slavelist reads the list of slaves that krep feeds.
//
// One slave a line: an address and, optionally, the principal that the krepd there must prove
// to be. The word "connects" at the end is for a slave that cannot be dialled, behind address
// translation say: its krepd dials krep, and the address is only its name. A "#" starts a comment,
// blank lines are ignored.
//
//	# address              principal
//	kdc2.example.org
//	kdc3.example.org:7755  krep/kdc3.example.org@EXAMPLE.ORG
//	[2001:db8::17]         krep/kdc4.example.org
//	branch.example.org     connects
//
// The list decides who receives the realm's database, so a file that others than its owner and
// group may write is refused, and a line that is not understood refuses the whole list: krep
// then keeps the list it had.
package slavelist
