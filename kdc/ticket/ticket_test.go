package ticket_test

import (
	"errors"
	"net/netip"
	"testing"

	"krealm/internal/krbmsg"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
	"krealm/tests/kdctest"
)

func TestAddresses(t *testing.T) {
	v4 := krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{192, 0, 2, 9}}
	v6 := krbmsg.HostAddress{Type: krbmsg.AddrIPv6, Addr: netip.MustParseAddr("2001:db8::9").AsSlice()}
	pc := krbmsg.HostAddress{Type: krbmsg.AddrNetBIOS, Addr: []byte("PC")}
	for _, c := range []struct {
		name string
		list []krbmsg.HostAddress
		from string
		want bool
	}{
		{"no list", nil, "192.0.2.1", true},
		{"listed", []krbmsg.HostAddress{v6, v4}, "192.0.2.9", true},
		{"listed, mapped", []krbmsg.HostAddress{v4}, "::ffff:192.0.2.9", true},
		{"listed, with zone", []krbmsg.HostAddress{v6}, "2001:db8::9%eth0", true},
		{"not listed", []krbmsg.HostAddress{v4, v6}, "192.0.2.8", false},
		{"one NetBIOS name", []krbmsg.HostAddress{pc}, "192.0.2.8", true},
		{"two NetBIOS names", []krbmsg.HostAddress{pc, pc}, "192.0.2.8", false},
		{"local socket", []krbmsg.HostAddress{v4}, "", true},
		{"octets of the wrong length", []krbmsg.HostAddress{{Type: 2, Addr: nil}}, "192.0.2.8", false},
	} {
		var from netip.Addr
		if c.from != "" {
			from = netip.MustParseAddr(c.from)
		}
		if got := ticket.AddressAllowed(c.list, from); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestValidity(t *testing.T) {
	for _, c := range []struct {
		part krbmsg.EncTicketPart
		want int32
	}{
		{krbmsg.EncTicketPart{AuthTime: 1000, EndTime: 2000}, 0},
		{krbmsg.EncTicketPart{AuthTime: 1000, EndTime: 1200}, 0},
		{krbmsg.EncTicketPart{AuthTime: 1000, EndTime: 1199}, krbmsg.ErrTktExpired},
		{krbmsg.EncTicketPart{AuthTime: 1, StartTime: krbmsg.Some[int64](1800), EndTime: 3000}, 0},
		{krbmsg.EncTicketPart{AuthTime: 1, StartTime: krbmsg.Some[int64](1801), EndTime: 3000}, krbmsg.ErrTktNYV},
	} {
		if got := ticket.Validity(&c.part, 1500, 300); got != c.want {
			t.Errorf("%+v: %d, want %d", c.part, got, c.want)
		}
	}
}

// TestTransited is row 10 of section 5.2.
func TestTransited(t *testing.T) {
	capaths := func(client, _ string) ([]string, bool) { return []string{"HUB"}, client == "SPOKE" }
	for _, c := range []struct {
		name, list, client string
		flags              uint32
		code               int32
	}{
		{"no list", "", "C.TEST", 0, 0},
		{"on the way", "TEST", "C.TEST", 0, 0},
		{"on the way of the configuration", "HUB", "SPOKE", 0, 0},
		{"off the way", "EVIL", "C.TEST", 0, 43},
		{"off the way, but checked", "EVIL", "C.TEST", krbmsg.FlagTransitChecked, 0},
		{"off the way of the configuration", "TEST", "SPOKE", 0, 43},
		{"no way to be on", "TEST", "B.TEST", 0, 60},
		{"unreadable", "\\", "C.TEST", 0, 43},
		{"a list that begins with NUL counts as none", "\x00EVIL", "C.TEST", 0, 0},
	} {
		p := krbmsg.EncTicketPart{Flags: c.flags, CRealm: []byte(c.client), Transited: krbmsg.Transited{Type: 1, Contents: []byte(c.list)}}
		if code, err := ticket.Transited(&p, "B.TEST", capaths); code != c.code || (err != nil) != (code != 0) {
			t.Errorf("%s: %d, %v, want %d", c.name, code, err, c.code)
		}
	}
}

func TestOnlyOld(t *testing.T) {
	for _, c := range []struct {
		etypes []int32
		want   bool
	}{{nil, true}, {[]int32{23, 16, 3}, true}, {[]int32{23, 999, -135}, true}, {[]int32{23, 17}, false}, {[]int32{26}, false}} {
		if got := ticket.OnlyOld(c.etypes); got != c.want {
			t.Errorf("%v: %v", c.etypes, got)
		}
	}
}

func TestClamp(t *testing.T) {
	for in, want := range map[int64]int64{-5: 0, 0: 0, 77: 77, 1 << 32: ticket.Infinite, 1 << 40: ticket.Infinite} {
		if got := ticket.Clamp(in); got != want {
			t.Errorf("%d: %d", in, got)
		}
	}
}

// TestOpenErrors: each way a ticket may fail to open has an error of its own.
func TestOpenErrors(t *testing.T) {
	r, _, _ := kdctest.Realm(t, "A.TEST")
	name := kdctest.Name("A.TEST", "svc128")
	e, _ := r.Lookup(name.Name, name.Realm)
	good := kdctest.Forge(t, r, name, nil)
	if o, err := ticket.Open(&good.Ticket, e); err != nil || !o.Part.CName.Is("user") {
		t.Fatalf("%v", err)
	}
	bad := func(change func(t *krbmsg.Ticket)) error {
		c := good.Ticket
		c.EncPart.Cipher = append([]byte(nil), c.EncPart.Cipher...)
		change(&c)
		_, err := ticket.Open(&c, e)
		return err
	}
	if err := bad(func(t *krbmsg.Ticket) { t.EncPart.Cipher[20] ^= 1 }); !errors.Is(err, ticket.ErrIntegrity) {
		t.Errorf("changed: %v", err)
	}
	if err := bad(func(t *krbmsg.Ticket) { t.EncPart.Cipher = nil }); !errors.Is(err, ticket.ErrMalformed) {
		t.Errorf("empty: %v", err)
	}
	if err := bad(func(t *krbmsg.Ticket) { t.EncPart.Etype = 18 }); !errors.Is(err, realm.ErrNoKey) {
		t.Errorf("other enctype: %v", err)
	}
	key := kdctest.Key(t, r, name)
	if err := bad(func(t *krbmsg.Ticket) { t.EncPart.Cipher = key.Encrypt(nil, 2, []byte{1, 2}) }); !errors.Is(err, ticket.ErrMalformed) {
		t.Errorf("garbage inside: %v", err)
	}
}
