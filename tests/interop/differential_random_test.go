package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/tests/kdctest"
)

// dice makes requests at random that are near enough to sensible ones to get past the first checks.
type dice struct{ *rand.Rand }

func one[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// some is a part of a list in any order.
func some[T any](d dice, most int, list ...T) (out []T) {
	for range d.IntN(most + 1) {
		out = append(out, one(d, list...))
	}
	return out
}

// body changes a request's body in several ways at once. What we answer otherwise on purpose is
// left out: tickets that are over before they begin, and postdated to the past (3.3).
func (d dice) body(x *twins, b *krbmsg.KDCReqBody) {
	for range d.IntN(5) {
		b.Options |= 1 << d.IntN(32) &^ krbmsg.OptPostdated
	}
	b.Options |= one[uint32](d, 0, krbmsg.OptForwardable|krbmsg.OptProxiable, krbmsg.OptRenewable, krbmsg.OptRenewableOK, krbmsg.OptCanonicalize, krbmsg.OptAllowPostdate)
	if d.IntN(4) > 0 {
		b.Options &^= krbmsg.OptForwarded | krbmsg.OptProxy | krbmsg.OptRenew | krbmsg.OptValidate | krbmsg.OptEncTktInSkey | krbmsg.OptCNameInAddlTkt
	}
	if d.IntN(2) == 0 {
		b.Etypes = append(some[int32](d, 5, 18, 17, 20, 19, 23, 16, 25, 26, 24, 3, 0, -135, 999), one[int32](d, 17, 18))
	}
	b.Till = one(d, 0, x.now+60, x.now+3600, x.now+36000, x.now+200000, 1<<31, 1<<32-1, 253402300799)
	if d.IntN(3) == 0 {
		b.RTime = krbmsg.Some(one(d, 0, x.now+60, x.now+7200, x.now+86400, x.now+30*86400, 1<<32-1))
	}
	if d.IntN(4) == 0 {
		b.From = krbmsg.Some(one(d, 0, x.now-60, x.now+60, x.now+400, x.now+50000))
		if b.From.V > x.now+350 && (b.Till == 0 || b.Till > b.From.V+60) && d.IntN(2) == 0 {
			b.Options |= krbmsg.OptPostdated
		}
	}
	if d.IntN(5) == 0 {
		b.Addresses = some(d, 3, krbmsg.HostAddress{Type: 2, Addr: []byte{127, 0, 0, 1}}, krbmsg.HostAddress{Type: 20, Addr: []byte("PC")}, krbmsg.HostAddress{Type: 24, Addr: make([]byte, 16)})
	}
	server := one(d, "krbtgt/A.TEST", "krbtgt/A.TEST", "krbtgt/A.TEST", "host/svc.a.test", "svc128", "svcses", "svcshort", "svcnopac", "kadmin/changepw", "krbtgt/B.TEST", "svcexpired",
		"restr", "nosvr", "svcind", "pwsvc", "nosuch", "choosy", fmt.Sprintf("server%d", d.IntN(len(attributes))))
	b.SName = krbmsg.Some(krbmsg.NewName(one[int32](d, 0, 1, 2, 3, 10, 12), strings.Split(server, "/")...))
	if d.IntN(8) == 0 {
		b.CName.V.Type = one[int32](d, 0, 1, 2, 3, 11, 12)
	}
}

func (d dice) client() string {
	return one(d, "user", "user", "pre", "pre", "multi", "multi", "hw", "nokey", "nokeynopre", "expired", "pwexpired", "mustchange", "lockedpre", "nopost", "restr", "shortuser", "rc4", "a128", "des3",
		"longer", "unlimited", "oldpre", "nobody", "soon", "WELLKNOWN/ANONYMOUS", fmt.Sprintf("client%d", d.IntN(len(attributes))))
}

// padata is what a client may send beside FAST; armor is nil outside.
func (d dice) padata(x *twins, client string, armor *krbcrypto.Key) (list []krbmsg.PAData) {
	name := client
	if x.find(client+"@A.TEST", 0, 18) == nil {
		name = "multi"
	}
	for range d.IntN(4) {
		switch d.IntN(9) {
		case 0, 1:
			list = append(list, timestamp(name, one[int32](d, 18, 18, 17), 0)(x))
		case 2:
			list = append(list, timestamp(one(d, "multi", "user", "pre"), 18, one[int64](d, 0, 1000, -1000))(x))
		case 3:
			list = append(list, krbmsg.PAData{Type: 128, Value: krbmsg.Marshal(krbmsg.PACRequest{Include: d.IntN(2) == 0})})
		case 4:
			list = append(list, krbmsg.PAData{Type: 149, Value: []byte{}})
		case 5:
			list = append(list, krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: d.Uint32()})})
		case 6:
			list = append(list, krbmsg.PAData{Type: 133, Value: []byte("MIT")})
		case 7:
			// Behind a challenge that was right a wrong one takes away MIT's answer to it.
			if _, twice := krbmsg.FindPA(list, 138); armor != nil && !twice {
				list = append(list, kdctest.Challenge(x.t, armor, x.key(name+"@A.TEST", 0, 18), x.now+one[int64](d, 0, 0, 0, 500)))
			} else if kind := int32(d.IntN(200)) - 20; kind != 151 && kind != 138 {
				list = append(list, krbmsg.PAData{Type: kind, Value: make([]byte, d.IntN(30))})
			}
		case 8:
			// We look at one such element of a request (4.3, D), and drop the cookie of a challenge nobody is sent.
			if _, twice := krbmsg.FindPA(list, 151); !twice && client != "hw" && client != "client8" {
				list = append(list, krbmsg.PAData{Type: 151, Value: krbmsg.Marshal(&krbmsg.SPAKE{Support: some[int32](d, 3, 1, 2, 9)})})
			}
		}
	}
	return list
}

// question is a whole request.
func (d dice) question(x *twins) *question {
	client := d.client()
	if d.IntN(3) == 0 {
		f := armored{options: one[uint32](d, 0, 0, 0, krbmsg.FastHideClientNames, 1<<d.IntN(32))}
		f.inner = func(b *krbmsg.KDCReqBody) { d.body(x, b) }
		f.padata = func(x *twins, armor *krbcrypto.Key) []krbmsg.PAData { return d.padata(x, client, armor) }
		return fast(client, f)(x)
	}
	b := x.body(client)
	d.body(x, &b)
	return &question{usage: krbcrypto.UsageASRepEncPart, body: b, msg: kdctest.ASReq(b, d.padata(x, client, nil)...)}
}

// random is how many random requests to send, and the seed they are made of: as many and the same each time,
// unless DIFFERENTIAL asks for a number of new ones.
func random(t *testing.T, usual int) (n int, seed uint64) {
	if s := os.Getenv("DIFFERENTIAL"); s != "" {
		return must(strconv.Atoi(s))(t), uint64(time.Now().UnixNano())
	}
	return usual, 1
}

// TestDifferentialRandom sends random AS requests to both KDCs. A case is named by the seed it is made of.
func TestDifferentialRandom(t *testing.T) {
	n, seed := random(t, 400)
	x := newTwins(t, twinEntries(time.Now().Unix()))
	var cases []twinCase
	for i := range n {
		d := dice{rand.New(rand.NewPCG(seed, uint64(i)))}
		cases = append(cases, twinCase{fmt.Sprintf("%d %d", seed, i), d.question, ""})
	}
	x.compare(cases)
}

// TestDifferentialSettings compares under other settings than the usual ones.
func TestDifferentialSettings(t *testing.T) {
	for name, conf := range map[string]string{
		"old and lax": "[libdefaults]\n\tallow_rc4 = true\n\tallow_des3 = true\n\tclockskew = 60\n" +
			"[kdcdefaults]\n\tspake_preauth_kdc_challenge = edwards25519\n",
		"new and strict": "[libdefaults]\n\tpermitted_enctypes = aes256-sha1 aes256-sha2\n[realms]\n\tA.TEST = {\n\t\tdisable_pac = true\n\t\trestrict_anonymous_to_tgt = true\n" +
			"\t\tencrypted_challenge_indicator = ec\n\t\tspake_preauth_indicator = spake\n\t}\n[dbmodules]\n\tA.TEST = {\n\t\tdisable_lockout = true\n\t}\n",
	} {
		t.Run(name, func(t *testing.T) {
			x := newTwins(t, twinEntries(time.Now().Unix()), conf)
			cases := slices.DeleteFunc(append(asKeys(), asOptions()...), func(c twinCase) bool { return c.ours != "" })
			n, seed := random(t, 300)
			for i := range n {
				cases = append(cases, twinCase{fmt.Sprintf("%d %d", seed, i), dice{rand.New(rand.NewPCG(seed, uint64(i)))}.question, ""})
			}
			x.compare(cases)
		})
	}
}
