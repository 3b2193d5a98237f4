package tgs

import (
	"bytes"
	"fmt"
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
	if !s.proxied() {
		return s.ownPAC()
	}
	bad := func(code int32, status string) *exchange.Refusal { return exchange.Refuse(code, status) }
	switch {
	case s.second == nil:
		return bad(krbmsg.ErrBadOption, "NO_2ND_TKT")
	case s.second.Part.Flags&krbmsg.FlagForwardable == 0:
		return bad(krbmsg.ErrBadOption, "EVIDENCE_TKT_NOT_FORWARDABLE")
	case s.option(modifying | krbmsg.OptEncTktInSkey):
		return bad(krbmsg.ErrBadOption, "INVALID_S4U2PROXY_OPTIONS")
	case realm.IsTGSName(s.sname.Name), !s.referral && s.server.IsTGS(): // by whatever name
		return bad(krbmsg.ErrPolicy, "NOT_ALLOWED_TO_DELEGATE")
	case s.hPAC == nil:
		return bad(krbmsg.ErrTGTRevoked, "S4U2PROXY_NO_HEADER_PAC")
	}
	if err := s.hPAC.IsFor(s.header.Part.CName, s.header.Part.AuthTime); err != nil {
		return bad(krbmsg.ErrBadOption, "S4U2PROXY_HEADER_PAC").Because(err)
	}
	if s.secondPAC == nil {
		return bad(krbmsg.ErrModified, "S4U2PROXY_NO_STKT_PAC")
	}
	var r *exchange.Refusal
	if s.crossRealm() {
		r = s.checkForeignEvidence()
	} else {
		r = s.checkEvidence()
	}
	if r != nil {
		return r
	}
	// Ours: evidence does not outlive the ticket that it is.
	part := &s.second.Part
	if part.EndTime < s.now-s.r.ClockSkew {
		return bad(krbmsg.ErrTktExpired, "EVIDENCE_TKT_EXPIRED")
	}
	if part.Flags&krbmsg.FlagInvalid != 0 || part.Start() > s.now+s.r.ClockSkew {
		return bad(krbmsg.ErrTktNYV, "EVIDENCE_TKT_NOT_VALID")
	}
	return nil
}

// ownPAC compares the PAC of a header ticket with it. On the way to the realm of the service
// that a service of another realm delegates to, it is the user's, and says who delegates.
func (s *state) ownPAC() *exchange.Refusal {
	if s.hPAC == nil || s.self != nil {
		return nil
	}
	part := &s.header.Part
	err := s.hPAC.IsFor(part.CName, part.AuthTime)
	if err == nil || s.crossRealm() && s.server.IsCrossTGS() && delegatedBy(s.hPAC, part, nil) == nil {
		return nil
	}
	return exchange.Refuse(krbmsg.ErrBadOption, "HEADER_PAC").Because(err)
}

// checkEvidence is the part of row 18 about the second ticket of a service of this realm: it
// must be one to that service.
func (s *state) checkEvidence() *exchange.Refusal {
	part := &s.second.Part
	if !s.isClient(s.secondSrv, s.client()) {
		s.out.Event.Second = part.CName.Unparse(part.CRealm)
		return exchange.Refuse(krbmsg.ErrServerNoMatch, "EVIDENCE_TICKET_MISMATCH")
	}
	if err := s.secondPAC.IsFor(part.CName, part.AuthTime); err != nil {
		return exchange.Refuse(krbmsg.ErrBadOption, "S4U2PROXY_LOCAL_STKT_PAC").Because(err)
	}
	return nil
}

// checkForeignEvidence is the same for a service of another realm, which shows the TGT that its
// realm gave it for the delegation. This realm must be the target's.
func (s *state) checkForeignEvidence() *exchange.Refusal {
	part, c := &s.second.Part, s.client()
	if s.referral || !s.secondSrv.IsCrossTGS() || !bytes.Equal(s.secondSrv.CName.Parts[1], s.server.CRealm) ||
		!part.CName.Equal(c.Name) || !bytes.Equal(part.CRealm, c.Realm) {
		return exchange.Refuse(krbmsg.ErrBadOption, "XREALM_EVIDENCE_TICKET_MISMATCH").
			Becausef("evidence is a ticket of %s for %s", part.CName.Unparse(part.CRealm), s.secondSrv.Principal.Name)
	}
	if err := delegatedBy(s.secondPAC, part, &s.sname.Name); err != nil {
		return exchange.Refuse(krbmsg.ErrBadOption, "S4U2PROXY_CROSS_STKT_PAC").Because(err)
	}
	return nil
}

// delegatedBy checks that a PAC is that of a user, in a TGT of the service that delegates, for a
// delegation to target; nil is to any.
func delegatedBy(p *pac.PAC, part *krbmsg.EncTicketPart, target *krbmsg.PrincipalName) error {
	_, _, authTime, err := p.Principal()
	if err != nil {
		return err
	}
	b, err := p.Find(pac.TypeDelegation)
	if err != nil {
		return err
	}
	info, err := pac.ParseDelegation(b.Data)
	switch {
	case err != nil:
		return err
	case authTime != part.AuthTime:
		return pac.ErrClient
	case target != nil && info.Target != pac.Plain(*target):
		return fmt.Errorf("delegation to %q", info.Target)
	case len(info.Via) == 0 || info.Via[len(info.Via)-1] != part.CName.Unparse(part.CRealm):
		return fmt.Errorf("delegation by %q", info.Via)
	}
	return nil
}

// delegationRules is row 23. With PA-PAC-OPTIONS the target's own rule is asked first; the rule
// of the service that delegates is asked if it is of this realm. What lies in another realm is
// that realm's to decide, for clients that know resource-based delegation.
func delegationRules(s *state) *exchange.Refusal {
	if !s.proxied() {
		return nil
	}
	unsupported := exchange.Refuse(krbmsg.ErrBadOption, "UNSUPPORTED_S4U2PROXY_REQUEST")
	resource := s.asksResourceBased()
	if s.referral {
		if !resource {
			return unsupported.Becausef("delegation across realms is resource-based")
		}
		return nil
	}
	impersonator, target := s.secondSrv.Principal.Name, s.server.Principal.Name
	from, to := s.server.Attr(attrDelegateFrom), s.secondSrv.Attr(attrDelegateTo)
	if s.crossRealm() {
		impersonator, to = s.client().String(), ""
	}
	if !resource {
		from = ""
	}
	switch {
	case s.names(from, impersonator), s.names(to, target):
		return nil
	case from == "" && to == "":
		// As MIT krb5's db2 module says, which has no rules at all.
		return unsupported.Becausef("no rule for %s", impersonator)
	}
	return exchange.Refuse(krbmsg.ErrBadOption, "NOT_ALLOWED_TO_DELEGATE").
		Becausef("%s may not delegate to %s", impersonator, target)
}

// asksResourceBased reports whether the client knows resource-based delegation. Padata that
// does not decode is refused in row 32.
func (s *state) asksResourceBased() bool {
	value, ok := krbmsg.FindPA(s.padata, krbmsg.PAPACOptions)
	var p krbmsg.PACOptions
	return ok && p.Parse(value) == nil && p.Flags&krbmsg.PACOptionRBCD != 0
}

// names reports whether a list of names has a certain one.
func (s *state) names(list, name string) bool {
	for _, word := range strings.Fields(list) {
		if n, err := dumpfmt.ParseName(word, s.r.Name); err == nil && n.String() == name {
			return true
		}
	}
	return false
}

// delegationInfo adds to the buffers of the new PAC who delegated so far, and who does so now. The
// realm of the service that delegates writes that down, and others leave it as it is.
func (s *state) delegationInfo(buffers []pac.Buffer) ([]pac.Buffer, error) {
	subject, delegates := s.subjectPAC(), s.proxied() && !s.crossRealm()
	info := new(pac.Delegation)
	if subject.Has(pac.TypeDelegation) {
		old, err := subject.Find(pac.TypeDelegation)
		if err != nil {
			return nil, err
		}
		if !delegates {
			return append(buffers, pac.Buffer{Type: pac.TypeDelegation, Data: old.Data}), nil
		}
		if info, err = pac.ParseDelegation(old.Data); err != nil {
			return nil, err
		}
	} else if !delegates {
		return buffers, nil
	}
	evidence := &s.body.Tickets[0]
	info.Target = pac.Plain(s.sname.Name)
	info.Via = append(info.Via, evidence.SName.Unparse(evidence.Realm))
	data, err := info.Encode()
	if err != nil {
		return nil, err
	}
	return append(buffers, pac.Buffer{Type: pac.TypeDelegation, Data: data}), nil
}
