package tgs

import (
	"bytes"

	"krealm/dumpfmt"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/kdc/pac"
	"krealm/kdc/realm"
)

// client is the client of the header ticket.
func (s *state) client() exchange.Principal {
	return exchange.Principal{Name: s.header.Part.CName, Realm: s.header.Part.CRealm}
}

// proxied reports whether a service asks for a ticket in the name of the user of its evidence.
func (s *state) proxied() bool { return s.option(krbmsg.OptCNameInAddlTkt) }

// crossRealm reports whether another realm issued the header ticket.
func (s *state) crossRealm() bool { return string(s.hServer.CRealm) != s.r.Name }

// subject is the ticket that says when the client of the new one logged in, and all but his
// name where that is in the PAC.
func (s *state) subject() *krbmsg.EncTicketPart {
	if s.proxied() {
		return &s.second.Part
	}
	return &s.header.Part
}

// subjectPAC is the PAC of subject, nil if it has none.
func (s *state) subjectPAC() *pac.PAC {
	if s.proxied() {
		return s.secondPAC
	}
	return s.hPAC
}

// subjectServer is the server that subject is a ticket for.
func (s *state) subjectServer() *realm.Entry {
	if s.proxied() {
		return s.secondSrv
	}
	return s.hServer
}

// delegatedUser is row 9: in whose name a service asks by its evidence. A service of another
// realm shows a ticket of its own, with the user in the PAC.
func delegatedUser(s *state) *exchange.Refusal {
	if !s.proxied() || s.second == nil {
		return nil // row 18 complains
	}
	part := &s.second.Part
	s.evidenced = exchange.Principal{Name: part.CName, Realm: part.CRealm}
	if s.crossRealm() {
		const status = "RBCD_PAC_PRINC"
		if s.secondPAC == nil {
			return exchange.Refuse(krbmsg.ErrBadOption, status).Becausef("evidence of another realm without a PAC")
		}
		name, r, _, err := s.secondPAC.Principal()
		if err != nil {
			return exchange.Refuse(krbmsg.ErrBadOption, status).Because(err)
		}
		s.evidenced = exchange.Principal{Name: name, Realm: r}
	}
	s.out.Event.Delegate, s.out.Event.Proxy, s.out.Event.AuthTime = s.evidenced.String(), true, part.AuthTime
	return nil
}

// ticketClient is whose ticket is issued: where a service asks in the name of a user, and gets
// what it asks for, the user's; its own TGT for the next realm on the way is the service's.
func (s *state) ticketClient() exchange.Principal {
	switch {
	case s.referral:
	case s.self != nil:
		return s.self.user
	case s.proxied() && s.second != nil:
		return s.evidenced
	}
	return s.client()
}

// isClient reports whether a principal is the one of an entry, by its own name or an alias.
func (s *state) isClient(e *realm.Entry, p exchange.Principal) bool {
	found, ok := s.r.Resolve(p.Name, p.Realm)
	return ok && found.CName.Equal(e.CName) && bytes.Equal(found.CRealm, e.CRealm)
}

// limits is the client's entry as far as it limits flags and lives of the ticket: that of the
// user a service asks in the name of, else that of the subject. It is nil for clients of other
// realms and, as in MIT krb5, for servers that want no authorization data.
func (s *state) limits() *realm.Entry {
	if s.self != nil {
		return s.self.entry
	}
	p := s.subject()
	if s.server.Has(dumpfmt.AttrNoAuthDataRequired) || string(p.CRealm) != s.r.Name {
		return nil
	}
	e, ok := s.r.Resolve(p.CName, p.CRealm)
	if !ok || e.Foreign {
		return nil
	}
	return e
}
