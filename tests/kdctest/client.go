package kdctest

import (
	"testing"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// At is a time at which the recorded realms are what their names promise.
const At = 1795301671

// Etypes is what a client of today asks for.
var Etypes = []int32{18, 17, 20, 19}

// Name makes a principal of a realm from the parts of its name.
func Name(realmName string, parts ...string) exchange.Principal {
	nameType := int32(krbmsg.NTPrincipal)
	if len(parts) > 1 {
		nameType = krbmsg.NTSrvInst
	}
	return exchange.Principal{Name: krbmsg.NewName(nameType, parts...), Realm: []byte(realmName)}
}

// ASBody is the body of an AS request for a server of the client's realm, for ten hours.
func ASBody(client exchange.Principal, server ...string) krbmsg.KDCReqBody {
	return krbmsg.KDCReqBody{
		CName:  krbmsg.Some(client.Name),
		Realm:  client.Realm,
		SName:  krbmsg.Some(Name("", server...).Name),
		Till:   At + 36000,
		Nonce:  4711,
		Etypes: Etypes,
	}
}

// ASReq encodes an AS request.
func ASReq(body krbmsg.KDCReqBody, padata ...krbmsg.PAData) []byte {
	q := krbmsg.KDCReq{AS: true, MsgType: krbmsg.MsgASReq, Body: body}
	if padata != nil {
		q.PAData = padata
	}
	return krbmsg.Marshal(&q)
}

// Timestamp makes PA-ENC-TIMESTAMP.
func Timestamp(key *krbcrypto.Key, at int64) krbmsg.PAData {
	return krbmsg.PAData{Type: krbmsg.PAEncTimestamp, Value: krbmsg.Marshal(sealTime(key, krbcrypto.UsagePAEncTS, at))}
}

func sealTime(key *krbcrypto.Key, usage uint32, at int64) krbmsg.EncryptedData {
	plain := krbmsg.Marshal(krbmsg.PAEncTSEnc{Time: at, Usec: krbmsg.Some(int32(5))})
	return krbmsg.EncryptedData{Etype: int32(key.Enctype()), Cipher: key.Encrypt(nil, usage, plain)}
}

// Key returns the first current key of a principal.
func Key(tb testing.TB, r *realm.Realm, p exchange.Principal) *krbcrypto.Key {
	tb.Helper()
	e, ok := r.Lookup(p.Name, p.Realm)
	if !ok {
		tb.Fatalf("no %s", p)
	}
	k, err := e.First()
	if err != nil {
		tb.Fatal(err)
	}
	key, err := k.Open()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Creds is a ticket in the hands of a client.
type Creds struct {
	Client  exchange.Principal
	Ticket  krbmsg.Ticket
	Session *krbcrypto.Key
	Part    krbmsg.EncTicketPart // what the ticket says
}

// Forge makes a ticket as a KDC that holds the server's key could: for user@A.TEST unless
// change says otherwise.
func Forge(tb testing.TB, r *realm.Realm, server exchange.Principal, change func(p *krbmsg.EncTicketPart)) *Creds {
	tb.Helper()
	session, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA1)
	if err != nil {
		tb.Fatal(err)
	}
	client := Name("A.TEST", "user")
	p := krbmsg.EncTicketPart{
		Flags:     krbmsg.FlagInitial | krbmsg.FlagForwardable | krbmsg.FlagProxiable,
		Key:       krbmsg.EncryptionKey{Etype: int32(session.Enctype()), Value: session.Bytes()},
		CRealm:    client.Realm,
		CName:     client.Name,
		Transited: krbmsg.Transited{Type: 1, Contents: []byte{}},
		AuthTime:  At - 60,
		EndTime:   At + 36000,
	}
	if change != nil {
		change(&p)
	}
	e, ok := r.Lookup(server.Name, server.Realm)
	if !ok {
		tb.Fatalf("no %s", server)
	}
	k, err := e.First()
	if err != nil {
		tb.Fatal(err)
	}
	key, err := k.Open()
	if err != nil {
		tb.Fatal(err)
	}
	c := &Creds{Client: exchange.Principal{Name: p.CName, Realm: p.CRealm}, Session: session, Part: p}
	c.Ticket = ticket.Seal(server.Name, server.Realm, &p, key, krbmsg.Some(k.Kvno))
	return c
}

// TGSBody is the body of a TGS request for a server, for ten hours.
func TGSBody(realmName string, server ...string) krbmsg.KDCReqBody {
	return krbmsg.KDCReqBody{
		Realm:  []byte(realmName),
		SName:  krbmsg.Some(Name("", server...).Name),
		Till:   At + 36000,
		Nonce:  4712,
		Etypes: Etypes,
	}
}

// Shown says how a client shows its ticket; the zero value is the ordinary way.
type Shown struct {
	Options uint32
	Auth    func(a *krbmsg.Authenticator) // changes the authenticator
	Subkey  *krbcrypto.Key
	PAData  []krbmsg.PAData // behind PA-TGS-REQ
}

// TGSReq encodes a TGS request with a ticket.
func (c *Creds) TGSReq(body krbmsg.KDCReqBody, how Shown) []byte {
	raw := krbmsg.Marshal(&body)
	q := krbmsg.KDCReq{MsgType: krbmsg.MsgTGSReq, RawBody: raw}
	q.PAData = append([]krbmsg.PAData{{Type: krbmsg.PATGSReq, Value: c.APReq(raw, krbcrypto.UsageTGSReqAuth, how)}}, how.PAData...)
	return krbmsg.Marshal(&q)
}

// APReq encodes an AP-REQ whose authenticator covers the given octets.
func (c *Creds) APReq(covered []byte, usage uint32, how Shown) []byte {
	a := krbmsg.Authenticator{
		CRealm: c.Client.Realm, CName: c.Client.Name, CTime: At,
		Cksum: krbmsg.Some(krbmsg.Checksum{
			Type: c.Session.ChecksumType(),
			Sum:  c.Session.Checksum(nil, krbcrypto.UsageTGSReqAuthCksum, covered),
		}),
	}
	if how.Subkey != nil {
		a.Subkey = krbmsg.Some(krbmsg.EncryptionKey{Etype: int32(how.Subkey.Enctype()), Value: how.Subkey.Bytes()})
	}
	if how.Auth != nil {
		how.Auth(&a)
	}
	ap := krbmsg.APReq{Options: how.Options, Ticket: c.Ticket}
	ap.Authenticator = krbmsg.EncryptedData{
		Etype:  int32(c.Session.Enctype()),
		Cipher: c.Session.Encrypt(nil, usage, krbmsg.Marshal(&a)),
	}
	return krbmsg.Marshal(&ap)
}

// Reply is an opened answer.
type Reply struct {
	Rep  krbmsg.KDCRep
	Part krbmsg.EncKDCRepPart
}

// Open opens a reply with a key or fails the test.
func Open(tb testing.TB, out exchange.Outcome, key *krbcrypto.Key, usage uint32) *Reply {
	tb.Helper()
	r := new(Reply)
	if err := r.Rep.Parse(out.Reply); err != nil {
		tb.Fatalf("no reply but %s %d (%v)", out.Event.Status, out.Event.Code, out.Event.Err)
	}
	if err := r.Part.Parse(decrypt(tb, key, usage, r.Rep.EncPart)); err != nil {
		tb.Fatal(err)
	}
	return r
}

// Creds turns a reply into a ticket in the hands of its client. key is the server's and opens
// the ticket, so that tests see what is inside.
func (r *Reply) Creds(tb testing.TB, key *krbcrypto.Key) *Creds {
	tb.Helper()
	c := &Creds{
		Client:  exchange.Principal{Name: r.Rep.CName, Realm: r.Rep.CRealm},
		Ticket:  r.Rep.Ticket,
		Session: NewKey(tb, r.Part.Key.Etype, r.Part.Key.Value),
	}
	if err := c.Part.Parse(decrypt(tb, key, krbcrypto.UsageTicket, r.Rep.Ticket.EncPart)); err != nil {
		tb.Fatal(err)
	}
	return c
}

// Code returns the error code and e-text of an answer; 0 is a reply and -1 silence.
func Code(tb testing.TB, out exchange.Outcome) (code int32, text string) {
	tb.Helper()
	if out.Reply == nil {
		return -1, ""
	}
	var rep krbmsg.KDCRep
	if rep.Parse(out.Reply) == nil {
		return 0, ""
	}
	var e krbmsg.KRBError
	if err := e.Parse(out.Reply); err != nil {
		tb.Fatal(err)
	}
	return e.Code, string(e.EText)
}

// Challenge makes PA-ENCRYPTED-CHALLENGE.
func Challenge(tb testing.TB, armor, long *krbcrypto.Key, at int64) krbmsg.PAData {
	tb.Helper()
	key, err := krbcrypto.CF2(armor, long, "clientchallengearmor", "challengelongterm")
	if err != nil {
		tb.Fatal(err)
	}
	return krbmsg.PAData{Type: krbmsg.PAEncryptedChal, Value: krbmsg.Marshal(sealTime(key, krbcrypto.UsageECClient, at))}
}
