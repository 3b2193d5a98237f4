package tgs

import (
	"slices"
	"strings"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/transit"
	"krealm/tests/kdctest"
)

const hour = 3600

// TestFlags is section 3.4 for tickets from tickets.
func TestFlags(t *testing.T) {
	const always = uint32(krbmsg.FlagEncPARep | krbmsg.FlagTransitChecked)
	const all = krbmsg.OptForwardable | krbmsg.OptProxiable
	for _, c := range []struct {
		name           string
		options        uint32
		header, server uint32
		want           uint32
	}{
		{"nothing asked", 0, krbmsg.FlagForwardable, 0, always},
		{"asked and had", all, krbmsg.FlagForwardable | krbmsg.FlagProxiable, 0, always | krbmsg.FlagForwardable | krbmsg.FlagProxiable},
		{"asked, header lacks it", all, 0, 0, always},
		{"asked, server may not", all, krbmsg.FlagForwardable | krbmsg.FlagProxiable,
			dumpfmt.AttrDisallowForwardable | dumpfmt.AttrDisallowProxiable, always},
		{"inherited", 0, krbmsg.FlagPreAuth | krbmsg.FlagHWAuth | krbmsg.FlagForwarded | krbmsg.FlagProxy, 0,
			always | krbmsg.FlagPreAuth | krbmsg.FlagHWAuth | krbmsg.FlagForwarded | krbmsg.FlagProxy},
		{"initial is not", 0, krbmsg.FlagInitial, 0, always},
		{"ok-as-delegate", 0, 0, dumpfmt.AttrOKAsDelegate, always | krbmsg.FlagOKAsDelegate},
		{"anonymous by option alone", krbmsg.OptRequestAnonymous, 0, 0, always},
		{"anonymous inherited", 0, krbmsg.FlagAnonymous, 0, always | krbmsg.FlagAnonymous},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.attr("host/svc.a.test", c.server)
			w.part = func(p *krbmsg.EncTicketPart) { p.Flags = c.header }
			w.body.Options = c.options
			rep, creds := w.ticket()
			if rep.Part.Flags != c.want || creds.Part.Flags != c.want {
				t.Errorf("flags %08x and %08x, want %08x", rep.Part.Flags, creds.Part.Flags, c.want)
			}
		})
	}
}

// TestTimes is section 3.3 for tickets from tickets.
func TestTimes(t *testing.T) {
	type times struct{ start, end, renew int64 }
	renewable := func(till int64) func(p *krbmsg.EncTicketPart) {
		return func(p *krbmsg.EncTicketPart) {
			p.Flags |= krbmsg.FlagRenewable
			p.RenewTill = krbmsg.Some(till)
		}
	}
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   times
	}{
		{"not longer than the header", func(w *world) { w.body.Till = 0; w.part = func(p *krbmsg.EncTicketPart) { p.EndTime = at + hour } }, times{at, at + hour, 0}},
		{"server's limit", func(w *world) { w.ask4("svcshort") }, times{at, at + hour, 0}},
		{"renewable needs a renewable header", func(w *world) { w.body.Options = krbmsg.OptRenewable }, times{at, at + 10*hour, 0}},
		{"renewable", func(w *world) { w.body.Options = krbmsg.OptRenewable; w.part = renewable(at + 20*hour) }, times{at, at + 10*hour, at + 20*hour}},
		{"renewable, rtime", func(w *world) {
			w.body.Options, w.body.RTime = krbmsg.OptRenewable, krbmsg.Some[int64](at+12*hour)
			w.part = renewable(at + 20*hour)
		}, times{at, at + 10*hour, at + 12*hour}},
		{"same second as the header: no start", func(w *world) { w.part = func(p *krbmsg.EncTicketPart) { p.AuthTime = at } }, times{0, at + 10*hour, 0}},
		{"postdated", func(w *world) {
			w.body.Options, w.body.From = krbmsg.OptPostdated, krbmsg.Some[int64](at+hour)
			w.part = flags(krbmsg.FlagMayPostdate, 0)
		}, times{at + hour, at + 10*hour, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			rep, _ := w.ticket()
			if got := (times{rep.Part.StartTime.V, rep.Part.EndTime, rep.Part.RenewTill.V}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestRenew is section 5.6.
func TestRenew(t *testing.T) {
	old := func(p *krbmsg.EncTicketPart) {
		p.Flags |= krbmsg.FlagRenewable | krbmsg.FlagPreAuth
		p.AuthTime, p.EndTime, p.RenewTill = at-hour, at+hour, krbmsg.Some[int64](at+90*60)
		p.CAddr = []krbmsg.HostAddress{{Type: 20, Addr: []byte("PC")}}
	}
	for _, c := range []struct {
		name    string
		options uint32
		keeps   bool
	}{
		{"with renewable", krbmsg.OptRenew | krbmsg.OptRenewable, true},
		{"alone loses it", krbmsg.OptRenew, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.part = old
			w.ask4("krbtgt", "A.TEST")
			w.body.Options = c.options
			rep, creds := w.ticket()
			p := rep.Part
			if p.EndTime != at+90*60 || p.StartTime.V != at || p.AuthTime != at-hour || p.RenewTill.Set != c.keeps {
				t.Errorf("times %+v", p)
			}
			if p.Flags&krbmsg.FlagInitial == 0 || p.Flags&krbmsg.FlagPreAuth == 0 || (p.Flags&krbmsg.FlagRenewable != 0) != c.keeps {
				t.Errorf("flags %08x", p.Flags)
			}
			if len(creds.Part.CAddr) != 1 || p.CAddr != nil {
				t.Errorf("addresses %v in the ticket, %v in the reply", creds.Part.CAddr, p.CAddr)
			}
		})
	}
}

func TestServiceTicketRenewsItself(t *testing.T) {
	w := newWorld(t)
	w.server = kdctest.Name("A.TEST", "svc128")
	w.ask4("svc128")
	w.part = func(p *krbmsg.EncTicketPart) {
		p.Flags |= krbmsg.FlagRenewable
		p.RenewTill = krbmsg.Some[int64](at + 30*hour)
	}
	w.body.Options = krbmsg.OptRenew | krbmsg.OptRenewable
	if rep, _ := w.ticket(); !rep.Part.SName.Is("svc128") {
		t.Errorf("%+v", rep.Part)
	}
}

// TestForwardedAddresses: the request's addresses replace the header's in ticket and reply.
func TestForwardedAddresses(t *testing.T) {
	w := newWorld(t)
	w.ask4("krbtgt", "A.TEST")
	w.body.Options = krbmsg.OptForwarded
	w.body.Addresses = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 0, 0, 9}}}
	rep, creds := w.ticket()
	if len(rep.Part.CAddr) != 1 || len(creds.Part.CAddr) != 1 || rep.Part.Flags&krbmsg.FlagForwarded == 0 {
		t.Errorf("%+v", rep.Part)
	}
}

// TestReplyKey is section 5.5: subkey with usage 9, else session key with usage 8.
func TestReplyKey(t *testing.T) {
	w := newWorld(t)
	sub, err := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA2)
	if err != nil {
		t.Fatal(err)
	}
	w.how.Subkey = sub
	if rep, _ := w.ticket(); rep.Rep.EncPart.Etype != 19 || rep.Rep.EncPart.Kvno.Set {
		t.Errorf("%+v", rep.Rep.EncPart)
	}
}

// TestKeyRollover: TGTs of the versions before go on working, and PACs signed by them.
func TestKeyRollover(t *testing.T) {
	w := newWorld(t)
	const krbtgt = "krbtgt/A.TEST@A.TEST"
	_, tgt := w.asTGT()
	w.server = kdctest.Name("A.TEST", "svc128")
	for kvno := uint16(2); kvno <= 4; kvno++ {
		w.keys.Add(t, w.db, krbtgt, kvno, krbcrypto.ETypeAES256SHA2)
		msg := tgt.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{})
		out := w.answer(msg)
		if out.Event.Status != exchange.StatusIssue {
			t.Errorf("version 1 ticket at version %d: %s (%v)", kvno, out.Event.Status, out.Event.Err)
		}
	}
	// Without a version in the ticket two versions below the current one are tried.
	tgt.Ticket.Raw, tgt.Ticket.EncPart.Kvno.Set, tgt.Ticket.EncPart.Kvno.V = nil, false, 0
	for kvno, want := range map[uint16]string{4: "PROCESS_TGS", 3: exchange.StatusIssue} {
		w.db.Change(t, krbtgt, func(p *dumpfmt.Principal) {
			p.Keys = slices.DeleteFunc(p.Keys, func(k dumpfmt.Key) bool { return k.Kvno > kvno })
		})
		if kvno == 4 {
			continue // all four are there
		}
		out := w.answer(tgt.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{}))
		if out.Event.Status != want {
			t.Errorf("no version in the ticket, current %d: %s (%v)", kvno, out.Event.Status, out.Event.Err)
		}
	}
}

// TestSecondKeyOfTheTGS: only the first key of a version ever sealed a TGT.
func TestSecondKeyOfTheTGS(t *testing.T) {
	w := newWorld(t)
	e, _ := w.r.LocalTGT()
	second := e.Current()[1]
	w.creds = func(c *kdctest.Creds) {
		key, err := second.Open()
		if err != nil {
			t.Fatal(err)
		}
		plain := krbmsg.Marshal(&c.Part)
		c.Ticket.EncPart = krbmsg.EncryptedData{Etype: int32(second.Etype), Kvno: krbmsg.Some(second.Kvno),
			Cipher: key.Encrypt(nil, krbcrypto.UsageTicket, plain)}
	}
	out, _ := w.ask()
	if code, text := kdctest.Code(t, out); code != 60 || text != statusProcess {
		t.Errorf("%d %s", code, text)
	}
}

// TestServicePACsAfterRollover: section 6.3, the krbtgt keys of three versions are tried.
func TestServicePACsAfterRollover(t *testing.T) {
	w := newWorld(t)
	_, tgt := w.asTGT()
	body := kdctest.TGSBody("A.TEST", "svcdeleg")
	body.Options = krbmsg.OptProxiable
	out := w.answer(tgt.TGSReq(body, kdctest.Shown{}))
	svc := kdctest.Open(t, out, tgt.Session, krbcrypto.UsageTGSRepSession).
		Creds(t, kdctest.Key(t, w.r, kdctest.Name("A.TEST", "svcdeleg")))
	body.Options = krbmsg.OptProxy
	for kvno := uint16(1); kvno <= 4; kvno++ {
		if kvno > 1 {
			w.keys.Add(t, w.db, "krbtgt/A.TEST@A.TEST", kvno, krbcrypto.ETypeAES256SHA1)
		}
		want := int32(0)
		if kvno == 4 {
			want = krbmsg.ErrModified
		}
		if code, text := kdctest.Code(t, w.answer(svc.TGSReq(body, kdctest.Shown{}))); code != want {
			t.Errorf("krbtgt version %d: %d %s", kvno, code, text)
		}
	}
}

// asTGT makes a TGT with a PAC, as the AS exchange issues it.
func (w *world) asTGT() (exchange.Principal, *kdctest.Creds) {
	w.t.Helper()
	home := tgsOf("A.TEST", "A.TEST")
	key := kdctest.Key(w.t, w.r, home)
	c := kdctest.Forge(w.t, w.r, home, func(p *krbmsg.EncTicketPart) {
		info, err := pac.ClientInfo(p.CName, p.AuthTime)
		if err != nil {
			w.t.Fatal(err)
		}
		pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, key, key, false)
	})
	return home, c
}

func (w *world) answer(msg []byte) exchange.Outcome {
	w.t.Helper()
	return answer(w.t, w.r, msg, at)
}

// TestPAC is sections 6.2 and 6.3 at the TGS.
func TestPAC(t *testing.T) {
	forge := func(change func(info []byte, p *krbmsg.EncTicketPart)) func(w *world) *kdctest.Creds {
		return func(w *world) *kdctest.Creds {
			key := kdctest.Key(w.t, w.r, tgsOf("A.TEST", "A.TEST"))
			return kdctest.Forge(w.t, w.r, tgsOf("A.TEST", "A.TEST"), func(p *krbmsg.EncTicketPart) {
				info, err := pac.ClientInfo(p.CName, p.AuthTime)
				if err != nil {
					w.t.Fatal(err)
				}
				change(info, p)
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, key, key, false)
			})
		}
	}
	wrapped := func(raw []byte) krbmsg.AuthorizationData {
		in := krbmsg.AuthorizationData{{Type: krbmsg.ADWin2kPAC, Data: raw}}
		return krbmsg.AuthorizationData{{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(in)}}
	}
	for _, c := range []struct {
		name  string
		creds func(w *world) *kdctest.Creds
		code  int32
		text  string
		pac   bool
	}{
		{"good", forge(func([]byte, *krbmsg.EncTicketPart) {}), 0, "", true},
		{"none in the TGT, none in the ticket", func(w *world) *kdctest.Creds { return w.forge() }, 0, "", false},
		{"of another client", forge(func(info []byte, _ *krbmsg.EncTicketPart) { info[10] ^= 1 }), 13, "HEADER_PAC", false},
		{"of another time", forge(func(info []byte, _ *krbmsg.EncTicketPart) { info[3] ^= 1 }), 13, "HEADER_PAC", false},
		{"empty", func(w *world) *kdctest.Creds {
			w.part = func(p *krbmsg.EncTicketPart) { p.AuthData = wrapped(nil) }
			return w.forge()
		}, 60, "HEADER_PAC", false},
		{"no signature", func(w *world) *kdctest.Creds {
			w.part = func(p *krbmsg.EncTicketPart) { p.AuthData = wrapped(make([]byte, 8)) }
			return w.forge()
		}, 60, "HEADER_PAC", false},
		{"signed by nobody", func(w *world) *kdctest.Creds {
			other := kdctest.NewKey(w.t, 18, make([]byte, 32))
			w.part = func(p *krbmsg.EncTicketPart) {
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: []byte{0}}}, other, other, false)
			}
			return w.forge()
		}, 41, "HEADER_PAC", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			creds := c.creds(w)
			out := w.answer(creds.TGSReq(w.body, kdctest.Shown{}))
			code, text := kdctest.Code(t, out)
			if code != c.code || text != c.text {
				t.Fatalf("%d %s, want %d %s", code, text, c.code, c.text)
			}
			if code != 0 {
				return
			}
			got := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession).
				Creds(t, kdctest.Key(t, w.r, kdctest.Name("A.TEST", "host", "svc.a.test")))
			if p, err := pac.Contained(got.Part.AuthData); err != nil || (p != nil) != c.pac {
				t.Errorf("PAC %v, %v", p != nil, err)
			}
		})
	}
}

// TestAuthorizationData is section 6.1: what a client may put into its ticket.
func TestAuthorizationData(t *testing.T) {
	nest := func(depth int, e krbmsg.AuthDataEntry) krbmsg.AuthDataEntry {
		for range depth {
			e = krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(krbmsg.AuthorizationData{e})}
		}
		return e
	}
	mine := krbmsg.AuthDataEntry{Type: 9999, Data: []byte("mine")}
	forged := krbmsg.AuthDataEntry{Type: krbmsg.ADWin2kPAC, Data: []byte("forged")}
	for _, c := range []struct {
		name string
		in   krbmsg.AuthorizationData
		keep int
		code int32
	}{
		{"unknown is carried", krbmsg.AuthorizationData{mine, nest(1, mine)}, 2, 0},
		{"PAC is not", krbmsg.AuthorizationData{forged, mine}, 1, 0},
		{"PAC inside is not", krbmsg.AuthorizationData{nest(1, forged), nest(2, forged), nest(3, forged), mine}, 1, 0},
		{"very deep is not", krbmsg.AuthorizationData{nest(9, mine)}, 0, 0},
		{"indicators are not", krbmsg.AuthorizationData{{Type: krbmsg.ADAuthIndicator}, {Type: krbmsg.ADCAMMAC}, {Type: krbmsg.ADKDCIssued}, {Type: krbmsg.ADSignedPath}}, 0, 0},
		{"mandatory for the KDC", krbmsg.AuthorizationData{{Type: krbmsg.ADMandatoryKDC}}, 0, 12},
		{"mandatory for the KDC, but inside a container that may be passed over", krbmsg.AuthorizationData{nest(1, krbmsg.AuthDataEntry{Type: krbmsg.ADMandatoryKDC})}, 1, 0},
	} {
		for _, bySubkey := range []bool{false, true} {
			w := newWorld(t)
			c0 := w.forge()
			key, usage := c0.Session, krbcrypto.UsageTGSReqADSession
			shown := kdctest.Shown{}
			if bySubkey {
				shown.Subkey = kdctest.NewKey(t, 17, make([]byte, 16))
				key, usage = shown.Subkey, krbcrypto.UsageTGSReqADSubkey
			}
			w.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: int32(key.Enctype()), Cipher: key.Encrypt(nil, usage, krbmsg.Marshal(c.in))})
			out := w.answer(c0.TGSReq(w.body, shown))
			if code, _ := kdctest.Code(t, out); code != c.code {
				t.Errorf("%s: %d (%v)", c.name, code, out.Event.Err)
			}
			if c.code != 0 {
				continue
			}
			rkey, rusage := c0.Session, krbcrypto.UsageTGSRepSession
			if bySubkey {
				rkey, rusage = shown.Subkey, krbcrypto.UsageTGSRepSubkey
			}
			got := kdctest.Open(t, out, rkey, rusage).Creds(t, kdctest.Key(t, w.r, kdctest.Name("A.TEST", "host", "svc.a.test")))
			if len(got.Part.AuthData) != c.keep {
				t.Errorf("%s: %d elements kept, want %d", c.name, len(got.Part.AuthData), c.keep)
			}
		}
	}
}

// TestCrossRealm is sections 5.3 and 5.7.
func TestCrossRealm(t *testing.T) {
	foreigner := func(transited string) func(p *krbmsg.EncTicketPart) {
		return func(p *krbmsg.EncTicketPart) {
			p.CName, p.CRealm = krbmsg.NewName(1, "alice"), []byte("B.TEST")
			p.Transited.Contents = []byte(transited)
		}
	}
	t.Run("client of the neighbour", func(t *testing.T) {
		w := newWorld(t)
		w.server, w.part = tgsOf("A.TEST", "B.TEST"), foreigner("")
		rep, creds := w.ticket()
		if string(rep.Rep.CRealm) != "B.TEST" || len(creds.Part.Transited.Contents) != 0 || creds.Part.Flags&krbmsg.FlagTransitChecked == 0 {
			t.Errorf("%+v", creds.Part)
		}
	})
	t.Run("client from behind the neighbour", func(t *testing.T) {
		w := newWorld(t)
		w.server = tgsOf("A.TEST", "B.TEST")
		w.part = func(p *krbmsg.EncTicketPart) { p.CName, p.CRealm = krbmsg.NewName(1, "alice"), []byte("C.B.TEST") }
		_, creds := w.ticket()
		if got, err := transit.Expand(creds.Part.Transited.Contents, "C.B.TEST", "A.TEST"); err != nil || !slices.Equal(got, []string{"B.TEST"}) {
			t.Errorf("transited %q, %v", got, err)
		}
	})
	t.Run("neighbour off the path", func(t *testing.T) {
		w := newWorld(t)
		w.server = tgsOf("A.TEST", "B.TEST")
		w.part = func(p *krbmsg.EncTicketPart) { p.CName, p.CRealm = krbmsg.NewName(1, "alice"), []byte("C.TEST") }
		out, _ := w.ask()
		if code, text := kdctest.Code(t, out); code != 12 || text != "BAD_TRANSIT" {
			t.Errorf("%d %s", code, text)
		}
		w.r.TransitPath = func(client, server string) ([]string, bool) {
			return []string{"B.TEST"}, client == "C.TEST" && server == "A.TEST"
		}
		w.ticket() // capaths allow it
	})
	t.Run("unknown transited type", func(t *testing.T) {
		w := newWorld(t)
		w.server = tgsOf("A.TEST", "B.TEST")
		w.part = func(p *krbmsg.EncTicketPart) { p.CRealm, p.Transited.Type = []byte("C.B.TEST"), 77 }
		out, _ := w.ask()
		if code, text := kdctest.Code(t, out); code != 17 || text != "VALIDATE_TRANSIT_TYPE" {
			t.Errorf("%d %s", code, text)
		}
	})
	t.Run("nearest realm on the way", func(t *testing.T) {
		w := newWorld(t)
		w.ask4("krbtgt", "C.B.TEST")
		rep, creds := w.ticket()
		if !rep.Part.SName.Is("krbtgt", "B.TEST") || creds.Part.Key.Etype != 18 {
			t.Errorf("TGT for %s", rep.Part.SName.Unparse(rep.Part.SRealm))
		}
	})
}

// TestReferral is section 5.3, row 2.
func TestReferral(t *testing.T) {
	for _, c := range []struct {
		name     string
		nameType int32
		parts    []string
		canon    bool
		change   func(w *world)
		ok       bool
	}{
		{"host-based", krbmsg.NTSrvHst, []string{"host", "www.b.test"}, true, nil, true},
		{"service instance", krbmsg.NTSrvInst, []string{"http", "www.b.test"}, true, nil, true},
		{"without canonicalize", krbmsg.NTSrvHst, []string{"host", "www.b.test"}, false, nil, false},
		{"plain principal", krbmsg.NTPrincipal, []string{"host", "www.b.test"}, true, nil, false},
		{"unknown type", krbmsg.NTUnknown, []string{"host", "www.b.test"}, true, nil, false},
		{"unknown type, listed", krbmsg.NTUnknown, []string{"host", "www.b.test"}, true, func(w *world) { w.r.HostBased = []string{"host"} }, true},
		{"unknown type, all listed", krbmsg.NTUnknown, []string{"x", "www.b.test"}, true, func(w *world) { w.r.HostBased = []string{"*"} }, true},
		{"excluded", krbmsg.NTSrvHst, []string{"host", "www.b.test"}, true, func(w *world) { w.r.NoHostReferral = []string{"host"} }, false},
		{"no dot", krbmsg.NTSrvHst, []string{"host", "www"}, true, nil, false},
		{"realm unknown", krbmsg.NTSrvHst, []string{"host", "www.example"}, true, nil, false},
		{"our own realm", krbmsg.NTSrvHst, []string{"host", "nosuch.a.test"}, true, nil, false},
		{"three parts", krbmsg.NTSrvHst, []string{"host", "www.b.test", "x"}, true, nil, false},
		{"user to user", krbmsg.NTSrvHst, []string{"host", "www.b.test"}, true, func(w *world) { w.body.Options |= krbmsg.OptEncTktInSkey }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.body.SName = krbmsg.Some(krbmsg.NewName(c.nameType, c.parts...))
			if c.canon {
				w.body.Options |= krbmsg.OptCanonicalize
			}
			if c.change != nil {
				c.change(w)
			}
			out, creds := w.ask()
			code, text := kdctest.Code(t, out)
			switch {
			case c.ok && code != 0, !c.ok && code != 7:
				t.Errorf("%d %s", code, text)
			case c.ok:
				rep := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession)
				if !rep.Part.SName.Is("krbtgt", "B.TEST") || !strings.Contains(strings.Join(out.Event.Notes, "\n"), "issuing TGT krbtgt/B.TEST@A.TEST") {
					t.Errorf("%s, notes %q", rep.Part.SName.Unparse(nil), out.Event.Notes)
				}
			}
		})
	}
}
