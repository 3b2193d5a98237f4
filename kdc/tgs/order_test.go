package tgs

import (
	"fmt"
	"slices"
	"testing"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// violation breaks one row of section 5.1 and nothing that stands before it.
type violation struct {
	row    string
	code   int32
	text   string
	uses   []string // what can be used once: "header" (its server), "server" (that is asked for), "client", "padata"
	change func(w *world)
}

const hostSvc = "host/svc.a.test"

// violations are in the order of section 5.1.
func violations() []violation {
	part := func(f func(p *krbmsg.EncTicketPart)) func(w *world) {
		return func(w *world) { w.parts = append(w.parts, f) }
	}
	option := func(o uint32, more ...func(w *world)) func(w *world) {
		return func(w *world) {
			w.body.Options |= o
			for _, f := range more {
				f(w)
			}
		}
	}
	svc := func(bits uint32) func(w *world) { return func(w *world) { w.attr(hostSvc, bits) } }
	foreign := func(realm string) func(w *world) {
		return func(w *world) {
			w.server = tgsOf("A.TEST", "B.TEST")
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) { p.CRealm = []byte(realm) })
		}
	}
	entry := func(f func(p *dumpfmt.Principal)) func(w *world) { return func(w *world) { w.change(hostSvc, f) } }
	broken := func(adType int32) func(w *world) {
		in := krbmsg.AuthorizationData{{Type: adType, Data: []byte{1}}}
		return part(func(p *krbmsg.EncTicketPart) {
			p.AuthData = append(p.AuthData, krbmsg.AuthDataEntry{Type: krbmsg.ADIfRelevant, Data: krbmsg.Marshal(in)})
		})
	}
	return []violation{
		{"1", 50, statusProcess, nil, func(w *world) { w.how.Auth = func(a *krbmsg.Authenticator) { a.Cksum.Set = false } }},
		{"4", 60, "GET_LOCAL_TGT", nil, func(w *world) { w.body.Realm = []byte("B.TEST") }},
		{"5", 60, "HEADER_PAC", []string{"PAC"}, broken(krbmsg.ADWin2kPAC)},
		{"6", 7, "LOOKING_UP_SERVER", []string{"server"}, func(w *world) { w.ask4("nosuch") }},
		{"7", 60, "DECODE_PA_FOR_USER", []string{"padata", "self"}, func(w *world) { w.how.PAData = []krbmsg.PAData{{Type: 129, Value: []byte{1}}} }},
		{"8", 7, "2ND_TKT_SERVER", []string{"second"}, option(krbmsg.OptEncTktInSkey, withSecond("a256", []string{"krbtgt", "A.TEST"}, func(c *kdctest.Creds) { c.Ticket.SName = krbmsg.NewName(1, "nosuch") }))},
		{"10", 60, "GET_AUTH_INDICATORS", nil, broken(krbmsg.ADCAMMAC)},
		{"11", 17, "VALIDATE_TRANSIT_TYPE", []string{"header", "client"}, option(0, foreign("C.B.TEST"), part(func(p *krbmsg.EncTicketPart) { p.Transited.Type = 77 }))},
		{"12", 13, "TGT NOT POSTDATABLE", nil, option(krbmsg.OptPostdated)},
		{"13", 33, "TICKET NOT VALID", []string{"validity"}, part(flags(krbmsg.FlagInvalid, 0))},
		{"14", 32, "TKT_EXPIRED", []string{"modify"}, option(krbmsg.OptRenew, part(func(p *krbmsg.EncTicketPart) {
			p.Flags |= krbmsg.FlagRenewable
			p.RenewTill = krbmsg.Some[int64](at - 1)
		}))},
		{"15a", 26, "SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC", []string{"modify"}, option(krbmsg.OptForwarded)},
		{"15b", 35, "BAD TGS SERVER INSTANCE", []string{"header", "modify"}, func(w *world) { w.server = tgsOf("B.TEST", "A.TEST") }},
		{"16", 12, "INVALID LINEAGE", []string{"header", "client"}, foreign("A.TEST")},
		{"17", 13, "NO_2ND_TKT", []string{"second"}, option(krbmsg.OptEncTktInSkey)},
		{"18", 13, "HEADER_PAC", []string{"PAC", "client"}, func(w *world) {
			key := kdctest.Key(w.t, w.r, w.server)
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) {
				info, err := pac.ClientInfo(krbmsg.NewName(1, "root"), p.AuthTime)
				if err != nil {
					w.t.Fatal(err)
				}
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, key, key, false)
			})
		}},
		{"19", 12, "NON-RENEWABLE TICKET", []string{"server"}, option(krbmsg.OptRenewable, svc(dumpfmt.AttrDisallowRenewable))},
		{"20", 7, "SERVER LOCKED OUT", []string{"server"}, svc(dumpfmt.AttrDisallowAllTix)},
		{"20", 27, "SERVER NOT ALLOWED", []string{"server", "second"}, svc(dumpfmt.AttrDisallowSvr)},
		{"20", 12, "TGT BASED NOT ALLOWED", []string{"server"}, svc(dumpfmt.AttrDisallowTGTBased)},
		{"21", 60, "NO HW PREAUTH", []string{"server"}, svc(dumpfmt.AttrRequiresHWAuth)},
		{"21", 60, "NO PREAUTH", []string{"server"}, svc(dumpfmt.AttrRequiresPreAuth)},
		{"22", 2, "SERVICE EXPIRED", []string{"server"}, entry(func(p *dumpfmt.Principal) { p.Expire = 1 })},
		{"24", 12, "ANONYMOUS NOT ALLOWED", []string{"client", "PAC"}, func(w *world) {
			w.r.RestrictAnon = true
			w.parts = append(w.parts, func(p *krbmsg.EncTicketPart) {
				p.CName, p.CRealm = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"), []byte("WELLKNOWN:ANONYMOUS")
			})
		}},
		{"26", 12, "HIGHER_AUTHENTICATION_REQUIRED", []string{"server"}, func(w *world) { w.attribute(hostSvc, "require_auth", "strong") }},
		{"27", 11, "NEVER_VALID", []string{"modify"}, func(w *world) { w.body.Till = at - 1 }},
		{"28", 12, "BAD_TRANSIT", nil, option(krbmsg.OptDisableTransCheck)},
		{"29", 14, "BAD_ENCRYPTION_TYPE", nil, func(w *world) { w.body.Etypes = []int32{999} }},
		{"30", 60, "FINDING_SERVER_KEY", []string{"server"}, entry(func(p *dumpfmt.Principal) { p.Keys = nil })},
		{"31", 31, "HANDLE_AUTHDATA", nil, func(w *world) {
			w.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: make([]byte, 40)})
		}},
		{"32", 60, "KDC_RETURN_ENC_PADATA", []string{"padata"}, func(w *world) { w.how.PAData = []krbmsg.PAData{{Type: krbmsg.PAPACOptions, Value: []byte{1}}} }},
	}
}

// TestOrder is the order of section 5.1: of any two rows that are broken at once, the first one
// answers. Rows about the server's entry do not take each other's place.
func TestOrder(t *testing.T) {
	list, pairs := violations(), 0
	for i, first := range list {
		for j := i; j < len(list); j++ {
			second := list[j]
			if j > i && overlap(first.uses, second.uses) {
				continue
			}
			pairs++
			t.Run(fmt.Sprintf("%s %s before %s %s", first.row, first.text, second.row, second.text), func(t *testing.T) {
				w := newWorld(t)
				first.change(w)
				if j > i {
					second.change(w)
				}
				out, _ := w.ask()
				if code, text := kdctest.Code(t, out); code != first.code || text != first.text {
					t.Errorf("%d %q, want %d %q (%v)", code, text, first.code, first.text, out.Event.Err)
				}
			})
		}
	}
	if pairs < 350 {
		t.Errorf("only %d pairs", pairs)
	}
}

// overlap reports whether two violations need the same thing. What is said of the server's entry
// can be said at once, but not of two entries.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) && (x != "server" || !bothAttributes(a, b)) })
}

func bothAttributes(a, b []string) bool { return len(a) == 1 && len(b) == 1 }
