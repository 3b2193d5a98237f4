package as

import (
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/fast"
)

// messageType is row 1.
func messageType(s *state) *exchange.Refusal {
	if s.q.MsgType != krbmsg.MsgASReq {
		return exchange.Refuse(krbmsg.ErrGeneric, "VALIDATE_MESSAGE_TYPE").Becausef("message type %d", s.q.MsgType)
	}
	return nil
}

// openArmor is row 2: from here on the request inside the armor counts, whatever the outer
// one says.
func openArmor(s *state) *exchange.Refusal {
	value, ok := krbmsg.FindPA(s.q.PAData, krbmsg.PAFXFast)
	if !ok {
		return nil
	}
	a, refusal := fast.OpenAS(s.r, value, s.q.RawBody, s.req.Now)
	if refusal != nil {
		s.armor = a // if there is one, the error goes out under it
		return refusal
	}
	s.armor, s.body, s.rawBody, s.padata = a, &a.Req.Body, a.Req.RawBody, a.Req.PAData
	s.cname, s.sname = exchange.Principal{}, exchange.Principal{}
	s.noteRequest()
	return nil
}

// names is rows 3 and 4, of the inner request under FAST: what Heimdal's client puts around it has no
// server name.
func names(s *state) *exchange.Refusal {
	_, s.wantEncPA = krbmsg.FindPA(s.padata, krbmsg.PAReqEncPARep)
	if _, outer := krbmsg.FindPA(s.q.PAData, krbmsg.PAReqEncPARep); outer {
		s.wantEncPA = true
	}
	if !s.body.SName.Set {
		return exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "NULL_SERVER")
	}
	if !s.body.CName.Set {
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "NULL_CLIENT")
	}
	return nil
}

func (s *state) option(o uint32) bool { return s.body.Options&o != 0 }
