package interop

import (
	"fmt"
	"slices"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// craftedEtypes is about the list of enctypes, for services with and without keys of the types.
func craftedEtypes() (cases []craftedCase) {
	for _, server := range []string{"svc128", "svcrc4", "svcses", "svcsha2", "a256", "a256s2", "cam256", "multi"} {
		for _, list := range [][]int32{{18}, {17}, {19, 20}, {23}, {16}, {25, 26}, {99, -135, 18}, {}, {3, 23, 17}, {24}, {20, 19, 18, 17}} {
			cases = append(cases, craftedCase{name: fmt.Sprint("enctypes ", list, " ", server), change: allOf(withEtypes(list...), serverNamed(server))})
		}
	}
	return cases
}

// craftedTimes is about till, rtime and what limits them.
func craftedTimes() (cases []craftedCase) {
	const day = 86400
	at := func(name string, f func(b *krbmsg.KDCReqBody, now int64), more ...tweak) {
		for _, server := range [][]string{{"svc128"}, {"svcshort"}, home} {
			cases = append(cases, craftedCase{name: "times " + name + " " + server[0], change: allOf(allOf(more...), serverNamed(server...), func(c *crafted) { f(&c.body, c.x.now) })})
		}
	}
	renewable := allOf(withFlags(krbmsg.FlagRenewable, 0), partly(func(p *krbmsg.EncTicketPart) { p.RenewTill = krbmsg.Some(p.AuthTime + 3*day) }))
	at("till 1970", func(b *krbmsg.KDCReqBody, _ int64) { b.Till = 0 })
	at("till far", func(b *krbmsg.KDCReqBody, now int64) { b.Till = now + 1000*day })
	at("till 2106", func(b *krbmsg.KDCReqBody, now int64) { b.Till = 1<<32 - 1 })
	at("till 9999", func(b *krbmsg.KDCReqBody, now int64) { b.Till = 253402300799 })
	at("till soon", func(b *krbmsg.KDCReqBody, now int64) { b.Till = now + 60 })
	at("from without postdated", func(b *krbmsg.KDCReqBody, now int64) { b.From = krbmsg.Some(now + 600) })
	for _, o := range []uint32{krbmsg.OptRenewable, krbmsg.OptRenewableOK, krbmsg.OptRenewable | krbmsg.OptRenewableOK} {
		name := fmt.Sprintf("%08x ", o)
		at(name+"no rtime", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o }, renewable)
		at(name+"no rtime, header not renewable", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o })
		at(name+"till far", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.Till = now + 1000*day }, renewable)
		at(name+"till 0", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.Till = 0 }, renewable)
		at(name+"rtime near", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.RTime = krbmsg.Some(now + 100) }, renewable)
		at(name+"rtime mid", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.RTime = krbmsg.Some(now + 2*day) }, renewable)
		at(name+"rtime far", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.RTime = krbmsg.Some(now + 100*day) }, renewable)
		at(name+"rtime 0", func(b *krbmsg.KDCReqBody, now int64) { b.Options |= o; b.RTime = krbmsg.Some[int64](0) }, renewable)
	}
	at("renew", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptRenew | krbmsg.OptRenewable
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	}, renewable)
	at("renew alone", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptRenew
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	}, renewable)
	at("renew short", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptRenew | krbmsg.OptRenewable
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	}, renewable,
		partly(func(p *krbmsg.EncTicketPart) { p.EndTime = p.AuthTime + 1000; p.RenewTill.V = p.AuthTime + 500 }))
	at("renew over", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptRenew | krbmsg.OptRenewable
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	}, renewable,
		partly(func(p *krbmsg.EncTicketPart) { p.RenewTill.V = p.AuthTime + 10 }))
	at("renew, no renew-till", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptRenew | krbmsg.OptRenewable
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	}, renewable,
		partly(func(p *krbmsg.EncTicketPart) { p.RenewTill.Set = false }))
	at("validate", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptValidate
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	},
		withFlags(krbmsg.FlagInvalid, 0), partly(func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some(p.AuthTime + 30) }))
	at("validate early", func(b *krbmsg.KDCReqBody, now int64) {
		b.Options |= krbmsg.OptValidate
		b.SName = krbmsg.Some(kdctest.Name("", home...).Name)
	},
		withFlags(krbmsg.FlagInvalid, 0), partly(func(p *krbmsg.EncTicketPart) { p.StartTime = krbmsg.Some(p.AuthTime + 120) }))
	return cases
}

// craftedClients is about whose TGT it is: the client's entry does not matter but, since 1.21, for
// flags and lives.
func craftedClients() (cases []craftedCase) {
	const why = "3.3: the client's limits count where its entry is loaded, which 1.20.1 does in the TGS only after the times are set"
	for _, server := range []string{"svc128", "svcnopac"} {
		for _, client := range []string{"shortuser", "restr", "nopost", "expired", "expiredall", "lockedout", "mustchange", "pwexpired", "pre", "hw", "nokey", "nosuch", "svc128"} {
			cc := craftedCase{name: "client " + client + " to " + server, change: allOf(serverNamed(server), renewableHeader,
				partly(func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, client) }),
				withOptions(krbmsg.OptForwardable|krbmsg.OptProxiable|krbmsg.OptRenewable))}
			if server == "svc128" && (client == "shortuser" || client == "restr") {
				cc.our, cc.mit, cc.why = "TGS-REP", "TGS-REP", why
			}
			cases = append(cases, cc)
		}
	}
	return cases
}

// craftedSecond is user to user.
func craftedSecond() []craftedCase {
	u2u := func(server string, second func(c *crafted) *kdctest.Creds, more ...tweak) tweak {
		return allOf(serverNamed(server), withOptions(krbmsg.OptEncTktInSkey), func(c *crafted) {
			if second != nil {
				s := second(c)
				c.body.Tickets = []krbmsg.Ticket{s.Ticket}
				c.seal = s.Session
			}
		}, allOf(more...))
	}
	tgt := func(client string, parts ...func(p *krbmsg.EncTicketPart)) func(c *crafted) *kdctest.Creds {
		return func(c *crafted) *kdctest.Creds {
			return c.x.forge(kdctest.Name("A.TEST", home...), signTGT, append([]func(p *krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, client) }}, parts...)...)
		}
	}
	of := func(realm string, server []string, client string) func(c *crafted) *kdctest.Creds {
		return func(c *crafted) *kdctest.Creds {
			return c.x.forge(kdctest.Name(realm, server...), nil, func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, client) })
		}
	}
	spoil := func(f func(s *kdctest.Creds)) func(c *crafted) *kdctest.Creds {
		return func(c *crafted) *kdctest.Creds { s := tgt("a256")(c); f(s); return s }
	}
	session := func(e krbcrypto.Enctype) func(p *krbmsg.EncTicketPart) {
		return func(p *krbmsg.EncTicketPart) {
			k, _ := krbcrypto.RandomKey(e)
			p.Key = krbmsg.EncryptionKey{Etype: int32(e), Value: k.Bytes()}
		}
	}
	return []craftedCase{
		{name: "u2u", change: u2u("a256", tgt("a256"))},
		{name: "u2u nosvr", change: u2u("nosvr", tgt("nosvr"))},
		{name: "u2u nodup", change: u2u("nodup", tgt("nodup"))},
		{name: "u2u locked", change: u2u("svclocked", tgt("svclocked"))},
		{name: "u2u without a key", change: u2u("nokeynopre", tgt("nokeynopre"))},
		{name: "u2u mismatch", change: u2u("a256", tgt("a128"))},
		{name: "u2u unknown", change: u2u("nosuch", tgt("nosuch"))},
		{name: "u2u unknown, canonicalize", change: u2u("nosuch", tgt("nosuch"), withOptions(krbmsg.OptCanonicalize))},
		{name: "u2u no ticket", change: u2u("a256", nil)},
		{name: "u2u expired", change: u2u("a256", tgt("a256", func(p *krbmsg.EncTicketPart) { p.EndTime = p.AuthTime + 1 }))},
		{name: "u2u invalid", change: u2u("a256", tgt("a256", func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagInvalid }))},
		{name: "u2u service ticket", change: u2u("a256", of("A.TEST", []string{"svc128"}, "a256"))},
		{name: "u2u TGT for B", change: u2u("a256", of("A.TEST", []string{"krbtgt", "B.TEST"}, "a256"))},
		{name: "u2u TGT from B", change: u2u("a256", of("B.TEST", home, "a256"))},
		{name: "u2u client of B", change: u2u("a256", tgt("a256", func(p *krbmsg.EncTicketPart) { p.CRealm = []byte("B.TEST") }))},
		{name: "u2u session 17", change: u2u("a256", tgt("a256", session(17)))},
		{name: "u2u session 20", change: u2u("a256", tgt("a256", session(20)))},
		{name: "u2u session 23", change: u2u("a256", tgt("a256", session(23)), withEtypes(23, 18))},
		{name: "u2u session 23, not asked", change: u2u("a256", tgt("a256", session(23)))},
		{name: "u2u session 25, not asked", change: u2u("a256", tgt("a256", session(25)))},
		{name: "u2u session 24", change: u2u("a256", tgt("a256", session(24)), withEtypes(24, 18))},
		{name: "u2u no version", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.EncPart.Kvno = krbmsg.Opt[uint32]{} }))},
		{name: "u2u version 9", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.EncPart.Kvno.V = 9 }))},
		{name: "u2u enctype 17", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.EncPart.Etype = 17 }))},
		{name: "u2u changed", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.EncPart.Cipher[30] ^= 1 }))},
		{name: "u2u short", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.EncPart.Cipher = s.Ticket.EncPart.Cipher[:3] }))},
		{name: "u2u unknown server", change: u2u("a256", spoil(func(s *kdctest.Creds) { s.Ticket.SName = krbmsg.NewName(1, "nosuch") }))},
		{name: "u2u two tickets", change: u2u("a256", tgt("a256"), func(c *crafted) { c.body.Tickets = append(c.body.Tickets, tgt("a128")(c).Ticket) })},
		{name: "u2u and renew", change: u2u("a256", tgt("a256"), withOptions(krbmsg.OptRenew))},
		{name: "ticket without option", change: func(c *crafted) { c.body.Tickets = []krbmsg.Ticket{tgt("a256")(c).Ticket} }},
	}
}

// craftedArmors is FAST in the TGS.
func craftedArmors() []craftedCase {
	return []craftedCase{
		{name: "fast", change: withArmor(0)},
		{name: "fast, names hidden", change: withArmor(krbmsg.FastHideClientNames)},
		{name: "fast, names hidden, error", change: allOf(withArmor(krbmsg.FastHideClientNames), serverNamed("nosuch"))},
		{name: "fast, names hidden, policy", change: allOf(withArmor(krbmsg.FastHideClientNames), serverNamed("svclocked"))},
		{name: "fast, critical", change: withArmor(0x20000000)},
		{name: "fast, critical and error", change: allOf(withArmor(0x20000000), serverNamed("nosuch"))},
		{name: "fast, not critical", change: withArmor(0x00008000)},
		{name: "fast, bit 16", change: withArmor(0x00010000)},
		{name: "fast, bit 0", change: withArmor(0x80000000)},
		{name: "fast, unknown server", change: allOf(withArmor(0), serverNamed("nosuch"))},
		{name: "fast, policy", change: allOf(withArmor(0), serverNamed("svclocked"))},
		{name: "fast, no server", change: allOf(withArmor(0), func(c *crafted) {
			c.body.SName.Set = false
			c.fast.outer = func(b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(krbmsg.NewName(1, "svc128")) }
		})},
		{name: "fast, no server outside", change: allOf(withArmor(0), func(c *crafted) { c.fast.outer = func(b *krbmsg.KDCReqBody) { b.SName.Set = false } })},
		{name: "fast, another server outside", change: allOf(withArmor(0), func(c *crafted) {
			c.fast.outer = func(b *krbmsg.KDCReqBody) { b.SName = krbmsg.Some(krbmsg.NewName(1, "nosuch")); b.Nonce++ }
		})},
		{name: "fast, options outside", change: allOf(withArmor(0), func(c *crafted) {
			c.fast.outer = func(b *krbmsg.KDCReqBody) { b.Options |= krbmsg.OptForwardable | krbmsg.OptRenew }
		})},
		{name: "fast, aes128 subkey", change: allOf(withArmor(0), withSubkey(17))},
		{name: "fast, sha2 subkey", change: allOf(withArmor(0), withSubkey(20))},
		{name: "fast, rc4 subkey", change: allOf(withArmor(0), withSubkey(23))},
		{name: "fast, camellia subkey", change: allOf(withArmor(0), withSubkey(25))},
		{name: "fast, no subkey", change: allOf(withArmor(0), func(c *crafted) { c.subkey = nil })},
		{name: "fast, undecodable", change: allOf(withArmor(0), func(c *crafted) { c.whole = func(q *krbmsg.KDCReq) { q.PAData[1].Value = []byte{0xa0, 0} } })},
		{name: "fast, empty", change: allOf(withArmor(0), func(c *crafted) { c.whole = func(q *krbmsg.KDCReq) { q.PAData[1].Value = []byte{} } })},
		{name: "fast, 149", change: allOf(withArmor(0), withPA(krbmsg.PAData{Type: 149, Value: []byte{}}))},
		{name: "fast, 149 outside", change: allOf(withArmor(0), func(c *crafted) {
			c.whole = func(q *krbmsg.KDCReq) { q.PAData = append(q.PAData, krbmsg.PAData{Type: 149, Value: []byte{}}) }
		})},
		{name: "fast, 167", change: allOf(withArmor(0), withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})}))},
		{name: "149", change: withPA(krbmsg.PAData{Type: 149, Value: []byte{}})},
		{name: "149, subkey", change: allOf(withSubkey(17), withPA(krbmsg.PAData{Type: 149, Value: []byte{}}))},
		{name: "167", change: withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})})},
		{name: "167, other flags", change: withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: 0xf0000000})})},
		{name: "167, no flags", change: withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{})})},
		{name: "167, garbage", change: withPA(krbmsg.PAData{Type: 167, Value: []byte{1}})},
		{name: "128 false", change: withPA(krbmsg.PAData{Type: 128, Value: krbmsg.Marshal(krbmsg.PACRequest{})})},
		{name: "128 garbage", change: withPA(krbmsg.PAData{Type: 128, Value: []byte{1}})},
		{name: "unknown padata", change: withPA(krbmsg.PAData{Type: -5, Value: []byte{1}}, krbmsg.PAData{Type: 2, Value: []byte{1}}, krbmsg.PAData{Type: 151, Value: []byte{}})},
	}
}

// craftedBadArmors is about armors that are wrong.
func craftedBadArmors() []craftedCase {
	spoil := func(f func(a *krbmsg.FastArmoredReq, key *krbcrypto.Key, tgsReq []byte)) tweak {
		return allOf(withArmor(0), func(c *crafted) { c.fast.change = f })
	}
	return []craftedCase{
		{name: "fast, armor named", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, ap []byte) {
			a.Armor = krbmsg.Some(krbmsg.FastArmor{Type: 1, Value: ap})
		})},
		{name: "fast, unknown armor", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, ap []byte) {
			a.Armor = krbmsg.Some(krbmsg.FastArmor{Type: 9, Value: ap})
		})},
		{name: "fast, cipher changed", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.EncFastReq.Cipher[20] ^= 1 })},
		{name: "fast, cipher short", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.EncFastReq.Cipher = []byte{1} })},
		{name: "fast, other enctype named", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.EncFastReq.Etype = 17 })},
		{name: "fast, garbage sealed", change: spoil(func(a *krbmsg.FastArmoredReq, k *krbcrypto.Key, _ []byte) {
			a.EncFastReq.Cipher = k.Encrypt(nil, krbcrypto.UsageFASTEnc, []byte("garbage"))
		})},
		{name: "fast, checksum changed", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.Checksum.Sum[0] ^= 1 })},
		{name: "fast, checksum short", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.Checksum.Sum = a.Checksum.Sum[:3] })},
		{name: "fast, checksum unknown", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.Checksum.Type = 99 })},
		{name: "fast, checksum of another enctype", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, _ []byte) { a.Checksum.Type = 20 })},
		{name: "fast, checksum SHA-1", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, ap []byte) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumSHA1, Sum: sha1sum(ap)}
		})},
		{name: "fast, checksum MD5", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, ap []byte) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: md5sum(ap)}
		})},
		{name: "fast, checksum MD5 wrong", change: spoil(func(a *krbmsg.FastArmoredReq, _ *krbcrypto.Key, ap []byte) {
			a.Checksum = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: make([]byte, 16)}
		})},
	}
}

// craftedPACs is about the PAC in the TGT.
func craftedPACs() []craftedCase {
	type part = *krbmsg.EncTicketPart
	with := func(f func(p part, server, home *krbcrypto.Key)) tweak { return func(c *crafted) { c.sign = f } }
	raw := func(b ...byte) tweak {
		return with(func(p part, _, _ *krbcrypto.Key) {
			p.AuthData = append(krbmsg.AuthorizationData{relevant(krbmsg.AuthDataEntry{Type: krbmsg.ADWin2kPAC, Data: b})}, p.AuthData...)
		})
	}
	// spoil changes the PAC behind its signing.
	spoil := func(f func(b []byte)) tweak {
		return with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			outer, inner, list := pac.Locate(p.AuthData)
			b := slices.Clone(list[inner].Data)
			f(b)
			list[inner].Data = b
			p.AuthData[outer].Data = krbmsg.Marshal(list)
		})
	}
	info := func(change func(b []byte) []byte) tweak {
		return with(func(p part, server, home *krbcrypto.Key) {
			b, _ := pac.ClientInfo(p.CName, p.AuthTime)
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: change(b)}}, server, home, false)
		})
	}
	other := func() *krbcrypto.Key { k, _ := krbcrypto.RandomKey(18); return k }
	return []craftedCase{
		{name: "no PAC", change: with(nil)},
		{name: "PAC empty", change: raw()},
		{name: "PAC short", change: raw(1, 0, 0)},
		{name: "PAC without buffers", change: raw(0, 0, 0, 0, 0, 0, 0, 0)},
		{name: "PAC version 1", change: raw(0, 0, 0, 0, 1, 0, 0, 0)},
		{name: "PAC of many buffers (CVE-2022-42898)", change: raw(append([]byte{1, 0, 0, 1, 0, 0, 0, 0}, make([]byte, 64)...)...)},
		{name: "PAC signed by another server key", change: with(func(p part, _, home *krbcrypto.Key) { signTGT(p, other(), home) })},
		{name: "PAC signed by another KDC key", change: with(func(p part, server, _ *krbcrypto.Key) { signTGT(p, server, other()) })},
		{name: "PAC changed", change: spoil(func(b []byte) { b[len(b)-40] ^= 1 })},
		{name: "PAC offset odd", change: spoil(func(b []byte) { b[16] ^= 1 })},
		{name: "PAC with the checksum type unkeyed", change: spoil(func(b []byte) { setSum(b, 6, 7) })},
		{name: "PAC with the checksum type unknown", change: spoil(func(b []byte) { setSum(b, 6, 99) })},
		{name: "PAC with the checksum type of another enctype", change: spoil(func(b []byte) { setSum(b, 6, 20) })},
		{name: "PAC of another client", change: info(func(b []byte) []byte { b[10] ^= 1; return b })},
		{name: "PAC of another time", change: info(func(b []byte) []byte { b[5] ^= 1; return b })},
		{name: "PAC client info short", change: info(func(b []byte) []byte { return b[:9] })},
		{name: "PAC client info long", change: info(func(b []byte) []byte { return append(b, 0, 0) })},
		{name: "PAC without client info", change: with(func(p part, server, home *krbcrypto.Key) { pac.Issue(p, nil, server, home, false) })},
		{name: "PAC with two client infos", change: with(func(p part, server, home *krbcrypto.Key) {
			b, _ := pac.ClientInfo(p.CName, p.AuthTime)
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: b}, {Type: pac.TypeClientInfo, Data: b}}, server, home, false)
		})},
		{name: "PAC with a logon info", change: with(func(p part, server, home *krbcrypto.Key) {
			b, _ := pac.ClientInfo(p.CName, p.AuthTime)
			pac.Issue(p, []pac.Buffer{{Type: 1, Data: []byte("logon")}, {Type: pac.TypeClientInfo, Data: b}, {Type: 77, Data: nil}}, server, home, false)
		})},
		{name: "PAC with a delegation", change: with(func(p part, server, home *krbcrypto.Key) {
			b, _ := pac.ClientInfo(p.CName, p.AuthTime)
			d, _ := (&pac.Delegation{Target: "x", Via: []string{"y@A.TEST"}}).Encode()
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: b}, {Type: pac.TypeDelegation, Data: d}}, server, home, false)
		})},
		{name: "PAC outside if-relevant", change: with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			_, inner, list := pac.Locate(p.AuthData)
			p.AuthData[0] = list[inner]
		})},
		{name: "PAC two levels deep", change: with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			p.AuthData[0] = relevant(p.AuthData[0])
		})},
		{name: "PAC twice", change: with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			p.AuthData = append(p.AuthData, p.AuthData[0])
		})},
		{name: "PAC, garbage before", change: with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			p.AuthData = append(krbmsg.AuthorizationData{{Type: 1, Data: []byte{1}}}, p.AuthData...)
		})},
		{name: "PAC beside another element", change: with(func(p part, server, home *krbcrypto.Key) {
			signTGT(p, server, home)
			_, inner, list := pac.Locate(p.AuthData)
			p.AuthData[0] = relevant(krbmsg.AuthDataEntry{Type: 999, Data: []byte("x")}, list[inner])
		})},
		{name: "PAC, service without", change: serverNamed("svcnopac")},
		{name: "PAC, changepw", change: serverNamed("kadmin", "changepw")},
	}
}

// craftedServicePACs is about the PAC in service tickets.
func craftedServicePACs() []craftedCase {
	type part = *krbmsg.EncTicketPart
	other := func() *krbcrypto.Key { k, _ := krbcrypto.RandomKey(18); return k }
	return []craftedCase{
		{name: "service ticket renewed", change: allOf(serviceHeader("svc128", signService), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "service ticket renewed, TGT's PAC", change: allOf(serviceHeader("svc128", signTGT), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "service ticket renewed, no PAC", change: allOf(serviceHeader("svc128", nil), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "service ticket renewed, no PAC wanted", change: allOf(serviceHeader("svcnopac", nil), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "service ticket of another KDC key", change: allOf(serviceHeader("svc128", func(p part, server, _ *krbcrypto.Key) { signService(p, server, other()) }), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "service ticket changed", change: allOf(serviceHeader("svc128", signService), withOptions(krbmsg.OptRenew), renewableHeader, func(c *crafted) {
			c.after = func(p part) { p.Flags |= krbmsg.FlagForwardable | krbmsg.FlagHWAuth }
		})},
		{name: "changepw ticket renewed", change: allOf(serviceHeader("kadmin/changepw", signTGT), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "changepw ticket of another KDC key", change: allOf(serviceHeader("kadmin/changepw", func(p part, server, _ *krbcrypto.Key) { signTGT(p, server, other()) }), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "proxy of a service ticket", change: allOf(serviceHeader("svc128", signService), withOptions(krbmsg.OptProxy|krbmsg.OptForwardable))},
	}
}

var renewableHeader = allOf(withFlags(krbmsg.FlagRenewable, 0), partly(func(p *krbmsg.EncTicketPart) { p.RenewTill = krbmsg.Some(p.AuthTime + 90000) }))

// serviceHeader shows a ticket to a service and asks for one to it.
func serviceHeader(name string, sign func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key)) tweak {
	parts := splitName(name)
	return allOf(serverNamed(parts...), func(c *crafted) { c.server, c.sign = kdctest.Name("A.TEST", parts...), sign })
}

// setSum changes the checksum type of a signature in a PAC.
func setSum(b []byte, buffer uint32, sumType int32) {
	p, err := pac.Parse(b)
	if err != nil {
		return
	}
	found, err := p.Find(buffer)
	if err != nil {
		return
	}
	copy(found.Data, []byte{byte(sumType), 0, 0, 0})
}

// craftedAuthData is about authorization data in the request, and indicators in the TGT.
func craftedAuthData() []craftedCase {
	request := func(usage uint32, bySubkey bool, e ...krbmsg.AuthDataEntry) tweak {
		return func(c *crafted) {
			if bySubkey {
				withSubkey(17)(c)
			}
			// The session key is not known before the ticket is made.
			session := must(krbcrypto.RandomKey(18))(c.x.t)
			c.parts = append(c.parts, func(p *krbmsg.EncTicketPart) { p.Key = krbmsg.EncryptionKey{Etype: 18, Value: session.Bytes()} })
			c.creds = func(s *kdctest.Creds) { s.Session = session }
			k := session
			if bySubkey {
				k = c.subkey
			}
			c.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: int32(k.Enctype()), Cipher: k.Encrypt(nil, usage, krbmsg.Marshal(krbmsg.AuthorizationData(e)))})
		}
	}
	mine := krbmsg.AuthDataEntry{Type: 999, Data: []byte("mine")}
	return []craftedCase{
		{name: "authdata by session", change: request(4, false, mine)},
		{name: "authdata by subkey", change: request(5, true, mine)},
		{name: "authdata by session, wrong usage", change: request(5, false, mine)},
		{name: "authdata by subkey, wrong usage", change: request(4, true, mine)},
		{name: "authdata mandatory", change: request(4, false, mine, krbmsg.AuthDataEntry{Type: 8, Data: []byte{}})},
		{name: "authdata mandatory inside", change: request(4, false, relevant(krbmsg.AuthDataEntry{Type: 8, Data: []byte{}}))},
		{name: "authdata KDC's", change: request(4, false, krbmsg.AuthDataEntry{Type: 4, Data: []byte{}}, krbmsg.AuthDataEntry{Type: 97, Data: []byte{}}, krbmsg.AuthDataEntry{Type: 512, Data: []byte{}}, mine)},
		{name: "authdata KDC's inside", change: request(4, false, relevant(krbmsg.AuthDataEntry{Type: 4, Data: []byte{}}), relevant(mine, krbmsg.AuthDataEntry{Type: 96, Data: []byte{}}), relevant(mine))},
		{name: "authdata PAC", change: request(4, false, krbmsg.AuthDataEntry{Type: 128, Data: []byte{1}}, relevant(krbmsg.AuthDataEntry{Type: 128, Data: []byte{1}}))},
		{name: "authdata deep", change: request(4, false, relevant(relevant(mine)), relevant(relevant(krbmsg.AuthDataEntry{Type: 128, Data: []byte{1}})))},
		{name: "authdata container broken", change: request(4, false, krbmsg.AuthDataEntry{Type: 1, Data: []byte{1}})},
		{name: "authdata armor", change: request(4, false, krbmsg.AuthDataEntry{Type: 71, Data: []byte{}})},
		{name: "authdata garbage", change: func(c *crafted) {
			c.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: make([]byte, 60)})
		}},
		{name: "authdata short", change: func(c *crafted) {
			c.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: make([]byte, 3)})
		}},
		{name: "authdata unknown enctype", change: func(c *crafted) {
			c.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 99, Cipher: make([]byte, 60)})
		}},
		{name: "authdata empty cipher", change: func(c *crafted) { c.body.AuthData = krbmsg.Some(krbmsg.EncryptedData{Etype: 18, Cipher: []byte{}}) }},
		{name: "authdata, service without", change: allOf(serverNamed("svcnopac"), request(4, false, mine))},
	}
}

// craftedIndicators is about authentication indicators in the TGT.
func craftedIndicators() []craftedCase {
	indicators := func(server string, list ...string) tweak {
		return allOf(serverNamed(server), func(c *crafted) {
			c.sign = func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
				info, _ := pac.ClientInfo(p.CName, p.AuthTime)
				authdata.Compose(p, &authdata.Content{Indicators: list, PAC: []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}}, &authdata.Keys{Server: server, TGT: home, TGTKvno: 1, PAC: home})
			}
		})
	}
	after := func(f func(p *krbmsg.EncTicketPart)) tweak { return func(c *crafted) { c.after = f } }
	return []craftedCase{
		{name: "indicator", change: indicators("svc128", "strong")},
		{name: "indicator wanted", change: indicators("svcind", "strong")},
		{name: "indicator of two", change: indicators("svcind2", "x", "strong", "two")},
		{name: "indicator wrong", change: indicators("svcind", "weak")},
		{name: "indicator, none wanted here", change: indicators("svcnopac", "strong")},
		{name: "indicator, ticket changed", change: allOf(indicators("svcind", "strong"), after(func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagHWAuth }))},
		{name: "indicator, garbage", change: allOf(serverNamed("svcind"), after(func(p *krbmsg.EncTicketPart) {
			p.AuthData = append(p.AuthData, relevant(krbmsg.AuthDataEntry{Type: 96, Data: []byte{1}}))
		}))},
		{name: "indicator, no verifier", change: allOf(serverNamed("svcind"), after(func(p *krbmsg.EncTicketPart) {
			c := krbmsg.CAMMAC{Elements: krbmsg.AuthorizationData{{Type: 97, Data: krbmsg.Marshal(krbmsg.Indicators{"strong"})}}}
			p.AuthData = append(p.AuthData, relevant(krbmsg.AuthDataEntry{Type: 96, Data: krbmsg.Marshal(&c)}))
		}))},
		{name: "indicator in the open", change: allOf(serverNamed("svcind"), after(func(p *krbmsg.EncTicketPart) {
			p.AuthData = append(p.AuthData, relevant(krbmsg.AuthDataEntry{Type: 97, Data: krbmsg.Marshal(krbmsg.Indicators{"strong"})}))
		}))},
		{name: "indicator, renewed", change: allOf(indicators("svcind", "strong"), serverNamed(home...), withOptions(krbmsg.OptRenew), renewableHeader)},
	}
}

// craftedRealms is about TGTs of other realms, for them and through them.
func craftedRealms() []craftedCase {
	from := func(client, realm, transited string, more ...tweak) tweak {
		return allOf(func(c *crafted) { c.server, c.sign = kdctest.Name("B.TEST", home...), signTGT }, partly(func(p *krbmsg.EncTicketPart) {
			p.CName, p.CRealm, p.Transited.Contents = krbmsg.NewName(1, client), []byte(realm), []byte(transited)
		}), allOf(more...))
	}
	canon := withOptions(krbmsg.OptCanonicalize)
	return []craftedCase{
		{name: "from B", change: from("alice", "B.TEST", "")},
		{name: "from B, no PAC", change: from("alice", "B.TEST", "", func(c *crafted) { c.sign = nil })},
		{name: "from B, one of ours", change: from("user", "A.TEST", "")},
		{name: "from B, from behind it", change: from("alice", "C.B.TEST", "")},
		{name: "from B, from behind it, listed", change: from("alice", "D.C.B.TEST", "C.B.TEST")},
		{name: "from B, from beside it", change: from("alice", "C.TEST", "")},
		{name: "from B, from beside it by the parent", change: from("alice", "C.TEST", "TEST")},
		{name: "from B, unchecked", change: from("alice", "C.TEST", "", withOptions(krbmsg.OptDisableTransCheck))},
		{name: "from B, checked there", change: from("alice", "C.TEST", "EVIL", withFlags(krbmsg.FlagTransitChecked, 0))},
		{name: "from B, listed twice", change: from("alice", "C.B.TEST", "B.TEST")},
		{name: "from B, unknown type", change: from("alice", "C.B.TEST", "", partly(func(p *krbmsg.EncTicketPart) { p.Transited.Type = 7 }))},
		{name: "from B, unknown type, own client", change: from("alice", "B.TEST", "", partly(func(p *krbmsg.EncTicketPart) { p.Transited.Type = 7 }))},
		{name: "from B, anonymous", change: from("x", "WELLKNOWN:ANONYMOUS", "")},
		{name: "from B for our krbtgt", change: from("alice", "B.TEST", "", serverNamed(home...))},
		{name: "from B back", change: from("alice", "B.TEST", "", serverNamed("krbtgt", "B.TEST"))},
		{name: "from B further", change: from("alice", "B.TEST", "", serverNamed("krbtgt", "C.TEST"))},
		{name: "from B forwarded", change: from("alice", "B.TEST", "", serverNamed(home...), withOptions(krbmsg.OptForwarded))},
		{name: "from B renewed in its name", change: from("alice", "B.TEST", "", serverNamed(home...), withOptions(krbmsg.OptRenew), renewableHeader, func(c *crafted) { c.body.Realm = []byte("B.TEST") })},
		{name: "from B, version 9", change: from("alice", "B.TEST", "", shown(func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno.V = 9 }))},
		{name: "from B, no version", change: from("alice", "B.TEST", "", shown(func(c *kdctest.Creds) { c.Ticket.EncPart.Kvno = krbmsg.Opt[uint32]{} }))},
		{name: "from B, PAC of another", change: from("alice", "B.TEST", "", func(c *crafted) {
			c.sign = func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
				info, _ := pac.ClientInfo(krbmsg.NewName(1, "root"), p.AuthTime)
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, server, home, false)
			}
		})},
		{name: "from B, PAC signed by another", change: from("alice", "B.TEST", "", func(c *crafted) {
			c.sign = func(p *krbmsg.EncTicketPart, _, home *krbcrypto.Key) { signTGT(p, home, home) }
		})},
		{name: "from B, requires preauth", change: from("alice", "B.TEST", "", serverNamed("svcpre"))},
		{name: "to B", change: serverNamed("krbtgt", "B.TEST")},
		{name: "to B, canonicalize", change: allOf(canon, serverNamed("krbtgt", "B.TEST"))},
		{name: "to behind B", change: serverNamed("krbtgt", "C.B.TEST")},
		{name: "to behind B, canonicalize", change: allOf(canon, serverNamed("krbtgt", "C.B.TEST"))},
		{name: "to C", change: serverNamed("krbtgt", "C.TEST")},
		{name: "to nowhere", change: serverNamed("krbtgt", "X.EXAMPLE")},
		{name: "to an empty realm", change: serverNamed("krbtgt", "")},
		{name: "krbtgt alone", change: serverNamed("krbtgt")},
		{name: "krbtgt of three", change: serverNamed("krbtgt", "B.TEST", "x")},
		{name: "foreign realm asked", change: func(c *crafted) { c.body.Realm = []byte("B.TEST") }},
		{name: "unknown realm asked", change: func(c *crafted) { c.body.Realm = []byte("X.EXAMPLE") }},
	}
}

// craftedNames is about names that lead elsewhere or nowhere, and what else stands in the body.
func craftedNames() []craftedCase {
	kind := func(t int32, parts ...string) tweak {
		return func(c *crafted) { c.body.SName = krbmsg.Some(krbmsg.NewName(t, parts...)) }
	}
	canon := withOptions(krbmsg.OptCanonicalize)
	return []craftedCase{
		{name: "host of B", change: allOf(canon, kind(3, "host", "x.b.test"))},
		{name: "host of B, type 2", change: allOf(canon, kind(2, "host", "x.b.test"))},
		{name: "host of B, type 0", change: allOf(canon, kind(0, "host", "x.b.test"))},
		{name: "host of B, type 1", change: allOf(canon, kind(1, "host", "x.b.test"))},
		{name: "host of B, not canonical", change: kind(3, "host", "x.b.test")},
		{name: "host of B, excluded", change: allOf(canon, kind(3, "nofar", "x.b.test"))},
		{name: "host of B, renewed", change: allOf(canon, kind(3, "host", "x.b.test"), withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "host of B in capitals", change: allOf(canon, kind(3, "host", "X.B.TEST"))},
		{name: "host of C, no trust", change: allOf(canon, kind(3, "host", "x.c.test"))},
		{name: "host of ours", change: allOf(canon, kind(3, "host", "x.a.test"))},
		{name: "host without realm", change: allOf(canon, kind(3, "host", "x.example"))},
		{name: "host without dot", change: allOf(canon, kind(3, "host", "x"))},
		{name: "host of three", change: allOf(canon, kind(3, "host", "x.b.test", "y"))},
		{name: "host of B, anonymous", change: allOf(canon, kind(3, "host", "x.b.test"), withFlags(krbmsg.FlagAnonymous, 0), partly(func(p *krbmsg.EncTicketPart) {
			p.CName, p.CRealm = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"), []byte("WELLKNOWN:ANONYMOUS")
		}))},
		{name: "odd names", change: serverNamed("", "")},
		{name: "odd name with a NUL", change: serverNamed("a\x00b")},
		{name: "no components", change: func(c *crafted) { c.body.SName = krbmsg.Some(krbmsg.PrincipalName{Type: 1, Parts: [][]byte{}}) }},
		{name: "no server", change: func(c *crafted) { c.body.SName.Set = false }},
		{name: "client in the body", change: func(c *crafted) { c.body.CName = krbmsg.Some(krbmsg.NewName(1, "other")) }},
		{name: "addresses, forwarded", change: allOf(serverNamed(home...), withOptions(krbmsg.OptForwarded), func(c *crafted) {
			c.body.Addresses = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 0, 0, 1}}}
		})},
		{name: "addresses, not forwarded", change: func(c *crafted) {
			c.body.Addresses = []krbmsg.HostAddress{{Type: 2, Addr: []byte{10, 0, 0, 1}}}
		}},
		{name: "addresses kept", change: partly(func(p *krbmsg.EncTicketPart) { p.CAddr = []krbmsg.HostAddress{{Type: 2, Addr: []byte{127, 0, 0, 1}}} })},
		{name: "negative nonce", change: func(c *crafted) { c.body.Nonce = -5 }},
	}
}
