package interop

import (
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/pac"
	"krealm/tests/kdctest"
)

// craftedUser is a user in whose name a service asks, and how it says so.
type craftedUser struct {
	name, realm string
	nameType    int32
	forUser     func(f *krbmsg.ForUser, key *krbcrypto.Key)     // changes PA-FOR-USER before it is encoded
	x509        func(x *krbmsg.S4UX509User, key *krbcrypto.Key) // changes PA-S4U-X509-USER
	without     string                                          // "129" or "130"
	raw         []krbmsg.PAData                                 // in place of both
}

// self lets service/impersonator ask for a ticket to itself in the name of a user.
func (u craftedUser) self(more ...tweak) tweak {
	return allOf(asService, func(c *crafted) {
		c.padata = func(k *kdctest.Creds, key *krbcrypto.Key) []krbmsg.PAData { return u.padata(c, k.Session, key) }
	}, allOf(more...))
}

// asService is service/impersonator with its TGT, asking for a ticket to itself.
func asService(c *crafted) {
	c.parts = append(c.parts, func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "service", "impersonator") })
	c.body.SName = krbmsg.Some(krbmsg.NewName(1, "service", "impersonator"))
	c.body.Options |= krbmsg.OptForwardable
}

func (u craftedUser) padata(c *crafted, session, key *krbcrypto.Key) (list []krbmsg.PAData) {
	if u.raw != nil {
		return u.raw
	}
	if u.realm == "" {
		u.realm = "A.TEST"
	}
	if u.nameType == 0 {
		u.nameType = 1
	}
	name := krbmsg.NewName(u.nameType, splitName(u.name)...)
	if u.without != "130" {
		x := krbmsg.S4UX509User{UserID: krbmsg.S4UUserID{Nonce: c.body.Nonce, Name: krbmsg.Some(name), Realm: []byte(u.realm), Options: krbmsg.Some[uint32](krbmsg.S4UReplyKeyUsage)}}
		if u.x509 != nil {
			u.x509(&x, key)
		}
		if x.Cksum.Sum == nil {
			x.Cksum = krbmsg.Checksum{Type: key.ChecksumType(), Sum: key.Checksum(nil, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))}
		}
		list = append(list, krbmsg.PAData{Type: krbmsg.PAS4UX509User, Value: krbmsg.Marshal(&x)})
	}
	if u.without != "129" {
		f := krbmsg.ForUser{Name: name, Realm: []byte(u.realm), AuthPackage: []byte("Kerberos")}
		f.Cksum = krbmsg.Checksum{Type: session.ChecksumType(), Sum: session.Checksum(nil, krbcrypto.UsageAppChecksum, f.Covered())}
		if u.forUser != nil {
			u.forUser(&f, session)
		}
		list = append(list, krbmsg.PAData{Type: krbmsg.PAForUser, Value: krbmsg.Marshal(&f)})
	}
	return list
}

// craftedSelf is S4U2Self.
func craftedSelf(x *twins) (cases []craftedCase) {
	type key = *krbcrypto.Key
	user := craftedUser{name: "a256"}
	for _, k := range craftedServers(x) {
		name := k.name[len("server "):]
		cases = append(cases, craftedCase{name: "self " + name, change: craftedUser{name: name}.self()},
			craftedCase{name: "self for-user " + name, change: craftedUser{name: name, without: "130"}.self()})
	}
	return append(cases, []craftedCase{
		{name: "self by 130 alone", change: craftedUser{name: "a256", without: "129"}.self()},
		{name: "self with a subkey", change: user.self(withSubkey(17))},
		{name: "self with an rc4 subkey", change: user.self(withSubkey(23))},
		{name: "self with a des3 subkey", change: user.self(withSubkey(16))},
		{name: "self by for-user with a subkey", change: craftedUser{name: "a256", without: "130"}.self(withSubkey(17))},
		{name: "self with an rc4 session", change: user.self(sessionType(23))},
		{name: "self with a camellia session", change: user.self(sessionType(26))},
		{name: "self under FAST", change: user.self(withArmor(0))},
		{name: "self under FAST, names hidden", change: user.self(withArmor(krbmsg.FastHideClientNames))},
		{name: "self not forwardable", change: user.self(func(c *crafted) { c.body.Options = 0 })},
		{name: "self from a TGT that is not forwardable", change: user.self(withFlags(0, krbmsg.FlagForwardable))},
		{name: "self unknown user", change: craftedUser{name: "nosuch"}.self()},
		{name: "self enterprise user", change: craftedUser{name: "a256@A.TEST", nameType: 10}.self()},
		{name: "self user of B", change: craftedUser{name: "alice", realm: "B.TEST"}.self()},
		{name: "self user of nowhere", change: craftedUser{name: "alice", realm: "X.EXAMPLE"}.self()},
		{name: "self for another service", change: user.self(serverNamed("svc128"))},
		{name: "self for the krbtgt", change: user.self(serverNamed(home...))},
		{name: "self for an unknown service", change: user.self(serverNamed("nosuch"))},
		{name: "self for a host of B", change: user.self(withOptions(krbmsg.OptCanonicalize), func(c *crafted) { c.body.SName = krbmsg.Some(krbmsg.NewName(3, "host", "x.b.test")) })},
		{name: "self without PAC", change: user.self(func(c *crafted) { c.sign = nil })},
		{name: "self with the PAC of another", change: user.self(func(c *crafted) {
			c.sign = func(p *krbmsg.EncTicketPart, server, home key) {
				info, _ := pac.ClientInfo(krbmsg.NewName(1, "root"), p.AuthTime)
				pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, server, home, false)
			}
		})},
		{name: "self and user to user", change: user.self(withOptions(krbmsg.OptEncTktInSkey))},
		{name: "self and delegation", change: user.self(withOptions(krbmsg.OptCNameInAddlTkt))},
		{name: "self and renewal", change: user.self(withOptions(krbmsg.OptRenew), renewableHeader)},
		{name: "self and forwarded", change: user.self(withOptions(krbmsg.OptForwarded))},
		{name: "self postdated", change: user.self(withOptions(krbmsg.OptAllowPostdate), withFlags(krbmsg.FlagMayPostdate, 0))},
		{name: "self from a TGT of B", change: user.self(func(c *crafted) { c.server = kdctest.Name("B.TEST", home...) })},
		{name: "self by one of B", change: user.self(func(c *crafted) { c.server = kdctest.Name("B.TEST", home...) }, partly(func(p *krbmsg.EncTicketPart) { p.CRealm = []byte("B.TEST") }))},
		{name: "self with indicators wanted", change: craftedUser{name: "a256"}.self(serverNamed("svcind"), partly(func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "svcind") }))},
		{name: "self without PAC wanted", change: craftedUser{name: "a256"}.self(serverNamed("svcnopac"), partly(func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "svcnopac") }))},
		{name: "self for one that may not be a service", change: craftedUser{name: "a256"}.self(serverNamed("nosvr"), partly(func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "nosvr") }))},
	}...)
}

// craftedForUser is about PA-FOR-USER.
func craftedForUser() []craftedCase {
	type fu = *krbmsg.ForUser
	type key = *krbcrypto.Key
	fuser := func(f func(f fu, k key)) tweak { return craftedUser{name: "a256", without: "130", forUser: f}.self() }
	return []craftedCase{
		{name: "129 garbage", change: craftedUser{raw: []krbmsg.PAData{{Type: 129, Value: []byte{1}}}}.self()},
		{name: "129 empty", change: craftedUser{raw: []krbmsg.PAData{{Type: 129, Value: []byte{}}}}.self()},
		{name: "130 garbage", change: craftedUser{raw: []krbmsg.PAData{{Type: 130, Value: []byte{1}}}}.self()},
		{name: "130 empty", change: craftedUser{raw: []krbmsg.PAData{{Type: 130, Value: []byte{}}}}.self()},
		{name: "129 name changed", change: fuser(func(f fu, _ key) { f.Name = krbmsg.NewName(1, "pre") })},
		{name: "129 package changed", change: fuser(func(f fu, _ key) { f.AuthPackage = []byte("kerberos") })},
		{name: "129 package of its own", change: fuser(func(f fu, k key) {
			f.AuthPackage = []byte("X")
			f.Cksum.Sum = k.Checksum(nil, krbcrypto.UsageAppChecksum, f.Covered())
		})},
		{name: "129 checksum MD5", change: fuser(func(f fu, _ key) { f.Cksum = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: md5sum(f.Covered())} })},
		{name: "129 checksum SHA-1", change: fuser(func(f fu, _ key) { f.Cksum = krbmsg.Checksum{Type: krbcrypto.SumSHA1, Sum: sha1sum(f.Covered())} })},
		{name: "129 checksum CRC32 (CVE-2018-16860)", change: fuser(func(f fu, _ key) { f.Cksum = krbmsg.Checksum{Type: 1, Sum: make([]byte, 4)} })},
		{name: "129 checksum unknown", change: fuser(func(f fu, _ key) { f.Cksum.Type = 99 })},
		{name: "129 checksum of another enctype", change: fuser(func(f fu, _ key) { f.Cksum.Type = 15 })},
		{name: "129 checksum short", change: fuser(func(f fu, _ key) { f.Cksum.Sum = f.Cksum.Sum[:4] })},
		{name: "129 checksum in usage 6", change: fuser(func(f fu, k key) { f.Cksum.Sum = k.Checksum(nil, 6, f.Covered()) })},
		{name: "129 checksum HMAC-MD5", change: fuser(func(f fu, k key) {
			f.Cksum = krbmsg.Checksum{Type: krbcrypto.SumHMACMD5, Sum: hmacMD5(k, 17, f.Covered())}
		})},
		{name: "129 checksum HMAC-MD5 wrong", change: fuser(func(f fu, k key) { f.Cksum = krbmsg.Checksum{Type: krbcrypto.SumHMACMD5, Sum: make([]byte, 16)} })},
	}
}

// craftedX509User is about PA-S4U-X509-USER.
func craftedX509User() []craftedCase {
	type xu = *krbmsg.S4UX509User
	type key = *krbcrypto.Key
	xuser := func(f func(x xu, k key)) tweak { return craftedUser{name: "a256", x509: f}.self() }
	return []craftedCase{
		{name: "130 nonce", change: xuser(func(x xu, _ key) { x.UserID.Nonce++ })},
		{name: "130 no options", change: xuser(func(x xu, _ key) { x.UserID.Options.Set = false })},
		{name: "130 other options", change: xuser(func(x xu, _ key) { x.UserID.Options.V = 0x60000000 })},
		{name: "130 options 0", change: xuser(func(x xu, _ key) { x.UserID.Options.V = 0 })},
		{name: "130 certificate", change: xuser(func(x xu, _ key) { x.UserID.Cert = []byte{0x30, 0} })},
		{name: "130 certificate alone", change: xuser(func(x xu, _ key) { x.UserID.Cert = []byte{0x30, 0}; x.UserID.Name.Set = false })},
		{name: "130 nobody", change: xuser(func(x xu, _ key) { x.UserID.Name.Set = false })},
		{name: "130 name of no parts", change: xuser(func(x xu, _ key) { x.UserID.Name.V.Parts = [][]byte{} })},
		{name: "130 usage 27", change: xuser(func(x xu, k key) {
			x.Cksum = krbmsg.Checksum{Type: k.ChecksumType(), Sum: k.Checksum(nil, 27, krbmsg.Marshal(x.UserID))}
		})},
		{name: "130 checksum MD5", change: xuser(func(x xu, k key) {
			x.Cksum = krbmsg.Checksum{Type: krbcrypto.SumMD5, Sum: md5sum(krbmsg.Marshal(x.UserID))}
		})},
		{name: "130 checksum wrong", change: xuser(func(x xu, k key) { x.Cksum = krbmsg.Checksum{Type: k.ChecksumType(), Sum: make([]byte, 12)} })},
		{name: "130 checksum short", change: xuser(func(x xu, k key) { x.Cksum = krbmsg.Checksum{Type: k.ChecksumType(), Sum: make([]byte, 3)} })},
		{name: "130 checksum unknown", change: xuser(func(x xu, k key) { x.Cksum = krbmsg.Checksum{Type: 99, Sum: make([]byte, 3)} })},
		{name: "130 checksum of another enctype", change: xuser(func(x xu, k key) { x.Cksum = krbmsg.Checksum{Type: 19, Sum: make([]byte, 16)} })},
		{name: "130 checksum HMAC-MD5", change: xuser(func(x xu, k key) {
			x.Cksum = krbmsg.Checksum{Type: krbcrypto.SumHMACMD5, Sum: hmacMD5(k, 26, krbmsg.Marshal(x.UserID))}
		})},
	}
}

// hmacMD5 is checksum type -138 with a key of any type.
func hmacMD5(k *krbcrypto.Key, usage byte, data []byte) []byte {
	return hmacOf(hmacOf(k.Bytes(), []byte("signaturekey\x00")), md5sum(append([]byte{usage, 0, 0, 0}, data...)))
}

// craftedProxy is S4U2Proxy. The database of the stock KDC has no rules: it allows none.
func craftedProxy() []craftedCase {
	evidence := func(server string, sign func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key), parts ...func(p *krbmsg.EncTicketPart)) tweak {
		return func(c *crafted) {
			parts := append([]func(p *krbmsg.EncTicketPart){func(p *krbmsg.EncTicketPart) { p.CName = krbmsg.NewName(1, "a256") }}, parts...)
			c.body.Tickets = []krbmsg.Ticket{c.x.forge(kdctest.Name("A.TEST", splitName(server)...), sign, parts...).Ticket}
		}
	}
	proxy := func(more ...tweak) tweak {
		return allOf(asService, serverNamed("svc128"), withOptions(krbmsg.OptCNameInAddlTkt), evidence("service/impersonator", signService), allOf(more...))
	}
	rbcd := withPA(krbmsg.PAData{Type: 167, Value: krbmsg.Marshal(krbmsg.PACOptions{Flags: krbmsg.PACOptionRBCD})})
	return []craftedCase{
		{name: "proxy", change: proxy()},
		{name: "proxy, resource-based", change: proxy(rbcd)},
		{name: "proxy, no ticket", change: proxy(func(c *crafted) { c.body.Tickets = nil })},
		{name: "proxy, not forwardable", change: proxy(evidence("service/impersonator", signService, func(p *krbmsg.EncTicketPart) { p.Flags &^= krbmsg.FlagForwardable }))},
		{name: "proxy, made forwardable (CVE-2020-17049)", change: proxy(evidence("service/impersonator", func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
			p.Flags &^= krbmsg.FlagForwardable
			signService(p, server, home)
			p.Flags |= krbmsg.FlagForwardable
		}))},
		{name: "proxy, evidence of another service", change: proxy(evidence("svcdeleg", signService))},
		{name: "proxy, evidence without PAC", change: proxy(evidence("service/impersonator", nil))},
		{name: "proxy, evidence with a TGT's PAC", change: proxy(evidence("service/impersonator", signTGT))},
		{name: "proxy, evidence with the PAC of another", change: proxy(evidence("service/impersonator", func(p *krbmsg.EncTicketPart, server, home *krbcrypto.Key) {
			info, _ := pac.ClientInfo(krbmsg.NewName(1, "root"), p.AuthTime)
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, server, home, true)
		}))},
		{name: "proxy, header without PAC", change: proxy(func(c *crafted) { c.sign = nil })},
		{name: "proxy to a TGS", change: proxy(serverNamed(home...))},
		{name: "proxy to B", change: proxy(serverNamed("krbtgt", "B.TEST"))},
		{name: "proxy to a host of B", change: proxy(withOptions(krbmsg.OptCanonicalize), func(c *crafted) { c.body.SName = krbmsg.Some(krbmsg.NewName(3, "host", "x.b.test")) })},
		{name: "proxy to itself", change: proxy(serverNamed("service", "impersonator"))},
		{name: "proxy to nobody", change: proxy(serverNamed("nosuch"))},
		{name: "proxy to one that is locked", change: proxy(serverNamed("svclocked"))},
		{name: "proxy to one that wants indicators", change: proxy(serverNamed("svcind"))},
		{name: "proxy and user to user", change: proxy(withOptions(krbmsg.OptEncTktInSkey))},
		{name: "proxy and forwarded", change: proxy(withOptions(krbmsg.OptForwarded))},
		{name: "proxy, evidence changed", change: proxy(func(c *crafted) { c.body.Tickets[0].EncPart.Cipher[30] ^= 1 })},
		{name: "proxy, evidence of version 9", change: proxy(func(c *crafted) { c.body.Tickets[0].EncPart.Kvno.V = 9 })},
		{name: "proxy under FAST", change: proxy(withArmor(0))},
		{name: "proxy, anonymous evidence", change: proxy(evidence("service/impersonator", signService, func(p *krbmsg.EncTicketPart) {
			p.CName, p.CRealm = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS"), []byte("WELLKNOWN:ANONYMOUS")
			p.Flags |= krbmsg.FlagAnonymous
		}))},
		{name: "proxy, evidence of one of B", change: proxy(evidence("service/impersonator", signService, func(p *krbmsg.EncTicketPart) { p.CRealm = []byte("B.TEST") }))},
		{name: "proxy, TGT of B", change: proxy(func(c *crafted) { c.server = kdctest.Name("B.TEST", home...) }, partly(func(p *krbmsg.EncTicketPart) { p.CRealm = []byte("B.TEST") }))},
	}
}
