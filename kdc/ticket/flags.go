package ticket

import (
	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
)

const attrDisallowRenewable = dumpfmt.AttrDisallowRenewable

const (
	// fromOptions are the flags that a request asks for by the option of the same number.
	fromOptions = krbmsg.FlagForwardable | krbmsg.FlagForwarded | krbmsg.FlagProxiable |
		krbmsg.FlagProxy | krbmsg.FlagMayPostdate | krbmsg.FlagPostdated | krbmsg.FlagAnonymous
	// fromHeader are the flags that a ticket inherits from the one that was shown for it.
	fromHeader = krbmsg.FlagForwarded | krbmsg.FlagProxy | krbmsg.FlagPreAuth |
		krbmsg.FlagHWAuth | krbmsg.FlagAnonymous
)

// Flags returns the flags of a ticket but RENEWABLE, which follows from the times, and those
// that the exchange adds by itself (section 3.4). client is nil in the TGS, header in AS.
func Flags(options uint32, client, server *realm.Entry, header *krbmsg.EncTicketPart) uint32 {
	f := options&fromOptions | krbmsg.FlagEncPARep
	if f&krbmsg.FlagPostdated != 0 {
		f |= krbmsg.FlagInvalid
	}
	if header == nil {
		f |= krbmsg.FlagInitial
	} else {
		f |= header.Flags & fromHeader
		if server.Has(dumpfmt.AttrOKAsDelegate) {
			f |= krbmsg.FlagOKAsDelegate
		}
	}
	clear := func(flag, attr uint32) {
		if server.Has(attr) || client != nil && client.Has(attr) ||
			header != nil && header.Flags&flag == 0 {
			f &^= flag
		}
	}
	clear(krbmsg.FlagForwardable, dumpfmt.AttrDisallowForwardable)
	clear(krbmsg.FlagProxiable, dumpfmt.AttrDisallowProxiable)
	if header != nil && header.Flags&krbmsg.FlagAnonymous == 0 {
		f &^= krbmsg.FlagAnonymous
	}
	return f
}
