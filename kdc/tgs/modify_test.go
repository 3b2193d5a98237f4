package tgs

import (
	"bytes"
	"net/netip"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

var (
	oldAddress = krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{192, 0, 2, 1}}
	newAddress = krbmsg.HostAddress{Type: krbmsg.AddrIPv4, Addr: []byte{192, 0, 2, 2}}
)

// TestModified is section 5.6: what tickets made from tickets keep and what they get.
func TestModified(t *testing.T) {
	svc := kdctest.Name("A.TEST", "svc128")
	type want struct {
		start, end, renew int64
		flags, notFlags   uint32
		ticket, reply     int // addresses: 0 none, 1 the old one, 2 the new one
	}
	postdated := func(p *krbmsg.EncTicketPart) {
		p.Flags = krbmsg.FlagInvalid | krbmsg.FlagPostdated | krbmsg.FlagMayPostdate | krbmsg.FlagRenewable | krbmsg.FlagInitial | krbmsg.FlagPreAuth
		p.AuthTime, p.StartTime = at-hour, krbmsg.Some[int64](at-100)
		p.EndTime, p.RenewTill = at+2*hour, krbmsg.Some[int64](at+300*24*hour)
	}
	renewable := func(p *krbmsg.EncTicketPart) {
		p.Flags |= krbmsg.FlagRenewable
		p.AuthTime, p.EndTime, p.RenewTill = at-hour, at+hour, krbmsg.Some[int64](at+9*hour)
	}
	plain := want{start: at, end: at + 10*hour}
	for _, c := range []struct {
		name    string
		tgt     bool // else a service ticket
		options uint32
		part    func(p *krbmsg.EncTicketPart)
		change  func(w *world)
		want    want
	}{
		{"validate", true, krbmsg.OptValidate, postdated, nil, want{at - 100, at + 2*hour, at + 300*24*hour,
			krbmsg.FlagPostdated | krbmsg.FlagRenewable | krbmsg.FlagInitial | krbmsg.FlagPreAuth, krbmsg.FlagInvalid, 1, 0}},
		{"validate a service ticket", false, krbmsg.OptValidate, postdated, nil, want{at - 100, at + 2*hour, at + 300*24*hour,
			krbmsg.FlagPostdated | krbmsg.FlagRenewable, krbmsg.FlagInvalid, 1, 0}},
		{"validate, whatever is asked besides", true, krbmsg.OptValidate | krbmsg.OptRenewable | krbmsg.OptForwardable, postdated, nil,
			want{at - 100, at + 2*hour, at + 300*24*hour, krbmsg.FlagRenewable, krbmsg.FlagInvalid | krbmsg.FlagForwardable, 1, 0}},
		{"validate and renew", true, krbmsg.OptValidate | krbmsg.OptRenew, postdated, nil,
			want{at - 100, at + 2*hour, at + 300*24*hour, krbmsg.FlagRenewable, krbmsg.FlagInvalid, 1, 0}},
		{"renew", true, krbmsg.OptRenew | krbmsg.OptRenewable, renewable, nil, want{at, at + 2*hour, at + 9*hour, krbmsg.FlagRenewable | krbmsg.FlagInitial, 0, 1, 0}},
		{"renew, policy of today", true, krbmsg.OptRenew | krbmsg.OptRenewable, renewable, func(w *world) { w.r.MaxRenewLife = hour },
			want{at, at + 2*hour, at + hour, krbmsg.FlagRenewable, 0, 1, 0}},
		{"renew and forward", true, krbmsg.OptRenew | krbmsg.OptForwarded, renewable, nil, want{at, at + 2*hour, 0, 0, krbmsg.FlagForwarded | krbmsg.FlagRenewable, 1, 0}},
		{"forward, new addresses", true, krbmsg.OptForwarded | krbmsg.OptForwardable, nil, nil, want{at, at + 10*hour, 0, krbmsg.FlagForwarded | krbmsg.FlagForwardable, krbmsg.FlagInitial, 2, 2}},
		{"forward, no addresses", true, krbmsg.OptForwarded, nil, func(w *world) { w.body.Addresses = nil },
			want{at, at + 10*hour, 0, krbmsg.FlagForwarded, krbmsg.FlagForwardable, 0, 0}},
		{"forward a service ticket", false, krbmsg.OptForwarded, nil, nil, want{at, at + 10*hour, 0, krbmsg.FlagForwarded, 0, 2, 2}},
		{"proxy", false, krbmsg.OptProxy, nil, nil, want{at, at + 10*hour, 0, krbmsg.FlagProxy, krbmsg.FlagProxiable, 2, 2}},
		{"proxy, no addresses", false, krbmsg.OptProxy | krbmsg.OptProxiable, nil, func(w *world) { w.body.Addresses = nil },
			want{at, at + 10*hour, 0, krbmsg.FlagProxy | krbmsg.FlagProxiable, 0, 0, 0}},
		{"neither", true, 0, nil, nil, func() want { p := plain; p.ticket = 1; return p }()},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.body.Options, w.body.Addresses = c.options, []krbmsg.HostAddress{newAddress}
			w.from = netip.MustParseAddr("192.0.2.1")
			w.server = tgsOf("A.TEST", "A.TEST")
			if !c.tgt {
				w.server = svc
			}
			if c.options != 0 {
				w.body.SName = krbmsg.Some(w.server.Name)
			}
			w.parts = []func(*krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) {
				p.CAddr = []krbmsg.HostAddress{oldAddress}
				if c.part != nil {
					c.part(p)
				}
			}}
			if c.change != nil {
				c.change(w)
			}
			rep, creds := w.ticket()
			p := &creds.Part
			if p.Start() != c.want.start || p.EndTime != c.want.end || p.RenewTill.V != c.want.renew {
				t.Errorf("start %d, end %d, renew %d; want %d, %d, %d", p.Start()-at, p.EndTime-at, p.RenewTill.V-at,
					c.want.start-at, c.want.end-at, c.want.renew-at)
			}
			if p.Flags&c.want.flags != c.want.flags || p.Flags&c.want.notFlags != 0 || rep.Part.Flags != p.Flags {
				t.Errorf("flags %08x, reply %08x", p.Flags, rep.Part.Flags)
			}
			if rep.Part.StartTime != p.StartTime || rep.Part.EndTime != p.EndTime || rep.Part.RenewTill != p.RenewTill {
				t.Errorf("reply %+v", rep.Part)
			}
			for i, list := range [][]krbmsg.HostAddress{p.CAddr, rep.Part.CAddr} {
				kind := []int{c.want.ticket, c.want.reply}[i]
				if kind == 0 && list != nil || kind != 0 && (len(list) != 1 || !bytes.Equal(list[0].Addr, []byte{192, 0, 2, byte(kind)})) {
					t.Errorf("addresses %d: %v", i, list)
				}
			}
			if bytes.Equal(p.Key.Value, w.forge().Part.Key.Value) {
				t.Error("the session key stayed")
			}
		})
	}
}

// TestModifiedRules is section 5.1, rows 12 to 15, and 5.2 row 9 for addresses.
func TestModifiedRules(t *testing.T) {
	from := func(a string, list ...krbmsg.HostAddress) func(w *world) {
		return func(w *world) {
			w.from = netip.MustParseAddr(a)
			w.part = func(p *krbmsg.EncTicketPart) { p.CAddr = list }
		}
	}
	opt := func(o uint32, set, clear uint32, server ...string) func(w *world) {
		return func(w *world) {
			w.body.Options = o
			w.server = kdctest.Name("A.TEST", server...)
			w.ask4(server...)
			w.part = flags(set, clear)
		}
	}
	tgs := []string{"krbtgt", "A.TEST"}
	check(t, []rule{
		{"address listed", from("192.0.2.1", oldAddress), 0, ""},
		{"address not listed", from("192.0.2.2", oldAddress), 38, statusProcess},
		{"address listed second", from("192.0.2.2", oldAddress, newAddress), 0, ""},
		{"any address", from("192.0.2.2"), 0, ""},
		{"validate a valid service ticket", opt(krbmsg.OptValidate, 0, 0, "svc128"), 13, "VALIDATE VALID TICKET"},
		{"validate another ticket", func(w *world) { opt(krbmsg.OptValidate, krbmsg.FlagInvalid, 0, tgs...)(w); w.ask4("svc128") }, 26, "SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC"},
		{"an invalid ticket for anything else", opt(krbmsg.OptForwarded, krbmsg.FlagInvalid, 0, tgs...), 33, "TICKET NOT VALID"},
		{"proxy without the flag", opt(krbmsg.OptProxy, 0, krbmsg.FlagProxiable, "svc128"), 13, "TGT NOT PROXIABLE"},
		{"forward without the flag", opt(krbmsg.OptForwarded, 0, krbmsg.FlagForwardable, "svc128"), 13, "TGT NOT FORWARDABLE"},
		{"proxy with a TGT", opt(krbmsg.OptProxy, 0, 0, tgs...), 13, "CAN'T PROXY TGT"},
		{"proxy another service's", func(w *world) { opt(krbmsg.OptProxy, 0, 0, "svc128")(w); w.ask4("host", "svc.a.test") }, 26, "SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC"},
		{"a service ticket without an option", opt(0, 0, 0, "svc128"), 35, "BAD TGS SERVER NAME"},
		{"postdated to now", postdatedTo(at), 10, "POSTDATE NOT ALLOWED"},
		{"postdated within the skew", postdatedTo(at + 300), 10, "POSTDATE NOT ALLOWED"},
		{"postdated", postdatedTo(at + 301), 0, ""},
		{"postdated to no time", postdatedTo(0), 10, "POSTDATE NOT ALLOWED"},
		{"the service is locked meanwhile", func(w *world) {
			opt(krbmsg.OptForwarded, 0, 0, "svc128")(w)
			w.parts = nil
			w.creds = func(*kdctest.Creds) { w.attr("svc128", dumpfmt.AttrDisallowAllTix) }
		}, 7, statusProcess},
	})
}

// postdatedTo asks for a ticket from a time on, 0 for none (section 3.3).
func postdatedTo(from int64) func(w *world) {
	return func(w *world) {
		w.body.Options = krbmsg.OptPostdated
		w.body.From = krbmsg.Opt[int64]{V: from, Set: from != 0}
		w.part = flags(krbmsg.FlagMayPostdate, 0)
	}
}

// TestChangepwTicket: its PAC has the server's and the KDC's signature only (section 6.3).
func TestChangepwTicket(t *testing.T) {
	changepw := kdctest.Name("A.TEST", "kadmin", "changepw")
	for _, c := range []struct {
		name string
		kdc  func(w *world) *krbcrypto.Key
		code int32
	}{
		{"good", func(w *world) *krbcrypto.Key { return kdctest.Key(t, w.r, tgsOf("A.TEST", "A.TEST")) }, 0},
		{"signed by another KDC", func(*world) *krbcrypto.Key { return kdctest.NewKey(t, 18, make([]byte, 32)) }, 41},
		{"signed in another enctype", func(*world) *krbcrypto.Key { return kdctest.NewKey(t, 17, make([]byte, 16)) }, 60},
	} {
		w := newWorld(t)
		w.server = changepw
		w.ask4("kadmin", "changepw")
		w.body.Options = krbmsg.OptForwarded
		user := kdctest.Name("A.TEST", "user")
		w.part = func(p *krbmsg.EncTicketPart) {
			pac.Issue(p, []pac.Buffer{info(t, user, false)}, kdctest.Key(t, w.r, changepw), c.kdc(w), false)
		}
		out, _ := w.ask()
		if code, text := kdctest.Code(t, out); code != c.code {
			t.Errorf("%s: %d %s (%v)", c.name, code, text, out.Event.Err)
		}
	}
}

// TestClientLimits is sections 3.3 and 3.4: the client's entry limits flags and lives in the TGS
// too, but for servers that want no authorization data.
func TestClientLimits(t *testing.T) {
	const asked = krbmsg.OptForwardable | krbmsg.OptProxiable | krbmsg.OptRenewable
	for _, c := range []struct {
		name    string
		server  uint32
		limited bool
		change  func(w *world)
	}{
		{"limited", 0, true, nil},
		{"no authorization data", dumpfmt.AttrNoAuthDataRequired, false, nil},
		{"client of another realm", 0, false, func(w *world) { w.header(kdctest.Name("B.TEST", "user")) }},
		{"client without an entry", 0, false, func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "nosuch") }
		}},
		{"client by a name that leads abroad", 0, false, func(w *world) {
			w.db.Put(&dumpfmt.Principal{Name: "abroad@A.TEST"})
			w.change("abroad", func(p *dumpfmt.Principal) { p.SetAliasTarget("user@B.TEST") })
			w.part = func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "abroad") }
		}},
		{"client by another name", 0, true, func(w *world) {
			w.db.Put(&dumpfmt.Principal{Name: "other@A.TEST"})
			w.change("other", func(p *dumpfmt.Principal) { p.SetAliasTarget("user@A.TEST") })
			w.part = func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "other") }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.attr("host/svc.a.test", c.server)
			w.change("user", func(p *dumpfmt.Principal) {
				p.MaxLife, p.MaxRenewLife = 600, 1200
				p.Attributes |= dumpfmt.AttrDisallowForwardable | dumpfmt.AttrDisallowProxiable
			})
			w.change("host/svc.a.test", func(p *dumpfmt.Principal) { p.MaxRenewLife = 7 * 24 * hour })
			w.body.Options = asked
			if c.change != nil {
				c.change(w)
			}
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) {
				p.Flags |= krbmsg.FlagRenewable
				p.RenewTill = krbmsg.Some[int64](at + 24*hour)
			})
			rep, _ := w.ticket()
			p, wantEnd, wantRenew := rep.Part, int64(at+10*hour), int64(at+24*hour)
			if c.limited {
				wantEnd, wantRenew = at+600, at+1200
			}
			if p.EndTime != wantEnd || p.RenewTill.V != wantRenew || (p.Flags&(krbmsg.FlagForwardable|krbmsg.FlagProxiable) == 0) != c.limited {
				t.Errorf("end %d, renew %d, flags %08x", p.EndTime-at, p.RenewTill.V-at, p.Flags)
			}
		})
	}
}
