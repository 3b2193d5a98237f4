package serve

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// victim is a whole KDC to be attacked.
type victim struct {
	t   *testing.T
	r   *realm.Realm
	m   *kdctest.Memory
	d   *dispatcher
	log *memLog
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	d, log := recorded(t, kdctest.At)
	r, m, _ := kdctest.Realm(t, "A.TEST")
	serve(d, r)
	return &victim{t, r, m, d, log}
}

func (v *victim) ask(msg []byte) string { return summary(v.d.answer(msg, peer, viaUDP)) }

func (v *victim) want(what string, msg []byte, want ...string) {
	v.t.Helper()
	if got := v.ask(msg); !slices.Contains(want, got) {
		v.t.Errorf("%s: %s, want %q", what, got, want)
	}
}

func asBody(client ...string) krbmsg.KDCReqBody {
	return kdctest.ASBody(kdctest.Name("A.TEST", client...), "krbtgt", "A.TEST")
}

// tgt is a TGT with a PAC in the hands of a client.
func (v *victim) tgt(change func(p *krbmsg.EncTicketPart), client ...string) *kdctest.Creds {
	v.t.Helper()
	home := kdctest.Name("A.TEST", "krbtgt", "A.TEST")
	key := kdctest.Key(v.t, v.r, home)
	return kdctest.Forge(v.t, v.r, home, func(p *krbmsg.EncTicketPart) {
		p.CName = krbmsg.NewName(1, client...)
		if change != nil {
			change(p)
		}
		info, err := pac.ClientInfo(p.CName, p.AuthTime)
		if err != nil {
			v.t.Fatal(err)
		}
		pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, key, key, false)
	})
}

// forUser asks for a ticket to oneself in a user's name.
func forUser(c *kdctest.Creds, user string, server ...string) []byte {
	f := krbmsg.ForUser{Name: krbmsg.NewName(1, user), Realm: []byte("A.TEST"), AuthPackage: []byte("Kerberos")}
	f.Cksum = krbmsg.Checksum{Type: c.Session.ChecksumType(), Sum: c.Session.Checksum(nil, krbcrypto.UsageAppChecksum, f.Covered())}
	body := kdctest.TGSBody("A.TEST", server...)
	body.Options = krbmsg.OptForwardable
	return c.TGSReq(body, kdctest.Shown{PAData: []krbmsg.PAData{{Type: krbmsg.PAForUser, Value: krbmsg.Marshal(&f)}}})
}

var garbage = [][]byte{{}, {0}, {0x30, 0x80}, {0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{0xa0, 0x03}, 500), bytes.Repeat([]byte{0xff}, 2000)}

// vulnerabilities are the rows of section 12 of the KDC's specification whose bad input is no recorded request
// (those are in TestHostileRequests, with their numbers).
var vulnerabilities = []struct {
	cve string
	try func(v *victim)
}{
	{"CVE-2009-3295: a host referral that fails", func(v *victim) {
		v.r.RealmOf = func(string) string { return "NOWHERE.TEST" }
		body := kdctest.TGSBody("A.TEST", "host", "x.nowhere.test")
		body.Options, body.SName.V.Type = krbmsg.OptCanonicalize, krbmsg.NTSrvHst
		v.want("host", v.tgt(nil, "user").TGSReq(body, kdctest.Shown{}), "ERR 7 UNKNOWN_SERVER")
	}},
	{"CVE-2010-1324, -4020, -4021: checksums that any key verifies", func(v *victim) {
		c := v.tgt(nil, "user")
		body := kdctest.TGSBody("A.TEST", "svc128")
		for name, sum := range map[string]krbmsg.Checksum{
			"CRC32":                  {Type: 1, Sum: make([]byte, 4)},
			"no length":              {Type: c.Session.ChecksumType()},
			"one octet":              {Type: c.Session.ChecksumType(), Sum: make([]byte, 1)},
			"another enctype's":      {Type: krbcrypto.SumAES128SHA1, Sum: make([]byte, 12)},
			"keyed, of another text": {Type: c.Session.ChecksumType(), Sum: c.Session.Checksum(nil, krbcrypto.UsageTGSReqAuthCksum, []byte("x"))},
		} {
			msg := c.TGSReq(body, kdctest.Shown{Auth: func(a *krbmsg.Authenticator) { a.Cksum = krbmsg.Some(sum) }})
			if got := v.ask(msg); !strings.HasPrefix(got, "ERR ") {
				v.t.Errorf("%s: %s", name, got)
			}
		}
	}},
	{"CVE-2011-0281, -0282: names that mean something to a directory", func(v *victim) {
		for _, name := range []string{"*", "*)(objectclass=*", `\`, `\2a`, "a\x00b", "(((((", strings.Repeat("*", 30000), "uid=user,dc=a", "user\\"} {
			if got := v.ask(kdctest.ASReq(asBody(name))); got != "ERR 6 CLIENT_NOT_FOUND" {
				v.t.Errorf("%.20q: %s", name, got)
			}
		}
	}},
	{"CVE-2011-0283: messages that get no answer", func(v *victim) {
		for _, b := range garbage {
			v.want("garbage", append([]byte{0x6a}, b...), "no reply")
			v.want("garbage", append([]byte{0x6c}, b...), "no reply")
			v.want("garbage", b, "no reply")
		}
	}},
	{"CVE-2011-0284, 2012-1016, 2013-1415: PKINIT requests, old, new, cut off", func(v *victim) {
		for _, client := range []string{"user", "pre", "hw"} {
			plain := v.ask(kdctest.ASReq(asBody(client)))
			for _, paType := range []int32{14, 15, 16, 17, 147} {
				for _, b := range garbage {
					v.want(client, kdctest.ASReq(asBody(client), krbmsg.PAData{Type: paType, Value: b}), plain)
				}
			}
		}
	}},
	{"CVE-2011-1527: a realm in the wrong case", func(v *victim) {
		b := kdctest.ASBody(kdctest.Name("a.test", "user"), "krbtgt", "a.test")
		v.want("AS", kdctest.ASReq(b), "ERR 6 CLIENT_NOT_FOUND")
	}},
	{"CVE-2011-1528, -1529: failures of principals under a lockout policy", func(v *victim) {
		bad := kdctest.Timestamp(kdctest.NewKey(v.t, 18, make([]byte, 32)), kdctest.At)
		for _, client := range []string{"lockedpre", "lpuser", "pre"} {
			for nonce := range int64(5) {
				b := asBody(client)
				b.Nonce = nonce
				v.want(client, kdctest.ASReq(b, bad), "ERR 24 PREAUTH_FAILED", "ERR 18 LOCKED_OUT", "ERR 18 CLIENT LOCKED OUT")
			}
		}
	}},
	{"CVE-2016-3120: S4U2Self where anonymous users may have TGTs only", func(v *victim) {
		v.r.RestrictAnon = true
		v.want("S4U2Self", forUser(v.tgt(nil, "service", "impersonator"), "a256", "service", "impersonator"), "TGS-REP")
	}},
	{"CVE-2017-7562: PKINIT is no way in", func(v *victim) {
		for _, b := range garbage {
			v.want("pre", kdctest.ASReq(asBody("pre"), krbmsg.PAData{Type: 16, Value: b}, krbmsg.PAData{Type: 128, Value: []byte{0x30, 5, 0xa0, 3, 1, 1, 0xff}}), "ERR 25 NEEDED_PREAUTH")
		}
	}},
	{"CVE-2017-15088: a long certificate", func(v *victim) {
		c := v.tgt(nil, "service", "impersonator")
		x := krbmsg.S4UX509User{UserID: krbmsg.S4UUserID{Nonce: 4712, Realm: []byte("A.TEST"), Cert: bytes.Repeat([]byte("/CN=x"), 5000)}}
		x.Cksum = krbmsg.Checksum{Type: c.Session.ChecksumType(), Sum: c.Session.Checksum(nil, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))}
		msg := c.TGSReq(kdctest.TGSBody("A.TEST", "service", "impersonator"), kdctest.Shown{PAData: []krbmsg.PAData{{Type: krbmsg.PAS4UX509User, Value: krbmsg.Marshal(&x)}}})
		if got := v.ask(msg); !strings.HasPrefix(got, "ERR ") {
			v.t.Error(got)
		}
	}},
	{"CVE-2018-20217: S4U2Self with an rc4 or des3 session", func(v *victim) {
		for _, e := range []krbcrypto.Enctype{krbcrypto.ETypeRC4, krbcrypto.ETypeDES3} {
			key, err := krbcrypto.RandomKey(e)
			if err != nil {
				v.t.Fatal(err)
			}
			c := v.tgt(func(p *krbmsg.EncTicketPart) { p.Key = krbmsg.EncryptionKey{Etype: int32(e), Value: key.Bytes()} }, "service", "impersonator")
			c.Session = key
			v.want(e.String(), forUser(c, "a256", "service", "impersonator"), "TGS-REP", "ERR 50 INVALID_S4U2SELF_CHECKSUM")
		}
	}},
	{"CVE-2019-14844: enctype numbers of CMS, in the log", func(v *victim) {
		b := asBody("user")
		b.Etypes = []int32{9, 10, 11, 12, 13, 14, 15, -1, -1 << 31, 1<<31 - 1, 18}
		v.want("AS", kdctest.ASReq(b), "AS-REP")
		ev := v.log.event(0)
		if line := eventLine(&ev); !strings.Contains(line, "UNSUPPORTED:(9)") && !strings.Contains(line, "(9)") {
			v.t.Error(line)
		}
	}},
	{"CVE-2021-42278, -42287: a TGT without PAC, and one of somebody else", func(v *victim) {
		bare := kdctest.Forge(v.t, v.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
			p.CName = krbmsg.NewName(1, "service", "impersonator")
		})
		v.want("without", forUser(bare, "a256", "service", "impersonator"), "ERR 20 S4U2SELF_NO_PAC")
		other := v.tgt(nil, "service", "impersonator")
		v.want("to another name", forUser(other, "a256", "svc128"), "ERR 36 INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH")
	}},
	{"CVE-2022-37966, 2025-3576: rc4 session keys between who know AES", func(v *victim) {
		v.r.AllowRC4 = false
		b := asBody("user")
		b.Etypes = []int32{23, 18}
		v.want("rc4 first", kdctest.ASReq(b), "AS-REP")
		if e := v.log.event(0).SesEtype; e != 18 {
			v.t.Errorf("session enctype %d", e)
		}
		b.Etypes = []int32{23}
		v.want("rc4 alone", kdctest.ASReq(b), "ERR 14 BAD_ENCRYPTION_TYPE")
	}},
	{"CVE-2024-26462: delegation, again and again", func(v *victim) {
		v.m.Change(v.t, "service/impersonator@A.TEST", func(p *dumpfmt.Principal) {
			if err := p.SetString("allowed_to_delegate_to", "svc128"); err != nil {
				v.t.Fatal(err)
			}
		})
		service := kdctest.Name("A.TEST", "service", "impersonator")
		evidence := kdctest.Forge(v.t, v.r, service, func(p *krbmsg.EncTicketPart) {
			p.CName, p.Flags = krbmsg.NewName(1, "a256"), krbmsg.FlagForwardable
			info, err := pac.ClientInfo(p.CName, p.AuthTime)
			if err != nil {
				v.t.Fatal(err)
			}
			pac.Issue(p, []pac.Buffer{{Type: pac.TypeClientInfo, Data: info}}, kdctest.Key(v.t, v.r, service),
				kdctest.Key(v.t, v.r, kdctest.Name("A.TEST", "krbtgt", "A.TEST")), true)
		})
		body := kdctest.TGSBody("A.TEST", "svc128")
		body.Options, body.Tickets = krbmsg.OptCNameInAddlTkt|krbmsg.OptForwardable, []krbmsg.Ticket{evidence.Ticket}
		msg := v.tgt(func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagForwardable }, "service", "impersonator").TGSReq(body, kdctest.Shown{})
		used := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		round := func() {
			for range 300 {
				var q krbmsg.KDCReq
				if err := q.Parse(msg); err != nil {
					v.t.Fatal(err)
				}
				if out := v.d.realms[0].TGS(&exchange.Request{Msg: msg, From: peer, Now: time.Unix(kdctest.At, 0)}, &q); out.Event.Code != 0 {
					v.t.Fatal(out.Event)
				}
			}
		}
		round()
		before := used()
		round()
		if after := used(); after > before+1<<20 {
			v.t.Errorf("%d octets in use, then %d", before, after)
		}
	}},
	{"CVE-2024-3596: one-time passwords are no way in", func(v *victim) {
		for _, b := range garbage {
			v.want("otp", kdctest.ASReq(asBody("otpuser"), krbmsg.PAData{Type: 142, Value: b}), "ERR 25 NEEDED_PREAUTH")
		}
	}},
	{"CVE-2019-14870: a user who must not be delegated", func(v *victim) {
		v.m.Change(v.t, "a256@A.TEST", func(p *dumpfmt.Principal) { p.Attributes |= dumpfmt.AttrDisallowForwardable })
		c := v.tgt(func(p *krbmsg.EncTicketPart) { p.Flags |= krbmsg.FlagForwardable }, "service", "impersonator")
		reply := v.d.answer(forUser(c, "a256", "service", "impersonator"), peer, viaUDP)
		got := kdctest.Open(v.t, exchange.Outcome{Reply: reply}, c.Session, krbcrypto.UsageTGSRepSession)
		if got.Part.Flags&krbmsg.FlagForwardable != 0 {
			v.t.Error("forwardable")
		}
	}},
	{"CVE-2022-3116, 2021-44758: messages of GSS-API negotiation", func(v *victim) {
		for _, b := range []string{"\x60\x82\x00\x10\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x06\x30\x04\xa0\x02\x30\x00", "\xa1\x00", "\x60\x00", "\xa1\x07\x30\x05\xa0\x03\x0a\x01\x7f"} {
			v.want("negotiation", []byte(b), "no reply")
		}
	}},
	{"CVE-2022-44640: choices that are none", func(v *victim) {
		for tag := range 31 {
			value := []byte{0xa0 | byte(tag), 2, 0x30, 0}
			msg := kdctest.ASReq(asBody("pre"), krbmsg.PAData{Type: krbmsg.PAFXFast, Value: value})
			if got := v.ask(msg); !strings.HasPrefix(got, "ERR ") {
				v.t.Errorf("FAST %d: %s", tag, got)
			}
			v.want("SPAKE, not configured", kdctest.ASReq(asBody("pre"), krbmsg.PAData{Type: 151, Value: value}), "ERR 25 NEEDED_PREAUTH")
		}
	}},
	{"CVE-2017-6594: the realm before the last is written down", func(v *victim) {
		// A TGT that B.TEST issued for a client of C.TEST.
		c := kdctest.Forge(v.t, v.r, kdctest.Name("B.TEST", "krbtgt", "A.TEST"), func(p *krbmsg.EncTicketPart) {
			p.CRealm = []byte("C.TEST")
		})
		v.want("by way of B.TEST", c.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{}), "ERR 12 BAD_TRANSIT")
		v.r.TransitPath = func(client, server string) ([]string, bool) { return []string{"B.TEST"}, client == "C.TEST" }
		body := kdctest.TGSBody("A.TEST", "svc128")
		body.Nonce++
		reply := v.d.answer(c.TGSReq(body, kdctest.Shown{}), peer, viaUDP)
		got := kdctest.Open(v.t, exchange.Outcome{Reply: reply}, c.Session, krbcrypto.UsageTGSRepSession)
		part := got.Creds(v.t, kdctest.Key(v.t, v.r, kdctest.Name("A.TEST", "svc128"))).Part
		if string(part.Transited.Contents) != "B.TEST" {
			v.t.Errorf("transited %q", part.Transited.Contents)
		}
	}},
	{"CVE-2017-11103: the server's name, sealed and open", func(v *victim) {
		c := v.tgt(nil, "user")
		reply := v.d.answer(c.TGSReq(kdctest.TGSBody("A.TEST", "svc128"), kdctest.Shown{}), peer, viaUDP)
		got := kdctest.Open(v.t, exchange.Outcome{Reply: reply}, c.Session, krbcrypto.UsageTGSRepSession)
		if !got.Part.SName.Is("svc128") || !got.Rep.Ticket.SName.Is("svc128") || string(got.Part.SRealm) != "A.TEST" {
			v.t.Errorf("%+v, %+v", got.Part.SName, got.Rep.Ticket.SName)
		}
	}},
	{"a retransmission where datagrams are small", func(v *victim) {
		s := &Server{o: Options{MaxDgramReply: 100, Log: v.log}, d: *v.d}
		msg := kdctest.ASReq(asBody("user"))
		for range 2 {
			if got := summary(s.answerDatagram(msg, peer)); got != "ERR 52 " {
				v.t.Error(got)
			}
		}
		if v.log.count() != 1 {
			v.t.Error("answered twice")
		}
	}},
}

// elsewhere are the rows whose cases stand beside the code they are about: named there by number.
var elsewhere = []string{
	"2010-1323",  // authdata: compose_test.go
	"2020-17049", // tgs: TestS4U2Proxy
	"2022-37967", // pac: TestEachSignatureCounts; authdata
	"2022-42898", // pac: pac_test.go
	"2018-16860", // tgs: TestS4U2Self, row "129 CRC32"
}

// TestVulnerabilities is section 12: what once broke a KDC, in the form that this one would see. Nothing panics, the
// answers are those of MIT's KDC or better, and the server goes on answering.
func TestVulnerabilities(t *testing.T) {
	for _, c := range vulnerabilities {
		t.Run(c.cve, func(t *testing.T) {
			v := newVictim(t)
			c.try(v)
			if v.log.panics > 0 {
				t.Error(v.log.lines)
			}
			b := asBody("user")
			b.Nonce = int64(binary.BigEndian.Uint32([]byte("\x01end")))
			v.want("afterwards", kdctest.ASReq(b), "AS-REP")
		})
	}
}

// TestVulnerabilitiesAreAllTried: every row has its case.
func TestVulnerabilitiesAreAllTried(t *testing.T) {
	rows := strings.Fields(`2009-0846 2009-0847 2009-3295 2009-4212 2010-0283 2010-1320 2010-1322 2010-1323 2010-1324 2010-4020 2010-4021
		2011-0281 2011-0282 2011-0283 2011-0284 2011-1527 2011-1528 2011-1529 2011-1530 2012-1014 2012-1015 2012-1016 2013-1415 2013-1416 2013-1417
		2013-1418 2015-2694 2016-3120 2017-7562 2017-11368 2017-15088 2018-20217 2019-14844 2020-17049 2020-28196 2021-36222 2021-37750 2021-42278
		2021-42287 2022-37966 2025-3576 2022-37967 2022-42898 2023-39975 2024-26462 2024-3596 2017-17439 2018-16860 2019-14870 2021-3671 2022-3116
		2021-44758 2022-44640 2017-6594 2017-11103`)
	tried := strings.Join(elsewhere, " ")
	for _, c := range kdcfixture.Negative(t) {
		tried += " " + c.CVE
	}
	for _, c := range vulnerabilities {
		year := ""
		head, _, _ := strings.Cut(c.cve, ": ")
		for word := range strings.FieldsSeq(strings.ReplaceAll(strings.TrimPrefix(head, "CVE-"), ",", "")) {
			if strings.HasPrefix(word, "-") {
				word = year + word
			}
			year, _, _ = strings.Cut(word, "-")
			tried += " " + word
		}
	}
	for _, row := range rows {
		if !strings.Contains(tried+" ", row+" ") {
			t.Errorf("CVE-%s has no case", row)
		}
	}
}
