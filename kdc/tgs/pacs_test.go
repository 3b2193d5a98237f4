package tgs

import (
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// TestPassThrough is section 6.2: what PACs of other realms say is dropped unless an attribute of
// the trust lists it.
func TestPassThrough(t *testing.T) {
	logon := pac.Buffer{Type: pac.TypeLogonInfo, Data: []byte("logon")}
	upn := pac.Buffer{Type: 12, Data: []byte("upn")}
	forged := pac.Buffer{Type: pac.TypeTicketChecksum, Data: make([]byte, 16)}
	home := tgsOf("A.TEST", "A.TEST")
	const trust, own = "krbtgt/A.TEST@B.TEST", "krbtgt/A.TEST@A.TEST"
	for _, c := range []struct {
		name    string
		issuer  exchange.Principal
		lists   map[string]string
		buffers []pac.Buffer
		want    []uint32 // besides CLIENT_INFO
		code    int32
	}{
		{"default", inbound, nil, []pac.Buffer{logon, upn}, nil, 0},
		{"default at home", home, nil, []pac.Buffer{logon}, nil, 0},
		{"listed", inbound, map[string]string{trust: "logon_info"}, []pac.Buffer{logon, upn}, []uint32{1}, 0},
		{"listed by number", inbound, map[string]string{trust: "12 1"}, []pac.Buffer{logon, upn}, []uint32{1, 12}, 0},
		{"listed and not there", inbound, map[string]string{trust: "logon_info device_info"}, []pac.Buffer{upn}, nil, 0},
		{"another realm's list", inbound, map[string]string{own: "logon_info", "krbtgt/B.TEST@A.TEST": "logon_info"}, []pac.Buffer{logon}, nil, 0},
		{"own PACs, own list", home, map[string]string{own: "logon_info"}, []pac.Buffer{logon, upn}, []uint32{1}, 0},
		{"own PACs, the trust's list", home, map[string]string{trust: "logon_info"}, []pac.Buffer{logon}, nil, 0},
		{"a KDC's own buffers cannot be listed", inbound, map[string]string{trust: "6 7 10 16 19 client_info"}, []pac.Buffer{forged}, nil, 0},
		{"twice", inbound, map[string]string{trust: "logon_info"}, []pac.Buffer{logon, logon}, nil, 60},
		{"twice, not listed", inbound, nil, []pac.Buffer{logon, logon}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for name, list := range c.lists {
				w.db.Change(t, name, func(p *dumpfmt.Principal) {
					if err := p.SetString(attrPassThrough, list); err != nil {
						t.Fatal(err)
					}
				})
			}
			client := alice
			if w.server = c.issuer; string(c.issuer.Realm) == "A.TEST" {
				client = kdctest.Name("A.TEST", "user")
			}
			w.parts = []func(*krbmsg.EncTicketPart){named(client), w.signed(c.issuer, append([]pac.Buffer{info(t, client, false)}, c.buffers...)...)}
			out, creds := w.ask()
			if code, text := kdctest.Code(t, out); code != c.code {
				t.Fatalf("%d %s, want %d (%v)", code, text, c.code, out.Event.Err)
			}
			if c.code != 0 {
				return
			}
			svc := kdctest.Name("A.TEST", "host", "svc.a.test")
			got := kdctest.Open(t, out, creds.Session, krbcrypto.UsageTGSRepSession).Creds(t, kdctest.Key(t, w.r, svc))
			made, err := pac.Contained(got.Part.AuthData)
			if err != nil || made == nil {
				t.Fatal(made, err)
			}
			if err := made.VerifyService(&got.Part, kdctest.Key(t, w.r, svc), []*krbcrypto.Key{kdctest.Key(t, w.r, home)}); err != nil {
				t.Error(err)
			}
			var types []uint32
			for _, b := range made.Buffers {
				types = append(types, b.Type)
			}
			want := append(slices.Clone(c.want), pac.TypeClientInfo, pac.TypeTicketChecksum, pac.TypeServerChecksum, pac.TypeKDCChecksum, pac.TypeFullChecksum)
			slices.Sort(types)
			slices.Sort(want)
			if !slices.Equal(types, want) {
				t.Errorf("buffers %v, want %v", types, want)
			}
		})
	}
}

// TestPassThroughEvidence: where a service of another realm delegates, the PAC is the evidence's, and the
// list that of the realm which issued it.
func TestPassThroughEvidence(t *testing.T) {
	logon := pac.Buffer{Type: pac.TypeLogonInfo, Data: []byte("logon")}
	for name, want := range map[string]bool{"krbtgt/A.TEST@B.TEST": true, "krbtgt/A.TEST@C.TEST": false, "krbtgt/A.TEST@A.TEST": false} {
		w := newWorld(t)
		p, _ := w.db.Principal("krbtgt/A.TEST@B.TEST")
		p = p.Clone()
		p.Name, p.Keys = "krbtgt/A.TEST@C.TEST", nil
		w.db.Put(p)
		w.keys.Add(t, w.db, p.Name, 1, krbcrypto.ETypeAES256SHA1)
		w.db.Change(t, name, func(p *dumpfmt.Principal) { _ = p.SetString(attrPassThrough, "logon_info") })
		w.rbcd(info(t, alice, true), chain(t, "svc128", "HTTP/web.b.test@B.TEST"), logon)
		// The service came by another way than its evidence.
		w.server = tgsOf("A.TEST", "C.TEST")
		w.parts = []func(*krbmsg.EncTicketPart){named(webB), w.signed(w.server, info(t, webB, false), logon)}
		w.r.TransitPath = func(string, string) ([]string, bool) { return []string{"C.TEST"}, true }
		_, creds := w.ticket()
		made, err := pac.Contained(creds.Part.AuthData)
		if err != nil || made == nil || made.Has(pac.TypeLogonInfo) != want {
			t.Errorf("list of %s: PAC %v, %v", name, made, err)
		}
	}
}

// TestPACOrNone is section 6.2: which tickets from tickets get a PAC.
func TestPACOrNone(t *testing.T) {
	user := kdctest.Name("A.TEST", "user")
	for _, c := range []struct {
		name   string
		change func(w *world)
		want   bool
	}{
		{"subject has one", func(w *world) {}, true},
		{"subject has none", func(w *world) { w.parts = nil }, false},
		{"server wants none", func(w *world) { w.attr("host/svc.a.test", dumpfmt.AttrNoAuthDataRequired) }, false},
		{"realm has none", func(w *world) { w.r.DisablePAC = true }, false},
		{"anonymous", func(w *world) {
			w.parts = append([]func(*krbmsg.EncTicketPart){flags(krbmsg.FlagAnonymous, 0)}, w.parts...)
		}, false},
		{"PA-PAC-REQUEST does not matter", func(w *world) {
			w.how.PAData = []krbmsg.PAData{{Type: krbmsg.PAPACRequest, Value: []byte{0x30, 5, 0xa0, 3, 1, 1, 0}}}
		}, true},
	} {
		w := newWorld(t)
		w.parts = []func(*krbmsg.EncTicketPart){w.signed(w.server, info(t, user, false))}
		c.change(w)
		_, creds := w.ticket()
		if p, err := pac.Contained(creds.Part.AuthData); err != nil || (p != nil) != c.want {
			t.Errorf("%s: PAC %v, %v", c.name, p != nil, err)
		}
	}
}

// TestServicePACs is section 6.3: the signatures of the PAC in a service ticket that is shown as
// header or as evidence.
func TestServicePACs(t *testing.T) {
	svc, home := kdctest.Name("A.TEST", "svc128"), tgsOf("A.TEST", "A.TEST")
	type issue = func(w *world, p *krbmsg.EncTicketPart)
	with := func(service bool, server, kdc func(w *world) *krbcrypto.Key) issue {
		return func(w *world, p *krbmsg.EncTicketPart) {
			buffers := []pac.Buffer{info(t, exchange.Principal{Name: p.CName, Realm: p.CRealm}, false)}
			pac.Issue(p, buffers, server(w), kdc(w), service)
		}
	}
	key := func(of exchange.Principal) func(w *world) *krbcrypto.Key {
		return func(w *world) *krbcrypto.Key { return kdctest.Key(t, w.r, of) }
	}
	other := func(e int32, n int) func(*world) *krbcrypto.Key {
		return func(*world) *krbcrypto.Key { return kdctest.NewKey(t, e, make([]byte, n)) }
	}
	derived := func(w *world) *krbcrypto.Key {
		k, err := pac.KDCKey(kdctest.Key(t, w.r, home), "aes128-cts-hmac-sha256-128")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name    string
		issue   issue
		privsvr string
		code    int32
	}{
		{"all four", with(true, key(svc), key(home)), "", 0},
		{"none of the ticket and the whole (a 1.20.1 KDC lacks one)", with(false, key(svc), key(home)), "", 60},
		{"KDC's by another key", with(true, key(svc), other(18, 32)), "", 41},
		{"KDC's in another enctype", with(true, key(svc), other(17, 16)), "", 60},
		{"server's by another key", with(true, other(17, 16), key(home)), "", 41},
		{"KDC's in the enctype the server wants", with(true, key(svc), derived), "aes128-cts-hmac-sha256-128", 0},
		{"KDC's not in the enctype the server wants", with(true, key(svc), key(home)), "aes128-cts-hmac-sha256-128", 60},
		{"ticket changed", func(w *world, p *krbmsg.EncTicketPart) {
			with(true, key(svc), key(home))(w, p)
			p.Flags |= krbmsg.FlagHWAuth
		}, "", 41},
	} {
		for _, evidence := range []bool{false, true} {
			w := newWorld(t)
			status := "HEADER_PAC"
			w.attribute("svc128", "pac_privsvr_enctype", c.privsvr)
			if evidence {
				status = "2ND_TKT_PAC"
				w.ask4("a256")
				w.body.Options = krbmsg.OptCNameInAddlTkt
				forged := kdctest.Forge(t, w.r, svc, func(p *krbmsg.EncTicketPart) { c.issue(w, p) })
				w.body.Tickets = []krbmsg.Ticket{forged.Ticket}
				w.part = func(p *krbmsg.EncTicketPart) {
					named(svc)(p)
					w.signed(home, info(t, svc, false))(p)
				}
			} else {
				w.server = svc
				w.ask4("svc128")
				w.body.Options = krbmsg.OptForwarded
				w.part = func(p *krbmsg.EncTicketPart) { c.issue(w, p) }
			}
			out, _ := w.ask()
			code, text := kdctest.Code(t, out)
			switch {
			case c.code != 0 && (code != c.code || text != status), c.code == 0 && !evidence && code != 0:
				t.Errorf("%s: %d %s (%v)", c.name, code, text, out.Event.Err)
			case c.code == 0 && evidence && text != "UNSUPPORTED_S4U2PROXY_REQUEST": // which comes after
				t.Errorf("%s as evidence: %d %s (%v)", c.name, code, text, out.Event.Err)
			}
		}
	}
}

// TestTransitedOctets is section 5.7: the list in an issued ticket.
func TestTransitedOctets(t *testing.T) {
	for _, c := range []struct{ client, list, want string }{
		{"B.TEST", "", ""},
		{"X.B.TEST", "", "B.TEST"},
		{"Y.X.B.TEST", "X.B.TEST", "B.TEST,X."},
		{"Z.Y.X.B.TEST", "X.B.TEST,Y.", "B.TEST,X.,Y."},
		{"X.B.TEST", "B.TEST", "B.TEST"},
	} {
		w := newWorld(t)
		w.server = inbound
		w.part = func(p *krbmsg.EncTicketPart) {
			p.CName, p.CRealm, p.Transited.Contents = krbmsg.NewName(1, "u"), []byte(c.client), []byte(c.list)
			p.Flags |= krbmsg.FlagTransitChecked
		}
		_, creds := w.ticket()
		if got := string(creds.Part.Transited.Contents); got != c.want {
			t.Errorf("%s by %q: %q, want %q", c.client, c.list, got, c.want)
		}
	}
	check(t, []rule{
		{"5.1 row 11: too long", func(w *world) {
			w.server = inbound
			w.part = func(p *krbmsg.EncTicketPart) {
				p.CRealm, p.Flags = []byte("X.B.TEST"), p.Flags|krbmsg.FlagTransitChecked
				p.Transited.Contents = slices.Repeat([]byte{'X'}, 493)
			}
		}, 43, "ADD_TO_TRANSITED_LIST"},
		{"5.2 row 10: unchecked list", func(w *world) {
			w.server = inbound
			w.part = func(p *krbmsg.EncTicketPart) { p.CRealm, p.Transited.Contents = []byte("X.B.TEST"), []byte("EVIL") }
		}, 43, statusProcess},
		{"5.1 row 28: checked before, not now", func(w *world) {
			w.server = inbound
			w.part = func(p *krbmsg.EncTicketPart) {
				p.CRealm, p.Transited.Contents, p.Flags = []byte("X.B.TEST"), []byte("EVIL"), p.Flags|krbmsg.FlagTransitChecked
			}
		}, 12, "BAD_TRANSIT"},
		{"5.1 row 28: our own TGT, list of another type is copied", func(w *world) {
			w.part = func(p *krbmsg.EncTicketPart) { p.Transited.Type = 0 }
		}, 0, ""},
	})
}
