package as

import (
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/fast"
	"krealm/kdc/preauth"
	"krealm/kdc/realm"
)

// state is one exchange on its way.
type state struct {
	r   *realm.Realm
	req *exchange.Request
	q   *krbmsg.KDCReq

	// The request that counts: the inner one under FAST.
	body    *krbmsg.KDCReqBody
	rawBody []byte
	padata  []krbmsg.PAData
	armor   *fast.Armor // nil outside FAST

	cname, sname exchange.Principal // as requested
	client       *realm.Entry
	server       *realm.Entry
	tgt          *realm.Entry // the realm's own
	tgtKey       *realm.Key

	now       int64
	anonymous bool
	session   *krbcrypto.Key
	part      krbmsg.EncTicketPart
	service   krbmsg.PrincipalName // the server's name in ticket and reply

	clientKey *realm.Key     // nil if the client has none that fits
	replyKey  *krbcrypto.Key // seals the reply, before strengthening
	serverKey *realm.Key
	pre       preauth.Result
	replyPA   []krbmsg.PAData
	encPA     []krbmsg.PAData
	wantEncPA bool // the client asked for a checksum of its request (RFC 6806 section 11)

	out exchange.Outcome
}

// step is one row of its table.
type step struct {
	name string
	run  func(*state) *exchange.Refusal
}

// steps is section 4.1.
var steps = []step{
	{"message type", messageType},
	{"armor", openArmor},
	{"names", names},
	{"client entry", findClient},
	{"server entry", findServer},
	{"one realm", sameRealm},
	{"krbtgt entry", findLocalTGT},
	{"policy", policy},
	{"session enctype", chooseSession},
	{"flags, names and times", draft},
	{"anonymity", anonymous},
	{"client key", findClientKey},
	{"preauthentication", verifyPreauth},
	{"required preauthentication", requirePreauth},
	{"server key", findServerKey},
	{"reply key", chooseReplyKey},
	{"authorization data", authorize},
	{"authentication indicators", requireIndicators},
	{"encrypted padata", encryptedPAData},
	{"issue", issue},
}

// Answer runs the exchange for a decoded request. Outcome.Reply is nil where the client gets
// no answer.
func Answer(r *realm.Realm, req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome {
	s := &state{r: r, req: req, q: q, body: &q.Body, rawBody: q.RawBody, padata: q.PAData, now: req.Now.Unix()}
	s.out.Event = exchange.Event{Kind: exchange.AS, From: req.From}
	s.noteRequest()
	for _, step := range steps {
		if refusal := step.run(s); refusal != nil {
			s.refuse(refusal)
			break
		}
	}
	s.bookkeep()
	return s.out
}

// noteRequest tells the log what is asked; it is called again when armor is opened.
func (s *state) noteRequest() {
	ev := &s.out.Event
	ev.Etypes, ev.Client, ev.Server = s.body.Etypes, "", ""
	if s.body.CName.Set {
		s.cname = exchange.Principal{Name: s.body.CName.V, Realm: s.body.Realm}
		ev.Client = s.cname.String()
	}
	if s.body.SName.Set {
		s.sname = exchange.Principal{Name: s.body.SName.V, Realm: s.body.Realm}
		ev.Server = s.sname.String()
	}
}
