package tgs

import (
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/fast"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
	"krealm/kdc/ticket"
)

// state is one exchange on its way.
type state struct {
	r   *realm.Realm
	req *exchange.Request
	q   *krbmsg.KDCReq

	// What the client showed.
	tgsReq  []byte // value of PA-TGS-REQ
	ap      krbmsg.APReq
	hServer *realm.Entry // the header ticket's server
	header  *ticket.Opened
	auth    krbmsg.Authenticator
	session *krbcrypto.Key // of the header ticket
	subkey  *krbcrypto.Key // of the authenticator, or nil
	hPAC    *pac.PAC       // of the header ticket, or nil

	// The request that counts: the inner one under FAST.
	body   *krbmsg.KDCReqBody
	padata []krbmsg.PAData
	armor  *fast.Armor

	sname    exchange.Principal // as requested
	server   *realm.Entry
	issued   krbmsg.PrincipalName // the server's name in ticket and reply
	referral bool                 // server is a TGT other than what was requested
	tgt      *realm.Entry         // the realm's own
	tgtKey   *realm.Key

	self *impersonation // nil unless a service asks in the name of a user

	second     *ticket.Opened // the second ticket, or nil
	secondSrv  *realm.Entry
	secondPAC  *pac.PAC           // nil if it has none
	evidenced  exchange.Principal // the user of the evidence, for delegation
	indicators []string
	now        int64
	part       krbmsg.EncTicketPart
	sealKey    *krbcrypto.Key // of the issued ticket
	sealKvno   krbmsg.Opt[uint32]
	encPA      []krbmsg.PAData
	pacOptions []byte // of the reply, nil if not asked for

	out exchange.Outcome
}

// step is one row of its table, or some.
type step struct {
	name string
	run  func(*state) *exchange.Refusal
}

// steps is section 5.1.
var steps = []step{
	{"PA-TGS-REQ", openHeader},                 // 1
	{"armor", openArmor},                       // 2
	{"server name", serverName},                // 3
	{"krbtgt entry", findLocalTGT},             // 4
	{"header PAC", checkHeaderPAC},             // 5
	{"server entry", findServer},               // 6
	{"S4U2Self padata", readS4U2Self},          // 7
	{"second ticket", openSecond},              // 8
	{"delegated user", delegatedUser},          // 9
	{"authentication indicators", indicators},  // 10
	{"transited list", transited},              // 11
	{"options and header", headerOptions},      // 12 to 14
	{"header server", headerServer},            // 15, 16
	{"user to user", userToUser},               // 17
	{"delegation", delegation},                 // 18
	{"server policy", serverPolicy},            // 19 to 22, 24
	{"delegation rules", delegationRules},      // 23
	{"client's state", clientState},            // ours, if wanted (section 3.5)
	{"required indicators", requireIndicators}, // 26
	{"flags and times", draft},                 // 27
	{"transited policy", transitedPolicy},      // 28
	{"session enctype", chooseSession},         // 29
	{"server key", findServerKey},              // 30
	{"authorization data", authorize},          // 31
	{"encrypted padata", encryptedPAData},      // 32
	{"issue", issue},
}

// Answer runs the exchange for a decoded request. Outcome.Reply is nil where the client gets
// no answer.
func Answer(r *realm.Realm, req *exchange.Request, q *krbmsg.KDCReq) exchange.Outcome {
	s := &state{r: r, req: req, q: q, body: &q.Body, padata: q.PAData, now: req.Now.Unix()}
	s.out.Event = exchange.Event{Kind: exchange.TGS, From: req.From}
	s.noteRequest()
	for _, step := range steps {
		if refusal := step.run(s); refusal != nil {
			s.refuse(refusal)
			break
		}
	}
	return s.out
}

// noteRequest tells the log what is asked; it is called again when armor is opened.
func (s *state) noteRequest() {
	s.out.Event.Etypes = s.body.Etypes
	s.sname = exchange.Principal{}
	if s.body.SName.Set {
		s.sname = exchange.Principal{Name: s.body.SName.V, Realm: s.body.Realm}
		s.out.Event.Server = s.sname.String()
	}
}

func (s *state) option(o uint32) bool { return s.body.Options&o != 0 }

// anonymous is who a client is outside the armor if it wants its name hidden (RFC 6113 section
// 5.4.2).
var anonymous = krbmsg.NewName(krbmsg.NTWellKnown, "WELLKNOWN", "ANONYMOUS")

const anonymousRealm = "WELLKNOWN:ANONYMOUS"

// modifying are the options that change the ticket shown instead of asking for another one.
const modifying = krbmsg.OptForwarded | krbmsg.OptProxy | krbmsg.OptRenew | krbmsg.OptValidate

// refuse turns a refusal into the answer and the log event.
func (s *state) refuse(r *exchange.Refusal) {
	ev := &s.out.Event
	ev.Status, ev.Code, ev.Err = r.Status, r.Code, r.Err
	if r.Silent {
		return
	}
	var client *exchange.Principal
	if s.header != nil {
		c := s.client()
		client = &c
	}
	server := s.sname
	if !s.body.SName.Set {
		// The error cannot be encoded without a server name.
		return
	}
	msg := r.Message(s.req.Now, client, server)
	if s.armor != nil {
		msg.EData = s.armor.ErrorData(r.PAData, msg, s.body.Nonce)
		if s.armor.Hide && msg.CName.Set {
			msg.CName, msg.CRealm = krbmsg.Some(anonymous), []byte(anonymousRealm)
		}
	}
	s.out.Reply = krbmsg.Marshal(msg)
}
