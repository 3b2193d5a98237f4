package tgs

import (
	"bytes"
	"slices"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/authdata"
	"krealm/kdc/exchange"
	"krealm/kdc/realm"
	"krealm/kdc/transit"
)

// indicators is row 10. Users in whose name a service asks have none.
func indicators(s *state) *exchange.Refusal {
	if s.self != nil {
		return nil // the user did not show any
	}
	var err error
	if s.indicators, err = authdata.Indicators(s.indicatorSource(), s.tgt); err != nil {
		return exchange.Refuse(krbmsg.ErrGeneric, "GET_AUTH_INDICATORS").Because(err)
	}
	return nil
}

// indicatorSource is subject, where a second ticket may still be missing.
func (s *state) indicatorSource() *krbmsg.EncTicketPart {
	if s.second == nil {
		return &s.header.Part
	}
	return s.subject()
}

// transited is row 11, section 5.7: a realm that issued the header ticket and is not that of
// the new ticket's client joins the list.
func transited(s *state) *exchange.Refusal {
	p, client := &s.header.Part, s.ticketClient()
	s.part.Transited = p.Transited
	if !s.crossRealm() || bytes.Equal(s.hServer.CRealm, client.Realm) {
		return nil
	}
	if p.Transited.Type != transit.TypeDomainX500 {
		return exchange.Refuse(krbmsg.ErrTrTypeNoSupp, "VALIDATE_TRANSIT_TYPE").Becausef("type %d", p.Transited.Type)
	}
	list, err := transit.Append(p.Transited.Contents, string(s.hServer.CRealm), string(client.Realm), s.r.Name)
	if err != nil {
		return exchange.Refuse(krbmsg.ErrIllCrTkt, "ADD_TO_TRANSITED_LIST").Because(err)
	}
	s.part.Transited.Contents = list
	return nil
}

// headerRules is rows 12 to 14: what an option demands of the header ticket.
var headerRules = []struct {
	option uint32 // asked for by any of these bits; 0: always
	code   int32
	status string
	broken func(s *state, p *krbmsg.EncTicketPart) bool
}{
	{krbmsg.OptForwarded, krbmsg.ErrBadOption, "TGT NOT FORWARDABLE", lacks(krbmsg.FlagForwardable)},
	{krbmsg.OptProxy, krbmsg.ErrBadOption, "TGT NOT PROXIABLE", lacks(krbmsg.FlagProxiable)},
	{krbmsg.OptAllowPostdate | krbmsg.OptPostdated, krbmsg.ErrBadOption, "TGT NOT POSTDATABLE", lacks(krbmsg.FlagMayPostdate)},
	{krbmsg.OptValidate, krbmsg.ErrBadOption, "VALIDATE VALID TICKET", lacks(krbmsg.FlagInvalid)},
	{krbmsg.OptRenew, krbmsg.ErrBadOption, "TICKET NOT RENEWABLE", lacks(krbmsg.FlagRenewable)},
	{0, krbmsg.ErrTktNYV, "TICKET NOT VALID", func(s *state, p *krbmsg.EncTicketPart) bool {
		return p.Flags&krbmsg.FlagInvalid != 0 && !s.option(krbmsg.OptValidate)
	}},
	{krbmsg.OptValidate, krbmsg.ErrTktNYV, "NOT_YET_VALID", func(s *state, p *krbmsg.EncTicketPart) bool {
		return p.Start() > s.now
	}},
	{krbmsg.OptRenew, krbmsg.ErrTktExpired, "TKT_EXPIRED", func(s *state, p *krbmsg.EncTicketPart) bool {
		return p.RenewTill.V < s.now
	}},
}

func lacks(flag uint32) func(*state, *krbmsg.EncTicketPart) bool {
	return func(_ *state, p *krbmsg.EncTicketPart) bool { return p.Flags&flag == 0 }
}

func headerOptions(s *state) *exchange.Refusal {
	for _, r := range headerRules {
		if (r.option == 0 || s.option(r.option)) && r.broken(s, &s.header.Part) {
			return exchange.Refuse(r.code, r.status)
		}
	}
	return nil
}

// headerServer is rows 15 and 16: which ticket may be shown for what.
func headerServer(s *state) *exchange.Refusal {
	shown := s.ap.Ticket.SName
	if s.option(modifying) {
		if !shown.Equal(s.sname.Name) || string(s.ap.Ticket.Realm) != string(s.sname.Realm) {
			return exchange.Refuse(krbmsg.ErrServerNoMatch, "SERVER DIDN'T MATCH TICKET FOR RENEW/FORWARD/ETC")
		}
		if s.option(krbmsg.OptProxy) && s.hServer.IsTGS() {
			return exchange.Refuse(krbmsg.ErrBadOption, "CAN'T PROXY TGT")
		}
	} else {
		if !realm.IsTGSName(s.hServer.CName) {
			return exchange.Refuse(krbmsg.ErrNotUs, "BAD TGS SERVER NAME")
		}
		if string(s.hServer.CName.Parts[1]) != string(s.server.CRealm) {
			return exchange.Refuse(krbmsg.ErrNotUs, "BAD TGS SERVER INSTANCE")
		}
	}
	if s.self != nil {
		return s.checkS4U2Self()
	}
	// A realm may speak for its own clients, not for ours.
	if s.crossRealm() && string(s.header.Part.CRealm) == string(s.server.CRealm) {
		return exchange.Refuse(krbmsg.ErrPolicy, "INVALID LINEAGE")
	}
	return nil
}

// serverRules is rows 19 to 24.
var serverRules = []struct {
	code   int32
	status string
	broken func(s *state) bool
}{
	{krbmsg.ErrPolicy, "NON-RENEWABLE TICKET", func(s *state) bool {
		return s.option(krbmsg.OptRenewable) && s.server.Has(dumpfmt.AttrDisallowRenewable)
	}},
	{krbmsg.ErrCannotPostdate, "NON-POSTDATABLE TICKET", func(s *state) bool {
		return s.option(krbmsg.OptAllowPostdate) && s.server.Has(dumpfmt.AttrDisallowPostdated)
	}},
	{krbmsg.ErrPolicy, "DUP_SKEY DISALLOWED", func(s *state) bool {
		return s.option(krbmsg.OptEncTktInSkey) && s.server.Has(dumpfmt.AttrDisallowDupSkey)
	}},
	{krbmsg.ErrSPrincipalUnknown, "SERVER LOCKED OUT", func(s *state) bool { return s.server.Has(dumpfmt.AttrDisallowAllTix) }},
	{krbmsg.ErrMustUseUser2User, "SERVER NOT ALLOWED", func(s *state) bool {
		return s.server.Has(dumpfmt.AttrDisallowSvr) && !s.option(krbmsg.OptEncTktInSkey)
	}},
	{krbmsg.ErrPolicy, "TGT BASED NOT ALLOWED", func(s *state) bool {
		return s.server.Has(dumpfmt.AttrDisallowTGTBased) && s.hServer.IsTGS()
	}},
	{krbmsg.ErrGeneric, "NO HW PREAUTH", func(s *state) bool {
		return s.server.Has(dumpfmt.AttrRequiresHWAuth) && s.header.Part.Flags&krbmsg.FlagHWAuth == 0
	}},
	{krbmsg.ErrGeneric, "NO PREAUTH", func(s *state) bool {
		return s.server.Has(dumpfmt.AttrRequiresPreAuth) && s.header.Part.Flags&krbmsg.FlagPreAuth == 0
	}},
	{krbmsg.ErrServiceExp, "SERVICE EXPIRED", func(s *state) bool {
		return s.server.Expire != 0 && int64(s.server.Expire) < s.now
	}},
	{krbmsg.ErrPolicy, "ANONYMOUS NOT ALLOWED", func(s *state) bool {
		return s.r.RestrictAnon && s.header.Part.CName.Is("WELLKNOWN", "ANONYMOUS") && !s.server.IsLocalTGS()
	}},
}

func serverPolicy(s *state) *exchange.Refusal {
	for _, r := range serverRules {
		if r.broken(s) {
			return exchange.Refuse(r.code, r.status)
		}
	}
	return nil
}

// clientState is what section 3.5 leaves to the administrator: whether a client of this realm whose
// entry was locked, has expired or is gone gets further tickets. A user in whose name a service
// asks by S4U2Self was looked at in row 16.
func clientState(s *state) *exchange.Refusal {
	p := s.subject()
	if !s.r.StrictClients || s.self != nil || string(p.CRealm) != s.r.Name {
		return nil
	}
	e, ok := s.r.Resolve(p.CName, p.CRealm)
	switch {
	case !ok || e.Foreign:
		return exchange.Refuse(krbmsg.ErrCPrincipalUnknown, "CLIENT_NOT_FOUND")
	case e.Expire != 0 && int64(e.Expire) < s.now:
		return exchange.Refuse(krbmsg.ErrNameExp, "CLIENT EXPIRED")
	case e.Has(dumpfmt.AttrRequiresPwChange) && !s.server.Has(dumpfmt.AttrPwChangeService) && !s.proxied():
		return exchange.Refuse(krbmsg.ErrKeyExpired, "REQUIRED PWCHANGE")
	case e.Has(dumpfmt.AttrDisallowAllTix):
		return exchange.Refuse(krbmsg.ErrClientRevoked, "CLIENT LOCKED OUT")
	}
	return nil
}

// requireIndicators is row 26.
func requireIndicators(s *state) *exchange.Refusal {
	wanted := strings.Fields(s.server.Attr("require_auth"))
	if len(wanted) == 0 || s.self != nil || slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(s.indicators, w) }) {
		return nil
	}
	return exchange.Refuse(krbmsg.ErrPolicy, "HIGHER_AUTHENTICATION_REQUIRED").
		Becausef("Required auth indicators not present in ticket: %s", strings.Join(wanted, " "))
}

// checkTransited checks the list from the subject's realm to the server's. Ours: where a service
// asks in the name of a user of another realm, the list is about the user, and may name this
// realm, where the service came by on its way to the user's. MIT krb5 takes the service's realm
// and so refuses all users but those of neighbours.
func (s *state) checkTransited() error {
	list, server := s.part.Transited.Contents, string(s.server.CRealm)
	if s.self != nil && !s.self.local {
		return transit.Check(list, string(s.self.user.Realm), server, s.r.TransitPath, server)
	}
	return transit.Check(list, string(s.subject().CRealm), server, s.r.TransitPath)
}

// transitedPolicy is row 28. The flag tells services that the list was checked here.
func transitedPolicy(s *state) *exchange.Refusal {
	var err error
	checked := !s.option(krbmsg.OptDisableTransCheck)
	if checked {
		err = s.checkTransited()
	} else {
		s.out.Event.Notes = append(s.out.Event.Notes, "not checking transit path")
	}
	switch {
	case checked && err == nil:
		s.part.Flags |= krbmsg.FlagTransitChecked
	case s.part.Flags&krbmsg.FlagTransitChecked != 0:
		// A ticket of ours that is renewed or validated: it was checked when it was made.
	case s.r.RejectBadTransit:
		return exchange.Refuse(krbmsg.ErrPolicy, "BAD_TRANSIT").Because(err)
	}
	if err != nil {
		s.out.Event.Notes = append(s.out.Event.Notes, err.Error())
	}
	return nil
}
