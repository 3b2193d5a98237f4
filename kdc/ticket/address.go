package ticket

import (
	"bytes"
	"net/netip"

	"krealm/internal/krbmsg"
)

// AddressAllowed reports whether a client may use a ticket from an address. A ticket without
// addresses may be used from anywhere, and so may one whose only address is a NetBIOS name:
// Windows clients ask for those (section 5.2). An address that is not known, that of a local
// socket, passes.
func AddressAllowed(list []krbmsg.HostAddress, from netip.Addr) bool {
	if len(list) == 0 || len(list) == 1 && list[0].Type == krbmsg.AddrNetBIOS || !from.IsValid() {
		return true
	}
	from = from.Unmap().WithZone("")
	want, kind := from.AsSlice(), int32(krbmsg.AddrIPv6)
	if from.Is4() {
		kind = krbmsg.AddrIPv4
	}
	for _, a := range list {
		if a.Type == kind && bytes.Equal(a.Addr, want) {
			return true
		}
	}
	return false
}
