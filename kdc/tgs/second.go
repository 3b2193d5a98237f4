package tgs

import (
	"bytes"
	"errors"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/ticket"
)

// openSecond is row 8: the second ticket of a user-to-user or delegation request. Rows 17 and
// 18 complain if it is missing.
func openSecond(s *state) *exchange.Refusal {
	if !s.option(krbmsg.OptEncTktInSkey|krbmsg.OptCNameInAddlTkt) || len(s.body.Tickets) == 0 {
		return nil
	}
	t := &s.body.Tickets[0]
	server, ok := s.r.Resolve(t.SName, t.Realm)
	if !ok || server.Foreign || server.Attributes&(dumpfmt.AttrDisallowSvr|dumpfmt.AttrDisallowAllTix) != 0 {
		return exchange.Refuse(krbmsg.ErrSPrincipalUnknown, "2ND_TKT_SERVER").
			Becausef("second ticket is for %s", t.SName.Unparse(t.Realm))
	}
	k, err := server.Find(t.EncPart.Kvno.Or(uint32(server.CurrentKvno())), krbcrypto.Enctype(t.EncPart.Etype))
	var key *krbcrypto.Key
	if err == nil {
		key, err = k.Open()
	}
	if err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "2ND_TKT_SERVER").Because(err)
	}
	opened, err := ticket.Decrypt(t, key, k.Kvno)
	switch {
	case errors.Is(err, ticket.ErrIntegrity):
		return exchange.Refuse(krbmsg.ErrBadIntegrity, "2ND_TKT_DECRYPT").Because(err)
	case err != nil:
		return exchange.Refuse(krbmsg.ErrGeneric, "2ND_TKT_DECRYPT").Because(err)
	}
	s.second, s.secondSrv = opened, server
	var refusal *exchange.Refusal
	s.secondPAC, refusal = s.verifiedPAC(opened, server, "2ND_TKT_PAC")
	return refusal
}

// userToUser is row 17, section 5.8.
func userToUser(s *state) *exchange.Refusal {
	if !s.option(krbmsg.OptEncTktInSkey) {
		return nil
	}
	if s.second == nil {
		return exchange.Refuse(krbmsg.ErrBadOption, "NO_2ND_TKT")
	}
	if !s.secondSrv.IsLocalTGS() || !bytes.Equal(s.secondSrv.CRealm, s.server.CRealm) {
		return exchange.Refuse(krbmsg.ErrPolicy, "2ND_TKT_NOT_TGS")
	}
	p := &s.second.Part
	if !s.isClient(s.server, exchange.Principal{Name: p.CName, Realm: p.CRealm}) {
		s.out.Event.Second = p.CName.Unparse(p.CRealm)
		return exchange.Refuse(krbmsg.ErrServerNoMatch, "2ND_TKT_MISMATCH")
	}
	return nil
}
