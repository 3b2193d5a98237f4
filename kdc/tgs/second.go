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
	_, refusal := s.verifiedPAC(opened, server, "2ND_TKT_PAC")
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
	client, ok := s.r.Resolve(p.CName, p.CRealm)
	if !ok || !client.CName.Equal(s.server.CName) || !bytes.Equal(client.CRealm, s.server.CRealm) {
		s.out.Event.Second = p.CName.Unparse(p.CRealm)
		return exchange.Refuse(krbmsg.ErrServerNoMatch, "2ND_TKT_MISMATCH")
	}
	return nil
}

// delegation is rows 18 and 23, section 5.10. A request that asks for no delegation only has
// its PAC compared with its ticket. One that does is checked in MIT krb5's order and then
// refused: the database has no delegation rules.
func delegation(s *state) *exchange.Refusal {
	bad := func(code int32, status string) *exchange.Refusal { return exchange.Refuse(code, status) }
	hp := s.hPAC
	if !s.option(krbmsg.OptCNameInAddlTkt) {
		if hp == nil || s.self != nil {
			return nil
		}
		if err := matchesPAC(hp, &s.header.Part); err != nil {
			return bad(krbmsg.ErrBadOption, "HEADER_PAC").Because(err)
		}
		return nil
	}
	switch {
	case s.second == nil:
		return bad(krbmsg.ErrBadOption, "NO_2ND_TKT")
	case s.second.Part.Flags&krbmsg.FlagForwardable == 0:
		return bad(krbmsg.ErrBadOption, "EVIDENCE_TKT_NOT_FORWARDABLE")
	case s.option(modifying | krbmsg.OptEncTktInSkey):
		return bad(krbmsg.ErrBadOption, "INVALID_S4U2PROXY_OPTIONS")
	case !s.referral && s.server.IsTGS():
		return bad(krbmsg.ErrPolicy, "NOT_ALLOWED_TO_DELEGATE")
	case hp == nil:
		return bad(krbmsg.ErrTGTRevoked, "S4U2PROXY_NO_HEADER_PAC")
	}
	if err := matchesPAC(hp, &s.header.Part); err != nil {
		return bad(krbmsg.ErrBadOption, "S4U2PROXY_HEADER_PAC").Because(err)
	}
	c := s.client()
	if !s.secondSrv.CName.Equal(c.Name) || !bytes.Equal(s.secondSrv.CRealm, c.Realm) {
		s.out.Event.Second = s.second.Part.CName.Unparse(s.second.Part.CRealm)
		return bad(krbmsg.ErrServerNoMatch, "EVIDENCE_TICKET_MISMATCH")
	}
	return bad(krbmsg.ErrBadOption, "UNSUPPORTED_S4U2PROXY_REQUEST")
}
