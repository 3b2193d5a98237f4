package interop

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/der"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdctest"
)

// twinCase is a request that both KDCs answer alike but for what specification paragraph the case
// cites.
type twinCase struct {
	name string
	ask  func(x *twins) *question
	ours string // first line of our answer, where it is another on purpose
}

// as is an AS request of a client for the realm's TGS, changed.
func as(client string, change func(b *krbmsg.KDCReqBody), padata ...func(x *twins) krbmsg.PAData) func(x *twins) *question {
	return func(x *twins) *question {
		b := x.body(client)
		if change != nil {
			change(&b)
		}
		q := &question{usage: krbcrypto.UsageASRepEncPart, body: b}
		var list []krbmsg.PAData
		for _, p := range padata {
			list = append(list, p(x))
		}
		q.msg = kdctest.ASReq(b, list...)
		return q
	}
}

// body is an AS request's body as a client of today would send it, with a nonce of its own: two
// equal messages would be answered from memory.
func (x *twins) body(client string) krbmsg.KDCReqBody {
	b := kdctest.ASBody(kdctest.Name("A.TEST", strings.Split(client, "/")...), "krbtgt", "A.TEST")
	x.nonce++
	b.Nonce, b.Till = x.nonce, x.now+3600
	return b
}

func options(o uint32) func(b *krbmsg.KDCReqBody) {
	return func(b *krbmsg.KDCReqBody) { b.Options = o }
}

func etypes(list ...int32) func(b *krbmsg.KDCReqBody) {
	return func(b *krbmsg.KDCReqBody) { b.Etypes = list }
}

func service(parts ...string) func(b *krbmsg.KDCReqBody) {
	return func(b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(kdctest.Name("", parts...).Name) }
}

func both(list ...func(b *krbmsg.KDCReqBody)) func(b *krbmsg.KDCReqBody) {
	return func(b *krbmsg.KDCReqBody) {
		for _, f := range list {
			f(b)
		}
	}
}

func cname(kind int32, parts ...string) func(b *krbmsg.KDCReqBody) {
	return func(b *krbmsg.KDCReqBody) { b.CName = krbmsg.Some(krbmsg.NewName(kind, parts...)) }
}

// timestamp is PA-ENC-TIMESTAMP in a key of somebody, by some seconds off.
func timestamp(of string, etype int32, off int64) func(x *twins) krbmsg.PAData {
	return func(x *twins) krbmsg.PAData {
		return kdctest.Timestamp(x.key(of+"@A.TEST", 0, etype), x.now+off)
	}
}

func pa(kind int32, value ...byte) func(*twins) krbmsg.PAData {
	return func(*twins) krbmsg.PAData { return krbmsg.PAData{Type: kind, Value: slices.Clone(value)} }
}

var attributes = []uint32{
	dumpfmt.AttrDisallowPostdated, dumpfmt.AttrDisallowForwardable, dumpfmt.AttrDisallowTGTBased,
	dumpfmt.AttrDisallowRenewable, dumpfmt.AttrDisallowProxiable, dumpfmt.AttrDisallowDupSkey,
	dumpfmt.AttrDisallowAllTix, dumpfmt.AttrRequiresPreAuth, dumpfmt.AttrRequiresHWAuth,
	dumpfmt.AttrRequiresPwChange, dumpfmt.AttrDisallowSvr, dumpfmt.AttrPwChangeService,
	dumpfmt.AttrOKAsDelegate, dumpfmt.AttrOKToAuthAsDelegate, dumpfmt.AttrNoAuthDataRequired,
	dumpfmt.AttrLockdownKeys,
}

// twinEntries are the entries that the cases need beside the recorded ones.
func twinEntries(now int64) (list []entry) {
	add := func(name, like string, change func(p *dumpfmt.Principal)) {
		list = append(list, entry{name, like, change})
	}
	for i, bit := range attributes {
		set := func(p *dumpfmt.Principal) { p.Attributes |= bit }
		add(fmt.Sprintf("client%d", i), "user", set)
		add(fmt.Sprintf("server%d", i), "user", set)
	}
	add("soon", "user", func(p *dumpfmt.Principal) { p.Expire, p.PwExpire = uint32(now+5000), uint32(now+4000) })
	add("sooner", "user", func(p *dumpfmt.Principal) { p.Expire, p.PwExpire = uint32(now+3000), uint32(now+4000) })
	add("unlimited", "user", func(p *dumpfmt.Principal) { p.MaxLife, p.MaxRenewLife = 0, 0 })
	add("longer", "user", func(p *dumpfmt.Principal) { p.MaxLife, p.MaxRenewLife = 172800, 2592000 })
	add("negative", "user", func(p *dumpfmt.Principal) { p.MaxLife, p.MaxRenewLife = -1, -1 })
	add("choosy", "user", func(p *dumpfmt.Principal) { _ = p.SetString("session_enctypes", "aes128-cts nonsense rc4") })
	add("confused", "user", func(p *dumpfmt.Principal) { _ = p.SetString("session_enctypes", "nonsense") })
	add("strict", "user", func(p *dumpfmt.Principal) { _ = p.SetString("require_auth", "a b") })
	add("oldpre", "rc4", func(p *dumpfmt.Principal) { p.Attributes |= dumpfmt.AttrRequiresPreAuth })
	add("everything", "user", func(p *dumpfmt.Principal) {
		p.Expire, p.PwExpire = 1, 1
		p.Attributes = 0xffffffff
	})
	return list
}

// TestDifferentialAS sends the same AS requests to our KDC and to the stock one.
func TestDifferentialAS(t *testing.T) {
	x := newTwins(t, twinEntries(time.Now().Unix()))
	x.compare(slices.Concat(asOptions(), asNames(), asKeys(), asTimes(), asPreauth(), asFAST(), asBodies()))
}

// compare asks both KDCs each question.
func (x *twins) compare(cases []twinCase) {
	t := x.t
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			x.t = t
			var our, mit, ourLog, mitLog []string
			// A second may begin between the two questions, and MIT's clock learns of it some milliseconds late.
			for range 3 {
				begun := time.Now()
				x.now = begun.Unix()
				q := c.ask(x)
				network := "tcp"
				if q.udp {
					network = "udp"
				}
				our, mit = x.describe(q, ask(t, network, x.our, q.msg)), x.describe(q, ask(t, network, x.mit, q.msg))
				ourLog, mitLog = x.logged(0), x.logged(1)
				if slices.Equal(our, mit) || time.Now().Unix() == x.now && begun.Nanosecond() > int(50*time.Millisecond) {
					break
				}
			}
			switch {
			case c.ours == "" && slices.Equal(our, mit) && our[0] != "silence" && !sameLog(ourLog, mitLog):
				t.Errorf("log differs\nours %q\nMIT  %q", ourLog, mitLog)
			case c.ours == "" && !slices.Equal(our, mit):
				t.Errorf("answers differ\nours %s\nMIT  %s", only(our, mit), only(mit, our))
			case c.ours != "" && (our[0] != c.ours || slices.Equal(our, mit)):
				t.Errorf("ours %s, want %s and another than MIT's %s", our[0], c.ours, mit[0])
			}
		})
	}
	x.t = t
}

// only is the lines that the other list has not.
func only(a, b []string) string {
	s := "(" + a[0] + ")"
	for _, l := range a {
		if !slices.Contains(b, l) {
			s += "\n     " + l
		}
	}
	return s
}

// asOptions is sections 3.4, 3.5 and 4.1 row 9: every option and every attribute by itself, and
// several at once.
func asOptions() (list []twinCase) {
	for i := range 32 {
		bit := uint32(1) << i
		switch bit {
		case krbmsg.OptPostdated: // 3.3, D: MIT answers with an end decades ago
			list = append(list, twinCase{"3.3 POSTDATED without from", as("user", options(bit)), "error 10 POSTDATE NOT ALLOWED"})
		default:
			list = append(list, twinCase{fmt.Sprintf("3.4 option %08x", bit), as("user", options(bit)), ""})
		}
	}
	const asked = krbmsg.OptForwardable | krbmsg.OptProxiable | krbmsg.OptRenewable
	for i := range attributes {
		name := dumpfmt.AttrName(attributes[i])
		list = append(list,
			twinCase{"3.5 client " + name, as(fmt.Sprintf("client%d", i), options(asked)), ""},
			twinCase{"3.5 client preauthenticated " + name, as(fmt.Sprintf("client%d", i), options(asked), timestamp("user", 18, 0)), ""},
			twinCase{"3.5 server " + name, as("user", both(service(fmt.Sprintf("server%d", i)), options(asked))), ""},
			twinCase{"3.5 server allow-postdate " + name, as("user", both(service(fmt.Sprintf("server%d", i)), options(krbmsg.OptAllowPostdate))), ""},
			twinCase{"3.5 client allow-postdate " + name, as(fmt.Sprintf("client%d", i), options(krbmsg.OptAllowPostdate)), ""},
		)
	}
	for _, client := range []string{"user", "nobody", "expired", "expiredall", "pwexpired", "mustchange", "mustchangelocked", "lockedout", "lockedpre", "nopost", "everything", "nokeynopre", "hw"} {
		for _, server := range []string{"nosuch", "svcall", "svcexpired", "svclocked", "nosvr", "nopost", "pwsvc", "pwsvcexp", "svcind", "nokeynopre", "svcnopac", "kadmin/changepw", "krbtgt/B.TEST", "everything"} {
			list = append(list, twinCase{fmt.Sprintf("4.1 %s for %s", client, server), as(client, service(strings.Split(server, "/")...)), ""},
				twinCase{fmt.Sprintf("4.1 %s for %s, weird", client, server), as(client, both(service(strings.Split(server, "/")...), options(krbmsg.OptAllowPostdate), etypes(999))), ""})
		}
	}
	return list
}

// asNames is section 3.1 and 2: names of all types.
func asNames() []twinCase {
	foreign := func(realm string) func(b *krbmsg.KDCReqBody) {
		return func(b *krbmsg.KDCReqBody) { b.Realm = []byte(realm) }
	}
	canon := options(krbmsg.OptCanonicalize)
	list := []twinCase{
		{"4.1 row 3 no client", as("user", func(b *krbmsg.KDCReqBody) { b.CName.Set = false }), ""},
		{"4.1 row 4 no server", as("user", func(b *krbmsg.KDCReqBody) { b.SName.Set = false }), ""},
		{"4.1 rows 3 and 4 neither", as("user", func(b *krbmsg.KDCReqBody) { b.CName.Set, b.SName.Set = false, false }), ""},
		{"4.1 row 5 before 6", as("nobody", service("nosuch")), ""},
		{"3.1 enterprise of our realm", as("user", cname(10, "user@A.TEST")), "AS-REP"},
		{"3.1 enterprise of our realm, canonical", as("user", both(cname(10, "user@A.TEST"), canon)), "AS-REP"},
		{"3.1 enterprise without realm", as("user", cname(10, "user")), ""},
		{"3.1 enterprise without realm, canonical", as("user", both(cname(10, "user"), canon)), ""},
		{"3.1 enterprise of two parts", as("user", cname(10, "user@A.TEST", "x")), ""},
		{"3.1 enterprise of another realm", as("user", cname(10, "user@C.TEST")), ""},
		{"3.1 enterprise, two at signs", as("user", cname(10, "user@C.TEST@A.TEST")), ""},
		{"3.1 enterprise, empty", as("user", cname(10, "@A.TEST")), ""},
		{"3.1 ordinary name with an at sign", as("user", cname(1, "user@A.TEST")), ""},
		{"3.1 realm in another case", as("user", foreign("a.test")), ""},
		{"1.7 foreign realm", as("user", foreign("C.TEST")), ""},
		{"2 empty realm", as("user", foreign("")), ""},
		{"2 no components", as("user", cname(1)), ""},
		{"2 empty component", as("user", cname(1, "")), ""},
		{"2 empty components", as("user", cname(1, "", "")), ""},
		{"2 NUL in the name", as("user", cname(1, "user\x00")), ""},
		{"2 newline in the name", as("user", cname(1, "us\ner")), ""},
		{"2 slash in the name", as("user", cname(1, "host/svc.a.test")), ""},
		{"2 backslash in the name", as("user", cname(1, `user\`)), ""},
		{"2 octets beyond ASCII", as("user", cname(1, "\xff\xfe")), ""},
		{"2 service without components", as("user", service()), ""},
		{"2 service with empty component", as("user", service("")), ""},
		{"2 service with empty components", as("user", service("", "")), ""},
		{"2 NUL in the service", as("user", service("krbtgt", "A.TEST\x00")), ""},
		{"3.1 krbtgt of three components", as("user", service("krbtgt", "A.TEST", "x")), ""},
		{"3.1 krbtgt alone", as("user", service("krbtgt")), ""},
		{"3.1 service canonical", as("user", both(service("host", "svc.a.test"), canon)), ""},
		{"3.1 foreign krbtgt canonical", as("user", both(service("krbtgt", "B.TEST"), canon)), ""},
		{"3.1 unknown krbtgt canonical", as("user", both(service("krbtgt", "C.TEST"), canon)), ""},
		{"3.1 client is a service", as("host/svc.a.test", nil), ""},
		{"3.1 client is krbtgt", as("krbtgt/A.TEST", nil), ""},
		{"3.1 client is krbtgt, canonical", as("krbtgt/A.TEST", canon), ""},
		{"3.1 client is K/M", as("K/M", nil), ""},
		{"3.1 server is K/M", as("user", service("K", "M")), ""},
		{"3.1 server is the client", as("user", service("user")), ""},
	}
	for _, kind := range []int32{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 128, math.MaxInt32, math.MinInt32} {
		list = append(list, twinCase{fmt.Sprintf("3.1 name type %d", kind), as("user", cname(kind, "user")), ""},
			twinCase{fmt.Sprintf("3.1 name type %d, canonical", kind), as("user", both(cname(kind, "user"), canon)), ""},
			twinCase{fmt.Sprintf("3.1 service name type %d", kind), as("user", func(b *krbmsg.KDCReqBody) {
				b.SName = krbmsg.Some(krbmsg.NewName(kind, "krbtgt", "A.TEST"))
			}), ""},
			twinCase{fmt.Sprintf("3.1 service name type %d, canonical", kind), as("user", func(b *krbmsg.KDCReqBody) {
				b.SName = krbmsg.Some(krbmsg.NewName(kind, "krbtgt", "A.TEST"))
				b.Options = krbmsg.OptCanonicalize
			}), ""})
	}
	anon := cname(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS")
	return append(list,
		twinCase{"4.1 row 12 anonymous", as("user", both(anon, options(krbmsg.OptRequestAnonymous))), ""},
		twinCase{"4.1 row 12 anonymous without the option", as("user", anon), ""},
		twinCase{"4.1 row 12 option for somebody", as("user", options(krbmsg.OptRequestAnonymous)), ""},
		twinCase{"4.1 row 12 after row 10", as("user", both(options(krbmsg.OptRequestAnonymous), etypes(999))), ""},
		twinCase{"4.1 row 12 before row 16", as("pre", options(krbmsg.OptRequestAnonymous)), ""},
	)
}

// asKeys is section 3.2: enctypes.
func asKeys() (list []twinCase) {
	lists := [][]int32{{}, {18}, {17}, {20}, {19}, {23}, {16}, {25}, {26}, {24}, {17, 18}, {18, 17}, {20, 19, 18}, {23, 18}, {18, 23}, {16, 18},
		{-135, 3, 999}, {-135, 3, 999, 18}, {1, 3, 23}, {0, 18}, {-1, 18}, {18, 18, 18}, {math.MinInt32, 17}, {25, 26, 18}, {26, 25}, {9, 10, 11, 12, 13, 14, 15}}
	for _, client := range []string{"user", "pre", "multi", "rc4", "des3", "cam128", "a128", "nokey", "nokeynopre", "oldpre", "kv5", "saltspecial", "saltonlyrealm"} {
		for _, l := range lists {
			ours := ""
			if client == "oldpre" && len(l) > 0 && l[0] == -1 { // MIT finds a key of any type under -1, but only for the hints
				ours = "error 25 NEEDED_PREAUTH"
			}
			list = append(list, twinCase{fmt.Sprintf("3.2 %s with %v", client, l), as(client, etypes(l...)), ours})
		}
	}
	for _, server := range []string{"svc128", "svcsha2", "svcrc4", "svcses", "choosy", "confused", "cam256", "des3", "kv5", "nokeynopre", "multi"} {
		for _, l := range lists {
			list = append(list, twinCase{fmt.Sprintf("3.2 for %s with %v", server, l), as("multi", both(service(server), etypes(l...)), timestamp("multi", 18, 0)), ""})
		}
	}
	return list
}

// asTimes is section 3.3.
func asTimes() (list []twinCase) {
	now := time.Now().Unix()
	set := func(o uint32, from, till, rtime int64) func(b *krbmsg.KDCReqBody) {
		return func(b *krbmsg.KDCReqBody) {
			b.Options, b.Till = o, till
			if from >= 0 {
				b.From = krbmsg.Some(from)
			}
			if rtime >= 0 {
				b.RTime = krbmsg.Some(rtime)
			}
		}
	}
	tills := []int64{0, 1, now - 86400, now + 60, now + 36000, now + 36001, now + 86400, now + 30*86400, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 253402300799}
	for _, client := range []string{"user", "shortuser", "unlimited", "longer", "negative"} {
		for _, till := range tills {
			for _, o := range []uint32{0, krbmsg.OptRenewable, krbmsg.OptRenewableOK} {
				want := ""
				switch {
				case till == 1, till == now-86400, client == "negative": // 3.3, D
					want = "error 11 NEVER_VALID"
				case till == 1<<32 && o == krbmsg.OptRenewableOK && (client == "user" || client == "longer"):
					want = "AS-REP" // 2^32 is no time for MIT, but the end of time for us
				}
				list = append(list, twinCase{fmt.Sprintf("3.3 %s till %d options %x", client, till, o), as(client, set(o, -1, till, -1)), want})
			}
		}
	}
	for _, rtime := range []int64{0, 1, now - 60, now + 60, now + 3600, now + 7200, now + 40000, now + 7*86400 + 600, now + 30*86400, 1 << 31, 1<<32 - 1, 253402300799} {
		for _, o := range []uint32{0, krbmsg.OptRenewable, krbmsg.OptRenewableOK, krbmsg.OptRenewable | krbmsg.OptRenewableOK} {
			list = append(list, twinCase{fmt.Sprintf("3.3 rtime %d options %x", rtime, o), as("user", set(o, -1, now+50000, rtime)), ""})
		}
	}
	for _, server := range []string{"svcshort", "unlimited", "longer", "negative", "shortuser", "kadmin/changepw"} {
		for _, o := range []uint32{0, krbmsg.OptRenewable, krbmsg.OptRenewableOK} {
			want := ""
			if server == "negative" {
				want = "error 11 NEVER_VALID" // 3.3, D
			}
			list = append(list, twinCase{fmt.Sprintf("3.3 for %s options %x", server, o), as("longer", both(service(strings.Split(server, "/")...), set(o, -1, now+500000, now+400000))), want})
		}
	}
	for _, from := range []int64{0, now - 3600, now, now + 200, now + 400, now + 3600, now + 86400*30, 1<<32 - 86400*30} {
		want := ""
		if from < now+300 {
			want = "error 10 POSTDATE NOT ALLOWED" // 3.3, D
		}
		for _, o := range []uint32{0, krbmsg.OptRenewable, krbmsg.OptRenewableOK, krbmsg.OptAllowPostdate} {
			list = append(list, twinCase{fmt.Sprintf("3.3 from %d ignored, options %x", from, o), as("user", set(o, from, now+86400, now+200000)), ""},
				twinCase{fmt.Sprintf("3.3 postdated to %d, options %x", from, o), as("user", set(o|krbmsg.OptPostdated, from, 0, now+200000)), want})
		}
	}
	return append(list,
		twinCase{"4.10 key expiration, password first", as("soon", nil), ""},
		twinCase{"4.10 key expiration, account first", as("sooner", nil), ""},
		twinCase{"4.10 addresses", as("user", func(b *krbmsg.KDCReqBody) {
			b.Addresses = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 1, 2, 3}}, {Type: 20, Addr: []byte("PC")}, {Type: 24, Addr: make([]byte, 16)}, {Type: -5, Addr: []byte{}}}
		}), ""},
		twinCase{"4.10 empty list of addresses", as("user", func(b *krbmsg.KDCReqBody) { b.Addresses = []krbmsg.HostAddress{} }), ""},
	)
}

// asPreauth is sections 4.2 to 4.5.
func asPreauth() []twinCase {
	many := func(n int, f func(*twins) krbmsg.PAData) (list []func(*twins) krbmsg.PAData) {
		for range n {
			list = append(list, f)
		}
		return list
	}
	sealed := func(etype int32, cipher ...byte) func(*twins) krbmsg.PAData {
		return pa(krbmsg.PAEncTimestamp, krbmsg.Marshal(krbmsg.EncryptedData{Etype: etype, Cipher: cipher})...)
	}
	garbage := func(x *twins) krbmsg.PAData {
		k := x.key("pre@A.TEST", 0, 18)
		ed := krbmsg.EncryptedData{Etype: 18, Cipher: k.Encrypt(nil, krbcrypto.UsagePAEncTS, []byte("no timestamp"))}
		return krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: krbmsg.Marshal(ed)}
	}
	good, bad := timestamp("pre", 18, 0), timestamp("multi", 18, 0)
	list := []twinCase{
		{"4.3 none", as("pre", nil), ""},
		{"4.5 right", as("pre", nil, good), ""},
		{"4.5 wrong", as("pre", nil, bad), ""},
		{"4.5 wrong where none is required", as("user", nil, bad), ""},
		{"4.3 wrong, right", as("pre", nil, bad, good), ""},
		{"4.3 right, wrong", as("pre", nil, good, bad), ""},
		{"4.3 first failure 24", as("pre", nil, bad, timestamp("pre", 18, 1000)), ""},
		{"4.3 first failure 37", as("pre", nil, timestamp("pre", 18, 1000), bad), ""},
		{"3.3 skew +295", as("pre", nil, timestamp("pre", 18, 295)), ""},
		{"3.3 skew -295", as("pre", nil, timestamp("pre", 18, -295)), ""},
		{"3.3 skew +310", as("pre", nil, timestamp("pre", 18, 310)), ""},
		{"3.3 skew -310", as("pre", nil, timestamp("pre", 18, -310)), ""},
		{"4.5 another etype of the client", as("pre", etypes(17, 18), timestamp("pre", 18, 0)), ""},
		{"4.5 etype that is not in the list", as("multi", etypes(18), timestamp("multi", 17, 0)), ""},
		{"4.5 empty", as("pre", nil, pa(2)), ""},
		{"4.5 garbage", as("pre", nil, pa(2, 0x30, 3, 1, 2, 3)), ""},
		{"4.5 unknown etype", as("pre", nil, sealed(99, 1, 2, 3)), ""},
		{"4.5 short", as("pre", nil, sealed(18, 1, 2, 3)), ""},
		{"4.5 no cipher", as("pre", nil, sealed(18)), ""},
		{"4.5 sealed garbage", as("pre", nil, garbage), ""},
		{"4.5 no key", as("nokey", nil, good), ""},
		{"4.5 for hardware", as("hw", nil, timestamp("hw", 18, 0)), ""},
		{"4.5 locked", as("lockedpre", nil, timestamp("lockedpre", 18, 0)), ""},
		{"4.5 old client", as("oldpre", etypes(23, 18), timestamp("rc4", 23, 0)), ""},
		{"4.5 old client without preauthentication", as("oldpre", etypes(23, 18)), ""},
		{"4.5 anonymous", as("user", both(cname(11, "WELLKNOWN", "ANONYMOUS"), options(krbmsg.OptRequestAnonymous)), timestamp("user", 18, 0)), ""},
		{"4.3 ten wrong, right", as("pre", nil, append(many(10, bad), good)...), ""},
		{"4.3 800 wrong", as("multi", nil, many(800, good)...), ""},
		{"4.3 800 wrong, right", as("pre", nil, append(many(800, bad), good)...), "error 24 PREAUTH_FAILED"},
		{"4.6 challenge without FAST", as("pre", nil, pa(138, 1, 2, 3)), ""},
		{"4.6 challenge, empty", as("pre", nil, pa(138)), ""},
		{"4.6 cookie alone", as("pre", nil, pa(133, 'M', 'I', 'T')), ""},
		{"4.6 cookie garbage", as("pre", nil, good, pa(133, 'M', 'I', 'T', '1', 0, 0, 0, 1, 2, 3)), ""},
		{"4.6 cookie of an unknown version", as("pre", nil, good, pa(133, append([]byte("MIT1\x00\x00\x00\x63"), make([]byte, 60)...)...)), ""},
		{"4.6 cookie empty", as("pre", nil, good, pa(133)), ""},
		{"4.7 support", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 support with a cookie", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...), pa(133, 'M', 'I', 'T')), ""},
		{"4.7 no common group", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{2, 3, 99, -1}})...)), ""},
		{"4.7 no common etype", as("pre", etypes(19), pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 no group", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{}})...)), ""},
		{"4.7 where none is required", as("user", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 no keys", as("nokey", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 garbage", as("pre", nil, pa(151, 1, 2, 3)), ""},
		{"4.7 empty", as("pre", nil, pa(151)), ""},
		{"4.7 response to nothing", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Response: &krbmsg.SPAKEResponse{}})...)), ""},
		{"4.7 a challenge", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Challenge: &krbmsg.SPAKEChallenge{Group: 1, Public: make([]byte, 32)}})...)), ""},
		{"4.7 encrypted data", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{EncData: &krbmsg.EncryptedData{Etype: 18}})...)), ""},
		{"4.7 support, then timestamp", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...), good), ""},
		{"4.7 timestamp, then support", as("pre", nil, good, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 support, then wrong timestamp", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...), bad), ""},
		{"4.7 wrong timestamp, then support", as("pre", nil, bad, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.7 support, then skew", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...), timestamp("pre", 18, 1000)), ""},
		{"4.7 garbage, then skew", as("pre", nil, pa(151, 1, 2, 3), timestamp("pre", 18, 1000)), ""},
		{"4.7 support twice", as("pre", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{2}})...), pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)),
			"error 24 PREAUTH_FAILED"}, // 4.3, D: what one request may cost is bounded
		{"4.7 hardware", as("hw", nil, pa(151, krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1}})...)), ""},
		{"4.2 PAC-OPTIONS", as("user", nil, pa(167, krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xf0000000})...)), ""},
		{"4.2 PAC-OPTIONS of no bits we know", as("user", nil, pa(167, krbmsg.Marshal(krbmsg.PACOptions{Flags: 0x80000000})...)), ""},
		{"4.2 PAC-OPTIONS, garbage", as("user", nil, pa(167, 1, 2, 3)), ""},
		{"4.2 PAC-OPTIONS, empty", as("user", nil, pa(167)), ""},
		{"4.2 PAC-OPTIONS, garbage, before preauthentication", as("pre", nil, pa(167)), ""},
		{"6.2 PAC declined", as("user", nil, pa(128, krbmsg.Marshal(krbmsg.PACRequest{})...)), ""},
		{"6.2 PAC asked", as("user", nil, pa(128, krbmsg.Marshal(krbmsg.PACRequest{Include: true})...)), ""},
		{"6.2 PAC garbage", as("user", nil, pa(128, 1, 2, 3)), ""},
		{"6.2 PAC empty", as("user", nil, pa(128)), ""},
		{"6.2 PAC for a service", as("user", service("host", "svc.a.test")), ""},
		{"6.2 PAC for changepw", as("user", service("kadmin", "changepw")), ""},
		{"6.2 PAC for a foreign TGS", as("user", service("krbtgt", "B.TEST")), ""},
		{"6.2 PAC for who wants none", as("user", service("svcnopac")), ""},
		{"4.6 checksum of the request asked", as("user", nil, pa(149)), ""},
		{"4.6 checksum of the request asked twice, with garbage", as("user", nil, pa(149, 1, 2), pa(149)), ""},
		{"4.6 checksum of the request and PAC-OPTIONS", as("user", nil, pa(167, krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xf0000000})...), pa(149)), ""},
		{"4.6 checksum of the request, old client", as("rc4", etypes(23, 18), pa(149)), ""},
		{"4.2 freshness", as("pre", nil, pa(150)), ""},
		{"4.2 PKINIT is off", as("pre", nil, pa(16, 1, 2, 3)), ""},
		{"4.2 OTP is off", as("pre", nil, pa(142, 1, 2, 3)), ""},
		{"2 negative padata types", as("user", nil, pa(-1, 1), pa(math.MinInt32), pa(math.MaxInt32)), ""},
		{"4.2 padata 1", as("user", nil, pa(1, 1, 2, 3)), ""},
		{"4.2 S4U padata in AS", as("user", nil, pa(129, 1, 2, 3), pa(130, 1, 2)), ""},
	}
	for i := int32(0); i < 170; i++ {
		switch i {
		case krbmsg.PAFXFast, krbmsg.PAPACOptions, 2, 138, 151: // above, and in asFAST
			continue
		}
		list = append(list, twinCase{fmt.Sprintf("2 padata %d of nothing", i), as("pre", nil, pa(i)), ""})
	}
	return list
}

// whole changes the encoding of a request that would be answered with a ticket.
func whole(change func(q *krbmsg.KDCReq, b []byte) []byte) func(x *twins) *question {
	return func(x *twins) *question {
		q := as("user", nil)(x)
		req := &krbmsg.KDCReq{AS: true, MsgType: krbmsg.MsgASReq, Body: q.body}
		q.msg = change(req, q.msg)
		return q
	}
}

// field replaces a field of the body: [n] with these contents, nil for none.
func field(n uint8, contents []byte) func(x *twins) *question {
	return whole(func(req *krbmsg.KDCReq, _ []byte) []byte {
		r := der.NewReader(krbmsg.Marshal(&req.Body))
		w := der.NewWriter(512)
		r.Enter(der.TagSequence)
		var fields [][]byte
		done := contents == nil
		for r.More() {
			tag := r.Peek()
			raw := r.Raw(tag)
			if tag >= der.Context(n) && !done {
				fields, done = append(fields, element(der.Context(n), contents)), true
			}
			if tag != der.Context(n) {
				fields = append(fields, raw)
			}
		}
		if !done {
			fields = append(fields, element(der.Context(n), contents))
		}
		slices.Reverse(fields)
		for _, f := range fields {
			w.Raw(f)
		}
		w.Wrap(der.TagSequence, 0)
		req.RawBody = w.Clone()
		return krbmsg.Marshal(req)
	})
}

func element(tag der.Tag, contents []byte) []byte {
	w := der.NewWriter(64)
	w.Contents(tag, contents)
	return w.Clone()
}

// asBodies is section 2: what is damaged, and what only looks so.
func asBodies() (list []twinCase) {
	add := func(name, ours string, ask func(x *twins) *question) {
		list = append(list, twinCase{"2 " + name, ask, ours})
	}
	integer := func(b ...byte) []byte { return element(der.TagInteger, b) }
	at := func(s string) []byte { return element(der.TagGeneralizedTime, []byte(s)) }
	for _, t := range []int32{0, 11, 12, 13, 14, 30, 127, -1, math.MaxInt32} {
		add(fmt.Sprintf("message type %d", t), "", whole(func(q *krbmsg.KDCReq, _ []byte) []byte { q.MsgType = t; return krbmsg.Marshal(q) }))
	}
	add("octets behind the message", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { return append(b, 1, 2, 3) }))
	add("cut short", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { return b[:len(b)-1] }))
	add("one octet", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { return b[:1] }))
	add("another tag", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { b[0] = 0x6e; return b }))
	add("the tag of a TGS request", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { b[0] = 0x6c; return b }))
	add("version 4", "", whole(func(_ *krbmsg.KDCReq, b []byte) []byte { b[slices.Index(b, 5)] = 4; return b }))
	add("no padata list", "", as("user", nil))
	add("empty padata list", "", whole(func(q *krbmsg.KDCReq, _ []byte) []byte { q.PAData = []krbmsg.PAData{}; return krbmsg.Marshal(q) }))
	for _, n := range []uint8{0, 2, 5, 7, 8} {
		add(fmt.Sprintf("body without [%d]", n), "", field(n, nil))
	}
	for name, b := range map[string][]byte{"-1": {0xff}, "-2^31": {0x80, 0, 0, 0}, "2^31-1": {0x7f, 0xff, 0xff, 0xff}, "0": {0}} {
		add("nonce "+name, "", field(7, integer(b...)))
	}
	add("nonce 2^31", "AS-REP", field(7, integer(0, 0x80, 0, 0, 0)))
	add("nonce 2^32-1", "AS-REP", field(7, integer(0, 0xff, 0xff, 0xff, 0xff)))
	add("nonce 2^32", "", field(7, integer(1, 0, 0, 0, 0)))
	add("nonce not minimal", "silence", field(7, integer(0, 1)))
	add("nonce empty", "", field(7, integer()))
	for name, b := range map[string][]byte{"one octet": {0, 0x40}, "none": {0}, "nothing": {}, "five octets": {0, 0x40, 0, 0, 0, 0xff}, "four unused": {4, 0x4f}, "three octets": {0, 0, 0x80, 0}} {
		add("options of "+name, "", field(0, element(der.TagBitString, b)))
	}
	for _, s := range []string{"20370101000000Z", "99991231235959Z", "20370101000000.0Z", "20370101000000", "203701010000Z", "20370101000000+0100", "370101000000Z",
		"20370231000000Z", "2037010100000xZ", "", "20370101000000z", "-0370101000000Z"} {
		ours := ""
		if s == "20370231000000Z" { // no such day
			ours = "silence"
		}
		add("till "+s, ours, field(5, at(s)))
	}
	for _, s := range []string{"20261301000000Z", "20370101250000Z", "20370101006000Z", "20370100000000Z", "20370001000000Z", "00000101000000Z", "20370101000061Z"} {
		add("till "+s, "silence", field(5, at(s)))
	}
	add("till as UTCTime", "", field(5, element(0x17, []byte("370101000000Z"))))
	add("realm as UTF8String", "", field(2, element(der.TagUTF8String, []byte("A.TEST"))))
	add("realm as IA5String", "", field(2, element(0x16, []byte("A.TEST"))))
	add("realm with NUL", "", field(2, element(der.TagGeneralString, []byte("A.TEST\x00x"))))
	add("etypes empty", "", field(8, element(der.TagSequence, nil)))
	add("etype of 5 octets", "", field(8, element(der.TagSequence, integer(1, 0, 0, 0, 0))))
	add("unknown field", "", field(12, element(der.TagNull, nil)))
	add("unknown field of garbage", "", field(12, []byte{1, 2, 3}))
	add("tickets", "", field(11, element(der.TagSequence, nil)))
	add("a ticket of garbage", "", field(11, element(der.TagSequence, element(der.Application(1), nil))))
	add("authorization data", "", field(10, krbmsg.Marshal(krbmsg.EncryptedData{Etype: 18, Cipher: []byte{1, 2}})))
	add("addresses of garbage", "", field(9, element(der.TagSequence, []byte{1, 2, 3})))
	add("10000 etypes", "", as("user", func(b *krbmsg.KDCReqBody) { b.Etypes = append(make([]int32, 10000), 18) }))
	add("4000 padata", "", as("user", nil, slices.Repeat([]func(*twins) krbmsg.PAData{pa(-7, 1)}, 4000)...))
	add("60 kB of client name", "", as("user", cname(1, strings.Repeat("n", 60000))))
	add("60 kB of service name", "", as("user", service(strings.Repeat("n", 60000))))
	add("1000 components", "", as("user", cname(1, slices.Repeat([]string{"n"}, 1000)...)))
	add("60 kB of realm", "", as("user", func(b *krbmsg.KDCReqBody) { b.Realm = make([]byte, 60000) }))
	add("500 kB of padata", "", as("user", nil, pa(-7, make([]byte, 500000)...)))
	add("1000 addresses", "", as("user", func(b *krbmsg.KDCReqBody) {
		b.Addresses = slices.Repeat([]krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 1, 2, 3}}}, 1000)
	}))
	udp := func(ask func(x *twins) *question) func(x *twins) *question {
		return func(x *twins) *question {
			q := ask(x)
			q.udp = true
			return q
		}
	}
	list = append(list,
		twinCase{"1.2 UDP", udp(as("user", nil)), ""},
		twinCase{"1.2 UDP, error", udp(as("nobody", nil)), ""},
		twinCase{"1.2 UDP, big error", udp(as("user", cname(1, strings.Repeat("n", 60000)))), ""},
	)
	return list
}
