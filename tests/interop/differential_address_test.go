package interop

import (
	"testing"

	"krealm/internal/krbmsg"
)

// TestDifferentialAddresses is sections 5.2 row 9, 5.5 and 5.6: where a ticket may be used, and what
// becomes of addresses in tickets made from it. Requests come from 127.0.0.1.
func TestDifferentialAddresses(t *testing.T) {
	x := newTwins(t, nil)
	here := krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{127, 0, 0, 1}}
	there := krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{192, 0, 2, 1}}
	six := krbmsg.HostAddress{Type: krbmsg.AddrIPv6, Addr: append(make([]byte, 15), 1)}
	mapped := krbmsg.HostAddress{Type: krbmsg.AddrIPv6, Addr: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}
	name := krbmsg.HostAddress{Type: krbmsg.AddrNetBIOS, Addr: []byte("PC              ")}
	short := krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{127}}
	at := func(list ...krbmsg.HostAddress) tweak {
		return partly(func(p *krbmsg.EncTicketPart) { p.CAddr = list })
	}
	want := func(list ...krbmsg.HostAddress) tweak { return func(c *crafted) { c.body.Addresses = list } }
	tgt := allOf(serverNamed(home...), withFlags(krbmsg.FlagForwardable|krbmsg.FlagProxiable, 0))
	svc := allOf(serviceHeader("svc128", signService), serverNamed("svc128"), withFlags(krbmsg.FlagForwardable|krbmsg.FlagProxiable, 0))
	noPAC := func(c *crafted) { c.sign = nil } // 1.20.1 makes no full signature, ours wants one (section 13)
	cases := []craftedCase{
		{name: "listed", change: at(here)},
		{name: "listed second", change: at(there, here)},
		{name: "not listed", change: at(there)},
		{"empty list", at([]krbmsg.HostAddress{}...), "TGS-REP", "error 38 PROCESS_TGS", "no KDC writes one; taken for none"},
		{name: "one NetBIOS name", change: at(name)},
		{name: "two NetBIOS names", change: at(name, name)},
		{name: "NetBIOS name and another", change: at(name, there)},
		{name: "NetBIOS name and this", change: at(name, here)},
		{name: "IPv6", change: at(six)},
		{name: "mapped", change: at(mapped)},
		{name: "short", change: at(short)},
		{name: "asked for without an option", change: allOf(at(here), want(there))},
		{name: "asked for, none before", change: want(there)},
	}
	const modified = krbmsg.OptRenew | krbmsg.OptForwarded
	for _, o := range []struct {
		name   string
		option uint32
		base   tweak
	}{
		{"forwarded", krbmsg.OptForwarded, tgt}, {"forwarded service", krbmsg.OptForwarded, svc}, {"proxy", krbmsg.OptProxy, svc},
		{"proxy TGT", krbmsg.OptProxy, tgt}, {"forwarded and proxy", krbmsg.OptForwarded | krbmsg.OptProxy, svc},
		{"renew", krbmsg.OptRenew | krbmsg.OptRenewable, allOf(tgt, renewableHeader)},
		{"renew and forwarded", modified, allOf(tgt, renewableHeader)},
		{"forwarded, not forwardable", krbmsg.OptForwarded, allOf(tgt, withFlags(0, krbmsg.FlagForwardable))},
		{"proxy, not proxiable", krbmsg.OptProxy, allOf(svc, withFlags(0, krbmsg.FlagProxiable))},
	} {
		group := []craftedCase{
			{name: o.name + ", new addresses", change: allOf(o.base, withOptions(o.option), at(here), want(there, six), noPAC)},
			{name: o.name + ", no addresses", change: allOf(o.base, withOptions(o.option), at(here), noPAC)},
			{name: o.name + ", none before", change: allOf(o.base, withOptions(o.option), want(there), noPAC)},
			{name: o.name + ", not from here", change: allOf(o.base, withOptions(o.option), at(there), want(here), noPAC)},
			{name: o.name + ", flags asked", change: allOf(o.base, withOptions(o.option|krbmsg.OptForwardable|krbmsg.OptProxiable), want(there), noPAC)},
		}
		for i := range group {
			if o.option == modified && i%2 == 0 {
				group[i].our, group[i].mit, group[i].why = "TGS-REP", "TGS-REP", "5.6: 1.20.1 names addresses in the reply that the ticket does not have"
			}
		}
		cases = append(cases, group...)
	}
	x.runCrafted(t, cases)
}
