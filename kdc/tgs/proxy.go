package tgs

import (
	"bytes"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
)

// String attributes with the rules of constrained delegation: names separated by blanks, of
// this realm unless they say otherwise.
const (
	attrDelegateTo   = "allowed_to_delegate_to"   // of the service that delegates: targets
	attrDelegateFrom = "allowed_to_delegate_from" // of the target: services that delegate
)

// delegation is row 18, section 5.10: what constrained delegation demands of the two tickets.
// A request that asks for no delegation only has its PAC compared with its ticket.
func delegation(s *state) *exchange.Refusal {
	hp := s.hPAC
	if !s.proxied() {
		if hp == nil || s.self != nil {
			return nil
		}
		if err := matchesPAC(hp, &s.header.Part); err != nil {
			return exchange.Refuse(krbmsg.ErrBadOption, "HEADER_PAC").Because(err)
		}
		return nil
	}
	bad := func(code int32, status string) *exchange.Refusal { return exchange.Refuse(code, status) }
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
	return s.checkEvidence()
}

// checkEvidence is the part of row 18 about the second ticket: it must be one to the service
// that shows it.
func (s *state) checkEvidence() *exchange.Refusal {
	if s.secondPAC == nil {
		return exchange.Refuse(krbmsg.ErrModified, "S4U2PROXY_NO_STKT_PAC")
	}
	c, part := s.client(), &s.second.Part
	if !s.secondSrv.CName.Equal(c.Name) || !bytes.Equal(s.secondSrv.CRealm, c.Realm) {
		s.out.Event.Second = part.CName.Unparse(part.CRealm)
		return exchange.Refuse(krbmsg.ErrServerNoMatch, "EVIDENCE_TICKET_MISMATCH")
	}
	if err := matchesPAC(s.secondPAC, part); err != nil {
		return exchange.Refuse(krbmsg.ErrBadOption, "S4U2PROXY_LOCAL_STKT_PAC").Because(err)
	}
	// Ours: evidence does not outlive the ticket that it is.
	if part.EndTime < s.now-s.r.ClockSkew {
		return exchange.Refuse(krbmsg.ErrTktExpired, "EVIDENCE_TKT_EXPIRED")
	}
	if part.Flags&krbmsg.FlagInvalid != 0 || part.Start() > s.now+s.r.ClockSkew {
		return exchange.Refuse(krbmsg.ErrTktNYV, "EVIDENCE_TKT_NOT_VALID")
	}
	s.out.Event.Delegate, s.out.Event.Proxy = part.CName.Unparse(part.CRealm), true
	return nil
}

// delegationRules is row 23. With PA-PAC-OPTIONS the target's own rule is asked first; the rule
// of the service that delegates is asked in any case. Services of other realms have neither.
func delegationRules(s *state) *exchange.Refusal {
	if !s.proxied() {
		return nil
	}
	const unsupported = "UNSUPPORTED_S4U2PROXY_REQUEST"
	if s.referral || s.hServer.IsCrossTGS() {
		return exchange.Refuse(krbmsg.ErrBadOption, unsupported).Becausef("delegation across realms")
	}
	target, via := s.server, s.secondSrv
	from, to := target.Attr(attrDelegateFrom), via.Attr(attrDelegateTo)
	resource := s.asksResourceBased()
	switch {
	case resource && s.names(from, via), s.names(to, target):
		return nil
	case to == "" && (from == "" || !resource):
		// As MIT krb5's db2 module says, which has no rules at all.
		return exchange.Refuse(krbmsg.ErrBadOption, unsupported).
			Becausef("%s has no %s", via.Principal.Name, attrDelegateTo)
	}
	return exchange.Refuse(krbmsg.ErrBadOption, "NOT_ALLOWED_TO_DELEGATE").
		Becausef("%s may not delegate to %s", via.Principal.Name, target.Principal.Name)
}

// asksResourceBased reports whether the client knows resource-based delegation. Padata that
// does not decode is refused in row 32.
func (s *state) asksResourceBased() bool {
	value, ok := krbmsg.FindPA(s.padata, krbmsg.PAPACOptions)
	var p krbmsg.PACOptions
	return ok && p.Parse(value) == nil && p.Flags&krbmsg.PACOptionRBCD != 0
}

// names reports whether a list of names has that of an entry.
func (s *state) names(list string, e *realm.Entry) bool {
	for _, word := range strings.Fields(list) {
		if n, err := dumpfmt.ParseName(word, s.r.Name); err == nil && n.String() == e.Principal.Name {
			return true
		}
	}
	return false
}

// delegationInfo adds to the buffers of the new PAC who delegated so far, and who does so now.
func (s *state) delegationInfo(buffers []pac.Buffer) ([]pac.Buffer, error) {
	old, err := s.subjectPAC().Find(pac.TypeDelegation)
	if !s.proxied() {
		if err == nil {
			buffers = append(buffers, pac.Buffer{Type: pac.TypeDelegation, Data: old.Data})
		}
		return buffers, nil
	}
	info := new(pac.Delegation)
	if err == nil {
		if info, err = pac.ParseDelegation(old.Data); err != nil {
			return nil, err
		}
	}
	info.Target = plainName(s.server.CName)
	info.Via = append(info.Via, s.secondSrv.Principal.Name)
	data, err := info.Encode()
	if err != nil {
		return nil, err
	}
	return append(buffers, pac.Buffer{Type: pac.TypeDelegation, Data: data}), nil
}

// plainName is a name for display: without realm and escapes.
func plainName(n krbmsg.PrincipalName) string {
	return string(bytes.Join(n.Parts, []byte("/")))
}
