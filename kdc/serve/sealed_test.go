package serve

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/internal/spake"
	"krealm/kdc/as"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/kdc/tgs"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// sealer makes requests that are changed inside what is encrypted or signed and then sealed as they
// have to be: what a client, or another realm, with all the keys it may have could send.
type sealer struct {
	tb   testing.TB
	r    *realm.Realm
	kdc  *krbcrypto.Key // of the realm's TGS
	user *krbcrypto.Key // of user, who delegates and is asked for
}

// sealed says how a request is made: of what kind, and what is changed in its parts, as operations of
// kdcfixture.Mutate.
type sealed struct {
	kind                           uint8
	body, padata, ticket, auth, ad []byte
	options                        uint32
	armored, foreign               bool
}

// Kinds of requests.
const (
	askAS = iota
	askTimestamp
	askSPAKE
	askService
	askRenewal
	askForUser
	askX509User
	askProxy
	askUser2User
	kinds
)

var impersonator = []string{"service", "impersonator"}

func newSealer(tb testing.TB) *sealer {
	tb.Helper()
	r, db, _ := kdctest.Realm(tb, "A.TEST")
	r.SPAKEGroups = []spake.Group{spake.Edwards25519, spake.P256}
	r.ECIndicator, r.SPAKEIndicators = "ec", []string{"spake"}
	db.Change(tb, "service/impersonator@A.TEST", func(p *dumpfmt.Principal) {
		if err := p.SetString("allowed_to_delegate_to", "svc128 host/svc.a.test"); err != nil {
			tb.Fatal(err)
		}
	})
	return &sealer{tb: tb, r: r, kdc: kdctest.Key(tb, r, kdctest.Name("A.TEST", "krbtgt", "A.TEST")),
		user: kdctest.Key(tb, r, kdctest.Name("A.TEST", "user"))}
}

// answer runs the core; a panic is not caught.
func (s *sealer) answer(msg []byte) exchange.Outcome { return s.answerAt(msg, kdctest.At) }

func (s *sealer) answerAt(msg []byte, at int64) exchange.Outcome {
	var q krbmsg.KDCReq
	if q.Parse(msg) != nil {
		return exchange.Outcome{}
	}
	req := &exchange.Request{Msg: msg, From: peer, Now: time.Unix(at, 0)}
	if q.AS {
		return as.Answer(s.r, req, &q)
	}
	return tgs.Answer(s.r, req, &q)
}

// creds is a TGT, or a ticket to a service, with a PAC. Its contents are changed before the PAC is made,
// those of the PAC before it is signed.
func (s *sealer) creds(in *sealed, client []string, server ...string) *kdctest.Creds {
	issuer := "A.TEST"
	if in.foreign && server[0] == "krbtgt" {
		issuer = "B.TEST"
	}
	name := kdctest.Name(issuer, server...)
	key := kdctest.Key(s.tb, s.r, name)
	return kdctest.Forge(s.tb, s.r, name, func(p *krbmsg.EncTicketPart) {
		session := p.Key
		p.CName, p.CRealm = kdctest.Name("", client...).Name, []byte(issuer)
		p.Flags |= krbmsg.FlagPreAuth | krbmsg.FlagRenewable
		p.RenewTill = krbmsg.Some[int64](kdctest.At + 86400)
		change(krbmsg.Marshal(p), in.ticket, p)
		p.Key = session
		info, err := pac.ClientInfo(p.CName, p.AuthTime)
		if err != nil {
			return // a name that is no UTF-8: no PAC
		}
		buffers := []pac.Buffer{{Type: pac.TypeClientInfo, Data: kdcfixture.Mutate(info, in.ad)}}
		pac.Issue(p, buffers, key, s.kdc, server[0] != "krbtgt")
	})
}

// change parses a changed encoding into v, and leaves v alone if it does not parse.
func change[T any, P interface {
	*T
	Parse([]byte) error
}](encoded, ops []byte, v P) {
	var t T
	if P(&t).Parse(kdcfixture.Mutate(encoded, ops)) == nil {
		*v = t
	}
}

// message makes the request.
func (s *sealer) message(in *sealed) []byte {
	client := []string{"user"}
	switch in.kind % kinds {
	case askAS, askTimestamp, askSPAKE:
		return s.asReq(in)
	case askForUser, askX509User, askProxy:
		client = impersonator
	}
	c := s.creds(in, client, "krbtgt", "A.TEST")
	sub, err := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA1)
	if err != nil {
		s.tb.Fatal(err)
	}
	body := kdctest.TGSBody("A.TEST", "host", "svc.a.test")
	var padata []krbmsg.PAData
	switch in.kind % kinds {
	case askRenewal:
		body.SName, body.Options = krbmsg.Some(kdctest.Name("", "krbtgt", "A.TEST").Name), krbmsg.OptRenew
		if in.foreign {
			body.Realm = []byte("B.TEST")
		}
	case askForUser:
		f := krbmsg.ForUser{Name: krbmsg.NewName(1, "user"), Realm: []byte("A.TEST"), AuthPackage: []byte("Kerberos")}
		change(krbmsg.Marshal(&f), in.padata, &f)
		f.Cksum = krbmsg.Checksum{Type: c.Session.ChecksumType(), Sum: c.Session.Checksum(nil, krbcrypto.UsageAppChecksum, f.Covered())}
		padata = append(padata, krbmsg.PAData{Type: krbmsg.PAForUser, Value: krbmsg.Marshal(&f)})
		body.SName = krbmsg.Some(kdctest.Name("", impersonator...).Name)
	case askX509User:
		x := krbmsg.S4UX509User{UserID: krbmsg.S4UUserID{Nonce: body.Nonce, Name: krbmsg.Some(krbmsg.NewName(1, "user")), Realm: []byte("A.TEST")}}
		change(krbmsg.Marshal(&x), in.padata, &x)
		x.Cksum = krbmsg.Checksum{Type: sub.ChecksumType(), Sum: sub.Checksum(nil, krbcrypto.UsageS4UX509Request, krbmsg.Marshal(x.UserID))}
		padata = append(padata, krbmsg.PAData{Type: krbmsg.PAS4UX509User, Value: krbmsg.Marshal(&x)})
		body.SName = krbmsg.Some(kdctest.Name("", impersonator...).Name)
	case askProxy:
		body.SName, body.Options = krbmsg.Some(kdctest.Name("", "svc128").Name), krbmsg.OptCNameInAddlTkt
		body.Tickets = []krbmsg.Ticket{s.creds(in, []string{"user"}, impersonator...).Ticket}
	case askUser2User:
		body.SName, body.Options = krbmsg.Some(kdctest.Name("", "user").Name), krbmsg.OptEncTktInSkey
		home := *in
		home.foreign = false
		body.Tickets = []krbmsg.Ticket{s.creds(&home, []string{"user"}, "krbtgt", "A.TEST").Ticket}
	}
	body.Options ^= in.options
	return s.tgsReq(in, c, sub, kdcfixture.Mutate(krbmsg.Marshal(&body), in.body), padata)
}

// tgsReq seals a TGS request with a body as it stands, under FAST if asked.
func (s *sealer) tgsReq(in *sealed, c *kdctest.Creds, sub *krbcrypto.Key, body []byte, padata []krbmsg.PAData) []byte {
	how := kdctest.Shown{Subkey: sub, Auth: func(a *krbmsg.Authenticator) { change(krbmsg.Marshal(a), in.auth, a) }}
	apReq := c.APReq(body, krbcrypto.UsageTGSReqAuth, how)
	q := krbmsg.KDCReq{MsgType: krbmsg.MsgTGSReq, RawBody: body, PAData: append([]krbmsg.PAData{{Type: krbmsg.PATGSReq, Value: apReq}}, padata...)}
	if in.armored {
		q.PAData = []krbmsg.PAData{q.PAData[0], s.armor(sub, c.Session, nil, &krbmsg.FastReq{PAData: padata, RawBody: body}, apReq)}
	}
	return krbmsg.Marshal(&q)
}

// armor makes PA-FX-FAST; apReq is nil where the armor is implicit.
func (s *sealer) armor(sub, session *krbcrypto.Key, apReq []byte, inner *krbmsg.FastReq, covered []byte) krbmsg.PAData {
	key, err := krbcrypto.CF2(sub, session, "subkeyarmor", "ticketarmor")
	if err != nil {
		s.tb.Fatal(err)
	}
	a := krbmsg.FastArmoredReq{
		Checksum:   krbmsg.Checksum{Type: key.ChecksumType(), Sum: key.Checksum(nil, krbcrypto.UsageFASTReqChecksum, covered)},
		EncFastReq: krbmsg.EncryptedData{Etype: int32(key.Enctype()), Cipher: key.Encrypt(nil, krbcrypto.UsageFASTEnc, krbmsg.Marshal(inner))},
	}
	if apReq != nil {
		a.Armor = krbmsg.Some(krbmsg.FastArmor{Type: krbmsg.FastArmorAPRequest, Value: apReq})
	}
	return krbmsg.PAData{Type: krbmsg.PAFXFast, Value: krbmsg.Marshal(&a)}
}

// asReq makes an AS request, under FAST if asked.
func (s *sealer) asReq(in *sealed) []byte {
	body := kdctest.ASBody(kdctest.Name("A.TEST", "user"), "krbtgt", "A.TEST")
	body.Options ^= in.options
	raw := kdcfixture.Mutate(krbmsg.Marshal(&body), in.body)
	var padata []krbmsg.PAData
	switch in.kind % kinds {
	case askTimestamp:
		ts := kdcfixture.Mutate(krbmsg.Marshal(krbmsg.PAEncTSEnc{Time: kdctest.At, Usec: krbmsg.Some[int32](5)}), in.padata)
		ed := krbmsg.EncryptedData{Etype: int32(s.user.Enctype()), Cipher: s.user.Encrypt(nil, krbcrypto.UsagePAEncTS, ts)}
		padata = append(padata, krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: krbmsg.Marshal(ed)})
	case askSPAKE:
		padata = append(padata, krbmsg.PAData{Type: krbmsg.PASPAKE, Value: kdcfixture.Mutate(krbmsg.Marshal(&krbmsg.SPAKE{Support: []int32{1, 2}}), in.padata)})
	}
	q := krbmsg.KDCReq{AS: true, MsgType: krbmsg.MsgASReq, PAData: padata, RawBody: raw}
	if !in.armored {
		return krbmsg.Marshal(&q)
	}
	c := s.creds(in, []string{"user"}, "krbtgt", "A.TEST")
	sub, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		s.tb.Fatal(err)
	}
	if in.kind%kinds == askTimestamp {
		key, err := krbcrypto.CF2(sub, c.Session, "subkeyarmor", "ticketarmor")
		if err != nil {
			s.tb.Fatal(err)
		}
		padata = append(padata, kdctest.Challenge(s.tb, key, s.user, kdctest.At))
	}
	ap := c.APReq(nil, krbcrypto.UsageAPReqAuth, kdctest.Shown{Subkey: sub, Auth: func(a *krbmsg.Authenticator) { change(krbmsg.Marshal(a), in.auth, a) }})
	outer := krbmsg.Marshal(&body)
	q.RawBody, q.PAData = outer, []krbmsg.PAData{s.armor(sub, c.Session, ap, &krbmsg.FastReq{PAData: padata, RawBody: raw}, outer)}
	return krbmsg.Marshal(&q)
}

var allocated = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}

// bounded answers a message and fails if the answer does not decode, is out of proportion, or took too much
// of memory or time.
func bounded(tb testing.TB, answer func(msg []byte) exchange.Outcome, msg []byte) exchange.Outcome {
	tb.Helper()
	metrics.Read(allocated)
	before, begun := allocated[0].Value.Uint64(), time.Now()
	out := answer(msg)
	took := time.Since(begun)
	metrics.Read(allocated)
	if used := allocated[0].Value.Uint64() - before; used > 4<<20+100*uint64(len(msg)) {
		tb.Errorf("%d octets of memory for a message of %d", used, len(msg))
	}
	if took > 20*time.Second { // a loaded machine, the race detector: it takes milliseconds
		tb.Errorf("%v for a message of %d octets", took, len(msg))
	}
	if len(out.Reply) > 8<<10+4*len(msg) {
		tb.Errorf("an answer of %d octets to one of %d", len(out.Reply), len(msg))
	}
	if s := summary(out.Reply); strings.HasPrefix(s, "undecodable") {
		tb.Error(s)
	}
	return out
}

// FuzzSealed changes requests behind their encryption.
func FuzzSealed(f *testing.F) {
	s := newSealer(f)
	for kind := range uint8(kinds) {
		for _, armored := range []bool{false, true} {
			f.Add(kind, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}, uint32(0), armored, false)
			f.Add(kind, []byte{0, 7, 0x18}, []byte{0, 2, 7}, []byte{0, 9, 0x27}, []byte{0, 5, 0x35}, []byte{3, 1}, uint32(krbmsg.OptCanonicalize), armored, true)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body, padata, ticket, auth, ad []byte, options uint32, armored, foreign bool) {
		s.tb = t
		bounded(t, s.answer, s.message(&sealed{kind, body, padata, ticket, auth, ad, options, armored, foreign}))
	})
}

// TestSealedGetsIn: unchanged, every kind of request gets its ticket or challenge, armored or not; changed
// at random, requests reach the checks behind the first ones. So FuzzSealed tries the core and not its
// doors.
func TestSealedGetsIn(t *testing.T) {
	s := newSealer(t)
	for kind := range uint8(kinds) {
		for _, armored := range []bool{false, true} {
			out := bounded(t, s.answer, s.message(&sealed{kind: kind, armored: armored}))
			want := exchange.StatusIssue
			if kind == askSPAKE {
				want = "PREAUTH_FAILED" // code 91
			}
			if out.Event.Status != want {
				t.Errorf("kind %d, armored %v: %s %d (%v)", kind, armored, out.Event.Status, out.Event.Code, out.Event.Err)
			}
		}
	}
	reached := map[string]int{}
	d := rand.New(rand.NewPCG(1, 2))
	ops := func() []byte {
		if d.IntN(3) > 0 {
			return nil
		}
		return []byte{0, byte(d.IntN(40)), byte(d.IntN(256)), 0, byte(d.IntN(40)), byte(d.IntN(256))}[:3+3*d.IntN(2)]
	}
	for range 3000 {
		in := &sealed{uint8(d.IntN(kinds)), ops(), ops(), ops(), ops(), nil, 0, d.IntN(2) == 0, d.IntN(5) == 0}
		if d.IntN(8) == 0 {
			in.ad = []byte{byte(d.IntN(40)), byte(d.IntN(256))}
		}
		if d.IntN(2) == 0 {
			in.options = 1 << d.IntN(32)
		}
		out := bounded(t, s.answer, s.message(in))
		reached[fmt.Sprint(out.Event.Kind, " ", out.Event.Status)]++
	}
	t.Log(slices.Sorted(maps.Keys(reached)))
	for _, want := range []string{
		"AS_REQ ISSUE", "AS_REQ FIND_FAST", "AS_REQ INVALID AS OPTIONS", "AS_REQ PREAUTH_FAILED",
		"AS_REQ SERVER_NOT_FOUND", "AS_REQ CLIENT_NOT_FOUND", "TGS_REQ ISSUE", "TGS_REQ PROCESS_TGS", "TGS_REQ HEADER_PAC",
		"TGS_REQ LOOKING_UP_SERVER", "TGS_REQ INVALID_S4U2SELF_REQUEST_SERVER_MISMATCH", "TGS_REQ INVALID_S4U2PROXY_OPTIONS", "TGS_REQ S4U2PROXY_NO_HEADER_PAC",
		"TGS_REQ NO_2ND_TKT", "TGS_REQ 2ND_TKT_MISMATCH", "TGS_REQ TICKET NOT VALID", "TGS_REQ UNKNOWN_S4U2SELF_PRINCIPAL", "TGS_REQ NULL_SERVER",
	} {
		if reached[want] == 0 {
			t.Errorf("never %s", want)
		}
	}
}
