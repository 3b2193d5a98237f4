package interop

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdctest"
)

// randomTGS makes up a request from a seed: options, flags and times of the header, who asks for
// what and how.
func randomTGS(x *twins, servers []craftedCase, seed uint64) tweak {
	r := rand.New(rand.NewPCG(seed, 5))
	chance := func(percent int) bool { return r.IntN(100) < percent }
	pick := func(list ...uint32) (bits uint32) {
		for _, b := range list {
			if chance(12) {
				bits |= b
			}
		}
		return bits
	}
	opts := pick(krbmsg.OptForwardable, krbmsg.OptForwarded, krbmsg.OptProxiable, krbmsg.OptProxy, krbmsg.OptAllowPostdate,
		krbmsg.OptRenewable, krbmsg.OptCanonicalize, krbmsg.OptRequestAnonymous, krbmsg.OptDisableTransCheck,
		krbmsg.OptRenewableOK, krbmsg.OptEncTktInSkey, krbmsg.OptRenew, krbmsg.OptCNameInAddlTkt)
	flags := pick(krbmsg.FlagForwarded, krbmsg.FlagProxy, krbmsg.FlagMayPostdate, krbmsg.FlagPostdated, krbmsg.FlagRenewable,
		krbmsg.FlagHWAuth, krbmsg.FlagTransitChecked, krbmsg.FlagOKAsDelegate, krbmsg.FlagAnonymous)
	if chance(5) {
		flags |= krbmsg.FlagInvalid
	}
	clear := pick(krbmsg.FlagForwardable, krbmsg.FlagProxiable, krbmsg.FlagInitial, krbmsg.FlagPreAuth)
	var list []tweak
	add := func(t tweak) { list = append(list, t) }
	add(withOptions(opts))
	add(withFlags(flags, clear))
	life, renew, start := int64(r.IntN(40000)+60), int64(r.IntN(800000)+60), int64(r.IntN(50))
	setStart, setRenew := chance(30), chance(60) || flags&krbmsg.FlagRenewable != 0
	add(partly(func(p *krbmsg.EncTicketPart) {
		p.EndTime = p.AuthTime + life
		if setStart {
			p.StartTime = krbmsg.Some(p.AuthTime + start)
		}
		if setRenew {
			p.RenewTill = krbmsg.Some(p.AuthTime + renew)
		}
	}))
	till, rtime := int64(r.IntN(100000)+120), int64(r.IntN(1000000)+60)
	noTill, setRTime := chance(20), chance(30)
	add(func(c *crafted) {
		if c.body.Till = c.x.now + till; noTill {
			c.body.Till = 0
		}
		if setRTime {
			c.body.RTime = krbmsg.Some(c.x.now + rtime)
		}
	})
	server := servers[r.IntN(len(servers))]
	if opts&(krbmsg.OptForwarded|krbmsg.OptProxy|krbmsg.OptRenew) != 0 && chance(70) {
		server = craftedCase{name: "home", change: serverNamed(home...)}
		if chance(40) {
			server = craftedCase{name: "svc128", change: serviceHeader("svc128", signService)}
		}
	}
	add(server.change)
	if chance(30) {
		all := []int32{18, 17, 20, 19, 23, 16, 25, 26, 99}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		add(withEtypes(all[:1+r.IntN(4)]...))
	}
	if chance(10) {
		add(func(c *crafted) { c.sign = nil })
	}
	if chance(20) {
		add(func(c *crafted) {
			c.server = kdctest.Name("B.TEST", home...)
			c.parts = append(c.parts, func(p *krbmsg.EncTicketPart) { p.CRealm = []byte("B.TEST") })
		})
	}
	if chance(10) {
		add(partly(func(p *krbmsg.EncTicketPart) { p.Transited.Contents = []byte("TEST") }))
	}
	if chance(10) {
		add(func(c *crafted) { c.body.Addresses = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 0, 0, 1}}} })
	}
	if opts&krbmsg.OptEncTktInSkey != 0 && chance(90) || chance(3) {
		who := servers[r.IntN(len(servers))].name[len("server "):]
		same := chance(60)
		add(func(c *crafted) {
			client := krbmsg.NewName(1, splitName(who)...)
			if same {
				client = c.body.SName.V
			}
			c.body.Tickets = []krbmsg.Ticket{c.x.forge(kdctest.Name("A.TEST", home...), signTGT, func(p *krbmsg.EncTicketPart) { p.CName = client }).Ticket}
		})
	}
	if opts&krbmsg.OptCNameInAddlTkt != 0 && chance(90) {
		add(func(c *crafted) {
			c.parts = append(c.parts, func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "service", "impersonator") })
			c.body.Tickets = []krbmsg.Ticket{c.x.forge(kdctest.Name("A.TEST", "service", "impersonator"), signService, func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "a256") }).Ticket}
		})
	}
	if chance(15) {
		u := craftedUser{name: servers[r.IntN(len(servers))].name[len("server "):]}
		if chance(30) {
			u.without = []string{"129", "130"}[r.IntN(2)]
		}
		self := chance(80)
		add(func(c *crafted) {
			if self {
				c.parts = append(c.parts, func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "service", "impersonator") })
				c.body.SName = krbmsg.Some(krbmsg.NewName(1, "service", "impersonator"))
			}
			c.padata = func(k *kdctest.Creds, key *krbcrypto.Key) []krbmsg.PAData { return u.padata(c, k.Session, key) }
		})
	}
	switch r.IntN(4) {
	case 0:
		add(withArmor(0))
	case 1:
		add(withSubkey([]krbcrypto.Enctype{17, 18, 20, 23, 25}[r.IntN(5)]))
	}
	return allOf(list...)
}

// earlierIn1201 are the checks that 1.20.1 makes before row 15 and its successors after row 18
// (section 13).
var earlierIn1201 = []string{
	"error 12 NON-RENEWABLE TICKET", "error 10 NON-POSTDATABLE TICKET", "error 12 DUP_SKEY DISALLOWED", "error 7 SERVER LOCKED OUT",
	"error 27 SERVER NOT ALLOWED", "error 12 TGT BASED NOT ALLOWED", "error 60 NO HW PREAUTH", "error 60 NO PREAUTH", "error 2 SERVICE EXPIRED",
}

// rows15to18 are the refusals of these rows.
var rows15to18 = []string{
	"error 26 SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC", "error 36 INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH",
	"error 26 2ND_TKT_MISMATCH", "error 12 2ND_TKT_NOT_TGS", "error 13 NO_2ND_TKT", "error 20 S4U2PROXY_NO_HEADER_PAC",
	"error 26 EVIDENCE_TICKET_MISMATCH", "error 12 NOT_ALLOWED_TO_DELEGATE", "error 13 INVALID_S4U2PROXY_OPTIONS",
}

// deviates says which difference between 1.20.1 and later versions is the reason for two answers,
// "" if it is none.
func deviates(c *crafted, our, mit []string) string {
	switch {
	case slices.Contains(rows15to18, our[0]) && slices.Contains(earlierIn1201, mit[0]):
		return "13: server policy before row 15"
	case mit[0] == "error 14 BAD_ENCRYPTION_TYPE" && (our[0] == "error 12 HIGHER_AUTHENTICATION_REQUIRED" || our[0] == "error 12 BAD_TRANSIT"):
		return "13: session etype before require_auth, and so before row 28"
	case our[0] == "error 13 RBCD_PAC_PRINC" && strings.HasPrefix(mit[0], "error "):
		return "5.1 row 9, 13: delegation after all other checks"
	case c.body.Options&krbmsg.OptRenew != 0 && c.body.Options&krbmsg.OptForwarded != 0 && our[0] == "TGS-REP" && mit[0] == "TGS-REP":
		return "5.4: RENEW copies the addresses, whatever else is asked"
	}
	return ""
}

// TestDifferentialRandomTGS puts requests that a seed makes up to both KDCs.
func TestDifferentialRandomTGS(t *testing.T) {
	const seeds = 1500
	x := newTwins(t, nil)
	servers, same := craftedServers(x), 0
	for seed := range uint64(seeds) {
		cc := craftedCase{change: randomTGS(x, servers, seed)}
		our, mit := x.both(cc)
		c := x.craft()
		cc.change(c)
		switch diff := diffLines(our, mit); {
		case diff == nil:
			same++
		case deviates(c, our, mit) == "":
			t.Errorf("seed %d:\n%s", seed, strings.Join(diff, "\n"))
		}
	}
	if same < seeds*9/10 {
		t.Errorf("only %d of %d answers are the same", same, seeds)
	}
}
